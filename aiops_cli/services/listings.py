"""Label names, label values and series over the fleet, which are good for five minutes; metadata, exemplars."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from aiops_cli.analysis.trace_ids import trace_id_in
from aiops_cli.models.metric_row import Described
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import fan_out
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.metrics import CachePolicy, renamed
from aiops_cli.services.promql import check_promql
from aiops_cli.services.times import rfc3339
from aiops_cli.sources.base import MetricsSource

T = TypeVar("T")
Labels = dict[str, str]
TTL = 300.0


async def labels(
    members: Sequence[Member],
    matchers: list[str],
    window: TimeRange,
    now: float,
    policy: CachePolicy,
    limit: int | None = None,
) -> FleetResult[tuple[str, str]]:
    """Label names of the series that match, at most `limit` a cluster."""
    what = ["labels", *matchers]
    return await _listed(
        members, str, what, window, now, policy, limit, lambda s: s.labels(matchers, window, limit)
    )


async def label_values(
    members: Sequence[Member],
    name: str,
    matchers: list[str],
    window: TimeRange,
    now: float,
    policy: CachePolicy,
    limit: int | None = None,
) -> FleetResult[tuple[str, str]]:
    """Values of a label among the series that match, at most `limit` a cluster."""
    what = ["values", name, *matchers]
    return await _listed(
        members,
        str,
        what,
        window,
        now,
        policy,
        limit,
        lambda s: s.label_values(name, matchers, window, limit),
    )


async def series(
    members: Sequence[Member],
    matchers: list[str],
    window: TimeRange,
    now: float,
    policy: CachePolicy,
    limit: int | None = None,
) -> FleetResult[tuple[str, Labels]]:
    """The label sets that match, at most `limit` a cluster."""
    what = ["series", *matchers]
    return await _listed(
        members, Labels, what, window, now, policy, limit, lambda s: s.series(matchers, window, limit)
    )


class MetadataItem(msgspec.Struct, frozen=True, rename="camel"):
    """An item of `metrics metadata`. `differs` is true where clusters, or targets of one, say other things
    of the metric."""

    cluster: str
    metric: str
    type: str
    help: str
    unit: str
    differs: bool


async def metadata(
    members: Sequence[Member], metric: str | None, limit: int | None
) -> FleetResult[MetadataItem]:
    """Type, help and unit of one metric or all; a row for each thing that a cluster says of a metric."""

    async def ask(member: Member) -> Answer[tuple[str, list[Described]]]:
        return _cut(await (await member.metrics()).metadata(metric, limit), limit)

    found = await fan_out(members, ask)
    said: dict[str, set[Described]] = {}
    for _, (name, described) in found.rows:
        said.setdefault(name, set()).update(described)
    return found.with_rows(
        [
            MetadataItem(cluster, name, d.type, d.help, d.unit, len(said[name]) > 1)
            for cluster, (name, described) in found.rows
            for d in described
        ]
    )


class ExemplarItem(msgspec.Struct, frozen=True, rename="camel"):
    """An item of `metrics exemplars`: one observation that left a trace; `timestamp` is RFC 3339."""

    cluster: str
    timestamp: str
    value: float | None
    trace_id: str | None
    labels: Labels
    exemplar_labels: Labels


async def exemplars(
    members: Sequence[Member], expr: str, window: TimeRange, limit: int | None = None
) -> FleetResult[ExemplarItem]:
    """Exemplars of the series that an expression selects, newest first in each cluster."""
    check_promql(expr)

    async def ask(member: Member) -> Answer[ExemplarItem]:
        answer = await (await member.metrics()).exemplars(expr, window)
        rows = [
            ExemplarItem(
                member.name,
                rfc3339(e.timestamp),
                _finite(e.value),
                trace_id_in("", e.labels),
                renamed(one.series_labels),
                e.labels,
            )
            for one in answer.rows
            for e in sorted(one.exemplars, key=lambda e: e.timestamp)
        ]
        rows.sort(key=lambda r: r.timestamp, reverse=True)
        return _cut(Answer(rows, answer.source, warnings=answer.warnings, partial=answer.partial), limit)

    found = await fan_out(members, ask)
    return found.with_rows([row for _, row in found.rows])


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _cut(answer: Answer[T], limit: int | None) -> Answer[T]:
    """At most `limit` rows, with a warning where some were left out; older servers know no limit."""
    if limit and len(answer.rows) > limit:
        warnings = [*answer.warnings, f"only the first {limit} of {len(answer.rows)} are shown (--limit)"]
        return Answer(answer.rows[:limit], answer.source, answer.age_seconds, warnings, answer.partial)
    return answer


async def _listed(
    members: Sequence[Member],
    row: type[T],
    what: list[str],
    window: TimeRange,
    now: float,
    policy: CachePolicy,
    limit: int | None,
    fetch: Callable[[MetricsSource], Awaitable[Answer[T]]],
) -> FleetResult[tuple[str, T]]:
    ttl = TTL if policy.max_age is None else min(TTL, policy.max_age)
    decoder = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]

    async def ask(member: Member) -> Answer[T]:
        if policy.answers is None or not isinstance(member, LiveMember):
            return _cut(await fetch(await member.metrics()), limit)
        source = await member.metrics()
        endpoint = await member.endpoint("prometheus")
        # A window that ends now is the same question a minute later; any other is itself alone.
        moving = abs(window.end - now) < 1
        asked = [round(window.seconds), None if moving else window.end]
        key = json.dumps(
            [member.name, endpoint.url, endpoint.tenant, await member.identity(endpoint), what, asked, limit]
        )
        kept = None if policy.refresh else policy.answers.get(key, ttl, now)
        if kept is not None:
            return _cut(Answer(decoder.decode(kept.payload), "cache", kept.age_seconds), limit)
        answer = await fetch(source)
        if not answer.partial and not answer.warnings:
            policy.answers.put(key, msgspec.json.encode(answer.rows), now)
        return _cut(answer, limit)

    return await fan_out(members, ask)
