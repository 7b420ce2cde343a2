"""What is told when the dashboard ends by an error of its own: one line, and a file with where it happened.

Textual would print the values of all variables on the way, tokens among them: no value is written here.
"""

from __future__ import annotations

import time
import traceback

from aiops_cli.render.text import one_line, sanitize
from aiops_cli.store.files import write_whole
from aiops_cli.store.paths import data_dir


def told(error: BaseException) -> str:
    """The line, after the file was written."""
    where = "".join(traceback.format_exception(error))
    line = one_line(f"the dashboard ended by an error of its own: {type(error).__name__}: {error}")
    try:
        path = data_dir() / "crashes" / f"{time.strftime('%Y%m%d-%H%M%S')}.txt"
        write_whole(path, sanitize(where).encode())
    except OSError:
        return f"error: {line}\nhint: please report it"
    return f"error: {line}\nhint: please report it with {path}"
