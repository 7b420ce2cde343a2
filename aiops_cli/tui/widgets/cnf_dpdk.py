"""DPDK pods on the CNF screen: the table, and of the chosen one its ports, and all else with its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

from textual.app import ComposeResult
from textual.widget import Widget

from aiops_cli.errors import AiopsError
from aiops_cli.models.cnf import DpdkLimits, DpdkPod
from aiops_cli.models.findings import Finding
from aiops_cli.render.dpdk_port_views import PORTS, Port
from aiops_cli.render.dpdk_views import DPDK, detail
from aiops_cli.render.output import View
from aiops_cli.services.log_syntax import quoted
from aiops_cli.services.session import Session
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.widgets.device_tab import Answer, DeviceTab, Thing, narrowed
from aiops_cli.tui.widgets.document import Document
from aiops_cli.tui.widgets.grid import Grid

_HIGH = 6  # lines of ports at most


class DpdkTab(DeviceTab[DpdkPod]):
    DEFAULT_CSS = """
    DpdkTab #ports { height: 3; }
    DpdkTab #dpdk-text { height: 1fr; }
    """
    NAME = "dpdk"
    TITLE = "DPDK pods"
    EMPTY = "no pod asks for huge pages, has a performance-… runtime class, or a PCI device that no kernel driver has"
    WELL = "no data plane is wrong"

    def __init__(self) -> None:
        super().__init__(DPDK)
        self.ports: Grid[Port] = Grid(PORTS, id="ports")
        self._read: dict[str, tuple[DpdkPod, Sequence[Finding]]] = {}  # of pods that were read inside
        self._pods: dict[tuple[str, str | None, str], DpdkPod] = {}

    def inside(self) -> ComposeResult:
        self._text = Document(id="dpdk-text")
        yield self.ports
        yield self._text

    async def ask(self, session: Session) -> Answer[DpdkPod]:
        """As `aiops cnf dpdk`."""
        return await self._list(session, None)

    async def _list(self, session: Session, inside: DpdkPod | None) -> Answer[DpdkPod]:
        from aiops_cli.services.dpdk import Wanted, list_pods

        own = session.settings.dpdk
        limits = DpdkLimits(
            own.imissed_per_second, own.rx_nombuf_per_second, own.ierrors_per_second, own.throttled_per_second
        )
        if inside is None:
            return await list_pods(session.members, Wanted(), limits, own.metrics)
        members = [m for m in session.members if m.name == inside.cluster]
        return await list_pods(members, Wanted(inside.pod, inside.namespace, True), limits, own.metrics)

    def split(self, answer: Any) -> Answer[DpdkPod]:
        """With what was read inside of pods that are still there."""
        found, told = answer
        names = {self.key(r) for r in found.rows} & self._read.keys()
        if not names:
            return found, told
        rows = [self._read[k][0] if (k := self.key(r)) in names else r for r in found.rows]
        read = [f for k in names for f in self._read[k][1]]
        others = [f for f in told if f"{f.cluster}/{f.entity.namespace}/{f.entity.name}" not in names]
        return found.with_rows(rows), [*read, *others]

    async def read_inside(self, pod: DpdkPod) -> None:
        """Run `grep` and `python3` in its containers, as `--exec` does, and show what they say."""
        app = self.dashboard
        try:
            found, told = await app.backend.ask(self._list(app.asked(), pod))
        except AiopsError as error:
            self.app.notify(error_line(error), severity="error", markup=False)
            return
        failed = next((c.error for c in found.failed if c.error is not None), None)
        if failed is not None or not found.rows:
            said = error_line(failed) if failed is not None else "the pod is gone"
            self.app.notify(said, severity="error", markup=False)
            return
        for note in found.clusters[0].warnings:
            self.app.notify(note, severity="warning", markup=False)
        self._read[self.key(pod)] = (found.rows[0], told)
        if self.feed is not None and self.feed.reading.value is not None:
            self.take(self.feed.reading.value)

    def view(self, rows: Sequence[DpdkPod], zone: tzinfo | None, *, narrow: bool) -> View[DpdkPod]:
        return narrowed(DPDK, len({r.cluster for r in rows}), ("pod", "node")) if narrow else DPDK

    def heading(self, item: DpdkPod) -> str:
        return f"{self.key(item)} · X reads inside" if self.dashboard.live else self.key(item)

    def follow(self, item: DpdkPod | None) -> None:
        ports = [] if item is None else list(_ports(item))
        self.ports.show(ports)
        self.ports.display = bool(ports)
        self.ports.styles.height = min(len(ports) + 1, _HIGH)
        self._text.show("" if item is None else detail(item), top=False)

    def within(self) -> Widget:
        return self.ports if self.ports.items else self._text

    # What is what

    def places(self, item: DpdkPod) -> tuple[set[str], set[str]]:
        return {item.node or ""}, {item.namespace}

    def index(self, rows: Sequence[DpdkPod]) -> None:
        self._pods = {(r.cluster, r.namespace, r.pod): r for r in rows}

    def concerned(self, finding: Finding) -> DpdkPod | None:
        return self._pods.get((finding.cluster, finding.entity.namespace, finding.entity.name))

    def thing(self, item: DpdkPod) -> Thing:
        session = self.dashboard.session
        metrics = session.settings.dpdk.metrics if session is not None else ""
        names = f"{metrics}(imissed|ierrors|rx_nombuf|ipackets|opackets)"
        labels = f"namespace={quoted(item.namespace)}, pod={quoted(item.pod)}"
        query = f"{{__name__=~{quoted(names)}, {labels}}}"
        return Thing(item.cluster, "Pod", item.pod, item.namespace, query=query)


def _ports(pod: DpdkPod) -> Iterator[Port]:
    return ((process, port) for process in pod.processes or [] for port in process.ports)
