"""GPUs of the fleet: where each cluster's can be read, as rows, with their past and findings.

Sources in order: dcgm-exporter through Prometheus, its page read directly, `nvidia-smi` by exec where that
is allowed by a flag. Each row says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from aiops_cli.analysis import gpu as mapping
from aiops_cli.analysis import gpu_history, gpu_summary
from aiops_cli.analysis.gpu import Key
from aiops_cli.analysis.gpu_findings import findings, name
from aiops_cli.analysis.gpu_history import Past
from aiops_cli.config.settings import GpuSettings
from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, NotAvailableError
from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu, GpuSummary, GpuThresholds
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.bundle import not_recorded
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.metrics import CachePolicy, range_answer
from aiops_cli.services.times import rfc3339
from aiops_cli.sources import dcgm

NO_GPUS = f"{ErrorCode.NO_GPU_NODES}: no metric of a GPU"
_GPU_NODES = [("labelSelector", "nvidia.com/gpu.present=true")]


@dataclass(slots=True)
class GpuAsk:
    """What to read. `at` is None for now; without a `window` no past is read. `exec_` allows nvidia-smi.

    `node` is a glob, `namespace` that of a container which holds the GPU; a job is compared as a whole, and
    then those that match are shown.
    """

    now: float
    limits: GpuThresholds
    at: float | None = None
    window: TimeRange | None = None
    step: float = 60.0
    exec_: bool = False
    policy: CachePolicy = field(default_factory=CachePolicy)
    node: str | None = None
    namespace: str | None = None

    def wants(self, gpu: Gpu) -> bool:
        if self.node is not None and not fnmatchcase(gpu.node or "", self.node):
            return False
        return self.namespace is None or any(u.namespace == self.namespace for u in gpu.users)


@dataclass(slots=True)
class Reading:
    """One cluster's GPUs, and their past."""

    gpus: list[Gpu] = field(default_factory=list)
    pasts: dict[Key, Past] = field(default_factory=dict)


@dataclass(slots=True)
class GpuFleet:
    """All clusters' GPUs, and what is wrong with them, worst first."""

    result: FleetResult[Gpu]
    findings: list[Finding]
    pasts: dict[tuple[str, Key], Past]


def thresholds(settings: GpuSettings) -> GpuThresholds:
    return GpuThresholds(**settings.model_dump())


async def gpus(members: Sequence[Member], ask: GpuAsk, *, watch: Watcher | None = None) -> GpuFleet:
    """Every GPU of the fleet, in order of cluster, node and index, with findings where a window is given."""

    async def one(member: Member) -> Answer[Reading]:
        return await read(member, ask)

    found = await fan_out(members, one, watch=watch)
    rows = [gpu for _, reading in found.rows for gpu in reading.gpus if ask.wants(gpu)]
    pasts = {(cluster, k): p for cluster, reading in found.rows for k, p in reading.pasts.items()}
    end = ask.window.end if ask.window else ask.now
    told = [f for _, r in found.rows for f in findings(r.gpus, r.pasts, end, ask.limits)]
    shown = {(gpu.cluster, name(gpu)) for gpu in rows}
    told = [f for f in told if (f.cluster, f.entity.name) in shown]
    told.sort(key=lambda f: ("critical", "warning", "info").index(f.severity))
    return GpuFleet(found.with_rows(rows), told, pasts)


def summarize(fleet: GpuFleet, limits: GpuThresholds) -> tuple[FleetResult[GpuSummary], GpuSummary]:
    """By cluster and model, and the totals."""
    rows, total = gpu_summary.summary(fleet.result.rows, fleet.pasts, fleet.findings, limits)
    return fleet.result.with_rows(rows), total


async def read(member: Member, ask: GpuAsk) -> Answer[Reading]:
    """The first source that knows GPUs. Raises the first one's error if none could be asked."""
    failed: AiopsError | None = None
    try:
        answer = await _prometheus(member, ask)
        if answer.rows[0].gpus:
            return answer
    except ClusterError as error:
        if error.code is ErrorCode.NOT_RECORDED:
            raise not_recorded("any metric of a GPU", []) from None
        failed = error
    if isinstance(member, LiveMember):
        at = rfc3339(ask.now)
        if exporters := member.exporters("dcgm"):
            page = await dcgm.pages(exporters)
            rows = mapping.rows(page.rows, member.name, "dcgm", at)
            notes = [*page.warnings, *_instead(failed)]
            return Answer([Reading(rows)], warnings=notes, partial=page.partial)
        if ask.exec_:
            from aiops_cli.services.gpu_exec import read_gpus

            told = await read_gpus(member, at)
            notes = [*told.warnings, *_instead(failed)]
            return Answer([Reading(told.rows)], warnings=notes, partial=told.partial)
    if failed is not None:
        raise failed
    return await _none(member)


def _instead(error: AiopsError | None) -> list[str]:
    """Why it was not Prometheus, unless there is none."""
    if error is None or isinstance(error, NotAvailableError):
        return []
    return [f"no GPU metrics of Prometheus: {error.message}"]


async def _none(member: Member) -> Answer[Reading]:
    """A cluster without GPUs is no failure; one whose nodes have some, but no metrics, lacks something."""
    nodes = 0
    if isinstance(member, LiveMember) and member.context is not None:
        from aiops_cli.sources.kubernetes_objects import Object

        try:
            kube = await member.kube()
            nodes = len(await kube.items("/api/v1/nodes", Object, _GPU_NODES, metadata_only=True))
        except ClusterError:
            nodes = 0
    if not nodes:
        return Answer([Reading()], warnings=[NO_GPUS])
    many = f"{nodes} nodes have" if nodes > 1 else "a node has"
    note = f"{many} NVIDIA GPUs, but no metric of them is known: is dcgm-exporter scraped? else --exec"
    return Answer([Reading()], warnings=[note], partial=True)


async def _prometheus(member: Member, ask: GpuAsk) -> Answer[Reading]:
    """Raises ClusterError; the past alone may fail, which is told."""
    source = await member.metrics()
    live = isinstance(member, LiveMember)
    at = ask.at
    exprs = [dcgm.now(mapping.METRICS), dcgm.identity()] if live else [dcgm.EVERYTHING]
    answer = await dcgm.samples(source, exprs, at)
    rows = mapping.rows(answer.rows, member.name, "prometheus", rfc3339(ask.now if at is None else at))
    reading = Reading(rows)
    whole = Answer([reading], answer.source, answer.age_seconds, answer.warnings, answer.partial)
    if not rows or ask.window is None:
        return whole
    expr = dcgm.values(gpu_history.METRICS, more=False) if live else dcgm.EVERYTHING
    window = ask.window.aligned(ask.step)
    try:
        history = await range_answer(member, expr, window, ask.step, ask.now, ask.policy)
    except NotAvailableError:
        raise
    except ClusterError as error:
        whole.warnings.append(f"no past of its GPUs: {error.message}")
        whole.partial = True
        return whole
    reading.pasts = gpu_history.past(history.rows, window, ask.step, ask.limits.idle_utilization)
    whole.warnings += [w for w in history.warnings if w not in whole.warnings]
    whole.partial |= history.partial
    return whole
