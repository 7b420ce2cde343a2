"""A line chart in braille dots, with axes, units and a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo

from aiops_cli.models.signals import Series
from aiops_cli.render.text import clock, cut, one_line, si

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_MARGIN = 9
_MAX_SERIES = 12


def plot(
    rows: Sequence[tuple[str, Series]], *, title: str, width: int, height: int, zone: tzinfo | None
) -> str:
    """The chart as text, `width` cells wide; series beyond twelve are counted, not drawn."""
    drawn = [(c, s) for c, s in rows if len(s.values) and any(math.isfinite(v) for v in s.values.tolist())]
    if not drawn:
        return ""
    shown = drawn[:_MAX_SERIES]
    points = [
        (t, v)
        for _, s in shown
        for t, v in zip(s.timestamps.tolist(), s.values.tolist(), strict=True)
        if math.isfinite(v)
    ]
    start, end = min(t for t, _ in points), max(t for t, _ in points)
    low, high = min(v for _, v in points), max(v for _, v in points)
    if low == high:
        low, high = (low - 1, high + 1) if low == 0 else (min(0.0, low * 2), max(0.0, high * 2))
    columns, rows_high = max(width - _MARGIN - 1, 10), max(height, 4)
    grid = [[0] * columns for _ in range(rows_high)]
    for _, series in shown:
        _draw(grid, series, start, end, low, high)
    lines = [cut(one_line(title), width)]
    for i, cells in enumerate(grid):
        label = si(high - (high - low) * i / (rows_high - 1)) if i % 4 == 0 or i == rows_high - 1 else ""
        lines.append(
            f"{label:>{_MARGIN - 1}} ┤" + "".join(chr(0x2800 + c) if c else " " for c in cells).rstrip()
        )
    lines.append(" " * (_MARGIN - 1) + " └" + "─" * (columns - 1))
    left, right = clock(start, zone), clock(end, zone)
    lines.append(" " * _MARGIN + left + right.rjust(max(columns - len(left), len(right) + 1)))
    for cluster, series in shown:
        inner = ", ".join(f"{k}={v}" for k, v in sorted(series.labels.items()))
        last = series.values[-1]
        lines.append(cut(one_line(f"  {cluster}  {inner or title}  last {si(float(last))}"), width))
    if len(drawn) > _MAX_SERIES:
        lines.append(f"  … and {len(drawn) - _MAX_SERIES} more series, not drawn")
    return "\n".join(lines) + "\n"


def _draw(grid: list[list[int]], series: Series, start: float, end: float, low: float, high: float) -> None:
    wide, tall = len(grid[0]) * 2, len(grid) * 4
    span = (end - start) or 1.0
    before: tuple[int, int] | None = None
    for t, v in zip(series.timestamps.tolist(), series.values.tolist(), strict=True):
        if not math.isfinite(v):
            before = None
            continue
        x = round((t - start) / span * (wide - 1))
        y = round((high - v) / (high - low) * (tall - 1))
        for px, py in _line(before or (x, y), (x, y)):
            grid[py // 4][px // 2] |= _DOTS[py % 4][px % 2]
        before = (x, y)


def _line(a: tuple[int, int], b: tuple[int, int]) -> list[tuple[int, int]]:
    steps = max(abs(b[0] - a[0]), abs(b[1] - a[1]), 1)
    return [
        (a[0] + round((b[0] - a[0]) * i / steps), a[1] + round((b[1] - a[1]) * i / steps))
        for i in range(steps + 1)
    ]
