"""`cnf workloads`: network functions, and what of the nodes they run on matters to them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from aiops_cli.analysis.cnf_functions import Patterns, function_of, patterns
from aiops_cli.analysis.cnf_numbers import hugepage_sizes
from aiops_cli.analysis.dpdk import profile_of, real_time
from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.analysis.ptp_verdict import UNSURE
from aiops_cli.analysis.sriov import pci_devices
from aiops_cli.config.settings import Settings
from aiops_cli.errors import AiopsError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.analysis import Entity
from aiops_cli.models.cnf import CnfWorkload
from aiops_cli.models.cnf_objects import CnfNode, CnfPod, PerformanceProfile
from aiops_cli.models.findings import Finding
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services import ptp
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.replay import RecordedMember

if TYPE_CHECKING:
    from aiops_cli.models.signals import Workload
    from aiops_cli.sources.kubernetes import KubernetesSource

_PTP_SECONDS = 300.0
_PTP_STEP = 30.0
_WORST = {"FREERUN": 0, "HOLDOVER": 1, "LOCKED": 2}
Kept = tuple[str, bool, str | None]
"""The state of a clock, whether it may be HOLDOVER too, and since when, where that is known."""
Clocks = tuple[Mapping[str, Kept] | str, list[str]]
"""The worst clock of each node, or why none is known; and what failed, so that clocks are missing that the cluster
may have."""
NOT_RECORDED = "not recorded in this bundle"
NO_CNF = (
    f"{ErrorCode.NO_NETWORK_FUNCTIONS}: no pod is named like one; [cnf] functions in the config adds names"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which workloads; `function` is compared without case. Clocks are those of `at` (unix seconds), which is now
    unless `now` is told."""

    at: float
    namespace: str | None = None
    function: str | None = None
    now: float | None = None

    @property
    def nothing(self) -> str:
        """That these workloads are not among those that there are."""
        space = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{ErrorCode.NO_NETWORK_FUNCTIONS}: no {self.function or 'network function'}{space}"


async def list_workloads(
    members: Sequence[Member],
    settings: Settings,
    wanted: Wanted,
    *,
    clocks: Awaitable[ptp.Clocks] | None = None,
    watch: Watcher | None = None,
) -> tuple[FleetResult[CnfWorkload], list[Finding]]:
    """Workloads by cluster, function, namespace and name, and what is wrong with them. `clocks` are those of the
    only member, where they are asked already. Raises UsageError for a function that is none."""
    known = patterns(settings.cnf.functions)
    if wanted.function is not None and wanted.function.lower() not in {name.lower() for name in known}:
        raise UsageError(
            f"no network function is called {wanted.function!r}", hint=f"one of: {', '.join(known)}"
        )
    left_out = settings.cnf.exclude_namespaces

    async def ask(member: Member) -> Answer[CnfWorkload]:
        found = (
            await _recorded(member, known, left_out, partial(_ptp, member, settings, wanted, clocks))
            if isinstance(member, RecordedMember)
            else await _live(member, known, left_out, partial(_ptp, member, settings, wanted, clocks))
        )
        rows = [r for r in found.rows if _fits(r, wanted)]
        rows.sort(key=lambda r: (r.function, r.namespace, r.name))
        notes = found.warnings
        if not rows and not found.partial:
            notes = [*notes, wanted.nothing if found.rows else NO_CNF]
        return Answer(rows, found.source, warnings=notes, partial=found.partial)

    result = await fan_out(members, ask, watch=watch)
    rows = [row for _, row in result.rows]
    return result.with_rows(rows), worst_first(f for row in rows for f in _findings(row))


def _fits(row: CnfWorkload, wanted: Wanted) -> bool:
    return wanted.namespace in (None, row.namespace) and (
        wanted.function is None or wanted.function.lower() == row.function.lower()
    )


def _counts(namespace: str, left_out: Sequence[str]) -> bool:
    return not any(fnmatchcase(namespace, glob) for glob in left_out)


