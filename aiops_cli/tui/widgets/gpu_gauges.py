"""Gauges of GPUs: bars with their number beside, in the cells of tables and in lines of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from aiops_cli.models.gpu import Gpu
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import cut, si
from aiops_cli.tui.themes import style_of
from aiops_cli.tui.widgets.grid import Grid, T
from aiops_cli.tui.widgets.heat import USE_CRITICAL, USE_WARNING

HEAT_WARNING, HEAT_CRITICAL = 70.0, 80.0
"""°C of the colours (specs/07-interface.md); findings have the thresholds of the config."""
_HEAT_FULL = 100.0  # °C of a whole bar
_EIGHTHS = " ▏▎▍▌▋▊▉"
_NAME = 12  # cells of the longest name and its gap
_BAR, _SHORT = 8, 4  # cells, where there is room and where there is little
_NUMBER = re.compile(r"(\d+)(%|°C)")
_GAUGED = frozenset({"util", "memory", "temp", "kv-cache"})


def bar(share: float | None, cells: int) -> str:
    """A part of a whole in cells, to an eighth of one; blank where it is not known."""
    if share is None:
        return " " * cells
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(cells, "░")


def level_of(number: float | None, unit: str) -> str | None:
    """The level of a percentage in use, or of °C."""
    if number is None:
        return None
    warning, critical = (USE_WARNING, USE_CRITICAL) if unit == "%" else (HEAT_WARNING, HEAT_CRITICAL)
    return "error" if number >= critical else "warn" if number >= warning else "ok"


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def memory_share(item: Any) -> float | None:
    return _share(item.memory_used_mib, item.memory_total_mib)


def _gauge(
    column: Column[Any], text: Callable[[Any], str], share: Callable[[Any], float | None], cells: int
) -> Column[Any]:
    """The column with a bar before its text."""

    def shown(item: Any) -> str | None:
        said = text(item)
        return f"{bar(share(item), cells)} {said}" if said.strip() else None

    return replace(column, value=shown)


def gauged(view: View[T], *, narrow: bool, of: Callable[[T], Any] = lambda item: item) -> View[T]:
    """With bars in the columns of use, memory, temperature and power; memory as percent where there is little room,
    and power without a bar. `of` has the numbers of an item."""
    cells = _SHORT if narrow else _BAR

    def util(item: Any) -> float | None:
        return _share(of(item).utilization, 100.0)

    def heat(column: Column[Any]) -> Callable[[Any], float | None]:
        return lambda item: _share(column.plain(item) if column.plain else None, _HEAT_FULL)

    def percent(item: Any) -> str:
        share = memory_share(of(item))
        return "    " if share is None else f"{100 * share:3.0f}%"

    def made(c: Column[Any]) -> Column[Any]:
        def padded(item: Any) -> str:
            return (c.value(item) or "").rjust(4)

        if c.title == "util":
            return _gauge(c, padded, util, cells)
        if c.title == "memory":
            full = lambda i: f"{percent(i)} {(c.value(i) or '').rjust(10)}"  # noqa: E731
            return replace(
                _gauge(c, percent if narrow else full, lambda i: memory_share(of(i)), cells), wide=False
            )
        if c.title == "temp" and not narrow:
            return _gauge(c, padded, heat(c), cells)
        if c.title == "power" and not narrow and "power-limit" in {o.title for o in view.columns}:
            return _gauge(c, padded, lambda i: _share(of(i).power_w, of(i).power_limit_w), cells)
        return c

    return replace(view, columns=[made(c) for c in view.columns])


class GaugeGrid(Grid[T]):
    """A table whose gauges have the colour of what they measure; the number beside says the same."""

    def _segments(self, texts: Sequence[str], base: Style, *, judged: bool = True) -> list[Segment]:
        segments = super()._segments(texts, base, judged=judged)
        if not judged or base.reverse or base.color != self._base.color:  # under the cursor, or grey
            return segments
        variables, at = self.app.theme_variables, 0
        for text, width, column in zip(texts, self._widths, self._columns, strict=True):
            if not width:
                continue
            here = 3 if column.right else 2  # segments of a cell
            if column.title in _GAUGED and (found := _NUMBER.search(text)):
                style = style_of(level_of(float(found[1]), found[2]), variables)
                place = at + (1 if column.right else 0)
                segments[place] = Segment(segments[place].text, base + style)
            at += here
        return segments


class Gauges(Widget):
    """Use, memory, temperature and power of one GPU, a line each: bar, number, and what belongs to it."""

    DEFAULT_CSS = "Gauges { height: 4; width: 1fr; background: $background; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._gpu: Gpu | None = None

    def show(self, gpu: Gpu | None) -> None:
        if gpu != self._gpu:
            self._gpu = gpu
            self.refresh()

    def render(self) -> Text:
        text = Text(no_wrap=True)
        if self._gpu is None:
            return text
        width = min(max(self.size.width // 5, 8), 24)
        room = self.size.width - width - _NAME - 9
        for name, number, unit, share, more in gauges_of(self._gpu):
            style = style_of(level_of(number, unit) if unit != "W" else None, self.app.theme_variables)
            said = "-" if number is None else f"{number:.0f}{unit}"
            text.append(f"{name:<{_NAME}}")
            text.append(f"{bar(share, width)} {said:>6}", style)
            text.append(f"  {cut(more, room)}\n", "dim")
        return text


Line = tuple[str, float | None, str, float | None, str]


def gauges_of(gpu: Gpu) -> list[Line]:
    """Name, number and unit, share of a whole bar, and what belongs to it, of each of the four."""
    ratios = (("SM", gpu.sm_active), ("tensor", gpu.tensor_active), ("DRAM", gpu.dram_active))
    inside = ", ".join(f"{name} {100 * v:.0f}%" for name, v in ratios if v is not None)
    use, memory = gpu.utilization, memory_share(gpu)
    used, total = (None if v is None else v / 1024 for v in (gpu.memory_used_mib, gpu.memory_total_mib))
    held = "" if used is None else f"{used:.1f}{'' if total is None else f' of {total:.1f}'} GiB"
    heat = "" if gpu.memory_temperature_c is None else f"memory {gpu.memory_temperature_c:.0f}°C"
    limit = "" if gpu.power_limit_w is None else f"of {si(gpu.power_limit_w)} W"
    return [
        ("utilisation", use, "%", _share(use, 100.0), inside),
        ("memory", None if memory is None else 100 * memory, "%", memory, held),
        ("temperature", gpu.temperature_c, "°C", _share(gpu.temperature_c, _HEAT_FULL), heat),
        ("power", gpu.power_w, "W", _share(gpu.power_w, gpu.power_limit_w), limit),
    ]
