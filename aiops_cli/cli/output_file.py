"""Files that the user named for output: written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from aiops_cli.errors import ErrorCode, UsageError


def ensure_writable(path: Path, flag: str) -> None:
    """Raises UsageError (FILE_INVALID), before anything is asked, if `path` could not be written later."""
    target = path.resolve()
    folder = target.parent
    if target.is_dir() or not folder.is_dir():
        why = "it is a folder" if target.is_dir() else f"there is no folder {path.parent}"
        raise _failed(path, flag, why)
    if not os.access(folder if _is_regular(target) else target, os.W_OK):
        raise _failed(path, flag, "permission denied")


def write_text(path: Path, text: str, flag: str) -> None:
    """Write aside and rename, unless it is a device or a pipe. Raises UsageError (FILE_INVALID)."""
    from aiops_cli.store.files import write_whole

    target = path.resolve()
    try:
        if _is_regular(target):
            write_whole(target, text.encode(), durable=True)
        else:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _failed(path, flag, error.strerror or str(error)) from None


def _is_regular(target: Path) -> bool:
    return target.is_file() or not target.exists()


def _failed(path: Path, flag: str, why: str) -> UsageError:
    return UsageError(
        f"{flag} {path} can't be written: {why}",
        hint="name a file in a folder that exists and has room",
        code=ErrorCode.FILE_INVALID,
    )
