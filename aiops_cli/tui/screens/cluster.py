"""Cluster: one cluster's health and endpoints, what was learned of it, nodes, namespaces, what happened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from aiops_cli.errors import AiopsError, UsageError
from aiops_cli.models.cluster_detail import EndpointItem, NamespaceItem, NodeItem
from aiops_cli.models.events import EventItem
from aiops_cli.models.fleet import Fact
from aiops_cli.models.result import FleetResult
from aiops_cli.render.cluster_detail_views import (
    endpoints_view,
    facts_view,
    namespace_view,
    node_view,
)
from aiops_cli.render.event_views import event_view
from aiops_cli.services.session import Session
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import LOW, Board
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.place import Place, of_cluster
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.widgets.cluster_rows import (
    endpoint_level,
    node_level,
    object_of,
    said_by,
    signal_of,
    space_level,
)
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.part import failure, part
from aiops_cli.tui.widgets.views import Views
from aiops_cli.tui.working import start

if TYPE_CHECKING:
    from aiops_cli.services.cluster_detail import Detail, Inventory
    from aiops_cli.services.fleet import Member

TABS = ("health", "nodes", "namespaces", "events")
_DETAIL_SECONDS, _INVENTORY_SECONDS, _EVENTS_SECONDS = 30.0, 60.0, 30.0
_WIDE, _TALL = 120, 34  # cells from which on all panels stand on one screen


class Cluster(Board):
    NAME = "cluster"
    DEFAULT_CSS = """
    Cluster Views { height: 1; }
    Cluster .tab { display: none; height: 1fr; }
    Cluster.-health .-of-health, Cluster.-nodes .-of-nodes,
    Cluster.-namespaces .-of-namespaces, Cluster.-events .-of-events { display: block; }
    Cluster.-low #on-facts { display: none; }
    Cluster #body { height: 1fr; layout: vertical; }
    Cluster.-all Views { display: none; }
    Cluster.-all .tab { display: block; }
    Cluster.-all #body { layout: grid; grid-size: 2 3; grid-columns: 5fr 4fr; grid-rows: 11 1fr 1fr; grid-gutter: 0 1; }
    Cluster.-all #on-events { column-span: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("cluster.logs", "l", "to('logs')", "Logs", "Logs of it, or of the row's namespace or node.", show=True),
        act("cluster.traces", "t", "to('traces')", "Traces", "The same, of traces.", show=True),
        act("cluster.causes", "x", "to('rca')", "Cause", "What is wrong with it, and why.", show=True),
        act("cluster.alerts", "a", "to('alerts')", "Alerts", "Alerts of it, or of the row's namespace.", show=True),
        act("cluster.view", "v,shift+right", "view(1)", "View", "Health, nodes, namespaces, events."),
        act("cluster.choose", "C", "choose", "Cluster", "Another cluster.", show=True),
        act("cluster.related", "R", "related", "Related", "What the signals know of the row.", show=True),
        act("cluster.view-back", "shift+left", "view(-1)", "View before"),
        act("cluster.previous", "left_curly_bracket", "beside(-1)", "Cluster before"),
        act("cluster.next", "right_curly_bracket", "beside(1)", "Cluster after"),
        act("cluster.metrics", "m", "to('metrics')", "Metrics", "The same, of metrics."),
        act("cluster.events", "e", "events", "Events", "What happened to what the cursor is on."),
        act("cluster.gpus", "u", "to('gpu')", "GPUs", "Its GPUs, or the node's."),
        act("cluster.cnf", "n", "to('cnf')", "CNF", "Its network functions, clocks and VFs."),
        act("cluster.discover", "D", "discover", "Discover", "Look for its endpoints anew, by its API."),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._shown = ""
        self._tab = TABS[0]
        self._about, self._namespace, self._moment = "", "", ""  # what events are shown of
        self._by_name: dict[str, Feed[Any]] = {}

    def content(self) -> ComposeResult:
        now = clock.now()
        self._views = Views(TABS)
        self._endpoint_grid: Grid[EndpointItem] = Grid(endpoints_view(now), judge=endpoint_level, id="health")
        self._fact_grid: Grid[Fact] = Grid(facts_view(None), id="facts")
        self._node_grid: Grid[NodeItem] = Grid(
            node_view(now), judge=node_level, labels=lambda n: n.labels, id="nodes"
        )
        self._space_grid: Grid[NamespaceItem] = Grid(
            namespace_view(now), judge=space_level, labels=lambda n: n.labels, id="namespaces"
        )
        self._event_grid: Grid[EventItem] = Grid(
            event_view([], None),
            judge=lambda e: e.type,
            key=lambda e: (e.time, e.kind, e.namespace, e.name, e.what),
            id="events",
        )
        yield self._views
        with Container(id="body"):
            yield Panel("Health", self._endpoint_grid, id="on-health", classes="tab -of-health")
            yield Panel(
                "Capabilities",
                self._fact_grid,
                empty="nothing was learned of this cluster yet; D asks its API",
                id="on-facts",
                classes="tab -of-health",
            )
            yield Panel(
                "Nodes",
                self._node_grid,
                empty="this cluster has no nodes",
                id="on-nodes",
                classes="tab -of-nodes",
            )
            yield Panel(
                "Namespaces",
                self._space_grid,
                empty="no namespace has pods",
                id="on-namespaces",
                classes="tab -of-namespaces",
            )
            yield Panel(
                "Events",
                self._event_grid,
                empty="nothing happened in this range; T looks further back",
                id="on-events",
                classes="tab -of-events",
            )

    def on_mount(self) -> None:
        super().on_mount()
        self._by_name = {
            "health": self.feed(self._ask_detail, self._show_detail, every=_DETAIL_SECONDS),
            "facts": self.feed(self._ask_facts, self._show_facts, every=_DETAIL_SECONDS),
            "nodes": self.feed(self._ask_inventory, self._show_inventory, every=_INVENTORY_SECONDS),
            "events": self.feed(self._ask_events, self._show_events, every=_EVENTS_SECONDS),
        }
        for name, feed in self._by_name.items():
            self.query_one(f"#on-{name}", Panel).follow(feed)
        both = self._by_name["nodes"]
        self.query_one("#on-nodes", Panel).follow(part(both, lambda i: i.nodes, alone=True))
        self.query_one("#on-namespaces", Panel).follow(part(both, lambda i: i.namespaces, alone=True))
        self._show_tab(TABS[0])

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= _WIDE and event.size.height >= _TALL, "-all")
        self.set_class(event.size.height < LOW, "-low")

    # Which cluster

    def _member(self, session: Session) -> Member:
        """The one that is shown: the first in scope, until one is chosen. Runs on the backend."""
        members = {m.name: m for m in session.members}
        found = members.get(self._shown) or next(iter(members.values()), None)
        if found is None:
            raise UsageError("no cluster is chosen", hint="@ widens the choice of clusters")
        return found

    def _names(self) -> list[str]:
        return [m.name for m in self.dashboard.members]

    def _current(self) -> str:
        names = self._names()
        return self._shown if self._shown in names else names[0] if names else ""

    def _take(self, name: str) -> None:
        """Show another cluster: nothing of the one before stays."""
        if name and name != self._shown:
            self._shown = name
            self.scope_changed()

    def scope_changed(self) -> None:
        for grid in self.grids():
            grid.show([])
        super().scope_changed()
        self._title()

    # What is asked; on the backend

    async def _ask_detail(self, session: Session) -> Detail:
        from aiops_cli.services.cluster_detail import detail

        return await detail(self._member(session), session.registry, session.bundle)

    async def _ask_facts(self, session: Session) -> FleetResult[Fact]:
        from aiops_cli.services.cluster_detail import facts

        return facts(self._member(session), session.registry, session.bundle)

    async def _ask_inventory(self, session: Session) -> Inventory:
        from aiops_cli.services.cluster_detail import inventory

        return await inventory(self._member(session))

    async def _ask_events(self, session: Session) -> FleetResult[EventItem]:
        from aiops_cli.services.cluster_detail import happened

        found = await happened(self._member(session), session, self._about, self._namespace, self._moment)
        if found.failed and not found.rows:
            raise failure(found)
        return found

    # What is shown

    def _show_detail(self, found: Detail) -> None:
        health = found.health
        score = "" if health.score is None else f", score {health.score}"
        self.query_one("#on-health", Panel).retitle(
            f"{health.cluster} {health.state}{score}, {health.connectivity.lower()}"
        )
        self._endpoint_grid.show(found.result.rows, endpoints_view(self.dashboard.now))

    def _show_facts(self, found: FleetResult[Fact]) -> None:
        self._fact_grid.show(found.rows, facts_view(self.dashboard.zone))

    def _show_inventory(self, found: Inventory) -> None:
        self._node_grid.show(found.nodes.rows, node_view(self.dashboard.now))
        self._space_grid.show(found.namespaces.rows, namespace_view(self.dashboard.now))
        wrong = sum(node_level(n) != "ok" for n in found.nodes.rows)
        count = len(found.nodes.rows)
        self.query_one("#on-nodes", Panel).retitle(
            f"Nodes {count}".removesuffix(" 0") + (f", ▲ {wrong} not well" if wrong else "")
        )
        pods = sum(n.pods for n in found.namespaces.rows)
        idle = sum(n.not_ready for n in found.namespaces.rows)
        self.query_one("#on-namespaces", Panel).retitle(
            f"Namespaces {len(found.namespaces.rows)}, {pods} pods"
            + (f", ▲ {idle} not ready" if idle else "")
        )

    def _show_events(self, found: FleetResult[EventItem]) -> None:
        view = event_view(found.rows, self.dashboard.zone, brief=True)
        columns = [c for c in view.columns if c.title != "cluster"]
        self._event_grid.show(found.rows, replace(view, columns=columns))

    def _title(self) -> None:
        about = " ".join(
            filter(None, (self._about, self._namespace and f"in {self._namespace}",
                          self._moment and f"around {self._moment}"))
        )  # fmt: skip
        self.query_one("#on-events", Panel).retitle(f"Events {about}".strip())

    # Views

    def _show_tab(self, tab: str) -> None:
        self._tab = self._views.current = tab
        for name in TABS:
            self.set_class(name == tab, f"-{name}")
        self.call_after_refresh(self.query_one(f"#{tab}").focus)

    def action_view(self, by: int) -> None:
        self._show_tab(self._views.after(by))

    def on_views_chosen(self, event: Views.Chosen) -> None:
        self._show_tab(event.name)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Where all panels stand, the one with the focus is the view one is in."""
        if self.has_class("-all") and isinstance(event.widget, Grid) and event.widget.id in TABS:
            self._tab = self._views.current = event.widget.id

    # Places

    def arrive(self, place: Place) -> None:
        """`name` or the one cluster of the contexts says which; `tab` what of it; of events the text is whose
        they are (NAME or KIND/NAME), `ns` where and `at` when. Elsewhere the text filters."""
        names = self._names()
        wanted = place.args.get("name", "")
        if wanted and names and wanted not in names:
            self.app.notify(f"no cluster in scope is called {wanted!r}", severity="warning", markup=False)
        elif wanted or len(names) == 1:
            self._take(wanted or names[0])
        tab = place.args.get("tab", self._tab if not place.text else "events")
        tab = tab if tab in TABS else TABS[0]
        if tab == "events":
            self._of_events(place.text, place.args.get("ns", ""), place.args.get("at", ""))
        self._show_tab(tab)

    def place(self) -> Place:
        args = {"name": self._current(), "tab": self._tab}
        if self._tab != "events":
            return Place(self.NAME, "", args)
        args |= {k: v for k, v in (("ns", self._namespace), ("at", self._moment)) if v}
        return Place(self.NAME, self._about, args)

    def _of_events(self, about: str, namespace: str, moment: str) -> None:
        if (about, namespace, moment) != (self._about, self._namespace, self._moment):
            self._about, self._namespace, self._moment = about, namespace, moment
            self._title()
            self._event_grid.show([])
            self._by_name["events"].refresh(anew=True)

    def leave_inside(self) -> bool:
        if super().leave_inside():
            return True
        if self._tab == "events" and (self._about or self._namespace or self._moment):
            self._of_events("", "", "")
            return True
        return False

    # What can be done

    def action_choose(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Choice

        def chosen(name: str | None) -> None:
            if name is not None:
                self._take(name)

        self.app.push_screen(Choice("Cluster", [(n, n) for n in self._names()], self._current()), chosen)

    def action_beside(self, by: int) -> None:
        names = self._names()
        if len(names) > 1:
            self._take(names[(names.index(self._current()) + by) % len(names)])

    def _row(self) -> EndpointItem | Fact | NodeItem | NamespaceItem | EventItem | None:
        """What the cursor is on, in the panel with the focus."""
        return self.focused.selected if isinstance(self.focused, Grid) else None

    def action_to(self, view: str) -> None:
        self.go(of_cluster(view, self._current(), said_by(self._row())))

    def action_events(self) -> None:
        """Of what the cursor is on; of the whole cluster where that is no object."""
        about, namespace = object_of(self._row())
        self._of_events(about, namespace, "")
        self._show_tab("events")

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """A part opens its signal; a node or namespace its events; an event what is related to it."""
        row = event.item
        if isinstance(row, EndpointItem) and (view := signal_of(row)):
            self.go(of_cluster(view, self._current()))
        elif isinstance(row, (NodeItem, NamespaceItem)):
            self.action_events()
        elif isinstance(row, EventItem):
            self.action_related()
        else:
            event.grid.action_detail()

    def action_related(self) -> None:
        from aiops_cli.services.related_subjects import of_events
        from aiops_cli.tui.widgets.related import show_related, thing

        row = self._row()
        if isinstance(row, NodeItem):
            show_related(self, f"node {row.name}", thing(row.cluster, "Node", row.name))
        elif isinstance(row, NamespaceItem):
            show_related(self, f"namespace {row.name}", thing(row.cluster, "Namespace", row.name))
        elif isinstance(row, EventItem):
            show_related(self, f"{row.kind} {row.name}", lambda horizon: of_events([row], horizon))
        else:
            self.app.notify("choose a node, a namespace or an event", severity="warning")

    def action_discover(self) -> None:
        if not self.dashboard.live:
            self.app.notify("a bundle holds what was recorded: there is no API to ask", severity="warning")
            return
        self.app.notify(f"looking for the endpoints of {self._current()}…", markup=False)
        start(self, self._discover, group="discover")

    async def _discover(self) -> None:
        from aiops_cli.services.inventory import discover_all

        try:
            member: Any = self._member(self.dashboard.asked())
            found = await self.dashboard.backend.ask(discover_all([member]))
        except AiopsError as error:
            self.app.notify(error_line(error), severity="error", markup=False)
            return
        failed = found.failed[0].error if found.failed else None
        if failed is not None:
            self.app.notify(error_line(failed), severity="error", markup=False)
        else:
            listed = ", ".join(d.signal for d in found.rows) or "no endpoint"
            self.app.notify(f"{member.name} has {listed}", markup=False)
        self.action_refresh()


SCREEN = Cluster
