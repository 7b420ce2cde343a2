"""linuxptp between network namespaces: a grandmaster and a slave that really exchange PTP over a veth pair,
with software time stamps.

Every program runs without CAP_SYS_TIME, so the kernel refuses each attempt to step or steer the machine's
clock, and the servo goes on as if it had: ptp4l becomes SLAVE and measures real offsets between two
time-stampings of one clock. A PHC (/dev/ptp*) there is none, so phc2sys has nothing to measure.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

from tests.servers.binaries import locate, which
from tests.servers.process import POLL_SECONDS, Server, _fork, _forker, _running

CAP_SYS_TIME = 25
_WITHOUT_TIME = ("--bounding-set", "-sys_time", "--inh-caps", "-sys_time")
_FAST = {
    "time_stamping": "software",
    "logSyncInterval": "-3",
    "logAnnounceInterval": "-2",
    "logMinDelayReqInterval": "-3",
    "announceReceiptTimeout": "3",
    "fault_reset_interval": "-4",
    # The servo locks at the second sample; it steers nothing.
    "pi_proportional_const": "0.7",
    "pi_integral_const": "0.3",
    "summary_interval": "-3",
}


class NoNamespaces(RuntimeError):
    """The kernel, or what this user may, allows no network namespaces with veth; says which step failed."""


def _must(*command: str) -> None:
    done = subprocess.run([str(which(command[0])), *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"`{' '.join(command)}`: {done.stderr.strip()}")


class Link:
    """Two network namespaces joined by a veth pair: `gm0` in one, `port` in the other.

    Both are made by processes that do nothing, and vanish with them. Raises NoNamespaces.
    """

    def __init__(self, port: str) -> None:
        for program in ("ip", "unshare", "nsenter", "setpriv"):
            if which(program) is None:
                raise NoNamespaces(f"there is no `{program}` program (Debian: iproute2, util-linux)")
        self.port = port
        self._holders: list[subprocess.Popen[bytes]] = []
        self.master = self._namespace()
        self.slave = self._namespace()
        try:
            _must(
                "nsenter",
                "-t",
                str(self.master),
                "-n",
                "ip",
                "link",
                "add",
                "gm0",
                "type",
                "veth",
                "peer",
                "name",
                port,
            )
            self._in_master("ip", "link", "set", port, "netns", str(self.slave))
            for pid, name, host in ((self.master, "gm0", 1), (self.slave, port, 2)):
                for args in (
                    ("ip", "addr", "add", f"192.0.2.{host}/24", "dev", name),
                    ("ip", "link", "set", "lo", "up"),
                    ("ip", "link", "set", name, "up"),
                ):
                    _must("nsenter", "-t", str(pid), "-n", *args)
        except NoNamespaces:
            self.close()
            raise

    def down(self) -> float:
        """Cut the link at the master's end; returns the time before that, in unix seconds."""
        began = time.time()
        self._in_master("ip", "link", "set", "gm0", "down")
        return began

    def up(self) -> float:
        began = time.time()
        self._in_master("ip", "link", "set", "gm0", "up")
        return began

    def close(self) -> None:
        for holder in self._holders:
            holder.kill()
            holder.wait()

    def _in_master(self, *command: str) -> None:
        _must("nsenter", "-t", str(self.master), "-n", *command)

    def _namespace(self) -> int:
        own = Path("/proc/self/ns/net").readlink()
        holder = _forker.submit(
            _fork,
            [str(which("unshare")), "-n", "sleep", "infinity"],
            dict(os.environ),
            Path("/"),
            Path(os.devnull),
        ).result()
        self._holders.append(holder)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if holder.poll() is not None:
                raise NoNamespaces("`unshare -n` is refused")
            if Path(f"/proc/{holder.pid}/ns/net").readlink() != own:
                return holder.pid
            time.sleep(POLL_SECONDS)
        raise NoNamespaces("`unshare -n` made no namespace in 10 s")