async def _live(
    member: Member, known: Patterns, left_out: Sequence[str], ask_clocks: Callable[[], Awaitable[Clocks]]
) -> Answer[CnfWorkload]:
    from aiops_cli.sources.cnf_objects import Listed

    source: KubernetesSource = await member.kube()  # type: ignore[assignment]
    listed = Listed()
    found, (clocks, failed), nodes, profiles = await asyncio.gather(
        listed.owned_pods(source), ask_clocks(), listed.nodes(source), listed.profiles(source)
    )
    rows = _grouped(member.name, found or (), known, left_out, nodes or (), profiles or (), clocks)
    notes = list(dict.fromkeys([*listed.notes, *failed]))
    return Answer(rows, warnings=notes, partial=bool(notes))


def _grouped(
    cluster: str,
    pods: Sequence[tuple[CnfPod, tuple[str | None, str | None]]],
    known: Patterns,
    left_out: Sequence[str],
    nodes: Sequence[CnfNode],
    profiles: Sequence[PerformanceProfile],
    clocks: Mapping[str, Kept] | str,
) -> list[CnfWorkload]:
    """Pods, each with kind and name of its top owner, as workloads."""
    real_times = {n.metadata.name: real_time(n, profile_of(n, profiles)) for n in nodes}
    groups: dict[tuple[str, str | None, str, str], list[CnfPod]] = defaultdict(list)
    matched: dict[tuple[str, str | None, str, str], str] = {}
    for pod, (kind, owner) in pods:
        meta = pod.metadata
        if not pod.holds or not _counts(meta.namespace, left_out):
            continue
        if told := function_of(meta.labels, (owner or meta.name, meta.name), known):
            key = (meta.namespace, kind, owner or meta.name, told[0])
            groups[key].append(pod)
            matched.setdefault(key, told[1])
    return [_row(cluster, key, some, matched[key], real_times, clocks) for key, some in groups.items()]


def _row(
    cluster: str,
    key: tuple[str, str | None, str, str],
    pods: Sequence[CnfPod],
    matched: str,
    real_times: Mapping[str, bool | None],
    clocks: Mapping[str, Kept] | str,
) -> CnfWorkload:
    namespace, kind, name, function = key
    nodes = sorted({p.spec.node_name for p in pods if p.spec.node_name})
    kernels = [real_times.get(n) for n in nodes]
    real = None if None in kernels or not kernels else all(kernels)
    missing = {} if real is not None else {"realTimeKernel": "its nodes can't be read, or it has none"}
    worst: Kept | None = None
    if isinstance(clocks, str):
        missing["ptpState"] = clocks
    else:
        states = [clocks[n] for n in nodes if n in clocks]
        worst = min(states, key=_how_bad, default=None)
        if worst is None:
            missing["ptpState"] = "no PTP clock on its nodes"
    return CnfWorkload(
        cluster,
        function,
        namespace,
        kind,
        name,
        len(pods),
        sum(_ready(p) for p in pods),
        sum(c.restart_count for p in pods for c in p.status.container_statuses),
        nodes,
        sum(len(pci_devices(p)) for p in pods),
        sum(sum(hugepage_sizes(c.resources.requests).values()) for p in pods for c in p.spec.containers),
        real,
        worst[0] if worst else None,
        matched,
        "kubernetes" if isinstance(clocks, str) else "kubernetes + prometheus",
        missing,
        worst[2] if worst else None,
        UNSURE if worst and worst[1] else None,
    )


def _how_bad(clock: Kept) -> tuple[int, bool, str]:
    """The worst state first, of several one that is sure, then the longest."""
    return _WORST[clock[0]], clock[1], clock[2] or ""


def _ready(pod: CnfPod) -> bool:
    statuses = pod.status.container_statuses
    return pod.status.phase == "Running" and bool(statuses) and all(s.ready for s in statuses)


async def _ptp(
    member: Member, settings: Settings, wanted: Wanted, asked: Awaitable[ptp.Clocks] | None
) -> Clocks:
    rules, window = ptp.rules_of(settings.ptp, None), TimeRange(wanted.at - _PTP_SECONDS, wanted.at)
    now = wanted.at if wanted.now is None else wanted.now
    try:
        found = await (asked or ptp.list_clocks([member], window, _PTP_STEP, now, rules))
    except AiopsError as error:
        return error.message, [f"clocks: {error.message}"]
    status = found.result.clusters[0]
    if status.error is not None:
        why = status.error.message
        return why, [] if status.error.absent else [f"clocks: {why}"]
    failed = [f"clocks: {w}" for w in status.warnings] if found.result.partial else []
    states: dict[str, Kept] = {}
    for clock in found.clocks:
        if (row := clock.row).state is not None:
            own = row.state, row.state == "FREERUN" and not clock.sure, row.since
            states[row.node] = min(states.get(row.node, own), own, key=_how_bad)
    return states or "no PTP clock in this cluster", failed


