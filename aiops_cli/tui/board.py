"""What every screen is: two bars above, panels with feeds, keys below."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import ModalScreen, Screen

from aiops_cli.errors import AiopsError
from aiops_cli.models.result import FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.session import Session
from aiops_cli.services.times import parse_duration, parse_time
from aiops_cli.tui.actions import act
from aiops_cli.tui.feed import Feed, Reading
from aiops_cli.tui.place import Place
from aiops_cli.tui.screens import SCREENS
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.widgets.bars import Keys, Tabs, Where
from aiops_cli.tui.widgets.grid import Grid

if TYPE_CHECKING:
    from aiops_cli.tui.app import Dashboard

T = TypeVar("T")
LOW = 16
"""Lines under which only the rows that a screen is about are shown: no cards, no panels beside."""


class Board(Screen[None]):
    """A screen. A subclass has `NAME`, composes panels in `content`, makes feeds by `feed`, and may override
    `arrive` and `place`. Feeds are asked only while the screen is the one that is seen."""

    NAME: ClassVar[str]
    DEFAULT_CSS = """
    Board { layout: vertical; background: $background; }
    Board > #content { height: 1fr; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("app.refresh", "r,f5", "refresh", "Refresh", "Ask again now what is shown.", show=True),
        act("app.next-panel", "tab", "app.focus_next", "Next panel"),
        act("app.previous-panel", "shift+tab", "app.focus_previous", "Previous panel"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.feeds: list[Feed[Any]] = []
        self.title_text = SCREENS[self.NAME].title

    @property
    def dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    def compose(self) -> ComposeResult:
        yield Tabs(self.NAME)
        yield Where(self)
        with Container(id="content"):
            yield from self.content()
        yield Keys()

    def content(self) -> ComposeResult:
        """The panels."""
        raise NotImplementedError

    def feed(
        self,
        ask: Callable[[Session], Coroutine[Any, Any, T]],
        show: Callable[[T], None],
        *,
        every: float | None = None,
        told: Callable[[Reading[T]], None] | None = None,
        kept: tuple[str, Any] | None = None,
    ) -> Feed[T]:
        """A feed that asks `ask` with the session as the dashboard's range and clusters make it, on the
        backend, and hands its answers to `show`; `told` gets every reading, also one that failed. It repeats
        after `every` seconds on live clusters. `kept` is (name, type) of what the store keeps for the next
        start."""
        app = self.dashboard

        def shown(reading: Reading[T]) -> None:
            if not self.is_attached:
                return
            if reading.error is None and reading.value is not None:
                show(reading.value)
            if told is not None:
                told(reading)
            for panel in self.query("Panel"):
                panel.tell()  # type: ignore[attr-defined]

        made: Feed[T] = Feed(
            app.backend,
            lambda: ask(app.asked()),
            shown,
            every=every if app.live else None,
            recall=None if kept is None else lambda: None if self.narrowed() else app.kept.recall(*kept),
            keep=None
            if kept is None
            else lambda value: None if self.narrowed() else app.kept.keep(kept[0], value),
            ready=app.ready,
        )
        self.feeds.append(made)
        if self.is_current:
            made.start()
        return made

    def narrowed(self) -> bool:
        """Whether less, or other, is asked than the next start asks first: that is neither kept nor recalled."""
        return bool(self.dashboard.contexts)

    def grids(self) -> list[Grid[Any]]:
        return list(self.query(Grid))

    def on_grid_arranged(self, event: Grid.Arranged) -> None:
        self.dashboard.remember_grid(f"{self.NAME}/{event.grid.id}", event.grid)

    # Coming and going

    def on_mount(self) -> None:
        for grid in self.grids():
            self.dashboard.restore_grid(f"{self.NAME}/{grid.id}", grid)

    def on_screen_resume(self) -> None:
        for feed in self.asked_feeds():
            feed.start()

    def on_screen_suspend(self) -> None:
        dialog = isinstance(self.app.screen, ModalScreen)  # behind it, what is asked still comes
        for feed in self.feeds:
            feed.pause(answered=dialog)

    def asked_feeds(self) -> Iterable[Feed[Any]]:
        """Those that ask while the screen is seen. Textual calls this class's `on_screen_resume` after that of a
        subclass too, so a feed of a hidden view is left out here."""
        return self.feeds

    def scope_changed(self) -> None:
        """Clusters or time range are others: what was read is no longer what is asked."""
        for feed in self.feeds:
            feed.refresh(anew=True)

    def arrive(self, place: Place) -> None:
        """Show what `place` names. Here: its text filters the first table."""
        if grids := self.grids():
            self._filter(grids[0], place.text)

    def moment_of(self, place: Place, zone: tzinfo | None = None) -> float | None:
        """The moment of a place's `at=`, in unix seconds; None where there is none, or none that can be read,
        which is told. A time without a zone is one of `zone`, or else of what is shown."""
        if "at" not in place.args:
            return None
        try:
            return parse_time(place.args["at"], self.dashboard.now, zone or self.dashboard.zone)
        except AiopsError as error:
            self.app.notify(error_line(error), severity="warning", markup=False)
            return None

    def span_of(self, place: Place, half: float) -> TimeRange | None:
        """What `at=` and `since=` of a place name: that long around the moment, or `half` seconds on each side;
        never after now."""
        if (at := self.moment_of(place)) is None:
            return None
        try:
            half = parse_duration(place.args["since"]) / 2 if "since" in place.args else half
        except AiopsError as error:
            self.app.notify(error_line(error), severity="warning", markup=False)
        end = min(at + half, self.dashboard.now)
        return TimeRange(end - 2 * half, end)

    def place(self) -> Place:
        """Where one is, for the breadcrumb, `[` and `]`, and the `:` prompt."""
        grids = self.grids()
        return Place(self.NAME, grids[0].filter_text if grids else "")

    def go(self, place: Place) -> None:
        """Open another place."""
        self.dashboard.go(place)

    def cluster_here(self) -> str:
        """The cluster that the key of the cluster screen means; nothing where that is as it was left."""
        return ""

    # Actions that all share

    def action_refresh(self) -> None:
        for feed in self.feeds:
            feed.refresh()

    def leave_inside(self) -> bool:
        """What esc leaves before the screen: a filter, a detail. True if there was something."""
        for grid in self.grids():
            nothing = grid.is_on_screen and not grid.rows
            if grid.filter_text and (grid.has_focus or nothing or len(self.grids()) == 1):
                self._filter(grid, "")
                self.dashboard.remember_place()
                return True
        return False

    def ask_filter(self, grid: Grid[Any]) -> None:
        """The `/` line: filters as one types; esc takes the change back."""
        from aiops_cli.tui.widgets.dialogs import Ask

        before = grid.filter_text

        def done(text: str | None) -> None:
            self._filter(grid, before if text is None else text)
            self.dashboard.remember_place()
            if text:
                self.dashboard.remembered.add_line("filters", text)

        self.app.push_screen(
            Ask(
                "Filter /",
                before,
                history=self.dashboard.remembered.texts("filters"),
                hint="regex · !regex · -l key=value · -f fuzzy",
                live=lambda text: self._try(grid, text),
            ),
            done,
        )

    def _try(self, grid: Grid[Any], text: str) -> str | None:
        try:
            grid.set_filter(text)
        except AiopsError as error:
            return error.message
        return None

    def _filter(self, grid: Grid[Any], text: str) -> None:
        if wrong := self._try(grid, text):
            self.app.notify(wrong, severity="warning", markup=False)


def failures(result: FleetResult[Any]) -> dict[str, str]:
    """Each cluster that did not answer, and why, to grey its rows."""
    return {c.name: str(c.error.code) for c in result.failed if c.error is not None}