class _Confined(Server):
    """A program in a namespace of the link, without the right to set the clock."""

    def __init__(self, home: Path, namespace: int) -> None:
        super().__init__(home)
        self.namespace = namespace

    def spawn(self) -> None:
        program = locate(self.program)
        self.home.mkdir(parents=True, exist_ok=True)
        self.prepare()
        enter = [str(which("nsenter")), "-t", str(self.namespace), "-n"]
        command = [*enter, str(which("setpriv")), *_WITHOUT_TIME, str(program)]
        self._ready = False
        env = {"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}
        self._process = _forker.submit(_fork, [*command, *self.command()], env, self.home, self.log).result()
        _running.add(self)

    def may_set_the_clock(self) -> bool:
        """Whether the running process has CAP_SYS_TIME."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.M)
        return found is None or bool(int(found[1], 16) >> CAP_SYS_TIME & 1)


class Ptp4l(_Confined):
    """ptp4l on one port. A grandmaster unless `slave`; `config_name` tags its log as the daemon does."""

    name = "ptp4l"
    program = "ptp4l"

    def __init__(
        self, home: Path, namespace: int, port: str, *, slave: bool, config_name: str = "ptp4l.0.config"
    ) -> None:
        super().__init__(home, namespace)
        self.port, self.slave, self.config_name = port, slave, config_name
        self.uds = home / "uds"

    def prepare(self) -> None:
        role = {"slaveOnly": "1"} if self.slave else {"clockClass": "6", "free_running": "1"}
        options = _FAST | role | {"uds_address": str(self.uds), "message_tag": f"[{self.config_name}]"}
        lines = ["[global]", *(f"{k} {v}" for k, v in options.items()), f"[{self.port}]", ""]
        (self.home / "ptp4l.conf").write_text("\n".join(lines))

    def command(self) -> list[str]:
        return ["-f", str(self.home / "ptp4l.conf"), "-m", "-q"]

    def is_ready(self) -> bool:
        if self.may_set_the_clock():
            self.kill()
            raise RuntimeError("ptp4l could set this machine's clock: stopped")
        return self.uds.exists()

    def pmc(self, *requests: str) -> str:
        """What the management client answers. Empty where ptp4l does not."""
        if not self.running:
            return ""
        done = subprocess.run(
            [locate("pmc"), "-u", "-b", "0", "-s", self.uds, "-i", self.home / "pmc", *requests],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        return done.stdout

    def grandmaster_class(self) -> int | None:
        """The clock class of who this clock follows, which may be itself."""
        found = re.search(r"gm\.ClockClass\s+(\d+)", self.pmc("GET PARENT_DATA_SET"))
        return int(found[1]) if found else None

    def announce(self, clock_class: int, *, tai: bool = False) -> None:
        """Let a grandmaster say another clock class from now on; with `tai`, that its time is TAI, which
        it is not: it keeps sending the system's UTC."""
        self.pmc(
            f"SET GRANDMASTER_SETTINGS_NP clockClass {clock_class} clockAccuracy 0xfe "
            "offsetScaledLogVariance 0xffff currentUtcOffset 37 leap61 0 leap59 0 currentUtcOffsetValid 0 "
            f"ptpTimescale {int(tai)} timeTraceable 0 frequencyTraceable 0 timeSource 0xa0"
        )


class Phc2sys(_Confined):
    """phc2sys as the daemon runs it (-a -r), bound to a ptp4l. Without a PHC it says so and ends."""

    name = "phc2sys"
    program = "phc2sys"

    def __init__(self, home: Path, ptp4l: Ptp4l) -> None:
        super().__init__(home, ptp4l.namespace)
        self.ptp4l = ptp4l

    def command(self) -> list[str]:
        tag = f"[{self.ptp4l.config_name}]"
        return ["-a", "-r", "-r", "-m", "-q", "-z", str(self.ptp4l.uds), "-t", tag]

    def run_to_its_end(self, seconds: float = 10.0) -> str:
        """Start it, wait until it has given up, and return what it said."""
        self.spawn()
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGTERM)
        return self.log_tail()
