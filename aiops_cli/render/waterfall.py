"""A trace as a time-scaled waterfall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aiops_cli.render.text import cells, cut, duration, one_line


class Bar(Protocol):
    """What a waterfall needs of a span; times in milliseconds from the trace's start."""

    @property
    def depth(self) -> int: ...
    @property
    def cluster(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def start_ms(self) -> float: ...
    @property
    def duration_ms(self) -> float: ...
    @property
    def self_ms(self) -> float: ...
    @property
    def status(self) -> str: ...
    @property
    def critical(self) -> bool: ...


def waterfall(rows: Sequence[Bar], width: int) -> str:
    """One line a span: its place in the tree, its bar, duration and self time. `━` is the critical
    path, `─` the rest, `✗` a failed span."""
    if not rows:
        return ""
    total = max(r.start_ms + r.duration_ms for r in rows) or 1.0
    clusters = len({r.cluster for r in rows}) > 1
    names = [
        one_line("  " * min(r.depth, 12) + (f"{r.cluster}/" if clusters else "") + f"{r.service} {r.name}")
        for r in rows
    ]
    left = min(max(cells(n) for n in names), max(width // 2 - 10, 20))
    bar = max(width - left - 26, 10)
    lines = [f"{'SPAN':<{left}}  {'':<{bar}}  {'DURATION':>9} {'SELF':>8}"]
    for row, name in zip(rows, names, strict=True):
        start = min(int(row.start_ms / total * bar), bar - 1)
        size = max(1, round(row.duration_ms / total * bar))
        drawn = (" " * start + ("━" if row.critical else "─") * size)[:bar]
        shown = cut(name, left)
        mark = " ✗" if row.status == "error" else ""
        pad = " " * (left - cells(shown))
        lines.append(
            f"{shown}{pad}  {drawn:<{bar}}  {duration(row.duration_ms):>9} {duration(row.self_ms):>8}{mark}"
        )
    return "\n".join(lines) + "\n"
