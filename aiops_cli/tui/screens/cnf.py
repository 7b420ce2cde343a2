"""CNF: PTP clocks and SR-IOV of the fleet, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from aiops_cli.models.cnf import SriovPf
from aiops_cli.models.findings import Finding
from aiops_cli.models.ptp import PtpClock
from aiops_cli.models.result import FleetResult
from aiops_cli.render.finding_views import finding_view
from aiops_cli.render.ptp_views import ptp_view
from aiops_cli.render.sriov_views import PFS
from aiops_cli.services.session import Session
from aiops_cli.tui.board import Board
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.part import part

if TYPE_CHECKING:
    from aiops_cli.services.ptp import Clocks

_SECONDS = 30.0


async def ask_clocks(session: Session) -> Clocks:
    """As `aiops cnf ptp`, over the dashboard's range."""
    from aiops_cli.services import ptp

    window = session.window()
    rules = ptp.rules_of(session.settings.ptp, None)
    return await ptp.list_clocks(
        session.members, window, session.step(window), session.now, rules, policy=session.cache_policy()
    )


async def ask_pfs(session: Session) -> FleetResult[SriovPf]:
    """As `aiops cnf sriov`."""
    from aiops_cli.services.sriov import limits_of, list_pfs

    result, _ = await list_pfs(session.members, limits_of(session.settings.sriov))
    return result


class CnfBoard(Board):
    NAME = "cnf"
    DEFAULT_CSS = "CnfBoard #content { layout: vertical; }"

    def content(self) -> ComposeResult:
        self._clocks: Grid[PtpClock] = Grid(
            ptp_view([], None, narrow=True), judge=lambda c: c.verdict, id="ptp"
        )
        self._findings: Grid[Finding] = Grid(finding_view(None), judge=lambda f: f.severity, id="findings")
        self._pfs: Grid[SriovPf] = Grid(PFS, id="sriov")
        yield Panel("PTP clocks", self._clocks, empty="no PTP metrics on these clusters", id="ptp-panel")
        yield Panel("Findings", self._findings, empty="no clock is wrong in this range", id="findings-panel")
        yield Panel("SR-IOV", self._pfs, empty="no SR-IOV on these clusters", id="sriov-panel")

    def on_mount(self) -> None:
        super().on_mount()
        clocks = self.feed(ask_clocks, self._show_clocks, every=_SECONDS)
        pfs = self.feed(ask_pfs, lambda found: self._pfs.show(found.rows), every=_SECONDS)
        self.query_one("#ptp-panel", Panel).follow(part(clocks, lambda f: f.result))
        self.query_one("#findings-panel", Panel).follow(
            part(clocks, lambda f: f.result.with_rows(f.findings))
        )
        self.query_one("#sriov-panel", Panel).follow(pfs)
        self._clocks.focus()

    def _show_clocks(self, found: Clocks) -> None:
        rows = found.result.rows
        self._clocks.show(rows, ptp_view(rows, self.dashboard.zone, narrow=self.size.width < 110))
        self._findings.show(found.findings, finding_view(self.dashboard.zone, found.findings))

    def on_grid_opened(self, event: Grid.Opened) -> None:
        event.grid.action_detail()


SCREEN = CnfBoard
