"""PromQL over the fleet, with the range cache between."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.metric_row import MetricRow
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.promql import check_promql
from aiops_cli.services.replicas import rows_once, series_once
from aiops_cli.sources.prometheus import MAX_POINTS
from aiops_cli.store.answers import AnswerCache
from aiops_cli.store.ranges import RangeCache, RangeKey, merge

_MAX_TOTAL_POINTS = 50 * MAX_POINTS


@dataclass(slots=True)
class CachePolicy:
    """How the caches are used. `max_age` in seconds, None for the caches' own rules."""

    cache: RangeCache | None = None
    answers: AnswerCache | None = None
    refresh: bool = False
    max_age: float | None = None


async def query(
    members: Sequence[Member],
    expr: str,
    at: float | None,
    *,
    replica_labels: Collection[str] = (),
    watch: Watcher | None = None,
) -> FleetResult[MetricRow]:
    """An instant query on every cluster, replicas of a series as one where their labels are named.

    Raises UsageError for PromQL that can't be run anywhere.
    """
    check_promql(expr)

    async def ask(member: Member) -> Answer[MetricRow]:
        answer = await (await member.metrics()).instant(expr, at)
        answer.rows = rows_once(answer.rows, replica_labels)
        return answer

    found = await fan_out(members, ask, watch=watch)
    for cluster, row in found.rows:
        row.cluster, row.labels = cluster, renamed(row.labels)
    return found.with_rows([row for _, row in found.rows])


async def query_range(
    members: Sequence[Member],
    expr: str,
    window: TimeRange,
    step: float,
    now: float,
    *,
    policy: CachePolicy | None = None,
    replica_labels: Collection[str] = (),
    watch: Watcher | None = None,
) -> FleetResult[tuple[str, Series]]:
    """A range query on every cluster, at multiples of `step` inside `window`; rows are (cluster, series)."""
    check_promql(expr)
    if step <= 0:
        raise UsageError(
            "--step must be greater than 0",
            hint="leave it out for about 250 points",
            code=ErrorCode.INVALID_TIME,
        )
    if window.seconds / step > _MAX_TOTAL_POINTS:
        raise UsageError(
            f"{window.seconds / step:,.0f} points a series are too many",
            hint="raise --step or shorten the window",
            code=ErrorCode.INVALID_TIME,
        )
    aligned = window.aligned(step)

    async def ask(member: Member) -> Answer[Series]:
        answer = await range_answer(member, expr, aligned, step, now, policy or CachePolicy())
        answer.rows = series_once(answer.rows, replica_labels)
        return answer

    return await fan_out(members, ask, watch=watch)


async def range_answer(
    member: Member, expr: str, window: TimeRange, step: float, now: float, policy: CachePolicy
) -> Answer[Series]:
    """One cluster's matrix: what the cache has, and the missing steps from the server."""
    if policy.cache is None or not isinstance(member, LiveMember):
        return await (await member.metrics()).query_range(expr, window, step)
    source = await member.metrics()
    if _anchored(expr):
        return await source.query_range(expr, window, step)
    endpoint = await member.endpoint("prometheus")
    key = RangeKey(
        member.name,
        endpoint.url,
        endpoint.tenant or "",
        await member.identity(endpoint),
        expr,
        step,
        " ".join(e.url for e in member.cluster.prometheuses[1:]),
    )
    if policy.refresh:
        answer = await source.query_range(expr, window, step)
        _keep(policy.cache, key, window, answer, now)
        return answer
    hit = policy.cache.lookup(key, window, now, policy.max_age)
    if not hit.missing:
        return Answer(hit.series, "cache", hit.age_seconds)
    fetched = [await source.query_range(expr, part, step) for part in hit.missing]
    for part, answer in zip(hit.missing, fetched, strict=True):
        _keep(policy.cache, key, part, answer, now)
    rows = hit.series
    for answer in fetched:
        rows = merge(rows, answer.rows)
    notes = list(dict.fromkeys(w for a in fetched for w in a.warnings))
    return Answer(rows, "live", hit.age_seconds, notes, any(a.partial for a in fetched))


def _keep(cache: RangeCache, key: RangeKey, window: TimeRange, answer: Answer[Series], now: float) -> None:
    """Partial answers and native histograms are never kept as if they were complete."""
    if not answer.partial and not answer.warnings and not any(s.histograms for s in answer.rows):
        cache.add(key, window, answer.rows, now)


def _anchored(expr: str) -> bool:
    """A fixed time (`@`) or a look ahead (`offset -5m`): such an answer depends on the window, or on
    samples newer than its step, which may still change however old the step is."""
    return bool(re.search(r"@\s*(start|end|[-+.\d])|offset\s*-", expr))


def one_server_each(members: Sequence[Member]) -> tuple[list[Member], dict[str, str]]:
    """The members without those whose configured Prometheus another one has already, and which that is.

    A hub that serves several clusters is asked once for an aggregate: it knows them all, and would count
    them several times. More can't be pushed down to it: only whoever runs it knows which of its labels
    tell clusters apart, and can name them in the query (`sum by (…)`).
    """
    kept: list[Member] = []
    same: dict[str, str] = {}
    first: dict[tuple[str, str | None, str], str] = {}
    for member in members:
        endpoint = member.cluster.endpoints.get("prometheus")
        if endpoint is not None:
            who = (endpoint.url, endpoint.tenant, str(sorted(endpoint.headers.items())))
            if who in first:
                same[member.name] = first[who]
                continue
            first[who] = member.name
        kept.append(member)
    return kept, same


def rows(result: FleetResult[tuple[str, Series]]) -> FleetResult[MetricRow]:
    """Series as they are shown. A `cluster` label of the server becomes `exported_cluster`."""
    return result.with_rows([MetricRow.of(name, s, renamed(s.labels)) for name, s in result.rows])


def renamed(labels: dict[str, str]) -> dict[str, str]:
    if "cluster" not in labels:
        return labels
    return {("exported_cluster" if k == "cluster" else k): v for k, v in labels.items()}
