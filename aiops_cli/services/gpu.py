"""GPUs of the fleet: where each cluster's can be read, as rows, with their past and findings.

Sources in order: dcgm-exporter through Prometheus, its page read directly, `nvidia-smi` by exec where that
is allowed by a flag. Each row says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from aiops_cli.analysis import gpu as mapping
from aiops_cli.analysis import gpu_summary
from aiops_cli.analysis.gpu import Key
from aiops_cli.analysis.gpu_findings import findings, name
from aiops_cli.analysis.gpu_gone import Gone, gone_findings
from aiops_cli.analysis.gpu_history import Past
from aiops_cli.config.settings import GpuSettings
from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, NotAvailableError
from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu, GpuSummary, GpuThresholds
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange, default_step
from aiops_cli.services.bundle import not_recorded
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.gpu_past import Times, known
from aiops_cli.services.metrics import CachePolicy
from aiops_cli.services.times import rfc3339
from aiops_cli.sources import dcgm

if TYPE_CHECKING:
    from aiops_cli.models.samples import Sample
    from aiops_cli.services.session import Session
    from aiops_cli.sources.base import MetricsSource

NO_GPUS = f"{ErrorCode.NO_GPU_NODES}: no dcgm-exporter metrics in its Prometheus"
ORDER = ("critical", "warning", "info")
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
    """One cluster's GPUs, their past, and those that are gone."""

    gpus: list[Gpu] = field(default_factory=list)
    pasts: dict[Key, Past] = field(default_factory=dict)
    gone: list[Gone] = field(default_factory=list)

    def findings(self, end: float, limits: GpuThresholds) -> list[Finding]:
        """What is wrong, worst first; `end` is the window's."""
        told = [*findings(self.gpus, self.pasts, end, limits), *gone_findings(self.gone, self.gpus)]
        return sorted(told, key=lambda f: ORDER.index(f.severity))


@dataclass(slots=True)
class GpuFleet:
    """All clusters' GPUs, and what is wrong with them, worst first."""

    result: FleetResult[Gpu]
    findings: list[Finding]
    pasts: dict[tuple[str, Key], Past]


def thresholds(settings: GpuSettings) -> GpuThresholds:
    return GpuThresholds(**settings.model_dump())


def ask_of(
    session: Session,
    *,
    exec_: bool = False,
    node: str | None = None,
    namespace: str | None = None,
    past: bool = True,
) -> GpuAsk:
    """What the session's window, cache and config ask; without `past` the present alone."""
    o = session.options
    window = session.window()
    step = session.step(window)
    if not o.step and session.bundle is None:
        step = default_step(window.seconds, 60)
    return GpuAsk(
        session.now,
        thresholds(session.settings.gpu),
        window.end if o.start or o.end or session.bundle else None,
        window if past else None,
        step,
        exec_,
        session.cache_policy(),
        node,
        namespace,
    )


async def gpus(members: Sequence[Member], ask: GpuAsk, *, watch: Watcher | None = None) -> GpuFleet:
    """Every GPU of the fleet, in order of cluster, node and index, with findings where a window is given."""

    async def one(member: Member) -> Answer[Reading]:
        return await read(member, ask)

    found = await fan_out(members, one, watch=watch)
    rows = [gpu for _, reading in found.rows for gpu in reading.gpus if ask.wants(gpu)]
    pasts = {(cluster, k): p for cluster, reading in found.rows for k, p in reading.pasts.items()}
    end = ask.window.end if ask.window else ask.now
    told = [f for _, r in found.rows for f in r.findings(end, ask.limits)]
    lost = [one.gpu for _, r in found.rows for one in r.gone if ask.wants(one.gpu)]
    shown = {(gpu.cluster, name(gpu)) for gpu in (*rows, *lost)}
    told = [f for f in told if (f.cluster, f.entity.name) in shown]
    told.sort(key=lambda f: ORDER.index(f.severity))
    return GpuFleet(found.with_rows(rows), told, pasts)


def summarize(fleet: GpuFleet, limits: GpuThresholds) -> tuple[FleetResult[GpuSummary], GpuSummary]:
    """By cluster and model, and the totals."""
    rows, total = gpu_summary.summary(fleet.result.rows, fleet.pasts, fleet.findings, limits)
    return fleet.result.with_rows(rows), total


async def read(member: Member, ask: GpuAsk) -> Answer[Reading]:
    """The first source that knows GPUs. Raises the first one's error if none could be asked."""
    failed: AiopsError | None = None
    gone: Answer[Reading] | None = None
    try:
        answer = await _prometheus(member, ask)
        if answer.rows[0].gpus:
            return answer
        if answer.rows[0].gone:
            gone = answer
    except ClusterError as error:
        if error.code is ErrorCode.NOT_RECORDED:
            raise not_recorded("any metric of a GPU", []) from None
        failed = error
    if isinstance(member, LiveMember):
        at = rfc3339(ask.now)
        if exporters := member.exporters("dcgm"):
            page = await dcgm.pages(exporters)
            rows = mapping.rows(page.rows, member.name, "dcgm", at)
            notes = _instead(failed)
            return Answer(
                [Reading(rows)], warnings=[*page.warnings, *notes], partial=page.partial or bool(notes)
            )
        if ask.exec_:
            from aiops_cli.services.gpu_exec import read_gpus

            told = await read_gpus(member, at)
            notes = _instead(failed)
            return Answer(
                [Reading(told.rows)], warnings=[*told.warnings, *notes], partial=told.partial or bool(notes)
            )
    if failed is not None:
        raise failed
    return gone or await _none(member)


def _instead(error: AiopsError | None) -> list[str]:
    """Why it was not Prometheus, unless there is none."""
    if error is None or isinstance(error, NotAvailableError):
        return []
    return [f"what was before now is missing: {error.message}"]


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
    exporters = await _exporters(source, answer.rows, at) if live else set()
    moment = ask.now if at is None else at
    rows = mapping.rows(answer.rows, member.name, "prometheus", rfc3339(moment), exporters)
    reading = Reading(rows)
    whole = Answer([reading], answer.source, answer.age_seconds, answer.warnings, answer.partial)
    if ask.window is None:
        return whole
    times = Times(ask.window, ask.step, moment, ask.now, ask.policy)
    try:
        past = await known(member, rows, answer.rows, exporters, times, ask.limits.idle_utilization)
    except NotAvailableError:
        raise
    except ClusterError as error:
        whole.warnings.append(f"no past of its GPUs: {error.message}")
        whole.partial = True
        return whole
    reading.pasts, reading.gone = past.rows[0].pasts, past.rows[0].gone
    whole.warnings += [w for w in past.warnings if w not in whole.warnings]
    whole.partial |= past.partial
    return whole


async def _exporters(source: MetricsSource, samples: Sequence[Sample], at: float | None) -> set[str]:
    """The exporters' own pods, where labels alone don't say whether a pod is one or holds a GPU."""
    if any("exported_pod" in s.labels for s in samples):
        return set()
    attribution = mapping.Attribution(())
    if not any(attribution.user(s.labels) for s in samples):
        return set()
    return {r.labels["pod"] for r in (await source.instant(dcgm.exporters(), at)).rows if r.labels.get("pod")}
