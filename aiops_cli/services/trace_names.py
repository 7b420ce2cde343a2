"""Services and operations that traces name, over the fleet."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.sources.base import TraceOperation, TraceService


class ServiceItem(msgspec.Struct, frozen=True, rename="camel"):
    """An item of `traces services`: a service and the clusters that have spans of it. Counts are null
    where a store does not say them."""

    service: str
    clusters: list[str]
    spans: int | None
    errors: int | None


class OperationItem(msgspec.Struct, frozen=True, rename="camel"):
    """An item of `traces operations`: a span name of a service; `kind` is null where a store does not say."""

    service: str
    operation: str
    kind: str | None
    clusters: list[str]


async def services(
    members: Sequence[Member], window: TimeRange, *, watch: Watcher | None = None
) -> FleetResult[ServiceItem]:
    """Every service once, by name."""

    async def ask(member: Member) -> Answer[TraceService]:
        return await (await member.traces()).trace_services(window)

    result = await fan_out(members, ask, watch=watch)
    found: dict[str, list[tuple[str, TraceService]]] = {}
    for cluster, row in result.rows:
        found.setdefault(row.name, []).append((cluster, row))
    return result.with_rows(
        [
            ServiceItem(
                name,
                [c for c, _ in rows],
                _sum([r.spans for _, r in rows]),
                _sum([r.errors for _, r in rows]),
            )
            for name, rows in sorted(found.items())
        ]
    )


async def operations(
    members: Sequence[Member], service: str, window: TimeRange, *, watch: Watcher | None = None
) -> FleetResult[OperationItem]:
    """The span names of a service, which may have `*` and `?`, by service and name."""

    async def ask(member: Member) -> Answer[TraceOperation]:
        return await (await member.traces()).operations(service, window)

    result = await fan_out(members, ask, watch=watch)
    found: dict[tuple[str, str, str], list[str]] = {}
    for cluster, row in result.rows:
        found.setdefault((row.service, row.name, row.kind or ""), []).append(cluster)
    return result.with_rows(
        [
            OperationItem(s, name, kind or None, clusters)
            for (s, name, kind), clusters in sorted(found.items())
        ]
    )


def _sum(counts: list[int | None]) -> int | None:
    known = [c for c in counts if c is not None]
    return sum(known) if len(known) == len(counts) else None
