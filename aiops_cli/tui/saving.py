"""Files that the dashboard writes where it was started."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from aiops_cli.models.result import FleetResult
from aiops_cli.render.output import Column, Style, View, pieces
from aiops_cli.store.files import write_whole

T = TypeVar("T")


def save_rows(view: View[T], rows: Sequence[T]) -> tuple[str]:
    """Write the rows as CSV to a new file of this folder; what to tell of it. An age, which is of the moment of
    saving, is in whole seconds, with when it began beside it where a row says so."""
    result: FleetResult[Any] = FleetResult(list(rows), [])
    columns = [made for column in view.columns for made in _dated(column, rows)]
    text = "".join(pieces(replace(view, columns=columns), result, Style("csv")))
    return save_text(f"aiops-{_words(view.kind)}", "csv", text, f"{len(rows)} rows")


def _dated(column: Column[T], rows: Sequence[T]) -> list[Column[T]]:
    if column.title != "age" or (plain := column.plain) is None:
        return [column]
    whole = replace(
        column, plain=lambda row: None if (age := plain(row)) is None else round(age), unit="seconds"
    )
    if not any(getattr(row, "starts_at", None) for row in rows):
        return [whole]
    return [whole, Column("since", lambda row: getattr(row, "starts_at", None))]


def _words(kind: str) -> str:
    """`AlertGroupList` as one says it: `alert-groups`."""
    said = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.removesuffix("List")).lower()
    return said if said.endswith("s") else f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"


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