async def _recorded(
    member: RecordedMember,
    known: Patterns,
    left_out: Sequence[str],
    ask_clocks: Callable[[], Awaitable[Clocks]],
) -> Answer[CnfWorkload]:
    """Of a bundle. Pods with their owners are always recorded; what they ask for, and their nodes, are
    where the cluster has telecom APIs."""
    source = await member.kube()
    try:
        kept = member.cnf_objects()
    except NotAvailableError:
        return Answer(_names(member.name, (await source.workloads()).rows, known, left_out), "bundle")
    owners = {(w.namespace, w.pod): (w.owner_kind, w.owner) for w in (await source.workloads()).rows}
    pods = [(p, owners.get(p.key, (None, None))) for p in kept.pods or ()]
    clocks, failed = await ask_clocks()
    rows = _grouped(member.name, pods, known, left_out, kept.nodes, kept.profiles, clocks)
    recorded = [msgspec.structs.replace(r, source="bundle") for r in rows]
    return Answer(recorded, "bundle", warnings=failed, partial=bool(failed))


def _names(
    cluster: str, pods: Sequence[Workload], known: Patterns, left_out: Sequence[str]
) -> list[CnfWorkload]:
    """Workloads of which names, nodes and restarts are all that is known."""
    groups: dict[tuple[str, str | None, str, str], list[Workload]] = defaultdict(list)
    matched: dict[tuple[str, str | None, str, str], str] = {}
    for pod in pods:
        told = function_of(pod.labels, (pod.owner or pod.pod, pod.pod), known)
        if told and _counts(pod.namespace, left_out):
            key = (pod.namespace, pod.owner_kind, pod.owner or pod.pod, told[0])
            groups[key].append(pod)
            matched.setdefault(key, told[1])
    unknown = ("ready", "vfs", "hugepagesBytes", "realTimeKernel", "ptpState")
    return [
        CnfWorkload(
            cluster,
            function,
            namespace,
            kind,
            name,
            len(some),
            None,
            sum(p.restarts for p in some),
            sorted({p.node for p in some if p.node}),
            None,
            None,
            None,
            None,
            matched[namespace, kind, name, function],
            "bundle",
            dict.fromkeys(unknown, NOT_RECORDED),
        )
        for (namespace, kind, name, function), some in groups.items()
    ]


def _findings(row: CnfWorkload) -> list[Finding]:
    entity = Entity(row.kind or "Pod", row.name, row.namespace, row.cluster)
    found = []
    if row.ready is not None and row.ready < row.pods:
        found.append(
            Finding(
                row.cluster,
                "CNF_NOT_READY",
                "critical" if not row.ready else "warning",
                entity,
                f"{row.function}: {row.ready} of {row.pods} pods are ready",
                f"aiops events -n {row.namespace} {row.name}",
                value=float(row.ready),
                threshold=float(row.pods),
                source="kubernetes",
            )
        )
    if row.function == "vDU" and row.ptp_state in ("HOLDOVER", "FREERUN"):
        found.append(
            Finding(
                row.cluster,
                "CNF_CLOCK_NOT_LOCKED",
                "critical" if row.ptp_state == "FREERUN" else "warning",
                entity,
                f"{row.function} runs on a node whose clock is {row.ptp_doubt or row.ptp_state}",
                "aiops cnf ptp",
                row.ptp_since,
            )
        )
    if row.function == "vDU" and row.real_time_kernel is False:
        found.append(
            Finding(
                row.cluster,
                "CNF_NO_REAL_TIME_KERNEL",
                "info",
                entity,
                f"{row.function} runs on a node without a real-time kernel",
                "set realTimeKernel.enabled in its PerformanceProfile, if the vendor asks for it",
                source="kubernetes",
            )
        )
    return found
