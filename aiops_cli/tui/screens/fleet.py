"""Fleet: how many clusters are well, which are not, what fires, and what the GPUs do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer

from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.gpu import GpuThresholds
from aiops_cli.models.signals import AlertItem
from aiops_cli.render.alert_views import alert_view
from aiops_cli.render.fleet_views import fleet_view
from aiops_cli.services.fleet_status import FleetRow, GpuReading, fleet_rows, totals
from aiops_cli.services.rounds import Round
from aiops_cli.services.session import Session
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import LOW, Board
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.place import Place, of_cluster
from aiops_cli.tui.widgets.cards import Cards
from aiops_cli.tui.widgets.cells import CellMap
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.heat import MEASURES, GpuKey, cluster_groups, cluster_words, gpu_groups, gpu_words
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.part import part

if TYPE_CHECKING:
    from aiops_cli.services.fleet_watch import FleetWatch

ROUND_SECONDS = 15.0
_AGES_SECONDS, _PAINT_SECONDS = 15.0, 0.05  # between two looks at ages; for answers that come together
_LATE_SECONDS = 5.0  # between two looks at who is late
_WIDE = 120  # cells from which on panels stand side by side


class Fleet(Board):
    NAME = "fleet"
    DEFAULT_CSS = """
    Fleet #fleet { height: 5fr; }
    Fleet #map { display: none; }
    Fleet.-map #map { display: block; }
    Fleet.-map #clusters { display: none; }
    Fleet #fleet.-blank .body { display: none; }
    Fleet #lower { layout: vertical; height: 3fr; }
    Fleet #gpus { height: 4; display: none; }
    Fleet.-gpus #gpus { display: block; }
    Fleet.-gpus #lower { height: 5fr; }
    Fleet.-wide #lower { layout: horizontal; height: 3fr; }
    Fleet.-wide #gpus { height: 1fr; width: 2fr; }
    Fleet.-wide #alerts { width: 3fr; }
    Fleet.-low #cards, Fleet.-low #lower { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("fleet.view", "v", "view", "Map", "Clusters as a table, or as a map of one cell each.", show=True),
        act("fleet.alerts", "a", "to('alerts')", "Alerts", "Alerts of the cluster under the cursor.", show=True),
        act("fleet.logs", "l", "to('logs')", "Logs", "Its logs.", show=True),
        act("fleet.metrics", "m", "to('metrics')", "Metrics", "Its metrics."),
        act("fleet.traces", "t", "to('traces')", "Traces", "Its traces."),
        act("fleet.events", "e", "to('cluster')", "Events", "What happened in it."),
        act("fleet.causes", "x", "to('rca')", "Root cause", "What is wrong with it, and why.", show=True),
        act("fleet.gpus", "u", "to('gpu')", "GPUs", "Its GPUs."),
        act("fleet.cnf", "n", "to('cnf')", "CNF", "Its network functions, clocks and VFs."),
        act("fleet.related", "R", "related", "Related", "What else is known of an alert."),
        act("table.filter", "slash", "filter_clusters", "Filter", "Keep clusters that match, as in a table."),
        act("fleet.heat", "h", "heat", "Heat", "GPUs by use, or by temperature."),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._states: Round[ClusterHealth] | None = None
        self._firing: Round[AlertItem] | None = None
        self._gpu_round: Round[GpuReading] | None = None
        self._limits = GpuThresholds()
        self._measure = MEASURES[0]
        self._watch: FleetWatch | None = None
        self._painted: list[FleetRow] | None = None
        self._listed: tuple[list[AlertItem], float] = ([], 0.0)
        self._painting: Timer | None = None
        self._resting, self._settled = "", False
        self._feeds_of: dict[str, Feed[Any]] = {}

    def content(self) -> ComposeResult:
        self._table: Grid[FleetRow] = Grid(
            fleet_view(),
            judge=lambda r: r.verdict,
            dim=lambda r: r.old,
            labels=lambda r: {**r.labels, "cluster": r.cluster},
            id="clusters",
        )
        self._map = CellMap(self._cluster_words, apart=True, id="map")
        self._recent: Grid[AlertItem] = Grid(alert_view(clock.now()), dim=self._is_old, id="recent")
        self._heat = CellMap(lambda key: gpu_words(key, self._gpu_rows()), id="heat")
        yield Cards(id="cards")
        yield Panel("Clusters", self._table, self._map, id="fleet")
        with Container(id="lower"):
            yield Panel("Recent alerts", self._recent, empty="no alert is active", id="alerts")
            yield Panel("GPUs", self._heat, empty="no GPU is known", id="gpus")

    def on_mount(self) -> None:
        super().on_mount()
        self._loop = asyncio.get_running_loop()
        self._feeds_of = {
            name: self.feed(ask, show, every=ROUND_SECONDS, kept=(f"fleet-{name}", kind))
            for name, ask, show, kind in (
                ("health", self._ask_health, self._show_health, Round[ClusterHealth]),
                ("alerts", self._ask_alerts, self._show_alerts, Round[AlertItem]),
                ("gpus", self._ask_gpus, self._show_gpus, Round[GpuReading]),
            )
        }
        self.query_one("#fleet", Panel).follow(self._feeds_of["health"])
        for name in ("alerts", "gpus"):
            self.query_one(f"#{name}", Panel).follow(part(self._feeds_of[name], lambda found: found.result))
        self.set_interval(_LATE_SECONDS, self._age)
        if self.dashboard.remembered.text("fleet-view", "table") == "map":
            self.add_class("-map")
        self._focus_clusters()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= _WIDE, "-wide")
        self.set_class(event.size.height < LOW, "-low")
        if self.has_class("-low"):
            self._focus_clusters()

    # What is asked; on the backend

    def _watching(self) -> FleetWatch:
        if self._watch is None:
            from aiops_cli.services.fleet_watch import FleetWatch

            self._watch = FleetWatch(self._tell)
        return self._watch

    def _tell(self, what: str) -> None:
        self._loop.call_soon_threadsafe(self._more, what)

    async def _ask_health(self, session: Session) -> Round[ClusterHealth]:
        return await self._watching().health(session)

    async def _ask_alerts(self, session: Session) -> Round[AlertItem]:
        return await self._watching().alerts(session)

    async def _ask_gpus(self, session: Session) -> Round[GpuReading]:
        return await self._watching().gpus(session)

    # What is shown

    def _more(self, what: str) -> None:
        """Clusters answered after the round that asked them."""
        if (feed := self._feeds_of.get(what)) is not None:
            feed.refresh()

    def _age(self) -> None:
        if self.is_current and self.dashboard.live:
            self._paint()

    def _show_health(self, found: Round[ClusterHealth]) -> None:
        self._states = found
        self._paint_soon()

    def _show_alerts(self, found: Round[AlertItem]) -> None:
        self._firing = found
        rows = sorted(found.result.rows, key=lambda a: a.starts_at or "", reverse=True)
        rows.sort(key=lambda a: a.state != "FIRING")
        known, at = self._listed
        if rows != known or self.dashboard.now - at >= _AGES_SECONDS or not rows:
            self._listed = rows, self.dashboard.now
            self._recent.show(rows, alert_view(self.dashboard.now))
        self._paint_soon()

    def _show_gpus(self, found: Round[GpuReading]) -> None:
        self._gpu_round = found
        if (session := self.dashboard.session) is not None and any(r.gpus for r in found.result.rows):
            from aiops_cli.services.gpu import thresholds

            self._limits = thresholds(session.settings.gpu)
        self._paint_heat()
        self._paint_soon()

    def _paint_heat(self) -> None:
        readings = self._gpu_rows()
        self._heat.show(gpu_groups(readings, self._measure, self._limits))
        self.set_class(any(r.gpus for r in readings), "-gpus")
        unit = "tens of %" if self._measure == "use" else "tens of °C"
        self.query_one("#gpus", Panel).retitle(f"GPUs by {self._measure}, {unit}")

    def _gpu_rows(self) -> list[GpuReading]:
        return self._gpu_round.result.rows if self._gpu_round else []

    def _cluster_words(self, cluster: str) -> str:
        return next((cluster_words(r) for r in self._table.items if r.cluster == cluster), "")

    def _clusters(self) -> list[tuple[str, dict[str, str]]]:
        """Those in scope; before they are read, those that the store knows."""
        if self.dashboard.session is not None:
            return [(m.name, m.cluster.labels) for m in self.dashboard.members]
        return [(h.cluster, {}) for h in self._states.result.rows] if self._states else []

    def _paint_soon(self) -> None:
        """Answers to several questions make one picture."""
        if self._painting is None:
            first = self._painted is None  # what the store knows comes with the first paint of the screen
            self._painting = self.set_timer(0.001 if first else _PAINT_SECONDS, self._paint)

    def _paint(self) -> None:
        self._painting = None
        if not (cards := self.query(Cards)):
            return  # the dashboard ends: what the screen shows is taken down before its timers
        clusters = self._clusters()
        rows = fleet_rows(
            clusters, self.dashboard.now, self._states, self._firing, self._gpu_round, self._limits
        )
        cards.first().show(totals(rows), gpus_unknown=self._gpus_unknown())
        if rows == self._painted:
            return
        self._painted = rows
        self._show_rows(rows)
        self._paint_map()
        late = sum(r.waiting is not None for r in rows)
        self.query_one("#fleet", Panel).retitle(f"Clusters {len(rows)}" + (f", {late} late" if late else ""))

    def _show_rows(self, rows: list[FleetRow]) -> None:
        """The cursor rests on the first until all was asked once, since trouble comes first; then, and where
        somebody moves it, it stays on its cluster."""
        table = self._table
        moved = table.selected is not None and table.selected.cluster != self._resting
        table.show(rows)
        if not self._settled and not moved:
            table.cursor = 0
        self._resting = table.selected.cluster if table.selected is not None else ""
        read = [feed.reading for name, feed in self._feeds_of.items() if name != "gpus"]
        self._settled = self._settled or moved or all(r.at is not None and not r.kept for r in read)

    def _paint_map(self) -> None:
        if self.has_class("-map"):
            order = {name: i for i, (name, _) in enumerate(self._clusters())}
            self._map.show(cluster_groups(self._table.rows, order))

    def on_grid_arranged(self, event: Grid.Arranged) -> None:
        if event.grid is self._table:
            self._paint_map()

    def _gpus_unknown(self) -> str:
        if self._gpu_round is None:
            return "…"
        return "none known" if self.dashboard.live else "not in this bundle"

    def _is_old(self, alert: AlertItem) -> bool:
        """Whether its cluster did not answer this time."""
        failed = self._firing.result.failed if self._firing else []
        return any(c.name == alert.cluster for c in failed)

    # Coming, going, doing

    def scope_changed(self) -> None:
        super().scope_changed()
        self._paint()

    def action_refresh(self) -> None:
        if self._watch is not None:
            self._watch.expire()
        super().action_refresh()

    def _focus_clusters(self) -> None:
        (self._map if self.has_class("-map") else self._table).focus()

    def action_view(self) -> None:
        self.toggle_class("-map")
        self.dashboard.remembered.set("fleet-view", "map" if self.has_class("-map") else "table")
        self._focus_clusters()
        self._paint_map()

    def action_filter_clusters(self) -> None:
        self.ask_filter(self._table)

    def action_heat(self) -> None:
        self._measure = MEASURES[1 - MEASURES.index(self._measure)]
        self._paint_heat()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        if event.grid is self._recent:
            alert: AlertItem = event.item
            self.go(Place("alerts", alert.name, contexts=(alert.cluster,)))
        else:
            self._open(event.item.cluster)

    def on_cell_map_opened(self, event: CellMap.Opened) -> None:
        if event.map is self._map:
            self._open(event.key)
        else:
            self._to_gpu(event.key)

    def _open(self, cluster: str) -> None:
        self.go(Place("cluster", args={"name": cluster}))

    def _to_gpu(self, key: GpuKey) -> None:
        self.go(Place("gpu", args={"tab": "gpus", "name": key[1]}, contexts=(key[0],)))

    def on_cards_chosen(self, event: Cards.Chosen) -> None:
        if event.name == "clusters":
            self._table.faults = not self._table.faults
        elif event.name == "health":
            self._table.set_order("" if self._table.order == "score" else "score")
        else:
            self.go(Place({"alerts": "alerts", "gpus": "gpu"}[event.name]))

    def _under_cursor(self) -> tuple[str, dict[str, str]] | None:
        """The cluster, and what else a row names: the namespace, the time, the node."""
        if self._recent.has_focus and (alert := self._recent.selected) is not None:
            said = {"ns": alert.labels.get("namespace"), "at": alert.starts_at}
            return alert.cluster, {k: v for k, v in said.items() if v}
        if self._heat.has_focus and (cell := self._heat.selected) is not None:
            return cell.key[0], {"node": _node(cell.key)}
        if self.has_class("-map"):
            return (self._map.selected.key, {}) if self._map.selected else None
        return (self._table.selected.cluster, {}) if self._table.selected else None

    def cluster_here(self) -> str:
        found = self._under_cursor()
        return found[0] if found is not None else ""

    def action_to(self, view: str) -> None:
        found = self._under_cursor()
        if found is None:
            self.app.notify("no cluster is chosen", severity="warning")
        elif view == "cluster":
            cluster, args = found
            self.go(Place("cluster", args={"name": cluster, "tab": "events", **args}))
        else:
            cluster, args = found
            self.go(of_cluster(view, cluster, args))

    def action_related(self) -> None:
        from aiops_cli.services.related_subjects import of_alerts
        from aiops_cli.tui.widgets.related import show_related

        if (alert := self._recent.selected) is None or not self._recent.has_focus:
            self.app.notify("choose an alert (tab goes to them)", severity="warning")
            return
        show_related(self, f"alert {alert.name}", lambda horizon: of_alerts([alert], horizon))


def _node(key: GpuKey) -> str:
    return key[1].rpartition("/")[0]


SCREEN = Fleet
