"""GPU: every GPU of the fleet with what it did, nodes, models, model servers, processes, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.binding import BindingType

from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu
from aiops_cli.services.session import Session
from aiops_cli.services.times import unix
from aiops_cli.tui.actions import act
from aiops_cli.tui.feed import Feed, Reading
from aiops_cli.tui.tabbed import SECONDS, TabbedBoard
from aiops_cli.tui.widgets.device_tab import DeviceTab
from aiops_cli.tui.widgets.gpu_gpus import GpusTab
from aiops_cli.tui.widgets.gpu_groups import InferenceTab, ModelsTab, NodesTab, ProcessesTab
from aiops_cli.tui.widgets.gpu_tab import GpuTab, GroupTab, Seen, ask_gpus
from aiops_cli.tui.widgets.grid import Grid


class GpuBoard(TabbedBoard):
    NAME = "gpu"
    TABS = ("gpus", "nodes", "models", "inference", "processes")
    BINDINGS: ClassVar[list[BindingType]] = [
        act("gpu.view", "v,shift+right", "view(1)", "View", "GPUs, nodes, models, inference, processes.", show=True),
        act("gpu.view-back", "shift+left", "view(-1)", "View before"),
        act("gpu.logs", "l", "follow('logs')", "Logs", "Logs of the pod that holds the GPU.", show=True),
        act("gpu.cause", "x", "cause", "Cause", "Root causes, when it went wrong.", show=True),
        act("gpu.metrics", "m", "metrics", "Metrics", "What measures this GPU, or what the finding is about.", show=True),
        act("gpu.alerts", "a", "alerts", "Alerts", "Alerts of the pod's namespace, or of the node.", show=True),
        act("gpu.traces", "t", "follow('traces')", "Traces", "Traces of the pod that holds the GPU.", show=True),
        act("gpu.events", "e", "events", "Events", "What happened to the pod, or to the node."),
        act("gpu.related", "R", "related", "Related", "What the other signals know of it.", show=True),
        act("gpu.processes", "X", "processes", "Processes", "By nvidia-smi in a pod of each node, if you agree.", show=True),
        act("gpu.measure", "p", "measure", "Plot", "Use, memory, temperature, power; all where there is room."),
        act("gpu.earlier", "left", "cursor(-1)", "Cursor left", "On the plots' time axis; jumps take its time."),
        act("gpu.later", "right", "cursor(1)", "Cursor right"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._fleet: Feed[Seen] | None = None

    def tabs(self) -> tuple[DeviceTab[Any], ...]:
        self._gpus, self._processes = GpusTab(), ProcessesTab()
        return self._gpus, NodesTab(), ModelsTab(), InferenceTab(), self._processes

    def tab_of(self, args: dict[str, str]) -> str:
        """What names a node, namespace or GPU is about GPUs."""
        return self._gpus.NAME if {"node", "ns", "name"} & set(args) else super().tab_of(args)

    # What is asked: the GPUs once for all views, and what a view has of its own

    async def _ask_fleet(self, session: Session) -> Seen:
        before = self._fleet.reading.value if self._fleet is not None else None
        return await ask_gpus(session, before)

    def open_feeds(self, tab: DeviceTab[Any]) -> None:
        if self._fleet is None:
            self._fleet = self.feed(self._ask_fleet, self._see, every=SECONDS)
            self._gpus.second = self.feed(
                self._gpus.ask_more(), self._gpus.show_more, every=SECONDS, told=self._told_course
            )
            self._gpus.second.pause()
        if tab.feed is None and not (isinstance(tab, GpuTab) and tab.SHARED):
            every = None if tab is self._processes else SECONDS
            tab.follow_feed(self.feed(tab.ask, lambda answer: self.take(tab, answer), every=every))
        elif tab.feed is None:
            tab.follow_feed(self._fleet)
        if (seen := self._fleet.reading.value) is not None:
            self._see(seen)

    def _told_course(self, reading: Reading[Any]) -> None:
        if reading.error is not None:
            self._gpus.failed(reading.error.message)

    def _see(self, seen: Seen) -> None:
        """Show a reading of all GPUs in the view that is seen."""
        for tab in self.by_name.values():
            if isinstance(tab, GpuTab):
                tab.see(seen)
        tab = self.tab
        answer = seen if tab.feed is self._fleet else None if tab.feed is None else tab.feed.reading.value
        if answer is not None:
            self.take(tab, answer)

    def asked_feeds(self) -> Iterable[Feed[Any]]:
        return tuple(dict.fromkeys(f for f in (self._fleet, self.tab.feed) if f is not None))

    def scope_changed(self) -> None:
        """Nobody agreed to run a program in other clusters."""
        self._processes.agreed = None
        super().scope_changed()

    # Ways from here

    def open_inside(self, grid: Grid[Any], item: Any) -> None:
        if isinstance(item, Gpu):
            self._to_gpu(item)
        else:
            super().open_inside(grid, item)

    def lead(self, finding: Finding) -> None:
        gpu = self._gpus.concerned(finding)
        if gpu is not None and self.tab is not self._gpus:
            self._to_gpu(gpu)
        else:
            super().lead(finding)

    def _to_gpu(self, gpu: Gpu) -> None:
        """From a view of several GPUs to one in full."""
        self.open_tab(self._gpus.NAME, keys=False)
        self._gpus.select(gpu)
        self.open_detail()

    def leave_detail(self) -> None:
        self._gpus.plots.put_cursor(None)

    def action_follow(self, view: Any) -> None:
        """Of the pod: a GPU that nobody holds has none."""
        from aiops_cli.models.timerange import TimeRange
        from aiops_cli.services.related_subjects import Horizon
        from aiops_cli.tui.following import follow
        from aiops_cli.tui.widgets.related import thing as subject

        thing, at = self.pointed()
        if thing is None:
            return
        if thing.kind != "Pod":
            said = (
                f"no pod holds it: there are no {view} of it; m has its metrics, e what happened to its node"
            )
            self.notify(said, markup=False)
            return
        found = subject(thing.cluster, thing.kind, thing.name, thing.namespace, unix(at))
        follow(self, view, found(Horizon(TimeRange(0.0, self.dashboard.now)))[0])

    # What is of one view alone

    def action_cursor(self, by: int) -> None:
        if self.tab is self._gpus:
            self._gpus.plots.move_cursor(by)

    def action_measure(self) -> None:
        self._gpus.plots.next()

    def action_processes(self) -> None:
        """Of the node under the cursor; of all GPUs in scope where there is none."""
        from aiops_cli.tui.widgets.dialogs import Confirm

        if not self.dashboard.live:
            self.notify("a bundle holds no process lists: nothing can be run in a pod")
            return
        seen = self._fleet.reading.value if self._fleet is not None else None
        cluster, node = self._node_here()
        clusters = frozenset([cluster] if cluster else [])
        if seen is not None and not cluster:
            clusters = frozenset(n.total.cluster for n in seen.nodes)
        clusters = clusters or frozenset(m.name for m in self.dashboard.members)
        where = f"on {node} of {cluster}" if node else _nodes(seen, clusters)

        def done(yes: bool | None) -> None:
            if yes:
                self._processes.agreed = clusters, node
                self.open_tab(self._processes.NAME)
                if self._processes.feed is not None:
                    self._processes.feed.refresh(anew=True)

        text = (
            f"nvidia-smi is run in a pod of the GPU operator {where}, then grep there reads whose the processes are. "
            f"Nothing is written. It needs the right pods/exec, and each run is in the cluster's audit log. r runs "
            f"it again, nothing else does."
        )
        self.app.push_screen(Confirm("Run nvidia-smi", text), done)

    def _node_here(self) -> tuple[str, str | None]:
        """Cluster and node under the cursor, in a view whose rows are on one."""
        tab = self.tab
        item = tab.grid.selected
        focused = self.focused
        if isinstance(tab, GroupTab) and focused is tab.gpus and tab.gpus.selected is not None:
            return tab.gpus.selected.cluster, tab.gpus.selected.node
        if item is None or tab.NAME not in ("gpus", "nodes"):
            return "", None
        assert isinstance(tab, GpuTab)
        return tab.cluster(item), item.node


def _nodes(seen: Seen | None, clusters: frozenset[str]) -> str:
    """How many nodes it would be run on."""
    named = ", ".join(sorted(clusters)) if len(clusters) <= 3 else f"{len(clusters)} clusters"
    known = 0 if seen is None else sum(n.total.cluster in clusters for n in seen.nodes)
    if known == 1:
        return f"on the GPU node of {named}"
    return f"on each of the {known} GPU nodes of {named}" if known else f"on each GPU node of {named}"


SCREEN = GpuBoard
