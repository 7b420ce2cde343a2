"""GPU: every GPU of the fleet, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu
from aiops_cli.render.finding_views import finding_view
from aiops_cli.render.gpu_views import GPUS
from aiops_cli.services.session import Session
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import Board
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.part import part

if TYPE_CHECKING:
    from aiops_cli.services.gpu import GpuFleet

_SECONDS = 30.0


async def ask_gpus(session: Session) -> GpuFleet:
    """As `aiops gpu nodes`, judged over the dashboard's range."""
    from aiops_cli.services import gpu

    return await gpu.gpus(session.members, gpu.ask_of(session))


class GpuBoard(Board):
    NAME = "gpu"
    DEFAULT_CSS = "GpuBoard #gpus-panel { height: 2fr; } GpuBoard #content { layout: vertical; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        act("gpu.logs", "l", "logs", "Logs", "Logs of the pod that holds the GPU.", show=True),
    ]

    def content(self) -> ComposeResult:
        self._gpus: Grid[Gpu] = Grid(GPUS, id="gpus")
        self._findings: Grid[Finding] = Grid(finding_view(None), judge=lambda f: f.severity, id="findings")
        yield Panel("GPUs", self._gpus, empty="no dcgm-exporter metrics on these clusters", id="gpus-panel")
        yield Panel("Findings", self._findings, empty="nothing is wrong in this range", id="findings-panel")

    def on_mount(self) -> None:
        super().on_mount()
        feed = self.feed(ask_gpus, self._show, every=_SECONDS)
        self.query_one("#gpus-panel", Panel).follow(part(feed, lambda f: f.result))
        self.query_one("#findings-panel", Panel).follow(part(feed, lambda f: f.result.with_rows(f.findings)))
        self._gpus.focus()

    def _show(self, found: GpuFleet) -> None:
        self._gpus.show(found.result.rows)
        self._findings.show(found.findings, finding_view(self.dashboard.zone, found.findings))

    def on_grid_opened(self, event: Grid.Opened) -> None:
        event.grid.action_detail()

    def action_logs(self) -> None:
        gpu = self._gpus.selected
        if gpu is None or gpu.pod is None:
            self.app.notify("no pod holds this GPU")
            return
        query = f'{{namespace="{gpu.namespace}",pod="{gpu.pod}"}}'
        self.go(Place("logs", query, contexts=(gpu.cluster,)))


SCREEN = GpuBoard
