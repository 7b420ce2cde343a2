"""Nodes, models, model servers and processes on the GPU screen, each with its GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu, GpuInference, GpuProcess, GpuSummary
from aiops_cli.models.result import FleetResult
from aiops_cli.render.gpu_views import INFERENCE, PROCESSES, SUMMARY
from aiops_cli.render.output import Column, View
from aiops_cli.services.log_syntax import quoted
from aiops_cli.services.session import Session
from aiops_cli.tui.widgets.device_tab import Answer, Thing
from aiops_cli.tui.widgets.gpu_gauges import gauged
from aiops_cli.tui.widgets.gpu_tab import NONE, GpuName, GroupTab, Seen, use_metric, without
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.part import failure

if TYPE_CHECKING:
    from datetime import tzinfo

    from aiops_cli.analysis.gpu_summary import NodeSummary

_NAMED = 3
_NODES_HIDE = ("model", "idle-h", "alloc")  # where there is little room
_MODELS_HIDE = ("gpus", "alloc", "free", "hot", "memory")
_OF_SUMMARY = {c.title: c for c in SUMMARY.columns}


def _of_total(title: str) -> Column[NodeSummary]:
    """A column of `gpu summary`, of a node."""
    c = _OF_SUMMARY[title]
    pick = c.plain or c.value
    return Column(
        title, lambda n: c.value(n.total), right=c.right, wide=c.wide, plain=lambda n: pick(n.total)
    )


def _heat(node: NodeSummary) -> str | None:
    return None if node.hottest_c is None else f"{node.hottest_c:.0f}°C"


NODES: View[NodeSummary] = View(
    "GpuNodeList",
    [
        Column("cluster", lambda n: n.total.cluster),
        Column("node", lambda n: n.node),
        *(_of_total(t) for t in ("model", "gpus", "mig", "alloc", "used", "idle", "err", "util", "memory")),
        Column("temp", _heat, right=True, plain=lambda n: n.hottest_c),
        *(_of_total(t) for t in ("power", "idle-h")),
    ],
    lambda n: f"{n.total.cluster}/{n.node}",
)


class NodesTab(GroupTab["NodeSummary"]):
    NAME = "nodes"
    TITLE = "Nodes with GPUs"
    EMPTY = NONE
    WELL = "nothing is wrong with any GPU in this range"

    def __init__(self) -> None:
        super().__init__(NODES)
        self._by_node: dict[tuple[str, str], NodeSummary] = {}
        self._gpus: dict[tuple[str, str | None], list[Gpu]] = {}

    def split(self, answer: Any) -> Answer[NodeSummary]:
        return answer.fleet.result.with_rows(answer.nodes), answer.fleet.findings

    def see(self, seen: Seen) -> None:
        super().see(seen)
        self._gpus = {}
        for gpu in seen.fleet.result.rows:
            self._gpus.setdefault((gpu.cluster, gpu.node), []).append(gpu)

    def view(self, rows: Sequence[NodeSummary], zone: tzinfo | None, *, narrow: bool) -> View[NodeSummary]:
        view: View[NodeSummary] = gauged(NODES, narrow=narrow, of=lambda n: n.total)
        if narrow:
            return without(view, _NODES_HIDE)
        return replace(view, columns=[replace(c, wide=c.wide and c.title != "power") for c in view.columns])

    def index(self, rows: Sequence[NodeSummary]) -> None:
        self._by_node = {(n.total.cluster, n.node or "?"): n for n in rows}

    def cluster(self, item: NodeSummary) -> str:
        return item.total.cluster

    def model(self, item: NodeSummary) -> str | None:
        return item.total.model

    def places(self, item: NodeSummary) -> tuple[set[str], set[str]]:
        spaces = {u.namespace for g in self.gpus_of(item) for u in g.users if u.namespace}
        return {item.node or ""}, spaces

    def gpus_of(self, item: NodeSummary) -> list[Gpu]:
        return self._gpus.get((item.total.cluster, item.node), [])

    def concerned(self, finding: Finding) -> NodeSummary | None:
        return self._by_node.get((finding.cluster, finding.entity.name.rpartition("/")[0]))

    def thing(self, item: NodeSummary) -> Thing:
        """Its use by its GPUs' UUIDs: what the label of the node is called differs between exporters."""
        gpus = self.gpus_of(item)
        uuids = "|".join(g.uuid for g in gpus if g.uuid)
        query = f"{use_metric(gpus[0])}{{UUID=~{quoted(uuids)}}}" if uuids else ""
        return Thing(item.total.cluster, "Node", item.node or "", query=query)


