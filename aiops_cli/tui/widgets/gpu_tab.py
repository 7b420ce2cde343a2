"""What the views of the GPU screen share: they tell of one reading of the fleet's GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.widget import Widget

from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu, GpuSummary
from aiops_cli.models.result import FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.gpu_views import GPUS
from aiops_cli.render.output import View
from aiops_cli.render.text import one_line
from aiops_cli.services.log_syntax import quoted
from aiops_cli.services.session import Session
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.widgets.device_tab import DeviceTab, Thing
from aiops_cli.tui.widgets.gpu_gauges import GaugeGrid, gauged
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.part import part

if TYPE_CHECKING:
    from aiops_cli.analysis.gpu_summary import NodeSummary
    from aiops_cli.services.gpu import GpuFleet

T = TypeVar("T")
GpuName = tuple[str, str]
"""Cluster, and NODE/INDEX as findings and model servers name it."""
NONE = "no dcgm-exporter metrics in the Prometheus of these clusters, nor a `dcgm` exporter in the config; @ other clusters"


@dataclass(slots=True)
class Seen:
    """The GPUs of the fleet over a window at a step in seconds, counted by node and by model. `old` are clusters that
    did not answer this time: theirs are those of the time before."""

    fleet: GpuFleet
    nodes: list[NodeSummary]
    models: list[GpuSummary]
    window: TimeRange
    step: float
    old: frozenset[str] = frozenset()
    by_name: dict[GpuName, Gpu] = field(default_factory=dict)


async def ask_gpus(session: Session, before: Seen | None) -> Seen:
    """As `aiops gpu nodes` and `gpu summary`, judged over the dashboard's range."""
    from aiops_cli.analysis import gpu_summary
    from aiops_cli.analysis.finding_order import worst_first
    from aiops_cli.analysis.gpu_findings import names
    from aiops_cli.services import gpu

    ask = gpu.ask_of(session)
    fleet = await gpu.gpus(session.members, ask)
    lost = {c.name for c in fleet.result.failed}
    old = (
        frozenset({g.cluster for g in before.fleet.result.rows} & lost) if before is not None else frozenset()
    )
    if before is not None and old:
        places = {m.name: i for i, m in enumerate(session.members)}
        rows = [*fleet.result.rows, *(g for g in before.fleet.result.rows if g.cluster in old)]
        fleet.result.rows = sorted(rows, key=lambda g: places.get(g.cluster, len(places)))
        fleet.pasts |= {k: p for k, p in before.fleet.pasts.items() if k[0] in old}
        told = [*fleet.findings, *(f for f in before.fleet.findings if f.cluster in old)]
        fleet.findings = worst_first(told)
    rows = fleet.result.rows
    models, _ = gpu_summary.summary(rows, fleet.pasts, fleet.findings, ask.limits)
    nodes = gpu_summary.nodes(rows, fleet.pasts, fleet.findings, ask.limits)
    window = session.window()
    known = {(g.cluster, about): g for g in reversed(rows) for about in names(g)}
    return Seen(fleet, nodes, models, window, ask.step, old, known)


def without(view: View[T], titles: Sequence[str]) -> View[T]:
    """With these columns among those that are shown on demand."""
    return replace(view, columns=[replace(c, wide=c.wide or c.title in titles) for c in view.columns])


