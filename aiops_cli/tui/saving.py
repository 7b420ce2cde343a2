"""Files that the dashboard writes where it was started."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from aiops_cli.models.result import FleetResult
from aiops_cli.render.output import Style, View, pieces
from aiops_cli.store.files import write_whole

T = TypeVar("T")


def save_rows(view: View[T], rows: Sequence[T]) -> tuple[str]:
    """Write the rows as CSV to a new file of this folder; what to tell of it."""
    result: FleetResult[Any] = FleetResult(list(rows), [])
    return save_text(
        f"aiops-{view.kind}", "csv", "".join(pieces(view, result, Style("csv"))), f"{len(rows)} rows"
    )


def save_text(stem: str, suffix: str, text: str, what: str, *, dated: bool = True) -> tuple[str]:
    """Write `text` whole to a new file of this folder, named by stem and time (`dated`); what to tell of it."""
    name = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}" if dated else stem
    number = 1
    try:
        path = Path.cwd() / f"{name}.{suffix}"
        while path.exists():
            path = path.with_name(f"{name}-{number}.{suffix}")
            number += 1
        write_whole(path, text.encode())
    except OSError as error:
        return (f"not saved: {error.strerror or error}; start aiops in a folder that you may write",)
    return (f"{what} saved to {brief(path)}",)


def brief(path: Path) -> str:
    """The path as a shell takes it: one within the home folder from `~` on."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
