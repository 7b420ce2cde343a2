"""What analysis reads of GPUs, PTP clocks, SR-IOV and DPDK, where a cluster has them: findings over the window,
and which pods depend on which device.

A cluster without them costs one query. What of it was not recorded in a bundle is left out silently, as it
is for most bundles; what fails is a gap.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from aiops_cli.analysis import gpu_findings, sriov, sriov_places
from aiops_cli.analysis.cnf_functions import function_of, patterns
from aiops_cli.analysis.device_clues import entity_of
from aiops_cli.analysis.entities import owner_name
from aiops_cli.analysis.observations import Indicator
from aiops_cli.config.settings import DpdkSettings, Settings
from aiops_cli.errors import AiopsError, ErrorCode
from aiops_cli.models.analysis import Entity
from aiops_cli.models.cnf import VfUser
from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu
from aiops_cli.models.metric_row import MetricRow
from aiops_cli.models.result import ClusterStatus, ErrorInfo
from aiops_cli.models.signals import Series, Workload
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services import gpu, gpu_inference, ptp
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.metrics import CachePolicy, range_answer

_SIGNS = {
    "DCGM_FI_DEV_FB_USED": "gpu",
    "DCGM_FI_DEV_GPU_TEMP": "gpu",
    "DCGM_FI_DEV_GPU_UTIL": "gpu",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "gpu",
    "dcgm_gpu_temp": "gpu",
    "openshift_ptp_clock_state": "ptp",
    "openshift_ptp_offset_ns": "ptp",
    "sriov_vf_rx_packets": "sriov",
}
_LOST = ("imissed", "rx_nombuf", "ierrors")
CHECK = f'count by (__name__) ({{__name__=~"{"|".join(_SIGNS)}|{DpdkSettings().metrics}({"|".join(_LOST)})(_total)?"}})'
"""Which of them a cluster has: the one query that every cluster is asked."""
_FIRST_TOKEN = gpu_inference.QUERIES[-1]
_DROPS = ("rx_dropped", "tx_dropped")
_PLACE = "node, exported_node, instance, pf, pciAddr"
_POD = "namespace, pod, exported_namespace, exported_pod"
_MOST_VFS, _MOST_PODS, _MOST_NODES = 50, 50, 100
_RECENT = 600.0  # the state of PFs is only known of now


@dataclass(slots=True)
class Devices:
    """`uses` are (what depends, on which device); `pods` are placed by metrics, where the API server did not
    say; `gaps` are (source, why); `asked` are range queries that show the numbers again."""

    findings: list[Finding] = field(default_factory=list)
    indicators: list[Indicator] = field(default_factory=list)
    uses: list[tuple[Entity, Entity]] = field(default_factory=list)
    pods: list[Workload] = field(default_factory=list)
    gaps: list[tuple[str, ErrorInfo]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom to ask, about when; `window` is aligned to `step`."""

    member: Member
    window: TimeRange
    step: float
    now: float
    policy: CachePolicy
    settings: Settings

    async def ranged(self, expr: str, found: Devices) -> list[Series]:
        answer = await range_answer(self.member, expr, self.window, self.step, self.now, self.policy)
        if answer.rows:
            found.asked.append(expr)
        return answer.rows


async def kinds(member: Member, window: TimeRange) -> set[str]:
    """Of `gpu`, `ptp`, `sriov` and `dpdk` what the cluster has metrics of; none if that can't be asked."""
    if not isinstance(member, LiveMember):
        return {*_SIGNS.values(), "dpdk"}
    try:
        answer = await (await member.metrics()).instant(CHECK, window.end)
    except AiopsError:
        return set()  # Prometheus' trouble is told of the golden signals
    return {_SIGNS.get(row.labels.get("__name__", ""), "dpdk") for row in answer.rows}


async def devices(asking: Asking, there: set[str], workloads: Sequence[Workload]) -> Devices:
    """What is wrong with the devices of these kinds, and who depends on them."""
    found = Devices()
    gpus: list[Gpu] = []
    users: dict[sriov_places.Place, VfUser] = {}
    reading: list[tuple[str, Awaitable[None]]] = []
    if "gpu" in there:
        reading.append(("gpu", _gpus(asking, found, gpus)))
    if "ptp" in there:
        reading.append(("ptp", _clocks(asking, found)))
    if "sriov" in there:
        reading.append(("sriov", _vfs(asking, found, users)))
    if "dpdk" in there:
        reading.append(("dpdk", _ports(asking, found)))
    await asyncio.gather(*(_guard(found, kind, read) for kind, read in reading))
    if not found.findings and not found.indicators:
        return found
    if not workloads:
        found.pods = await _placed(asking, found)
    cluster = asking.member.name
    found.uses += _holders(cluster, found.findings, gpus)
    found.uses += _timed(cluster, found.findings, workloads or found.pods, asking.settings)
    found.uses += _attached(found, users, cluster)
    return found


async def _guard(found: Devices, source: str, reading: Awaitable[None]) -> None:
    try:
        await reading
    except AiopsError as error:
        _gap(found, source, ErrorInfo.of(error))


