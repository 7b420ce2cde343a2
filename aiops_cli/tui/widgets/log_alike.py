"""What log lines have in common: patterns, which are new, and the lines of one."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from aiops_cli.errors import AiopsError
from aiops_cli.models.patterns import PatternItem
from aiops_cli.models.result import FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.pattern_view import pattern_view
from aiops_cli.services.session import Session
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets import log_pages
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.log_leads import Leads
from aiops_cli.tui.widgets.log_places import pattern_query
from aiops_cli.tui.widgets.panel import Panel

_BEFORE, _AFTER = 1800.0, 300.0  # seconds around a moment that is jumped to
_PATTERN_LINES = 10_000  # a cluster and window; of more, a sample


class Alike(Leads):
    """The view of patterns beside that of lines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        act("logs.view", "v,shift+right,shift+left", "view", "Patterns", "Like lines as one row, or the lines.", show=True),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._moment: float | None = None
        self._patterns_of: object = None
        self._sampled: set[str] = set()
        self._found: Feed[FleetResult[PatternItem]] | None = None
        self._grid: Grid[PatternItem] = Grid(
            pattern_view(clock.now(), 1), judge=lambda p: p.level, key=lambda p: p.id, id="found"
        )

    def _window(self, session: Session) -> TimeRange:
        if self._moment is None:
            return session.window()
        around = TimeRange(
            self._moment - _BEFORE, min(self._moment + _AFTER, max(session.now, self._moment + 1))
        )
        return around if session.bundle is None else session.bundle.within(around)

    def action_view(self) -> None:
        self.toggle_class("-patterns")
        self._view_changed()

    def _view_changed(self) -> None:
        """Patterns are found when they are looked at, once for a query."""
        if not self.has_class("-patterns"):
            if self.focused is self._grid:
                self._lines.focus()
            return
        self._grid.focus()
        asked = (self.expr, self._moment, self.dashboard.contexts, self.dashboard.range_text)
        if self._found is None:
            self._found = self.feed(self._ask_patterns, self._show_patterns)
            self.query_one("#patterns", Panel).follow(self._found)
        elif self._patterns_of != asked:
            self._found.refresh(anew=True)
        self._patterns_of = asked

    async def _ask_patterns(self, session: Session) -> FleetResult[PatternItem]:
        from aiops_cli.services import patterns

        window = self._window(session)
        expr = self.expr or await log_pages.first_query(session, window)
        before: TimeRange | None = TimeRange(max(window.start - window.seconds, 0.0), window.start)
        if session.bundle is not None and before is not None:
            try:
                before = session.bundle.within(before)
            except AiopsError:
                before = None  # nothing was recorded before: what is new can't be told
        found, read = await patterns.find(session.members, expr, window, before, _PATTERN_LINES)
        self._sampled = {one.cluster for one in read if one.share < 1}
        return found

    def _show_patterns(self, result: FleetResult[PatternItem]) -> None:
        session = self.dashboard.asked()
        self._grid.show(result.rows, pattern_view(session.now, len(session.members), self._sampled))

    def on_grid_opened(self, event: Grid.Opened) -> None:
        item: PatternItem = event.item
        self.go(Place(self.NAME, pattern_query(self.expr, item.pattern), {}))
