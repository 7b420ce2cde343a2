"""The lines around every screen: which there are and where one is above, what can be done below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.widget import Widget

from aiops_cli.render.text import cells, cut, one_line
from aiops_cli.tui import clock
from aiops_cli.tui.actions import active
from aiops_cli.tui.screens import SCREENS

if TYPE_CHECKING:
    from textual.binding import Binding
    from textual.screen import Screen

    from aiops_cli.tui.board import Board

_KEYS = {"comma": ","}
_SHORT = {"Cluster": "Clust", "Metrics": "Metric", "Reports": "Report"}


class Tabs(Widget):
    """Every screen with its key; a click opens it."""

    DEFAULT_CSS = "Tabs { height: 1; width: 1fr; background: $panel; }"

    def __init__(self, current: str) -> None:
        super().__init__()
        self._current = current

    def _entries(self) -> list[tuple[str, str, str]]:
        entries = [(e.name, _KEYS.get(e.key, e.key), e.title) for e in SCREENS.values()]
        if sum(len(k) + len(t) + 3 for _, k, t in entries) > self.size.width:
            entries = [(n, k, _SHORT.get(t, t)) for n, k, t in entries]
        return entries

    def _gap(self) -> int:
        used = sum(len(k) + len(t) + 1 for _, k, t in self._entries())
        return (
            2
            if used + 2 * len(SCREENS) <= self.size.width
            else 1
            if used + len(SCREENS) <= self.size.width
            else 0
        )

    def render(self) -> Text:
        text = Text(no_wrap=True)
        between = " " * self._gap()
        narrow = not between
        for name, key, title in self._entries():
            style = "bold reverse" if name == self._current else ""
            text.append(f"{key}" if narrow else f"{key} ", f"bold {style}")
            text.append(title, style or "dim" if name != self._current else style)
            text.append(between or " ")
        return text

    def on_click(self, event: events.Click) -> None:
        left, gap = 0, self._gap()
        for name, key, title in self._entries():
            width = len(key) + len(title) + (1 if gap else 0)
            if left <= event.x < left + width:
                self.app.call_later(self.app.action_go, name)  # type: ignore[attr-defined]
                return
            left += width + max(gap, 1)


class Where(Widget):
    """Breadcrumb on the left; clusters, time range, bundle and clock on the right."""

    DEFAULT_CSS = "Where { height: 1; width: 1fr; background: $surface; color: $foreground; }"

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        if self.screen.is_current:
            self.refresh()

    def render(self) -> Text:
        app = self._board.dashboard
        width = self.size.width
        parts = [p for p in (app.scope_text, app.origin_text, app.range_text, clock.text(zone=app.zone)) if p]
        most = max(width * 2 // 3, 20)
        while len(parts) > 1 and sum(cells(p) + 2 for p in parts) > most:
            parts.pop()
        right = cut(one_line("  ".join(parts)), most)
        crumbs = " › ".join(one_line(c) for c in app.crumbs)
        left = crumbs if cells(crumbs) <= width - cells(right) - 1 else "… › " + one_line(app.crumbs[-1])
        left = cut(left, max(width - cells(right) - 1, 8))
        text = Text(no_wrap=True)
        text.append(left, "bold")
        text.append(" " * max(width - cells(left) - cells(right), 1))
        if app.narrowed and right.startswith(scope := one_line(app.scope_text)):
            text.append(scope, "bold reverse")
            right = right[len(scope) :]
        text.append(right, "dim")
        return text


class Keys(Widget):
    """The keys worth knowing here: the screen's own, the table's, then those that work anywhere. One line:
    what finds no room is left out, last what leads out of here and to the rest."""

    DEFAULT_CSS = "Keys { height: 1; width: 1fr; dock: bottom; background: $panel; }"
    _FIRST = ("app.quit", "app.help", "app.prompt", "table.open", "table.filter", "app.back")  # before others
    _WIDE = (*_FIRST, "app.range", "app.scope")  # where there is room for all that leads on
    _WIDE_FROM = 120  # cells
    _LAST = ("app.prompt", "app.help", "app.quit")  # stand at the end

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[tuple[int, int, Binding]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self.refresh()

    def _chosen(self, gap: int) -> list[tuple[Binding, str]]:
        """What there is room for, in order."""
        shown = [(b, keys.partition(" ")[0]) for b, keys in active(self.screen) if b.show]
        room, fitting = self.size.width, set()
        first = self._WIDE if room >= self._WIDE_FROM else self._FIRST
        for binding, key in sorted(shown, key=lambda p: _rank(p[0].id, first)):
            width = cells(key) + cells(binding.description) + 1 + gap
            if width <= room + gap:
                room -= width
                fitting.add(binding.id)
        return sorted(
            (p for p in shown if p[0].id in fitting), key=lambda p: -_rank(p[0].id, self._LAST[::-1])
        )

    def render(self) -> Text:
        text, left, gap = Text(no_wrap=True), 0, 2
        if len(chosen := self._chosen(gap)) < len(self._chosen(1)):
            chosen, gap = self._chosen(1), 1
        self._spans = []
        for binding, key in chosen:
            text.append(f"{key} ", "bold")
            text.append(binding.description + " " * gap, "dim")
            self._spans.append(
                (left, left := left + cells(key) + cells(binding.description) + 1 + gap, binding)
            )
        return text

    def on_click(self, event: events.Click) -> None:
        for start, end, binding in self._spans:
            if start <= event.x < end:
                self.app.call_later(self.app.simulate_key, binding.key)


def _rank(id: str | None, order: tuple[str, ...]) -> int:
    return order.index(id) if id in order else len(order)