def _gap(found: Devices, source: str, why: ErrorInfo) -> None:
    if not why.absent:
        found.gaps.append((source, why))


def _gaps(found: Devices, source: str, status: ClusterStatus) -> None:
    """What failed, or is there in part."""
    if status.error is not None:
        _gap(found, source, status.error)
    elif status.status == "PARTIAL":
        _gap(found, source, ErrorInfo(ErrorCode.PARTIAL_RESULTS, "; ".join(status.warnings)))


async def _gpus(asking: Asking, found: Devices, gpus: list[Gpu]) -> None:
    limits = gpu.thresholds(asking.settings.gpu)
    window = asking.window
    ask = gpu.GpuAsk(asking.now, limits, window.end, window, asking.step, policy=asking.policy)
    answer = (await gpu.read(asking.member, ask)).rows[0]
    gpus += [*answer.gpus, *(lost.gpu for lost in answer.gone)]
    told = answer.findings(window.end, limits)
    uuids = {about: g.uuid for g in gpus if g.uuid for about in gpu_findings.names(g)}
    found.findings += [
        replace(f, text=f"{f.text} ({uuids[f.entity.name]})") if f.entity.name in uuids else f for f in told
    ]
    for series in await asking.ranged(_FIRST_TOKEN, found):
        if pod := series.labels.get("exported_pod") or series.labels.get("pod"):
            namespace = series.labels.get("exported_namespace") or series.labels.get("namespace")
            server = Entity("pod", pod, namespace, asking.member.name)
            found.indicators.append(Indicator(server, "first_token_latency_p95", series, _FIRST_TOKEN, "s"))


async def _clocks(asking: Asking, found: Devices) -> None:
    rules = ptp.rules_of(asking.settings.ptp, None)
    told = await ptp.list_clocks(
        [asking.member], asking.window, asking.step, asking.now, rules, policy=asking.policy
    )
    found.findings += told.findings
    _gaps(found, "ptp", told.result.clusters[0])


async def _vfs(asking: Asking, found: Devices, users: dict[sriov_places.Place, VfUser]) -> None:
    """Drops over the window of the VFs that dropped most, and the state of PFs where the window is of now."""
    source = await asking.member.metrics()
    window = asking.window
    places = sriov_places.Places((), ())
    held = await source.instant("sriov_kubepoddevice", window.end)
    users |= sriov.users((), [(r.labels, r.last or 0.0) for r in held.rows], places)
    for name in _DROPS:
        grown = f"sum by ({_PLACE}) (increase(sriov_vf_{name}[{max(window.seconds, 60):.0f}s]))"
        worst = await source.instant(f"topk({_MOST_VFS}, {grown} > 0)", window.end)
        dropping = {_vf(r.labels) for r in worst.rows}
        if not any(r.labels.get("pciAddr") for r in worst.rows):
            continue
        expr = f"max by ({_PLACE}) (rate(sriov_vf_{name}{{{_where(worst.rows)}}}[2m]))"
        for series in await asking.ranged(expr, found):
            if _vf(series.labels) not in dropping:
                continue  # the same address on another node
            pci = series.labels.get("pciAddr", "")
            node = places.node(series.labels) or series.labels.get("instance", "").rpartition(":")[0]
            vf = Entity("vf", f"{node}/{pci}", None, asking.member.name)
            found.indicators.append(Indicator(vf, f"{name}_packets", series, expr, "1/s"))
    if isinstance(asking.member, LiveMember) and asking.now - window.end <= _RECENT:
        await _pfs(asking, found, users)


def _where(rows: Sequence[MetricRow]) -> str:
    """Matchers of these VFs, of the labels that tell them apart: else every node with such an address answers."""
    values = {label: {r.labels.get(label, "") for r in rows} for label in _PLACE.split(", ")}
    return ", ".join(f'{label}=~"{_either(sorted(some))}"' for label, some in values.items() if any(some))


def _vf(labels: Mapping[str, str]) -> tuple[str, ...]:
    """What tells one VF from all others."""
    return tuple(labels.get(name, "") for name in _PLACE.split(", "))


async def _ports(asking: Asking, found: Devices) -> None:
    """What ports of DPDK pods lost over the window, of the pods that lost most: their program was too slow, its
    mempool empty, or frames came broken."""
    from aiops_cli.sources.dpdk import counter_of, selector

    source = await asking.member.metrics()
    window = asking.window
    which = selector(asking.settings.dpdk.metrics, _LOST)
    there = await source.instant(f"count by (__name__) ({which})", window.end)
    uses: dict[tuple[Entity, Entity], None] = {}
    for name in sorted(r.labels.get("__name__", "") for r in there.rows):
        grown = f"sum by ({_POD}) (increase({name}[{max(window.seconds, 60):.0f}s]))"
        worst = await source.instant(f"topk({_MOST_PODS}, {grown} > 0)", window.end)
        losing = {_pod(r.labels) for r in worst.rows}
        if not losing:
            continue
        expr = f"sum by ({_POD}) (rate({name}[2m]))"
        for series in await asking.ranged(expr, found):
            namespace, pod = key = _pod(series.labels)
            if pod and key in losing:
                port = Entity("port", f"{namespace}/{pod}", None, asking.member.name)
                found.indicators.append(
                    Indicator(port, f"dpdk_{counter_of(name)}_drops", series, expr, "1/s")
                )
                uses[Entity("pod", pod, namespace or None, asking.member.name), port] = None
    found.uses += uses


