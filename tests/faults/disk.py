"""A small disk for one test, and what stands in for one where nothing can be mounted."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.conftest import Finished


class Disk(Protocol):
    """`reason` is what the system says of a write once the disk is full."""

    reason: str

    def aiops(self, *args: str) -> Finished: ...

    def fill(self) -> None: ...

    def empty(self) -> None: ...

    def files(self) -> dict[str, int]:
        """Every file under the folder by its path there, with its size."""
        ...

    def close(self) -> None: ...


def small_disk(folder: Path) -> Disk:
    try:
        return MountedDisk(folder, size_kib=256)
    except (CanNotMount, FileNotFoundError):
        return LimitedWrites(folder)


class CanNotMount(RuntimeError):
    """This system lets us mount nothing."""


class MountedDisk:
    """A tmpfs under `folder` that only commands run through it see. Raises CanNotMount."""

    reason = "No space left on device"

    def __init__(self, folder: Path, *, size_kib: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._holder = subprocess.Popen(
            [
                *("unshare", "-m", "--", "sh", "-c"),
                'mount -t tmpfs -o size="$1"k,mode=700 tmpfs "$2" && echo mounted && exec cat',
                *("sh", str(size_kib), str(folder)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "mounted\n":
            _, said = self._holder.communicate()
            raise CanNotMount(said.strip())

    def aiops(self, *args: str) -> Finished:
        return self._run(sys.executable, "-m", "aiops_cli", *args)

    def fill(self) -> None:
        self._run("dd", "if=/dev/zero", f"of={self.folder / 'filler'}", "bs=1k")

    def empty(self) -> None:
        self._run("rm", str(self.folder / "filler"))

    def files(self) -> dict[str, int]:
        listed = self._run("find", str(self.folder), "-type", "f", "-printf", "%P\t%s\n").stdout
        found = dict(line.split("\t") for line in listed.splitlines())
        found.pop("filler", None)
        return {name: int(size) for name, size in found.items()}

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()

    def _run(self, *command: str) -> Finished:
        inside = ["nsenter", "-m", "-t", str(self._holder.pid), f"--wd={self.folder.parent}", "--"]
        return _finished([*inside, *command], None)


class LimitedWrites:
    """A limit on the size of files, which is 0 bytes once it is full."""

    reason = "File too large"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._most = resource.RLIM_INFINITY

    def aiops(self, *args: str) -> Finished:
        def in_child() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._most, resource.RLIM_INFINITY))

        return _finished([sys.executable, "-B", "-m", "aiops_cli", *args], in_child)

    def fill(self) -> None:
        self._most = 0

    def empty(self) -> None:
        self._most = resource.RLIM_INFINITY

    def files(self) -> dict[str, int]:
        paths = [p for p in self.folder.rglob("*") if p.is_file()]
        return {str(p.relative_to(self.folder)): p.stat().st_size for p in paths}

    def close(self) -> None:
        pass


def _finished(command: list[str], in_child: Callable[[], None] | None) -> Finished:
    done = subprocess.run(
        command, preexec_fn=in_child, capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )
    return Finished(tuple(command), done.returncode, done.stdout, done.stderr)
