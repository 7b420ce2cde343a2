"""`cnf dpdk`: pods with a DPDK data plane, over the fleet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from aiops_cli.analysis import dpdk, dpdk_findings
from aiops_cli.analysis.dpdk_ports import Seen
from aiops_cli.analysis.sriov import pci_devices
from aiops_cli.analysis.sriov_places import Places
from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, NotAvailableError
from aiops_cli.models.cnf import DpdkLimits, DpdkPod
from aiops_cli.models.cnf_objects import CnfNode, CnfPod, PerformanceProfile, SriovNodeState
from aiops_cli.models.findings import Finding
from aiops_cli.models.result import Answer, FleetResult, Origin
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.replay import RecordedMember

if TYPE_CHECKING:
    from aiops_cli.models.dpdk import DpdkReadings
    from aiops_cli.sources.cnf_objects import Listed
    from aiops_cli.sources.kubernetes import KubernetesSource
    from aiops_cli.transport.client import HttpClient

T = TypeVar("T")
_AT_ONCE = 8
NOT_RECORDED = "not recorded in this bundle"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pods: `pod` is a name or glob, which takes any pod; without it those that look like DPDK.

    `run` reads in their containers, by programs that are run there.
    """

    pod: str | None = None
    namespace: str | None = None
    run: bool = False

    def has(self, pod: CnfPod, drivers: Mapping[tuple[str, str], str]) -> bool:
        namespace, name = pod.key
        if self.namespace not in (None, namespace):
            return False
        return fnmatchcase(name, self.pod) if self.pod else pod.holds and dpdk.is_dpdk(pod, drivers)


async def list_pods(
    members: Sequence[Member],
    wanted: Wanted,
    limits: DpdkLimits,
    metrics: str,
    *,
    watch: Watcher | None = None,
) -> tuple[FleetResult[DpdkPod], list[Finding]]:
    """DPDK pods by cluster, namespace and name, and what is wrong with them."""

    async def ask(member: Member) -> Answer[DpdkPod]:
        return await _cluster(member, wanted, metrics)

    result = await fan_out(members, ask, watch=watch)
    rows = [row for _, row in result.rows]
    return result.with_rows(rows), dpdk_findings.findings(rows, limits)


@dataclass(slots=True)
class _Objects:
    """What a cluster's API, or a bundle, has. `whole` says that `pods` are all there are; `client` is None
    where nothing can be run."""

    pods: Sequence[CnfPod]
    nodes: Sequence[CnfNode]
    profiles: Sequence[PerformanceProfile]
    whole: bool
    notes: list[str]
    drivers: Mapping[tuple[str, str], str]
    no_profiles: str = "the cluster has no PerformanceProfile for that node"
    client: HttpClient | None = None


async def _cluster(member: Member, wanted: Wanted, metrics: str) -> Answer[DpdkPod]:
    began = time.monotonic()
    if isinstance(member, RecordedMember):
        origin: Origin = "bundle"
        kept = member.cnf_objects()
        drivers = dpdk.drivers_of(kept.states)
        there = _Objects(kept.pods or (), kept.nodes, kept.profiles, kept.pods is not None, [], drivers)
    else:
        origin, there = "live", await _objects(member, wanted)
    chosen = sorted((p for p in there.pods if wanted.has(p, there.drivers)), key=lambda p: p.key)
    notes, partial = list(there.notes), bool(there.notes)
    if not chosen:
        why = "no pod looks like one" if wanted.pod is None else f"no pod {wanted.pod}"
        notes.append(f"{ErrorCode.NO_DPDK_PODS}: {why}")
        return Answer([], origin, warnings=notes, partial=partial)
    read = await _readings(member, chosen, metrics)
    readings, why = (None, read.message) if isinstance(read, AiopsError) else (read, "")
    if isinstance(read, NotAvailableError):
        why = NOT_RECORDED if read.code is ErrorCode.NOT_RECORDED else why
    elif readings is None:
        notes.append(f"no metrics: {why}")
        partial = True
    place = dpdk.Place(
        {n.metadata.name: n for n in there.nodes},
        there.profiles,
        there.pods if there.whole else None,
        Places(there.nodes, ()),
        readings,
        why,
        there.no_profiles,
        there.drivers,
    )
    run = there.client if wanted.run else None
    seen = await _inside(run, chosen, began) if run else [Seen() for _ in chosen]
    rows = [dpdk.build(member.name, p, place, s) for p, s in zip(chosen, seen, strict=True)]
    failed = {e for s in seen for e in s.errors.values()}
    notes += [*(readings.warnings if readings else []), *sorted(failed)]
    return Answer(rows, origin, warnings=notes, partial=partial or bool(failed))


