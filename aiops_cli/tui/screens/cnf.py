"""CNF: PTP clocks, SR-IOV, DPDK pods and network functions of the fleet, each in full, and what is wrong."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import BindingType

from aiops_cli.errors import AiopsError
from aiops_cli.models.ptp import BUDGETS
from aiops_cli.services.times import unix
from aiops_cli.tui.actions import act
from aiops_cli.tui.place import Place
from aiops_cli.tui.tabbed import TabbedBoard
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.widgets.cnf_dpdk import DpdkTab
from aiops_cli.tui.widgets.cnf_ptp import PtpTab
from aiops_cli.tui.widgets.cnf_sriov import SriovTab
from aiops_cli.tui.widgets.cnf_workloads import WorkloadsTab
from aiops_cli.tui.widgets.device_tab import DeviceTab, Thing
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.working import start


class CnfBoard(TabbedBoard):
    NAME = "cnf"
    TABS = ("ptp", "sriov", "dpdk", "workloads")
    BINDINGS: ClassVar[list[BindingType]] = [
        act("cnf.view", "v,shift+right", "view(1)", "View", "PTP, SR-IOV, DPDK, workloads.", show=True),
        act("cnf.view-back", "shift+left", "view(-1)", "View before"),
        act("cnf.logs", "l", "logs", "Logs", "Of the pod, or of the daemon on the node that keeps the clock or VFs.", show=True),
        act("cnf.metrics", "m", "metrics", "Metrics", "What measures this clock, PF, VF, port or workload.", show=True),
        act("cnf.alerts", "a", "alerts", "Alerts", "Alerts of the node or namespace.", show=True),
        act("cnf.events", "e", "events", "Events", "What happened to the node, pod or workload."),
        act("cnf.cause", "x", "cause", "Cause", "Root causes, when it went wrong.", show=True),
        act("cnf.related", "R", "related", "Related", "What the other signals know of it."),
        act("cnf.budget", "b", "budget", "Budget", "The limits that clocks are judged by."),
        act("cnf.inside", "X", "inside", "Read inside", "Cpuset, NUMA, ports, mempools: asked in the pod, if you agree."),
        act("cnf.earlier", "left", "cursor(-1)", "Cursor left", "On the plot's time axis; jumps take its time."),
        act("cnf.later", "right", "cursor(1)", "Cursor right"),
    ]  # fmt: skip

    def tabs(self) -> tuple[DeviceTab[Any], ...]:
        self._ptp, self._dpdk = PtpTab(), DpdkTab()
        return self._ptp, SriovTab(), self._dpdk, WorkloadsTab()

    def open_inside(self, grid: Grid[Any], item: Any) -> None:
        """A pod, or a VF that one has, opens what is related to it."""
        if self.tab.thing_inside(grid) is not None:
            self.action_related()
        else:
            super().open_inside(grid, item)

    def leave_detail(self) -> None:
        self._ptp.plot.put_cursor(None)

    # Places

    def tab_of(self, args: dict[str, str]) -> str:
        return "workloads" if "ns" in args else super().tab_of(args)

    def arrive(self, place: Place) -> None:
        """`kind` is the budget of clocks, beside what any view takes."""
        super().arrive(place)
        budget = place.args.get("kind", "").lower() or None
        if budget is not None and budget not in BUDGETS:
            self.notify(f"no budget is called {budget!r}; b lists them", severity="warning", markup=False)
        elif self.tab is self._ptp and budget != self._ptp.budget:
            self._ptp.take_budget(budget)

    def place(self) -> Place:
        place = super().place()
        if self.tab is self._ptp and self._ptp.budget is not None:
            place.args["kind"] = self._ptp.budget
        return place

    # Ways to other screens

    def action_logs(self) -> None:
        thing, at = self.pointed()
        if thing is not None:
            start(self, lambda: self._logs(thing, unix(at)), group="logs")

    async def _logs(self, thing: Thing, at: float | None) -> None:
        """Of a node those of the daemon's pod there: it is what keeps the clock, or makes the VFs."""
        from aiops_cli.models.timerange import TimeRange
        from aiops_cli.services.cnf_pods import pod_on
        from aiops_cli.services.related_subjects import Horizon
        from aiops_cli.tui.following import follow
        from aiops_cli.tui.widgets.related import thing as subject

        session = self.dashboard.asked()
        kind, name, namespace = thing.kind, thing.name, thing.namespace
        if thing.daemon:
            member = self.tab.member(session, thing.cluster)
            try:
                asked = None if member is None else pod_on(member, thing.name, thing.daemon)
                found = None if asked is None else await self.dashboard.backend.ask(asked)
            except AiopsError as error:
                self.notify(error_line(error), severity="warning", markup=False)
                return
            if found is None:
                said = f"no pod of {thing.daemon} is known on {thing.name}: its logs can't be found"
                self.notify(said, severity="warning", markup=False)
                return
            kind, (namespace, name) = "Pod", found
        found_by = subject(thing.cluster, kind, name, namespace, at)
        follow(self, "logs", found_by(Horizon(TimeRange(0.0, session.now)))[0])

    # What is of one view alone

    def action_cursor(self, by: int) -> None:
        if self.tab is self._ptp:
            self._ptp.plot.move_cursor(by)

    def action_budget(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Choice

        def chosen(id: str | None) -> None:
            if id is not None:
                self._ptp.take_budget(id or None)

        if self.tab is not self._ptp:
            self.notify("budgets judge clocks: v goes to them")
            return
        named = [(name, f"{name}  {budget.source}") for name, budget in BUDGETS.items()]
        options = [("", "what [ptp] of the config says"), *named]
        self.app.push_screen(Choice("Judge clocks by", options, self._ptp.budget or ""), chosen)

    def action_inside(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Confirm

        pod = self._dpdk.grid.selected
        if self.tab is not self._dpdk or pod is None:
            self.notify("a DPDK pod can be read inside: choose one in the view dpdk")
            return
        if not self.dashboard.live:
            self.notify("a bundle holds what was recorded: nothing can be read inside a pod")
            return

        def done(yes: bool | None) -> None:
            if yes:
                self.notify(f"reading inside {pod.pod}…", markup=False)
                start(self, lambda: self._dpdk.read_inside(pod), group="inside")

        text = (
            f"grep reads /sys and /proc, and python3 asks each DPDK process's telemetry, in the containers of "
            f"{pod.namespace}/{pod.pod} on {pod.cluster}. Nothing is written. It needs the right pods/exec."
        )
        self.app.push_screen(Confirm("Read inside the pod", text), done)


SCREEN = CnfBoard