class ModelsTab(GroupTab[GpuSummary]):
    NAME = "models"
    TITLE = "GPU models"
    EMPTY = NONE
    WELL = "nothing is wrong with any GPU in this range"

    def __init__(self) -> None:
        super().__init__(SUMMARY)
        self._gpus: dict[tuple[str, str], list[Gpu]] = {}
        self._rows: dict[tuple[str, str], GpuSummary] = {}

    def split(self, answer: Any) -> Answer[GpuSummary]:
        return answer.fleet.result.with_rows(answer.models), answer.fleet.findings

    def see(self, seen: Seen) -> None:
        super().see(seen)
        self._gpus = {}
        for gpu in seen.fleet.result.rows:
            self._gpus.setdefault((gpu.cluster, gpu.model or "unknown"), []).append(gpu)

    def index(self, rows: Sequence[GpuSummary]) -> None:
        self._rows = {(r.cluster, r.model): r for r in rows}

    def places(self, item: GpuSummary) -> tuple[set[str], set[str]]:
        gpus = self.gpus_of(item)
        return {g.node or "" for g in gpus}, {u.namespace for g in gpus for u in g.users if u.namespace}

    def view(self, rows: Sequence[GpuSummary], zone: tzinfo | None, *, narrow: bool) -> View[GpuSummary]:
        return without(super().view(rows, zone, narrow=narrow), _MODELS_HIDE if narrow else ())

    def labels(self, item: GpuSummary) -> dict[str, str]:
        return {"cluster": item.cluster, "model": item.model}

    def gpus_of(self, item: GpuSummary) -> list[Gpu]:
        return self._gpus.get((item.cluster, item.model), [])

    def concerned(self, finding: Finding) -> GpuSummary | None:
        gpu = self.gpu((finding.cluster, finding.entity.name))
        return None if gpu is None else self._rows.get((gpu.cluster, gpu.model or "unknown"))

    def thing(self, item: GpuSummary) -> Thing:
        query = f"{use_metric(self.gpus_of(item)[0])}{{modelName={quoted(item.model)}}}"
        return Thing(item.cluster, "", "", query=query)


class OfNames(GroupTab[Any]):
    """Rows that name their GPUs; findings are those of them."""

    SHARED = False

    def __init__(self, view: View[Any]) -> None:
        super().__init__(view)
        self._by_gpu: dict[GpuName, Any] = {}

    def names(self, item: Any) -> list[GpuName]:
        raise NotImplementedError

    def split(self, answer: Any) -> Answer[Any]:
        told = () if self.seen is None else self.seen.fleet.findings
        names = {n for row in answer.rows for n in self.about(row)}
        return answer, [f for f in told if (f.cluster, f.entity.name) in names]

    def about(self, item: Any) -> list[GpuName]:
        """What findings about the row's GPUs are about: an instance, or its whole GPU."""
        named = self.names(item)
        parts = [(cluster, n.rpartition(":")[0]) for cluster, n in named if ":" in n.rpartition("/")[2]]
        return [*named, *parts]

    def index(self, rows: Sequence[Any]) -> None:
        self._by_gpu = {n: row for row in rows for n in self.about(row)}

    def gpus_of(self, item: Any) -> list[Gpu]:
        return [g for n in self.names(item) if (g := self.gpu(n)) is not None]

    def concerned(self, finding: Finding) -> Any:
        return self._by_gpu.get((finding.cluster, finding.entity.name))