class GpuTab(DeviceTab[T]):
    """`see` gets each reading of the fleet's GPUs. `shared` views show that; others ask something of their own."""

    DEFAULT_CSS = """
    GpuTab.-bare > .detail, GpuTab.-bare > .findings { display: none !important; }
    """
    SHARED: ClassVar[bool] = True

    def __init__(self, view: View[T]) -> None:
        super().__init__(view)
        self.seen: Seen | None = None
        self._view = view
        self.grid = GaugeGrid(
            self._marked(view, True), judge=self._judge, dim=self._is_old, labels=self.labels, id=self.NAME
        )

    def see(self, seen: Seen) -> None:
        """Take a reading of all GPUs."""
        self.seen = seen

    def labels(self, item: T) -> dict[str, str]:
        """For `-l` filters."""
        nodes, spaces = self.places(item)
        named = {"cluster": self.cluster(item), "model": self.model(item) or ""}
        named |= {"node": min(nodes)} if nodes else {}
        return named | ({"namespace": min(spaces)} if spaces else {})

    def cluster(self, item: T) -> str:
        return cast("Any", item).cluster  # type: ignore[no-any-return]

    def model(self, item: T) -> str | None:
        return cast("Any", item).model  # type: ignore[no-any-return]

    def _is_old(self, item: T) -> bool:
        return self.seen is not None and self.cluster(item) in self.seen.old

    def view(self, rows: Sequence[T], zone: tzinfo | None, *, narrow: bool) -> View[T]:
        return gauged(self._view, narrow=narrow)

    def gpu(self, name: GpuName) -> Gpu | None:
        return None if self.seen is None else self.seen.by_name.get(name)

    def gpus_of(self, item: T) -> list[Gpu]:
        """The GPUs that a row is about."""
        raise NotImplementedError

    # What the panel says

    def follow_feed(self, feed: Feed[Any]) -> None:
        super().follow_feed(feed)
        shown = part(feed, self._shown)
        for panel in (
            self.query_one(f"#on-{self.NAME}", Panel),
            self.query_one(f"#{self.NAME}-detail", Panel),
        ):
            panel.follow(shown)

    def _shown(self, answer: Any) -> FleetResult[T]:
        found, _ = self.split(answer)
        return found.with_rows([r for r in found.rows if self._fits(r)]) if self.wanted else found

    def put(self) -> None:
        super().put()
        self.set_class(not self.found.rows and not self.told, "-bare")
        panel = self.query_one(f"#on-{self.NAME}", Panel)
        names = (("node", "on node"), ("ns", "in namespace"))
        where = [f"{said} {self.wanted[k]}" for k, said in names if k in self.wanted]
        hidden = f"none of {len(self.found.rows)} {self.TITLE} is {' and '.join(where)}; esc shows all"
        if self.found.rows:
            panel.empty = hidden if where else self.EMPTY
        elif self.told:
            panel.empty = "none is measured now: the findings tell of those that were in this range"
        else:
            panel.empty = " ▲ ".join([self.EMPTY, *self.notes()])
        panel.tell()

    def extra(self) -> Iterable[str]:
        """What a cluster lacks though it answered."""
        notes = self.notes()
        more = f" and {len(notes) - 1} more" if len(notes) > 1 else ""
        return [f"▲ {notes[0]}{more}"] if notes else []

    def notes(self) -> list[str]:
        """What clusters that answered said that they lack."""
        return [
            one_line(f"{c.name}: {note}")
            for c in self.found.clusters
            if c.status == "PARTIAL"
            for note in c.warnings
        ]

    def _fits(self, item: T) -> bool:
        nodes, spaces = self.places(item)
        return self.wanted.get("node") in (None, *nodes) and self.wanted.get("ns") in (None, *spaces)

    def _is_here(self, finding: Finding) -> bool:
        """As its row; of a GPU that is gone by what is left of its name."""
        if (item := self.concerned(finding)) is not None:
            return self._fits(item)
        node = finding.entity.name.rpartition("/")[0]
        return self.wanted.get("node") in (None, node) and self.wanted.get("ns") in (
            None,
            finding.entity.namespace,
        )


class GroupTab(GpuTab[T]):
    """Rows that stand for several GPUs, which are the detail of a row; enter on one opens it."""

    @property
    def note(self) -> str:
        """What is wrong stands behind the view of GPUs."""
        return ""

    def inside(self) -> ComposeResult:
        self.gpus: Grid[Gpu] = GaugeGrid(gauged(GPUS, narrow=False), id=f"{self.NAME}-gpus")
        yield self.gpus

    def follow(self, item: T | None) -> None:
        narrow = self.dashboard.size.width < NARROW
        self.gpus.show([] if item is None else self.gpus_of(item), gauged(GPUS, narrow=narrow))

    def heading(self, item: T) -> str:
        count = len(self.gpus_of(item))
        return f"{self.key(item)} · {count} GPU{'s' * (count != 1)}"

    def within(self) -> Widget:
        return self.gpus

    def gpu_inside(self) -> Gpu | None:
        """The one under the cursor in the detail."""
        return self.gpus.selected

    def thing_inside(self, grid: Grid[Any]) -> Thing | None:
        return None if grid is not self.gpus or (gpu := self.gpus.selected) is None else thing_of(gpu)


NARROW = 110  # cells from which on bars have room


def query_of(gpu: Gpu, metric: str) -> str:
    """PromQL for a metric of this GPU, of its own instance where the metric is one of its parts."""
    labels = [f"UUID={quoted(gpu.uuid)}"] if gpu.uuid else [f"gpu={quoted(str(gpu.index))}"]
    if gpu.mig_instance and metric in _OF_INSTANCE:
        labels.append(f"GPU_I_ID={quoted(gpu.mig_instance)}")
    return f"{metric}{{{', '.join(labels)}}}"


_OF_INSTANCE = frozenset({"DCGM_FI_DEV_FB_USED", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"})


def use_metric(gpu: Gpu) -> str:
    """What its use was read from."""
    return (
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
        if gpu.utilization_of == "GR_ENGINE_ACTIVE"
        else "DCGM_FI_DEV_GPU_UTIL"
    )


def thing_of(gpu: Gpu, metric: str = "") -> Thing:
    """The pod that holds a GPU, else its node."""
    query = query_of(gpu, metric or use_metric(gpu))
    if gpu.pod is not None:
        return Thing(gpu.cluster, "Pod", gpu.pod, gpu.namespace, query=query)
    return Thing(gpu.cluster, "Node", gpu.node or "", query=query)
