"""How much a cache holds, and making it hold less. A cache is a folder of entries: files or folders."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from aiops_cli.store.files import DAMAGED_SUFFIX, lock_if_free

_TRIM_SECONDS = 300.0
_TRIM_TO = 0.9  # of the cap, so that not every write trims again


class Usage(Struct, frozen=True, rename="camel"):
    """What a cache holds: `entries` are cached keys, `damaged` files were set aside."""

    entries: int
    files: int
    bytes: int
    damaged: int


class Upkeep:
    """The size cap of the cache in `folder`, looked after by whichever process finds it due."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._written = 0

    def wrote(self, size: int) -> None:
        """Count a write, and trim when nobody has lately or this process wrote a good part of the cap."""
        self._written += size
        stamp = self.folder / ".trimmed"
        try:
            recent = time.time() - stamp.stat().st_mtime < _TRIM_SECONDS
        except FileNotFoundError:
            recent = False
        if recent and self._written < self._max_bytes / 16:
            return
        with lock_if_free(self.folder / ".lock") as locked:
            if locked:
                stamp.touch(mode=0o600)
                self._written = 0
                self.trim(self._max_bytes)

    def usage(self) -> Usage:
        entries = [_files(entry) for entry in _entries(self.folder)]
        files = [file for entry in entries for file in entry]
        return Usage(
            len(entries),
            len(files),
            sum(_size(file) for file in files),
            sum(file.name.endswith(DAMAGED_SUFFIX) for file in files),
        )

    def trim(self, max_bytes: int) -> int:
        """Remove the entries used longest ago (by the entry's mtime) until `max_bytes`; bytes freed."""
        sizes = [(_used(e), sum(_size(f) for f in _files(e)), e) for e in _entries(self.folder)]
        total = sum(size for _, size, _ in sizes)
        freed = 0
        for _, size, entry in sorted(sizes) if total > max_bytes else ():
            if total - freed <= max_bytes * _TRIM_TO:
                break
            _remove(entry)
            freed += size
        return freed

    def clear(self) -> int:
        """Remove every entry; bytes freed."""
        return self.trim(-1)


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []


def _files(entry: Path) -> list[Path]:
    if not entry.is_dir():
        return [entry]
    try:
        return list(entry.iterdir())
    except OSError:
        return []


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0


def _remove(entry: Path) -> None:
    """Whoever reads it now lists again, and whoever writes to it makes its folder again."""
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        with suppress(OSError):
            entry.unlink()
