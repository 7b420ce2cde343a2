"""The lines of a chart as a table: which are drawn, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType

from aiops_cli.models.metric_row import MetricRow
from aiops_cli.render.plot import LETTERS
from aiops_cli.tui.actions import act
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.plot import colours
from aiops_cli.tui.working import start


class Legend(Grid[MetricRow]):
    """Its first column holds each line's letter, in the line's colour."""

    BINDINGS: ClassVar[list[BindingType]] = [
        act("table.open", "enter", "open", "Line on/off", "Draw this series, or no longer.", show=True),
        act("metrics.only", "s", "screen.only", "Only this", "This series alone, or as before.", show=True),
    ]

    def _segments(self, texts: Sequence[str], base: Style, *, judged: bool = True) -> list[Segment]:
        segments = super()._segments(texts, base, judged=judged)
        if judged and segments and len(texts[0]) == 1 and texts[0] in LETTERS:
            colour = colours(self.app.current_theme)[LETTERS.index(texts[0])]
            segments[0] = Segment(texts[0], base + colour + Style(bold=True))
        return segments

    def action_save(self) -> None:
        """Every sample of the rows shown: that may be millions, which are written beside the interface."""
        rows = list(self.rows)
        start(self, lambda: self._save(rows), group="save")

    async def _save(self, rows: list[MetricRow]) -> None:
        from aiops_cli.tui.saving import save_rows

        app: Any = self.app
        said = await app.backend.aside(lambda: save_rows(self._view, rows))
        app.notify(*said, markup=False)