async def _objects(member: Member, wanted: Wanted) -> _Objects:
    from aiops_cli.sources.cnf_objects import Listed

    source: KubernetesSource = await member.kube()  # type: ignore[assignment]
    listed = Listed()
    pods, nodes, profiles, states = await asyncio.gather(
        listed.pods(source),
        listed.nodes(source),
        listed.profiles(source),
        _states(source, listed),
    )
    whole = pods is not None and not any(n.startswith("pods") for n in listed.notes)
    if not whole and wanted.namespace:
        listed.notes = [n for n in listed.notes if not n.startswith("pods")]
        pods = await listed.pods(source, wanted.namespace)
    found = _Objects(
        pods or (),
        nodes or (),
        profiles or (),
        whole,
        listed.notes,
        dpdk.drivers_of(states),
        client=source.client,
    )
    if profiles is None and not listed.absent:
        found.no_profiles = "PerformanceProfiles may not be listed"
    return found


async def _states(source: KubernetesSource, listed: Listed) -> Sequence[SriovNodeState]:
    """Drivers are more than is asked: who may not see them is told nothing, and no failure is all that fails."""
    from aiops_cli.sources.cnf_objects import Listed

    try:
        return await Listed().sriov_states(source) or ()
    except ClusterError as error:
        listed.notes.append(f"drivers of VFs are not known: {error.message}")
        return ()


async def _readings(member: Member, pods: Sequence[CnfPod], metrics: str) -> DpdkReadings | AiopsError:
    from aiops_cli.sources.dpdk import read_series

    try:
        source = await member.metrics()
        return await read_series(source, sorted({p.metadata.namespace for p in pods}), metrics)
    except AiopsError as error:
        return error


async def _inside(client: HttpClient, pods: Sequence[CnfPod], began: float) -> list[Seen]:
    """Run the programs in a few pods at once; what fails in one is said of that one. --timeout is for the
    cluster, from `began` on (monotonic): who waited longer is not asked any more."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(pod: CnfPod) -> Seen:
        async with gate:
            left = round(client.timeout - (time.monotonic() - began), 1)
            if left <= 0:
                why = f"not asked within the {client.timeout:g} s of --timeout"
                return Seen(errors={"files": why, "telemetry": why})
            return await _look(client, pod, left)

    return await asyncio.gather(*(one(p) for p in pods))


async def _look(client: HttpClient, pod: CnfPod, seconds: float) -> Seen:
    from aiops_cli.sources.dpdk import look_inside, read_telemetry

    namespace, name = pod.key
    containers = [c.name for c in dpdk.data_plane(pod)]
    if pod.status.phase != "Running" or not containers:
        why = f"the pod is {pod.status.phase}, nothing can be run in it"
        return Seen(errors={"files": why, "telemetry": why})
    pci = [address for address, _ in pci_devices(pod)]
    errors: dict[str, str] = {}

    async def attempt(what: str, ask: Awaitable[T]) -> T | None:
        try:
            return await ask
        except ClusterError as error:
            errors[what] = error.message
            return None

    inside, replies = await asyncio.gather(
        attempt("files", look_inside(client, namespace, name, containers[0], pci, seconds)),
        asyncio.gather(
            *(attempt("telemetry", read_telemetry(client, namespace, name, c, seconds)) for c in containers)
        ),
    )
    told = {c: r for c, r in zip(containers, replies, strict=True) if r is not None}
    return Seen(inside, told or None, errors)
