"""Base of a screen of several views, of which one is seen: each a table, the chosen row in full, findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Container

from aiops_cli.models.findings import Finding
from aiops_cli.services.times import rfc3339, unix
from aiops_cli.tui.board import Board
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.device_tab import DeviceTab, Thing
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.views import Views

SECONDS = 30.0
_TALL = 34  # lines from which on the chosen row stands in full below the table


class TabbedBoard(Board):
    """A subclass makes the views (`tabs`), and may say which feeds one has (`open_feeds`, `seen_feeds`)."""

    DEFAULT_CSS = """
    TabbedBoard #tabs { height: 1fr; }
    TabbedBoard .tab { display: none; }
    TabbedBoard .tab.-shown { display: block; }
    TabbedBoard.-detail DeviceTab > .detail, TabbedBoard.-tall DeviceTab > .detail { display: block; }
    TabbedBoard.-detail DeviceTab > .list, TabbedBoard.-detail DeviceTab > .findings { display: none; }
    TabbedBoard.-tall DeviceTab > .list, TabbedBoard.-tall DeviceTab > .findings { display: block; }
    TabbedBoard.-tall DeviceTab > .list { max-height: 45%; }
    TabbedBoard.-tall DeviceTab > .findings { max-height: 25%; }
    """
    TABS: ClassVar[tuple[str, ...]]

    def tabs(self) -> tuple[DeviceTab[Any], ...]:
        """The views, in the order of TABS."""
        raise NotImplementedError

    def content(self) -> ComposeResult:
        made = self.tabs()
        self.by_name = {tab.NAME: tab for tab in made}
        self.views = Views(self.TABS)
        yield self.views
        with Container(id="tabs"):
            yield from made

    def on_mount(self) -> None:
        """The view that was last: it asks once one has arrived."""
        super().on_mount()
        last = self.dashboard.remembered.text(self._remembered)
        self._show_tab(last if last in self.TABS else self.TABS[0])

    @property
    def _remembered(self) -> str:
        return f"{self.NAME}-tab"

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.height >= _TALL, "-tall")
        if self.tab.found.clusters:
            self.tab.put()

    @property
    def tab(self) -> DeviceTab[Any]:
        """The one that is seen."""
        return self.by_name[self.views.current]

    # Views: only the one that is seen asks

    def _show_tab(self, name: str) -> None:
        self.remove_class("-detail")
        for tab in self.by_name.values():
            tab.set_class(name == tab.NAME, "-shown")
        self.views.current = name

    def open_tab(self, name: str, *, keys: bool = True) -> None:
        """Show this view, and ask what it needs. Its table gets the `keys`, unless what is opened next does."""
        self._show_tab(name)
        self.dashboard.remembered.set(self._remembered, name)
        self.open_feeds(self.tab)
        self._only_seen()
        if keys:
            self.tab.grid.focus()

    def open_feeds(self, tab: DeviceTab[Any]) -> None:
        """Make the feeds of a view that has none yet."""
        if tab.feed is None:
            if (ask := tab.ask_more()) is not None:
                tab.second = self.feed(ask, tab.show_more, every=SECONDS)
                tab.second.pause()
            tab.follow_feed(self.feed(tab.ask, lambda answer: self.take(tab, answer), every=SECONDS))

    def take(self, tab: DeviceTab[Any], answer: Any) -> None:
        """Show an answer in its view."""
        tab.take(answer)
        self.views.note(tab.NAME, tab.note)
        if tab is self.tab and tab.found.rows and self.focused is None and not tab.wanted:
            (tab.within() if self.has_class("-detail") else tab.grid).focus()  # hidden while it was loading

    def _only_seen(self) -> None:
        seen = list(self.asked_feeds())
        for feed in self.feeds:
            if feed not in seen and feed is not self.tab.second:
                feed.pause()
        if self.is_current:
            for feed in seen:
                feed.start()
            self.tab.more()

    def asked_feeds(self) -> Iterable[Feed[Any]]:
        return () if self.tab.feed is None else (self.tab.feed,)

    def on_screen_resume(self) -> None:
        """What is asked of the chosen row goes on too."""
        if self.tab.second is not None and self.tab.is_full:
            self.tab.second.start()

    def scope_changed(self) -> None:
        super().scope_changed()
        self._only_seen()

    def action_refresh(self) -> None:
        for feed in (*self.asked_feeds(), self.tab.second):
            if feed is not None:
                feed.refresh()

    def action_view(self, by: int) -> None:
        self.open_tab(self.views.after(by))

    def on_views_chosen(self, event: Views.Chosen) -> None:
        self.open_tab(event.name)

    # A row in full, and findings that lead to theirs

    def open_detail(self) -> None:
        """Show the chosen row in full, in the room of all where there is little."""
        self.add_class("-detail")
        self.tab.more()
        self.set_focus(self.tab.within())  # at once: the panel of the table would take the keys back

    def on_grid_highlighted(self, event: Grid.Highlighted) -> None:
        if event.grid is self.tab.grid:
            self.tab.choose(event.grid.selected)  # which may be another one since

    def on_grid_opened(self, event: Grid.Opened) -> None:
        tab = self.tab
        if event.grid is tab.grid:
            tab.choose(event.item)
            self.open_detail()
        elif event.grid is tab.findings:
            self.lead(event.item)
        else:
            self.open_inside(event.grid, event.item)

    def open_inside(self, grid: Grid[Any], item: Any) -> None:
        """A row of a table in the detail."""
        grid.action_detail()

    def lead(self, finding: Finding) -> None:
        """To the row that a finding is about; one that is about none leads to its events."""
        tab = self.tab
        if (item := tab.concerned(finding)) is None:
            self.action_events()
            return
        tab.select(item)
        tab.lead_inside(finding)
        self.open_detail()

    def leave_detail(self) -> None:
        """The detail is left."""

    def leave_inside(self) -> bool:
        tab, focused = self.tab, self.focused
        if self.has_class("-detail") or (focused is not None and focused is not tab.grid):
            self.remove_class("-detail")
            self.leave_detail()
            tab.grid.focus()
        elif tab.grid.filter_text:
            self._filter(tab.grid, "")
        elif tab.wanted:
            tab.wanted = {}
            tab.put()
        else:
            return False
        return True

    # Places

    def arrive(self, place: Place) -> None:
        """`tab` opens a view, `node` and `ns` narrow it, `name` opens a row by the end of its name."""
        args = place.args
        name = args.get("tab", self.tab_of(args))
        if name not in self.TABS:
            said = f"{self.NAME} has no view {name!r}; there are {', '.join(self.TABS)}"
            self.notify(said, severity="warning", markup=False)
            name = self.views.current
        self.open_tab(name)
        tab = self.tab
        tab.wanted = {k: args[k] for k in ("node", "ns") if k in args}
        tab.wanted_name = args.get("name", "")
        self._filter(tab.grid, place.text)
        if tab.found.clusters:
            tab.put()

    def tab_of(self, args: dict[str, str]) -> str:
        """The view of a place that names none."""
        return self.views.current

    def place(self) -> Place:
        tab = self.tab
        args = {"tab": tab.NAME, **tab.wanted}
        if self.has_class("-detail") and tab.chosen is not None:
            args["name"] = tab.key(tab.chosen)
        return Place(self.NAME, tab.grid.filter_text, args)

    # Ways to other screens

    def cluster_here(self) -> str:
        thing, _ = self.tab.pointed()
        return "" if thing is None else thing.cluster

    def pointed(self) -> tuple[Thing | None, str | None]:
        """What the cursor is on, and when it went wrong; that there is nothing is said."""
        thing, at = self.tab.pointed()
        if thing is None:
            self.notify("there is nothing under the cursor", severity="warning")
        return thing, at

    def _go(self, view: str, thing: Thing, text: str, at: str | None, **args: str) -> None:
        args |= {"at": at} if at else {}
        self.go(Place(view, text, args, (thing.cluster,)))

    def action_metrics(self) -> None:
        thing, at = self.pointed()
        if thing is not None and thing.query:
            self._go("metrics", thing, thing.query, at)

    def action_alerts(self) -> None:
        thing, _ = self.pointed()
        if thing is not None and thing.namespace:
            self._go("alerts", thing, "", None, ns=thing.namespace)
        elif thing is not None:
            self._go("alerts", thing, f"-l node={thing.name}" if thing.name else "", None)

    def action_events(self) -> None:
        thing, at = self.pointed()
        if thing is not None:
            space = {"ns": thing.namespace} if thing.namespace else {}
            about = f"{thing.kind}/{thing.name}" if thing.name else ""
            self._go("cluster", thing, about, at, tab="events", **space)

    def action_cause(self) -> None:
        thing, at = self.pointed()
        if thing is not None:
            space = {"ns": thing.namespace} if thing.namespace else {}
            self._go("rca", thing, "", at or rfc3339(self.dashboard.now), **space)

    def action_related(self) -> None:
        from aiops_cli.tui.widgets.related import show_related
        from aiops_cli.tui.widgets.related import thing as subject

        thing, at = self.pointed()
        if thing is not None and not thing.name:
            self.notify("this row is about several things: enter shows them")
        elif thing is not None:
            said = subject(thing.cluster, thing.kind, thing.name, thing.namespace, unix(at))
            show_related(self, f"{thing.kind} {thing.name}", said)
