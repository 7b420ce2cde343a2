"""A small disk for one test: a tmpfs that only a mount namespace of its own sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import Finished


class NoSmallDisk(RuntimeError):
    """This system lets us mount nothing."""


class SmallDisk:
    """`size_kib` KiB under `folder`; commands run through it see it, nobody else does.

    Raises NoSmallDisk where that needs rights we have not.
    """

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
            raise NoSmallDisk(said.strip())

    def run(self, *command: str) -> Finished:
        done = subprocess.run(
            ["nsenter", "-m", "-t", str(self._holder.pid), "--wd=" + str(self.folder.parent), "--", *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Finished(command, done.returncode, done.stdout, done.stderr)

    def aiops(self, *args: str) -> Finished:
        return self.run(sys.executable, "-m", "aiops_cli", *args)

    def fill(self) -> None:
        """Until not a byte more fits."""
        self.run("dd", "if=/dev/zero", f"of={self.folder / 'filler'}", "bs=1k")

    def empty(self) -> None:
        self.run("rm", str(self.folder / "filler"))

    def files(self) -> dict[str, int]:
        """Every file but the filler, by its path below the folder, with its size."""
        listed = self.run("find", str(self.folder), "-type", "f", "-printf", "%P\t%s\n").stdout
        found = dict(line.split("\t") for line in listed.splitlines())
        found.pop("filler", None)
        return {name: int(size) for name, size in found.items()}

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()
