"""`cnf sriov`: PFs, VFs and who has them, over the fleet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING

from aiops_cli.analysis import sriov, sriov_findings, sriov_places
from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.errors import AiopsError, ErrorCode, NotAvailableError
from aiops_cli.models.cnf import SriovLimits, SriovPf
from aiops_cli.models.findings import Finding
from aiops_cli.models.result import Answer, FleetResult, Origin
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.replay import RecordedMember

if TYPE_CHECKING:
    from aiops_cli.config.settings import SriovSettings
    from aiops_cli.sources.kubernetes import KubernetesSource
    from aiops_cli.sources.sriov import ExporterReadings

NO_SRIOV = f"{ErrorCode.NO_SRIOV}: no SriovNetworkNodeState and no sriov_vf_* series"
_HOUR, _STEP = 3600.0, 60.0
Found = tuple[list[SriovPf], list[Finding]]


def limits_of(settings: SriovSettings) -> SriovLimits:
    return SriovLimits(**settings.model_dump())


async def list_pfs(
    members: Sequence[Member],
    limits: SriovLimits,
    *,
    node: str | None = None,
    vfs: bool = False,
    watch: Watcher | None = None,
) -> tuple[FleetResult[SriovPf], list[Finding]]:
    """PFs by cluster, node and name, and what is wrong with them. `node` is a glob; `vfs` asks for the rates
    of each VF too."""

    async def ask(member: Member) -> Answer[Found]:
        return await _cluster(member, limits, vfs)

    result = await fan_out(members, ask, watch=watch)
    rows = [row for _, (found, _) in result.rows for row in found if _fits(node, row.node)]
    nodes = {row.node for row in rows}
    findings = [
        f
        for _, (_, told) in result.rows
        for f in told
        if node is None or f.entity.kind == "Pod" or f.entity.name.partition("/")[0] in nodes
    ]
    return result.with_rows(rows), worst_first(findings)


def _fits(glob: str | None, node: str) -> bool:
    return glob is None or fnmatchcase(node, glob)


async def _cluster(member: Member, limits: SriovLimits, vfs: bool) -> Answer[Found]:
    """Kubernetes and the exporter's series, either of which is enough. Raises the first error if neither
    can be had."""
    read, readings = await asyncio.gather(_kubernetes(member), _exporter(member, vfs))
    if isinstance(read, AiopsError) and isinstance(readings, AiopsError):
        raise readings if _absent(read) and not _absent(readings) else read
    objects, notes, partial = (sriov.Objects(), [], False) if isinstance(read, AiopsError) else read
    if isinstance(read, AiopsError):
        notes, partial = [f"{read.message}: only what the exporter says"], not _absent(read)
    metrics, drops = sriov.Metrics(), {}
    if isinstance(readings, AiopsError):
        metrics.failed = f"sriov_vf_* series can't be asked for: {readings.message}"
        notes.append(f"no rates and drops: {readings.message}")
        partial = partial or not _absent(readings)
    else:
        metrics = sriov.Metrics(
            readings.users, readings.series, readings.of_pfs, readings.of_vfs, readings.held
        )
        notes += readings.warnings
        places = sriov_places.Places(objects.nodes, objects.states)
        drops = sriov_places.rates_of(readings.drops, places, "pciAddr")
    recorded = member.origin == "bundle"
    if recorded and isinstance(read, AiopsError) and not metrics.series:
        raise read
    rows = sriov.pfs(member.name, objects, metrics)
    if rows.unplaced:
        notes.append(f"{rows.unplaced} series of the exporter name no node of this cluster and are left out")
    if not rows.pfs:
        failed = isinstance(readings, AiopsError) and not _absent(readings)
        notes.append(f"{ErrorCode.NO_SRIOV}: no SriovNetworkNodeState" if failed else NO_SRIOV)
    since = await _since(member, limits, sriov_places.Places(objects.nodes, objects.states)) if drops else {}
    told = sriov_findings.findings(member.name, rows.pfs, objects, drops, limits, rows.users, since)
    source: Origin = "bundle" if recorded else "live"
    return Answer([(rows.pfs, told)], source, warnings=list(dict.fromkeys(notes)), partial=partial)


async def _since(
    member: Member, limits: SriovLimits, places: sriov_places.Places
) -> dict[sriov_places.Place, float]:
    """Since when (unix seconds) VFs drop too much, of those that began to within the last hour."""
    from aiops_cli.sources.sriov import dropping

    now = time.time()
    window = TimeRange(now - _HOUR, now).aligned(_STEP)
    try:
        answer = await (await member.metrics()).query_range(dropping(limits.drops_per_second), window, _STEP)
    except AiopsError:
        return {}
    found: dict[sriov_places.Place, float] = {}
    for series in answer.rows:
        node, times = places.node(series.labels), [float(t) for t in series.timestamps]
        began = next((b for a, b in reversed(list(pairwise(times))) if b - a > _STEP), times[0])
        if node and began > window.start:
            found[node, series.labels.get("pciAddr", "")] = began
    return found


def _absent(error: AiopsError) -> bool:
    """Whether a source is simply not there, which is no failure."""
    return isinstance(error, NotAvailableError)


async def _kubernetes(member: Member) -> tuple[sriov.Objects, list[str], bool] | AiopsError:
    from aiops_cli.sources.cnf_objects import Listed

    try:
        if isinstance(member, RecordedMember):
            kept = member.cnf_objects()
            return sriov.Objects(kept.states, kept.policies, kept.nodes, kept.pods, kept.networks), [], False
        source: KubernetesSource = await member.kube()  # type: ignore[assignment]
        listed = Listed()
        # Few objects, which tell whether there is such an API before all pods are read.
        policies = await listed.sriov_policies(source)
        if listed.absent:
            return sriov.Objects(), listed.notes, bool(listed.notes)
        states, nodes, pods, networks = await asyncio.gather(
            listed.sriov_states(source),
            listed.nodes(source),
            listed.pods(source),
            listed.sriov_networks(source),
        )
    except AiopsError as error:
        return error
    objects = sriov.Objects(states or (), policies or (), nodes or (), pods, networks or ())
    return objects, listed.notes, bool(listed.notes)


async def _exporter(member: Member, vfs: bool) -> ExporterReadings | AiopsError:
    from aiops_cli.sources.sriov import read_exporter

    try:
        live = member.origin != "bundle"
        alone = isinstance(member, LiveMember) and member.context is None
        return await read_exporter(await member.metrics(), sriov.RATES, vfs=vfs and live, every=alone)
    except AiopsError as error:
        return error