class InferenceTab(OfNames):
    NAME = "inference"
    TITLE = "Model servers"
    EMPTY = "no metrics of vLLM, SGLang or TGI in the Prometheus of these clusters; @ other clusters"
    WELL = "nothing is wrong with the GPUs of these servers"

    def __init__(self) -> None:
        super().__init__(INFERENCE)

    async def ask(self, session: Session) -> FleetResult[GpuInference]:
        """As `aiops gpu inference`."""
        from aiops_cli.services.gpu import ask_of
        from aiops_cli.services.gpu_inference import inference

        return await inference(session.members, ask_of(session, past=False))

    def view(self, rows: Sequence[Any], zone: tzinfo | None, *, narrow: bool) -> View[Any]:
        """Where there is little room the use of its GPUs stands in the detail alone, with bars."""
        view = without(INFERENCE, ("util", "gpus") if narrow else ())
        return replace(view, columns=[replace(c, keep=c.title in ("pod", "model")) for c in view.columns])

    def names(self, item: GpuInference) -> list[GpuName]:
        return [(item.cluster, n) for n in item.gpus]

    def places(self, item: GpuInference) -> tuple[set[str], set[str]]:
        return {n.rpartition("/")[0] for n in item.gpus}, {item.namespace} if item.namespace else set()

    def thing(self, item: GpuInference) -> Thing:
        from aiops_cli.analysis.gpu_inference import GAUGES

        of = f"pod={quoted(item.pod)}" if item.pod else f"instance={quoted(item.instance or '')}"
        running = "|".join(name for name, what in GAUGES.items() if what == "running")
        query = f'{{__name__=~"{running}", {of}}}'
        if item.pod is None:
            return Thing(item.cluster, "", "", query=query)
        return Thing(item.cluster, "Pod", item.pod, item.namespace, query=query)


class ProcessesTab(OfNames):
    """Nothing is asked before somebody agrees: each node costs an exec. `agreed` are the clusters, and the node if it
    is one."""

    NAME = "processes"
    TITLE = "Processes"
    EMPTY = "only nvidia-smi knows processes: X runs it in a pod of the GPU operator, if you agree"
    WELL = "nothing is wrong with the GPUs of these processes"

    def __init__(self) -> None:
        super().__init__(PROCESSES)
        self.agreed: tuple[frozenset[str], str | None] | None = None

    async def ask(self, session: Session) -> FleetResult[GpuProcess]:
        """As `aiops gpu processes --exec`."""
        from aiops_cli.services.gpu_exec import processes

        if self.agreed is None:
            return FleetResult([], [])
        clusters, node = self.agreed
        found = await processes([m for m in session.live if m.name in clusters], node=node)
        if found.failed and not found.rows:
            raise failure(found)
        return found

    def put(self) -> None:
        super().put()
        if self.agreed is not None and not self.found.rows:
            clusters, node = self.agreed
            where = node or ", ".join(sorted(clusters)[:_NAMED])
            none = f"no process uses a GPU of {where}"
            self.query_one(f"#on-{self.NAME}", Panel).empty = " ▲ ".join([none, *self.notes()])

    def view(self, rows: Sequence[Any], zone: tzinfo | None, *, narrow: bool) -> View[Any]:
        return PROCESSES

    def model(self, item: GpuProcess) -> str | None:
        gpus = self.gpus_of(item)
        return gpus[0].model if gpus else None

    def names(self, item: GpuProcess) -> list[GpuName]:
        part = f":{item.mig_instance}" if item.mig_instance else ""
        index = "?" if item.index is None else item.index
        return [(item.cluster, f"{item.node or '?'}/{index}{part}")]

    def places(self, item: GpuProcess) -> tuple[set[str], set[str]]:
        return {item.node or ""}, {item.namespace} if item.namespace else set()

    def thing(self, item: GpuProcess) -> Thing:
        query = f"DCGM_FI_DEV_FB_USED{{UUID={quoted(item.uuid)}}}" if item.uuid else ""
        if item.pod is None:
            return Thing(item.cluster, "Node", item.node or "", query=query)
        return Thing(item.cluster, "Pod", item.pod, item.namespace, query=query)
