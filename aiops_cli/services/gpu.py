"""GPUs of the fleet: where each cluster's can be read, as rows, with their past and findings.

Sources in order: dcgm-exporter through Prometheus, its page read directly, `nvidia-smi` by exec where that
is allowed by a flag. Each row says which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aiops_cli.analysis import gpu as mapping
from aiops_cli.analysis import gpu_summary
from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.analysis.gpu import Key
from aiops_cli.analysis.gpu_findings import findings, key, names
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
_NOW = 300.0
"""Seconds before now that still are now, to what knows only that."""
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
        return worst_first(
            [*findings(self.gpus, self.pasts, end, limits), *gone_findings(self.gone, self.gpus)]
        )


@dataclass(slots=True)
class GpuFleet:
    """All clusters' GPUs, and what is wrong with them, worst first."""

    result: FleetResult[Gpu]
    findings: list[Finding]
    pasts: dict[tuple[str, Key], Past]
    gone: list[Gpu] = field(default_factory=list)


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
    shown = {(gpu.cluster, about) for gpu in (*rows, *lost) for about in names(gpu)}
    told = worst_first(f for f in told if (f.cluster, f.entity.name) in shown)
    return GpuFleet(found.with_rows(rows), told, pasts, lost)


def summarize(fleet: GpuFleet, limits: GpuThresholds) -> tuple[FleetResult[GpuSummary], GpuSummary]:
    """By cluster and model, and the totals."""
    rows, total = gpu_summary.summary(fleet.result.rows, fleet.pasts, fleet.findings, limits, fleet.gone)
    return fleet.result.with_rows(rows), total


async def read(member: Member, ask: GpuAsk) -> Answer[Reading]:
    """The first source that knows GPUs. What only exporters and nvidia-smi could say is of now: a window that
    ended before is not asked of them. Raises the first one's error if none could be asked."""
    failed: AiopsError | None = None
    known: Answer[Reading] | None = None
    try:
        answer = await _prometheus(member, ask)
        if answer.rows[0].gpus:
            return answer
        if answer.rows[0].gone:
            known = answer
    except ClusterError as error:
        if error.code is ErrorCode.NOT_RECORDED:
            raise not_recorded("any metric of a GPU", []) from None
        failed = error
    other = _other(member, ask) if isinstance(member, LiveMember) else None
    if other is not None:
        try:
            return await _instead(other, ask, failed, known)
        except ClusterError as error:
            if known is None:
                raise _both(failed, error) from None
            known.warnings.append(error.message)
            known.partial = True
            return known
    if failed is not None:
        raise failed
    return known or await _none(member)


def _other(member: LiveMember, ask: GpuAsk) -> Callable[[], Awaitable[Answer[Gpu]]] | None:
    """What can be read where Prometheus knows no GPUs."""
    at = rfc3339(ask.now)
    if exporters := member.exporters("dcgm"):

        async def pages() -> Answer[Gpu]:
            page = await dcgm.pages(exporters)
            rows = mapping.rows(page.rows, member.name, "dcgm", at)
            return Answer(rows, warnings=page.warnings, partial=page.partial)

        return pages
    if ask.exec_:

        async def exec_() -> Answer[Gpu]:
            from aiops_cli.services.gpu_exec import read_gpus

            return await read_gpus(member, at)

        return exec_
    return None


async def _instead(
    other: Callable[[], Awaitable[Answer[Gpu]]],
    ask: GpuAsk,
    failed: AiopsError | None,
    known: Answer[Reading] | None,
) -> Answer[Reading]:
    """The GPUs that another source knows, with those that Prometheus says are gone. Raises ClusterError."""
    if ask.at is not None and ask.now - ask.at > _NOW:
        raise NotAvailableError(
            "exporters and nvidia-smi know only now, and this window ended before",
            hint="leave --to out; or ask a Prometheus that scraped the exporters then",
        )
    told = await other()
    if known is not None and not told.rows:
        raise ClusterError("no other source tells of a GPU now", code=ErrorCode.NO_GPU_NODES)
    notes = list(told.warnings)
    if failed is not None and not isinstance(failed, NotAvailableError):
        notes.append(f"what was before now is missing: {failed.message}")
    reading = Reading(told.rows)
    if known is not None:
        there = {key(g)[0] for g in told.rows}
        reading.pasts = known.rows[0].pasts
        reading.gone = [one for one in known.rows[0].gone if key(one.gpu)[0] not in there]
    return Answer([reading], warnings=notes, partial=told.partial or len(notes) > len(told.warnings))


def _both(first: AiopsError | None, error: ClusterError) -> ClusterError:
    """Why neither Prometheus nor what stands in for it answered."""
    if first is None or isinstance(first, NotAvailableError):
        return error
    said = (f"{e.message} [{e.endpoint}]" if e.endpoint else e.message for e in (first, error))
    return ClusterError("; ".join(said), hint=error.hint or first.hint, code=error.code)


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
    if live and any(mapping.lacks_uuid(s.labels) for s in answer.rows):
        answer.rows += (await dcgm.samples(source, [dcgm.unidentified(mapping.METRICS)], at)).rows
    exporters = await _exporters(source, answer.rows, at) if live else set()
    moment = ask.now if at is None else at
    rows = mapping.rows(answer.rows, member.name, "prometheus", rfc3339(moment), exporters)
    reading = Reading(rows)
    whole = Answer([reading], answer.source, answer.age_seconds, answer.warnings, answer.partial)
    if ask.window is None:
        return whole
    times = Times(ask.window, ask.step, moment, ask.now, ask.policy)
    try:
        past = await known(member, rows, answer.rows, exporters, times, ask.limits)
    except NotAvailableError:
        raise
    except ClusterError as error:
        whole.warnings.append(f"no past of its GPUs: {error.message}")
        whole.partial = True
        return whole
    reading.pasts, reading.gone = past.rows[0].pasts, past.rows[0].gone
    if any(p.allocated_seconds for p in reading.pasts.values()):
        reading.gpus = [g if g.holders_known else replace(g, holders_known=True) for g in reading.gpus]
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
