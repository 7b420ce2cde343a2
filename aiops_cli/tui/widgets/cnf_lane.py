"""The states of a clock along the time axis of the chart above it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from aiops_cli.render.plot import MARGIN
from aiops_cli.tui.themes import level, style_of

if TYPE_CHECKING:
    from aiops_cli.analysis.ptp_readings import Run

_FILL = {"LOCKED": "─", "HOLDOVER": "▒", "FREERUN": "█", "UNKNOWN": "·"}
_LEAST = 4  # cells around a word of which it is written into its stretch


class Lane(Widget):
    """`show(runs, span)`: a stroke for LOCKED, a grey for HOLDOVER, a block for FREERUN, dots where nobody knows;
    the word stands where there is room."""

    DEFAULT_CSS = "Lane { height: 1; width: 1fr; background: $background; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._runs: Sequence[Run] = ()
        self._span = (0.0, 1.0)

    def show(self, runs: Sequence[Run], span: tuple[float, float]) -> None:
        """Stretches of one state in order, and the axis, in unix seconds."""
        self._runs, self._span = runs, span
        self.refresh()

    def render_line(self, y: int) -> Strip:
        base, width = self.rich_style, self.size.width
        segments = [Segment(f"{'state':>{MARGIN - 1}} ", base + Style(dim=True)), Segment("┤", base)]
        variables, left = self.app.theme_variables, 0
        for start, end, word in self._stretches(max(width - MARGIN - 1, 1)):
            segments.append(Segment(" " * (start - left), base))
            text = f" {word} ".center(end - start, _FILL[word])
            if end - start < len(word) + _LEAST:
                text = _FILL[word] * (end - start)
            style = style_of("unknown" if word == "UNKNOWN" else level(word), variables)
            segments.append(Segment(text, base + style))
            left = end
        return Strip(segments).crop_extend(0, width, base)

    def _stretches(self, columns: int) -> list[tuple[int, int, str]]:
        """(first column, column after the last, state): none less than one wide, so that a short loss is seen."""
        from aiops_cli.render.ptp_views import state_word

        start, end = self._span
        scale = columns / ((end - start) or 1.0)
        found: list[tuple[int, int, str]] = []
        for i, run in enumerate(self._runs):
            until = self._runs[i + 1].since if i + 1 < len(self._runs) else run.last
            first, after = (round((min(max(t, start), end) - start) * scale) for t in (run.since, until))
            if until < start or run.since > end:
                continue
            word = state_word(run)
            if after <= first:
                first, after = min(first, columns - 1), min(first, columns - 1) + 1
            if found and found[-1][1] > first:
                before = found.pop()
                if word == "LOCKED" and before[1] - before[0] == 1:
                    first = before[1]  # a loss is not hidden by what came after it
                    found.append(before)
                elif first > before[0]:
                    found.append((before[0], first, before[2]))
            if after > first:
                found.append((first, after, word))
        return found
