"""What is told when the dashboard ends by an error of its own: one line, and a file with where it happened.

Textual would print the values of all variables on the way, tokens among them: no value is written here, nor
what the errors say, which may quote one. The newest files are kept.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from aiops_cli.store.files import write_whole
from aiops_cli.store.paths import data_dir

_KEPT = 20


def told(error: BaseException) -> str:
    """The line, after the file was written."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    line = f"error: the dashboard ended by an error of its own: {type(error).__name__}{where}"
    folder = data_dir() / "crashes"
    path = folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}.txt"
    try:
        write_whole(path, "\n".join(_lines(error)).encode())
    except OSError:
        return f"{line}\nhint: please report it"
    for old in sorted(folder.glob("*.txt"))[:-_KEPT]:
        with contextlib.suppress(OSError):
            old.unlink()
    return f"{line}\nhint: please report it with {path}"


def _lines(error: BaseException) -> Iterator[str]:
    """The error, its parts and what led to it: types and lines of code."""
    seen: set[int] = set()
    left, lead = [error], ""
    while left:
        if id(one := left.pop()) in seen:
            continue
        seen.add(id(one))
        yield f"{lead}{type(one).__module__}.{type(one).__qualname__}"
        yield "".join(traceback.format_tb(one.__traceback__))
        left += [*(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]
        left += [e for e in (one.__context__, one.__cause__) if e is not None]
        lead = "with, or led to by, "
