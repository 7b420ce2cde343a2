"""`cnf summary`: network functions, clocks and VFs of each cluster in one row."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.config.settings import Settings
from aiops_cli.errors import AiopsError
from aiops_cli.models.cnf import CnfSummary, CnfWorkload, SriovPf
from aiops_cli.models.findings import Finding
from aiops_cli.models.ptp import PtpClock
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services import cnf_workloads, ptp, sriov
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member

T = TypeVar("T")
Part = tuple[FleetResult[T], list[Finding]]


async def summarise(
    members: Sequence[Member],
    settings: Settings,
    window: TimeRange,
    step: float,
    now: float,
    *,
    watch: Watcher | None = None,
) -> tuple[FleetResult[CnfSummary], list[Finding]]:
    """A row a cluster, and the findings of `cnf workloads`, `ptp` and `sriov`. A part that fails is None in
    the row, which says why, and makes the answer partial; a cluster where all fail has failed."""

    async def ask(member: Member) -> Answer[tuple[CnfSummary, list[Finding]]]:
        return await _cluster(member, settings, window, step, now)

    result = await fan_out(members, ask, watch=watch)
    rows = [row for _, (row, _) in result.rows]
    return result.with_rows(rows), worst_first(f for _, (_, told) in result.rows for f in told)


async def _cluster(
    member: Member, settings: Settings, window: TimeRange, step: float, now: float
) -> Answer[tuple[CnfSummary, list[Finding]]]:
    wanted = cnf_workloads.Wanted(window.end)
    rules = ptp.rules_of(settings.ptp, None)
    clocks = asyncio.ensure_future(ptp.list_clocks([member], window, step, now, rules))
    parts = await asyncio.gather(
        _part(cnf_workloads.list_workloads([member], settings, wanted, clocks=clocks)),
        _part(_clocks(clocks)),
        _part(sriov.list_pfs([member], sriov.limits_of(settings.sriov))),
    )
    errors = {name: p for name, p in zip(_PARTS, parts, strict=True) if isinstance(p, AiopsError)}
    if len(errors) == len(parts):
        raise next((e for e in errors.values() if not e.code.endswith("NOT_AVAILABLE")), errors["workloads"])
    fields: dict[str, Any] = {}
    told: list[Finding] = []
    why: dict[str, list[str]] = {}
    for name, error in errors.items():
        why.setdefault(error.message, []).append(name)
    notes: list[str] = [f"{', '.join(names)}: {message}" for message, names in why.items()]
    partial = bool(errors)
    for part, (name, count) in zip(parts, _PARTS.items(), strict=True):
        if not isinstance(part, AiopsError):
            found, findings = part
            fields |= count(found.rows) if found.rows else {}
            told += findings
            partial = partial or found.partial
            notes += [_shorter(name, w, why) for status in found.clusters for w in status.warnings]
    severities = Counter(f.severity for f in told)
    row = CnfSummary(
        member.name,
        **fields,
        critical=severities["critical"] if told or fields else None,
        warnings=severities["warning"] if told or fields else None,
        missing={name: error.message for name, error in errors.items()},
    )
    origin = "bundle" if member.origin == "bundle" else "live"
    return Answer([(row, told)], origin, warnings=list(dict.fromkeys(notes)), partial=partial)  # type: ignore[arg-type]


def _shorter(part: str, warning: str, told: Mapping[str, list[str]]) -> str:
    """A part's warning without what another part's failure says already."""
    known = next((message for message in told if warning.startswith(f"{message}: ")), None)
    return warning if known is None else f"{part}: {warning.removeprefix(f'{known}: ')}"


async def _part(ask: Awaitable[Part[T]]) -> Part[T] | AiopsError:
    """One command's answer of one cluster, or why there is none."""
    try:
        found, findings = await ask
    except AiopsError as error:
        return error
    failed = found.clusters[0].error
    return failed.as_error() if failed else (found, findings)


async def _clocks(asked: Awaitable[ptp.Clocks]) -> Part[PtpClock]:
    found = await asked
    return found.result, found.findings


def _workloads(rows: Sequence[CnfWorkload]) -> dict[str, Any]:
    known = all(r.ready is not None for r in rows)
    return {
        "functions": dict(sorted(Counter(r.function for r in rows).items())),
        "workloads": len(rows),
        "workloads_ready": sum(r.ready == r.pods for r in rows) if known else None,
    }


def _offsets(rows: Sequence[PtpClock]) -> dict[str, Any]:
    states = Counter(r.state for r in rows)
    known = any(r.state is not None for r in rows)
    offsets = [abs(r.offset_ns) for r in rows if r.offset_ns is not None and r.state != "FREERUN"]
    return {
        "clocks": len(rows),
        "clocks_locked": states["LOCKED"] if known else None,
        "clocks_holdover": states["HOLDOVER"] if known else None,
        "clocks_freerun": states["FREERUN"] if known else None,
        "mean_offset_ns": round(sum(offsets) / len(offsets), 3) if offsets else None,
        "max_offset_ns": max(offsets, default=None),
        "p99_offset_ns": max((r.p99_offset_ns for r in rows if r.p99_offset_ns is not None), default=None),
    }


def _pfs(rows: Sequence[SriovPf]) -> dict[str, Any]:
    syncs = {r.node: r.sync_status for r in rows}
    totals = {
        name: sum(values) if None not in values else None
        for name in ("vfs_total", "vfs_configured", "vfs_used")
        for values in [[getattr(r, name) for r in rows]]
    }
    used, configured = totals["vfs_used"], totals["vfs_configured"]
    return {
        **totals,
        "sriov_nodes": len(syncs),
        "sriov_nodes_in_sync": (
            sum(s == "Succeeded" for s in syncs.values()) if None not in syncs.values() else None
        ),
        "pfs": len(rows),
        "pfs_down": (
            sum(r.link_state == "DOWN" for r in rows) if any(r.link_state is not None for r in rows) else None
        ),
        "vfs_used_percent": round(100 * used / configured, 1) if used is not None and configured else None,
    }


_PARTS: dict[str, Any] = {"workloads": _workloads, "clocks": _offsets, "sriov": _pfs}
