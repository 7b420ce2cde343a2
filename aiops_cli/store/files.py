"""Files that appear whole or not at all, directories only we can read, and locks nobody waits for."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ASIDE_PREFIX = ".new-"
DAMAGED_SUFFIX = ".damaged"
_ABANDONED_SECONDS = 3600.0
_ATTEMPTS = 20


def make_dir(path: Path) -> None:
    """`path` and what is missing above it, each mode 0700. Raises OSError.

    FileNotFoundError means that another process removed it again.
    """
    if path.is_dir():
        return
    make_dir(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir() and path.stat():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write `data` aside (mode 0600), then rename to `path`: readers see all of it or nothing.

    `durable` waits for the disk, so that the file outlives a power cut once this returns; without
    it the file outlives any killed process. Raises OSError and leaves nothing behind then.
    """
    for attempt in range(_ATTEMPTS):
        try:
            make_dir(path.parent)
            _write_once(path, data, durable)
            break
        except FileNotFoundError:  # another process cleared the folder under our hands
            if attempt == _ATTEMPTS - 1:
                raise
    if durable:
        sync_dir(path.parent)


def _write_once(path: Path, data: bytes, durable: bool) -> None:
    aside = path.parent / f"{ASIDE_PREFIX}{secrets.token_hex(8)}"
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(fd, left) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


def sync_dir(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def set_aside(path: Path) -> Path | None:
    """Rename a damaged file so that nobody reads it again; None when someone else did, or we may not."""
    target = path.with_name(path.name + DAMAGED_SUFFIX)
    try:
        path.rename(target)
    except OSError:
        return None
    return target


def remove_abandoned(folder: Path) -> None:
    """Drop what killed writers left half written more than an hour ago."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(ASIDE_PREFIX):
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                        path.unlink()


@contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """True while we hold the lock, False at once when another process does. Never waits.

    The kernel frees a killed holder's lock; a stopped holder only keeps others from tidying up.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)
