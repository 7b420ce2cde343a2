"""DPDK's own testpmd, really running: a null port, memory without huge pages, no device and no root needed.

It forwards packets that cost nothing, so its port's counters rise fast, and it serves the real telemetry.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from tests.servers.binaries import CACHE_ROOT, locate
from tests.servers.process import Server

_DRIVERS = ("bus_vdev", "mempool_ring", "net_null")


class Testpmd(Server):
    name = "testpmd"
    program = "dpdk-testpmd"
    __test__ = False

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.prefix = f"aiops-{os.getpid()}"

    def environment(self) -> dict[str, str]:
        folders = (
            {str(p.parent) for g in ("lib", "usr/lib") for p in self._tree.glob(f"{g}/*/*.so.*")}
            if self._tree
            else set()
        )
        return {"LD_LIBRARY_PATH": ":".join(sorted(folders)), "XDG_RUNTIME_DIR": str(self.home)}

    @property
    def _tree(self) -> Path | None:
        """Where it was unpacked; None where it is installed, and finds its parts by itself."""
        program = locate(self.program)
        return program.parents[2] if CACHE_ROOT in program.parents else None

    @property
    def socket(self) -> Path:
        root = Path("/var/run/dpdk") if os.getuid() == 0 else self.home / "dpdk"
        return root / self.prefix / "dpdk_telemetry.v2"

    def command(self) -> list[str]:
        drivers = []
        for name in _DRIVERS if self._tree else ():
            found = next(self._tree.glob(f"usr/lib/*/dpdk/pmds-*/librte_{name}.so.*"))  # type: ignore[union-attr]
            drivers += ["-d", str(found)]
        eal = ["--no-huge", "--no-pci", "-m", "128", f"--file-prefix={self.prefix}", "--vdev=net_null0"]
        # With a period it needs no terminal to go on.
        return [*eal, "-l", "0-1", *drivers, "--", "--total-num-mbufs=2048", "--stats-period=3600"]

    def is_ready(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
                asked.connect(str(self.socket))
                return b"DPDK" in asked.recv(1 << 16)
        except OSError:
            return False

    def clear(self) -> None:
        """What it leaves in the runtime folder when it is killed."""
        shutil.rmtree(self.socket.parent, ignore_errors=True)
