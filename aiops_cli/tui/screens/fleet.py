"""Fleet: how many clusters are well, which are not, and what fires."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.render.alert_views import alert_view
from aiops_cli.render.cluster_views import health_view
from aiops_cli.services.session import Session
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import Board
from aiops_cli.tui.place import Place
from aiops_cli.tui.themes import SIGNS, style_of
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel

HEALTH_SECONDS, ALERT_SECONDS = 30.0, 15.0


async def ask_health(session: Session) -> FleetResult[ClusterHealth]:
    """Health of the clusters in scope, probed, or as recorded."""
    if session.bundle is not None:
        from aiops_cli.services.inventory import recorded_health

        return recorded_health(session.bundle, [m.name for m in session.members])
    from aiops_cli.services import health

    return await health.check(session.live)


async def ask_alerts(session: Session) -> FleetResult[AlertItem]:
    from aiops_cli.services import alerts

    return await alerts.list_alerts(session.members)


class Fleet(Board):
    NAME = "fleet"
    DEFAULT_CSS = """
    Fleet #cards { height: 3; border: round $primary 40%; padding: 0 1; }
    Fleet #health { height: 2fr; }
    Fleet #alerts { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("fleet.logs", "l", "to('logs')", "Logs", "Logs of the cluster under the cursor.", show=True),
    ]

    def content(self) -> ComposeResult:
        self._health: Grid[ClusterHealth] = Grid(health_view(), judge=lambda h: h.state, id="clusters")
        self._alerts: Grid[AlertItem] = Grid(alert_view(clock.now()), id="recent")
        with Vertical():
            yield Static(id="cards", markup=False)
            yield Panel("Clusters", self._health, id="health")
            yield Panel("Alerts", self._alerts, empty="no alert is active", id="alerts")

    def on_mount(self) -> None:
        super().on_mount()
        health = self.feed(
            ask_health, self._show_health, every=HEALTH_SECONDS, kept=("health", FleetResult[ClusterHealth])
        )
        alerts = self.feed(
            ask_alerts, self._show_alerts, every=ALERT_SECONDS, kept=("alerts", FleetResult[AlertItem])
        )
        self.query_one("#health", Panel).follow(health)
        self.query_one("#alerts", Panel).follow(alerts)
        self._health.focus()

    def _show_health(self, result: FleetResult[ClusterHealth]) -> None:
        self._health.show(result.rows)
        counts: dict[str, int] = {}
        for row in result.rows:
            counts[row.state] = counts.get(row.state, 0) + 1
        self._cards(counts)

    def _cards(self, counts: dict[str, int]) -> None:
        text = Text(no_wrap=True)
        for state, level in (
            ("ONLINE", "ok"),
            ("DEGRADED", "warn"),
            ("OFFLINE", "fatal"),
            ("UNKNOWN", "unknown"),
        ):
            style = style_of(level, self.app.theme_variables)
            text.append(f"{SIGNS[level]} {counts.get(state, 0)} {state.lower()}   ", style)
        self.query_one("#cards", Static).update(text)

    def _show_alerts(self, result: FleetResult[AlertItem]) -> None:
        self._alerts.show(
            result.rows, alert_view(self.dashboard.asked().now if self.dashboard.session else clock.now())
        )

    def on_grid_opened(self, event: Grid.Opened) -> None:
        item: Any = event.item
        if event.grid is self._health:
            self.go(Place("cluster", contexts=(item.cluster,)))
        else:
            self.go(Place("alerts", item.name, contexts=(item.cluster,)))

    def action_to(self, view: str) -> None:
        if (item := self._health.selected) is not None:
            self.go(Place(view, contexts=(item.cluster,)))


SCREEN = Fleet
