"""Network functions on the CNF screen: the table, and the pods of the chosen one with their interfaces."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from textual.app import ComposeResult
from textual.widget import Widget

from aiops_cli.models.cnf import CnfPodItem, CnfWorkload
from aiops_cli.models.findings import Finding
from aiops_cli.models.result import FleetResult
from aiops_cli.render.cnf_pod_views import PODS, pod_text
from aiops_cli.render.output import View
from aiops_cli.render.workload_views import WORKLOADS
from aiops_cli.services.log_syntax import quoted
from aiops_cli.services.session import Session
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.widgets.device_tab import NARROW, Answer, DeviceTab, Thing, narrowed
from aiops_cli.tui.widgets.document import Document
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.part import part

_BRIEF = replace(
    PODS, columns=[replace(c, wide=c.wide or c.title in ("restarts", "interfaces")) for c in PODS.columns]
)


class WorkloadsTab(DeviceTab[CnfWorkload]):
    DEFAULT_CSS = """
    WorkloadsTab #pod-text { height: 6; }
    """
    NAME = "workloads"
    TITLE = "Network functions"
    EMPTY = (
        "no pod is named like a network function (vDU, vCU, UPF, AMF, SMF, …); `functions` of [cnf] in the config "
        "adds names"
    )
    WELL = "no network function is wrong"

    def __init__(self) -> None:
        super().__init__(WORKLOADS)
        self.pods: Grid[CnfPodItem] = Grid(PODS, id="pods")
        self._rows: dict[tuple[str, str | None, str], CnfWorkload] = {}

    def inside(self) -> ComposeResult:
        self._text = Document(id="pod-text")
        yield self.pods
        yield self._text

    def on_grid_highlighted(self, event: Grid.Highlighted) -> None:
        if event.grid is self.pods:
            self._text.show(pod_text(event.item), top=False)

    def follow_feed(self, feed: Feed[Any]) -> None:
        super().follow_feed(feed)
        panel = self.query_one(f"#{self.NAME}-detail", Panel)
        panel.empty = "its pods can't be told from others, or are gone"
        if self.second is not None:
            panel.follow(part(self.second, lambda found: found, alone=True))

    async def ask(self, session: Session) -> Answer[CnfWorkload]:
        """As `aiops cnf workloads`."""
        from aiops_cli.services.cnf_workloads import Wanted, list_workloads

        wanted = Wanted(session.window().end, now=session.now)
        return await list_workloads(session.members, session.settings, wanted)

    def view(self, rows: Sequence[CnfWorkload], zone: tzinfo | None, *, narrow: bool) -> View[CnfWorkload]:
        return narrowed(WORKLOADS, len({r.cluster for r in rows}), ("workload",)) if narrow else WORKLOADS

    def follow(self, item: CnfWorkload | None) -> None:
        known: FleetResult[CnfPodItem] | None = self.second.reading.value if self.second is not None else None
        pods = known.rows if known is not None and item is not None else []
        self._show_pods([p for p in pods if item is not None and _is_of(p, item)])

    def ask_more(self) -> Callable[[Session], Coroutine[Any, Any, Any]]:
        return self._ask_pods

    async def _ask_pods(self, session: Session) -> FleetResult[CnfPodItem]:
        from aiops_cli.services.cnf_pods import pods_of

        workload = self.chosen
        member = None if workload is None else self.member(session, workload.cluster)
        return FleetResult([], []) if member is None or workload is None else await pods_of(member, workload)

    def show_more(self, answer: FleetResult[CnfPodItem]) -> None:
        self._show_pods(answer.rows)

    def _show_pods(self, pods: Sequence[CnfPodItem]) -> None:
        narrow = self.dashboard.size.width < NARROW
        self.pods.show(pods, _BRIEF if narrow else PODS)
        if not pods:
            self._text.show("")

    def within(self) -> Widget:
        return self.pods

    # What is what

    def places(self, item: CnfWorkload) -> tuple[set[str], set[str]]:
        return set(item.nodes) or {""}, {item.namespace}

    def index(self, rows: Sequence[CnfWorkload]) -> None:
        self._rows = {(r.cluster, r.namespace, r.name): r for r in rows}

    def concerned(self, finding: Finding) -> CnfWorkload | None:
        return self._rows.get((finding.cluster, finding.entity.namespace, finding.entity.name))

    def thing(self, item: CnfWorkload) -> Thing:
        return Thing(
            item.cluster, item.kind or "Pod", item.name, item.namespace, query=_cpu(item.namespace, item.name)
        )

    def thing_inside(self, grid: Grid[Any]) -> Thing | None:
        if grid is not self.pods or (pod := self.pods.selected) is None:
            return None
        return Thing(pod.cluster, "Pod", pod.pod, pod.namespace, query=_cpu(pod.namespace, pod.pod))


def _is_of(pod: CnfPodItem, workload: CnfWorkload) -> bool:
    here = (pod.cluster, pod.namespace) == (workload.cluster, workload.namespace)
    return here and pod.pod.startswith(workload.name)


def _cpu(namespace: str, name: str) -> str:
    labels = f'namespace={quoted(namespace)}, pod=~{quoted(re.escape(name) + ".*")}, container!=""'
    return f"sum by (pod) (rate(container_cpu_usage_seconds_total{{{labels}}}[5m]))"