def _either(names: Sequence[str]) -> str:
    """A regex of these names, quoted for PromQL."""
    return "|".join(re.escape(n).replace("\\", "\\\\") for n in names)


def _pod(labels: Mapping[str, str]) -> tuple[str, str]:
    """Namespace and name of the pod that a series is about; `pod` may be its exporter's."""
    namespace = labels.get("exported_namespace") or labels.get("namespace", "")
    return namespace, labels.get("exported_pod") or labels.get("pod", "")


async def _pfs(asking: Asking, found: Devices, users: dict[sriov_places.Place, VfUser]) -> None:
    from aiops_cli.services.sriov import limits_of, list_pfs

    result, told = await list_pfs([asking.member], limits_of(asking.settings.sriov))
    found.findings += told
    _gaps(found, "sriov", result.clusters[0])
    for row in result.rows:
        for vf in row.vfs:
            if vf.used_by is not None:
                users.setdefault((row.node, vf.pci_address), vf.used_by)
                users.setdefault((row.node, f"{row.pf}/{vf.pci_address}"), vf.used_by)


async def _placed(asking: Asking, found: Devices) -> list[Workload]:
    """Pods of the nodes in question, and those whose ports lost packets, by kube-state-metrics."""
    names = {f.entity.name.partition("/")[0] for f in found.findings}
    names |= {i.entity.name.partition("/")[0] for i in found.indicators if i.entity.kind == "vf"}
    pods = {pod.name for pod, _ in found.uses}
    which = {"node": sorted(names)[:_MOST_NODES], "pod": sorted(pods), "exported_pod": sorted(pods)}
    by = "namespace, pod, exported_namespace, exported_pod, node, created_by_kind, created_by_name"
    expr = " or ".join(
        f'max by ({by}) (last_over_time(kube_pod_info{{{label}=~"{_either(some)}"}}[10m]))'
        for label, some in which.items()
        if some
    )
    if not expr:
        return []
    try:
        answer = await (await asking.member.metrics()).instant(expr, asking.window.end)
    except AiopsError:
        return []
    return [
        Workload(
            r.labels.get("exported_pod") or r.labels.get("pod", ""),
            r.labels.get("exported_namespace") or r.labels.get("namespace", ""),
            r.labels.get("node"),
            r.labels.get("created_by_kind") or None,
            r.labels.get("created_by_name") or None,
            "",
        )
        for r in answer.rows
    ]


def _holders(cluster: str, findings: Sequence[Finding], gpus: Sequence[Gpu]) -> list[tuple[Entity, Entity]]:
    """Who holds a GPU that something is wrong with: of a divided one, all that hold a part."""
    boards: dict[str, list[Gpu]] = {}
    board_of: dict[str, str] = {}
    for one in gpus:
        board = gpu_findings.key(one)[0]
        boards.setdefault(board, []).append(one)
        board_of |= dict.fromkeys(gpu_findings.names(one), board)
    found = {
        (Entity("pod", user.pod, user.namespace, cluster), entity_of(f)): None
        for f in findings
        if f.entity.name in board_of
        for part in boards[board_of[f.entity.name]]
        for user in part.users
    }
    return list(found)


def _timed(
    cluster: str, findings: Sequence[Finding], workloads: Sequence[Workload], settings: Settings
) -> list[tuple[Entity, Entity]]:
    """Network functions of a node depend on its clocks; its system clock on the one that steers it."""
    known = patterns(settings.cnf.functions)
    clocks: dict[str, dict[Entity, None]] = {}
    for f in findings:
        if f.code.startswith("PTP_"):
            clocks.setdefault(f.entity.name.partition("/")[0], {})[entity_of(f)] = None
    found = [
        (system, other)
        for there in clocks.values()
        for system in there
        if "/phc2sys/" in system.name
        for other in there
        if "/phc2sys/" not in other.name
    ]
    for pod in workloads:
        if pod.node in clocks and function_of(pod.labels, (owner_name(pod), pod.pod), known):
            who = Entity("pod", pod.pod, pod.namespace, cluster)
            found += [(who, clock) for clock in clocks[pod.node]]
    return found


def _attached(
    found: Devices, users: dict[sriov_places.Place, VfUser], cluster: str
) -> list[tuple[Entity, Entity]]:
    """Pods depend on their VFs and on the PFs these are of."""
    bad = [*(i.entity for i in found.indicators), *(entity_of(f) for f in found.findings)]
    things = {e.name: e for e in bad if e.kind in ("vf", "pf")}
    edges: dict[tuple[Entity, Entity], None] = {}
    for (node, place), user in users.items():
        for name in {place, place.partition("/")[0]}:  # a VF, and where it is PF/VF, its PF
            if thing := things.get(f"{node}/{name}"):
                edges[Entity("pod", user.pod, user.namespace, cluster), thing] = None
    return list(edges)
