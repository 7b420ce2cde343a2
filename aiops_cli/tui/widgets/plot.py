"""A line chart with a cursor on its time axis. Drawn beside the interface's loop, shown by the Line API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import cache, partial
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip
from textual.theme import Theme
from textual.widget import Widget

from aiops_cli.models.signals import Series
from aiops_cli.render.plot import LETTERS, MARGIN, Picture, draw
from aiops_cli.render.text import cells, clock, cut
from aiops_cli.render.units import quantity
from aiops_cli.tui.actions import act
from aiops_cli.tui.working import start

_DARK = ("#5ec8f8", "#ffb000", "#ff6ac1", "#7ee787", "#a78bfa", "#ff7b72", "#2dd4bf", "#f2e05c", "#c0c6d0", "#d69a66",
         "#7aa2f7", "#b5e853")  # fmt: skip
_LIGHT = ("#0369a1", "#b45309", "#be185d", "#15803d", "#6d28d9", "#b91c1c", "#0f766e", "#854d0e", "#4b5563", "#7c2d12",
          "#1d4ed8", "#4d7c0f")  # fmt: skip
_ANSI = ("cyan", "yellow", "magenta", "green", "blue", "red", "bright_cyan", "bright_yellow", "bright_magenta",
         "bright_green", "bright_blue", "bright_red")  # fmt: skip
_BELOW = 2  # lines of the time axis
_TICK = 22  # cells for each time on the axis


def colours(theme: Theme) -> tuple[Style, ...]:
    """The colours of the lines by their number, as they can be read in a theme."""
    return _styles(_ANSI if theme.ansi else _DARK if theme.dark else _LIGHT)


@cache
def _styles(names: tuple[str, ...]) -> tuple[Style, ...]:
    return tuple(Style(color=name) for name in names)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """What is drawn: at most twelve series, the window in unix seconds, their unit; `around` are values that the axis
    has whatever the series do."""

    series: Sequence[Series]
    span: tuple[float, float]
    unit: str
    step: float
    around: tuple[float, float] | None = None


class Plot(Widget, can_focus=True):
    """`show(lines)` draws them; left and right move the cursor, which tells the values at its time."""

    DEFAULT_CSS = "Plot { height: 1fr; width: 1fr; background: $background; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        act("plot.first", "home", "edge(0)", "Cursor to the start"),
        act("plot.last", "end", "edge(1)", "Cursor to the end"),
    ]

    class Moved(Message):
        """The cursor is at another time (unix seconds), or away (None)."""

        def __init__(self, at: float | None) -> None:
            super().__init__()
            self.at = at

    class Beyond(Message):
        """The cursor was moved over an end of the axis: -1 the left one, 1 the right one."""

        def __init__(self, side: int) -> None:
            super().__init__()
            self.side = side

    class Spanned(Message):
        """A part of the axis was drawn over with the mouse: unix seconds."""

        def __init__(self, start: float, end: float) -> None:
            super().__init__()
            self.start, self.end = start, end

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor: float | None = None
        self.zone: tzinfo | None = None
        self.loud: int | None = None
        self._lines: Lines | None = None
        self._picture: Picture | None = None
        self._drawn: tuple[Lines | None, int, int] = (None, 0, 0)
        self._pressed: int | None = None

    @property
    def columns(self) -> int:
        """Cells of the chart itself."""
        return max(self.size.width - MARGIN, 10)

    def show(self, lines: Lines) -> None:
        """Draw these as soon as may be; what was drawn before stays until then."""
        self._lines = lines
        self._redraw()

    def on_resize(self) -> None:
        self._redraw()

    def _redraw(self) -> None:
        height = self.size.height - _BELOW - 1
        wanted = (self._lines, self.columns, height)
        if self._lines is None or height < 2 or self.size.width < MARGIN + 10 or wanted == self._drawn:
            self.refresh()
            return
        self._drawn = wanted
        work = partial(self._draw, self._lines, self.columns, height)
        start(self, work, group="draw")

    async def _draw(self, lines: Lines, columns: int, height: int) -> None:
        app: Any = self.app

        def make() -> Picture:
            if not lines.series:
                return Picture([[] for _ in range(height)], {}, lines.span)
            return draw(lines.series, columns, height, unit=lines.unit, span=lines.span, around=lines.around)

        self._picture = await app.backend.compute(make)
        self.refresh()

    # The time axis

    @property
    def span(self) -> tuple[float, float] | None:
        return self._picture.span if self._picture else self._lines.span if self._lines else None

    def _column(self, at: float) -> int:
        assert self.span is not None
        start, end = self.span
        return round((at - start) / ((end - start) or 1.0) * (self.columns * 2 - 1)) // 2

    def _time(self, column: int) -> float:
        """The time of a column, at one of the steps that were asked for."""
        assert self.span is not None and self._lines is not None
        start, end = self.span
        at = start + (column * 2 + 0.5) / (self.columns * 2 - 1) * (end - start)
        step = self._lines.step
        return min(max(round(at / step) * step if step < end - start else at, start), end)

    def put_cursor(self, at: float | None) -> None:
        """Move the cursor to a time, or take it away."""
        if at != self.cursor:
            self.cursor = at
            self.post_message(self.Moved(at))
            self.refresh()

    def move_cursor(self, by: int) -> None:
        """One column on, or one step where steps are wider; from the newest sample where there was none."""
        if self.span is None or self._lines is None:
            return
        start, end = self.span
        if self.cursor is None:
            self.put_cursor(self._time(self.columns - 1 if by < 0 else 0))
            return
        width = max((end - start) / self.columns, self._lines.step)
        at = self.cursor + by * width
        if at < start - 1e-6 or at > end + 1e-6:
            if self.cursor in (start, end):
                self.post_message(self.Beyond(by))
                return
            at = start if by < 0 else end
        self.put_cursor(self._time(self._column(at)) if width > self._lines.step else at)

    def action_edge(self, end: int) -> None:
        if self.span is not None:
            self.put_cursor(self.span[end])

    # Drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        picture = self._picture
        if picture is None or self._lines is None:
            return Strip.blank(width, base)
        height = len(picture.runs)
        if y == 0:
            segments = self._readout(base)
        elif y <= height:
            segments = self._row(picture, y - 1, base)
        elif y == height + 1:
            segments = self._axis(base)
        elif y == height + 2:
            segments = self._times(picture.span, base)
        else:
            segments = []
        return Strip(segments).crop_extend(0, width, base)

    def _row(self, picture: Picture, i: int, base: Style) -> list[Segment]:
        label = cut(picture.ticks.get(i, ""), MARGIN - 1)
        segments = [Segment(f"{label:>{MARGIN - 1}} ", base + Style(dim=True)), Segment("┤", base)]
        several = len(self._lines.series) > 1 if self._lines else False
        palette = colours(self.app.current_theme)
        for text, number in picture.runs[i]:
            style = base if number is None else base + palette[number]
            if several and number is not None and number == self.loud:
                style += Style(bold=True)
            segments.append(Segment(text, style))
        column = self._cursor_column()
        if column is None:
            return segments
        strip = Strip(segments).crop_extend(0, self.size.width, base)
        at = MARGIN + 1 + column
        under = strip.crop(at, at + 1)
        mark = [Segment("│", base + Style(dim=True))] if under.text in ("", " ") else [
            Segment(s.text, (s.style or base) + Style(reverse=True)) for s in under
        ]  # fmt: skip
        return [*strip.crop(0, at), *mark, *strip.crop(at + 1)]

    def _cursor_column(self) -> int | None:
        if self.cursor is None or self.span is None:
            return None
        column = self._column(self.cursor)
        return column if 0 <= column < self.columns else None

    def _readout(self, base: Style) -> list[Segment]:
        """The cursor's time, and each line's value there."""
        if self.cursor is None or self._lines is None:
            return [Segment(" " * MARGIN + " ← → puts a cursor on the time axis", base + Style(dim=True))]
        segments = [Segment(f" {clock(self.cursor, self.zone)}  ", base + Style(bold=True))]
        room, palette = self.size.width - 24, colours(self.app.current_theme)
        for number, series in enumerate(self._lines.series):
            text = f"{LETTERS[number]} {quantity(value_at(series, self.cursor, self._lines.step), self._lines.unit)}  "
            room -= cells(text)
            if room < 0:
                segments.append(Segment("…", base))
                break
            segments.append(Segment(text, base + palette[number]))
        return segments

    def _ticks(self) -> list[int]:
        """Columns that have a time below them; the first is 0."""
        count = max((self.columns + _TICK // 2) // _TICK, 2)
        return [round(i * (self.columns - 1) / (count - 1)) for i in range(count)]

    def _axis(self, base: Style) -> list[Segment]:
        marks = set(self._ticks()[1:])
        line = "└" + "".join("┬" if i in marks else "─" for i in range(1, self.columns))
        return [Segment(" " * MARGIN + line, base)]

    def _times(self, span: tuple[float, float], base: Style) -> list[Segment]:
        """The date where it begins or changes; seconds only where minutes do not tell times apart."""
        ticks = self._ticks()
        fine = (span[1] - span[0]) / max(len(ticks) - 1, 1) < 120
        out, day = " " * MARGIN, ""
        for i, column in enumerate(ticks):
            said = clock(span[0] + (span[1] - span[0]) * column / max(self.columns - 1, 1), self.zone)
            text = said[11:] if fine else said[11:16]
            if said[:10] != day:
                day, text = said[:10], f"{said[5:10]} {text}"
            left = MARGIN + column - (0 if i == 0 else len(text) if i == len(ticks) - 1 else len(text) // 2)
            if i and left <= len(out):
                continue
            out = out.ljust(left) + text
        return [Segment(out, base + Style(dim=True))]

    # Mouse

    def _under(self, x: int) -> int:
        return min(max(x - MARGIN - 1, 0), self.columns - 1)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if self._picture is not None:
            self._pressed = self._under(event.x)
            self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._pressed is None:
            return
        self.release_mouse()
        first, last = sorted((self._pressed, self._under(event.x)))
        self._pressed = None
        if last - first > 1:
            self.post_message(self.Spanned(self._time(first), self._time(last)))
        else:
            self.put_cursor(self._time(last))


def value_at(series: Series, at: float, step: float) -> float | None:
    """The value at a time: the newest sample within a step before it, as PromQL looks back; None where
    there is none."""
    import numpy as np

    i = int(np.searchsorted(series.timestamps, at + step / 2, side="right")) - 1
    if i < 0 or at - float(series.timestamps[i]) > step:
        return None
    value = float(series.values[i])
    return None if np.isnan(value) else value
