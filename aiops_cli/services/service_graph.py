"""The service map of the fleet: from spans, or from the metrics that collectors make of all spans.

Metrics: `traces_service_graph_*`, as Tempo's metrics-generator and the OpenTelemetry Collector's
servicegraph connector name them. They count every call; spans are a sample, but cross clusters.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from aiops_cli.analysis import service_graph
from aiops_cli.analysis.service_graph import Edge, Row, quantile
from aiops_cli.errors import AiopsError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import Series, Span
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.sources.base import MetricsSource, TraceQuery

WAYS = ("auto", "spans", "metrics")
_BY = "client, server, connection_type"
_TRACES, _ALL = 200, 1_000_000
_JOINED = 100  # traces that are looked for in other clusters
_NS = 1e9


class EdgeItem(msgspec.Struct, frozen=True, rename="camel"):
    """An item of `traces graph`: what `client` asks of `server`. Latencies in milliseconds are the
    server's, or where it has none, the client's (`seenBy`).

    `rate` in calls a second is null where a sample can't say it. `connectionType` is empty for a plain
    call, else database, messaging_system or virtual_node. `source` is spans or metrics.
    """

    cluster: str
    client: str
    server_cluster: str
    server: str
    connection_type: str
    calls: float
    rate: float | None
    error_share: float | None
    p50_ms: float | None
    p95_ms: float | None
    seen_by: str
    source: str


class Sample(msgspec.Struct, frozen=True, rename="camel"):
    """What a cluster's edges were made of; `seconds` of the window are covered, null if unknown."""

    cluster: str
    traces: int
    spans: int
    seconds: float | None
    complete: bool


@dataclass(slots=True)
class Graph:
    """Edges by cluster and name, and what spans they were read from."""

    result: FleetResult[EdgeItem]
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class _Read:
    """What one cluster gave: edges of metrics, or spans."""

    edges: list[EdgeItem] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    sample: Sample | None = None


async def graph(
    members: Sequence[Member],
    window: TimeRange,
    *,
    way: str = "auto",
    limit: int | None = None,
    watch: Watcher | None = None,
) -> Graph:
    """The service map. `auto` takes each cluster's metrics, or where it has none, its spans.

    Of spans, `limit` traces a cluster are read (200 of a server, all of a bundle); a trace whose caller is missing is looked for in the
    other clusters. Raises UsageError for a way or limit that can't be.
    """
    if way not in WAYS:
        raise UsageError(f"--using {way!r} is not known", hint=f"one of: {', '.join(WAYS)}")
    if limit is not None and limit < 1:
        raise UsageError("--limit must be at least 1", hint="--limit 200")

    async def ask(member: Member) -> Answer[_Read]:
        lost: AiopsError | None = None
        if way != "spans":
            try:
                found = await _of_metrics(await member.metrics(), member.name, window)
            except AiopsError as error:
                if way == "metrics":
                    raise
                lost = error
            else:
                if found.rows or way == "metrics":
                    return Answer(
                        [_Read(found.rows)], found.source, warnings=found.warnings, partial=found.partial
                    )
        answer = await _of_spans(member, window, limit or (_TRACES if member.origin == "live" else _ALL))
        if lost and not isinstance(lost, NotAvailableError) and lost.code is not ErrorCode.NOT_RECORDED:
            answer.warnings.append(f"of spans, since its metrics can't be read: {lost.message}")
        return answer

    result = await fan_out(members, ask, watch=watch)
    if way == "metrics" and result.rows and not any(read.edges for _, read in result.rows):
        raise NotAvailableError(
            "no chosen cluster has traces_service_graph_request_total",
            hint="--using spans, or turn on Tempo's metrics-generator or the collector's servicegraph connector",
            code=ErrorCode.NOT_FOUND,
        )
    samples = {c: read.sample for c, read in result.rows if read.sample is not None}
    rows: list[Row] = [(c, span) for c, read in result.rows for span in read.spans]
    rows += await _elsewhere(members, rows, set(samples))
    items = [edge for _, read in result.rows for edge in read.edges]
    items += [_item(edge, samples.get(edge.client_cluster)) for edge in service_graph.edges(rows)]
    items.sort(key=lambda e: (e.cluster, e.client, e.server_cluster, e.server, e.connection_type))
    return Graph(result.with_rows(items), list(samples.values()))


async def _of_spans(member: Member, window: TimeRange, limit: int) -> Answer[_Read]:
    source = await member.traces()
    answer = await source.spans(TraceQuery(limit=limit), window)
    starts: dict[str, int] = {}
    for span in answer.rows:
        starts[span.trace_id] = min(starts.get(span.trace_id, span.start_ns), span.start_ns)
    complete = len(starts) < limit and member.origin == "live"
    seconds: float | None = None
    if complete:
        seconds = window.seconds
    elif source.newest_first and starts:
        seconds = max(window.end - min(starts.values()) / _NS, 0.001)
    sample = Sample(member.name, len(starts), len(answer.rows), seconds, complete)
    read = _Read(spans=answer.rows, sample=sample)
    return Answer([read], answer.source, answer.age_seconds, answer.warnings, answer.partial)


async def _elsewhere(members: Sequence[Member], rows: list[Row], sampled: set[str]) -> list[Row]:
    """The other parts of traces whose callers are missing: their clusters may not have had them in
    their samples. What can't be read is merely missing, as it was before."""
    lost = service_graph.orphans(rows)
    wanted = sorted(lost)[:_JOINED]
    others = [m for m in members if m.name in sampled]
    if len(others) < 2 or not wanted:
        return []

    async def ask(member: Member, trace_id: str) -> list[Row]:
        try:
            answer = await (await member.traces()).trace(trace_id)
        except AiopsError:
            return []
        return [(member.name, span) for span in answer.rows]

    asks = [ask(m, trace_id) for trace_id in wanted for m in others if m.name not in lost[trace_id]]
    return [row for found in await asyncio.gather(*asks) for row in found]


def _item(edge: Edge, sample: Sample | None) -> EdgeItem:
    seconds = sample.seconds if sample else None
    seen = edge.server_ms or edge.client_ms
    return EdgeItem(
        edge.client_cluster,
        edge.client,
        edge.server_cluster,
        edge.server,
        edge.kind,
        edge.calls,
        edge.calls / seconds if seconds else None,
        edge.failed / edge.calls,
        _rounded(quantile(seen, 0.5)),
        _rounded(quantile(seen, 0.95)),
        "server" if edge.server_ms else "client",
        "spans",
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)


async def _of_metrics(source: MetricsSource, cluster: str, window: TimeRange) -> Answer[EdgeItem]:
    """Edges of the service-graph metrics at the window's end; none if there are none."""
    over = f"[{max(round(window.seconds), 1)}s]"
    calls = await source.query(
        f"sum by ({_BY}) (increase(traces_service_graph_request_total{over}))", window.end
    )
    if not calls.rows:
        return Answer([], calls.source, calls.age_seconds, calls.warnings, calls.partial)
    exprs = [f"sum by ({_BY}) (increase(traces_service_graph_request_failed_total{over}))"]
    for side in ("server", "client"):
        exprs += [_quantile_expr(q, side, over) for q in (0.5, 0.95)]
    failed, *latencies = await asyncio.gather(*(source.query(e, window.end) for e in exprs))
    failures = _by_edge(failed.rows)
    server, client = [_by_edge(a.rows) for a in latencies[:2]], [_by_edge(a.rows) for a in latencies[2:]]
    items = []
    for key, count in _by_edge(calls.rows).items():
        side = "server" if key in server[0] else "client"
        p50, p95 = (seconds.get(key) for seconds in (server if side == "server" else client))
        items.append(
            EdgeItem(
                cluster,
                key[0],
                cluster,
                key[1],
                key[2],
                round(count, 3),
                count / window.seconds,
                min(failures.get(key, 0.0) / count, 1.0) if count else None,
                None if p50 is None else _rounded(p50 * 1000),
                None if p95 is None else _rounded(p95 * 1000),
                side,
                "metrics",
            )
        )
    answers = [calls, failed, *latencies]
    warnings = list(dict.fromkeys(w for a in answers for w in a.warnings))
    return Answer(items, calls.source, calls.age_seconds, warnings, any(a.partial for a in answers))


def _quantile_expr(q: float, side: str, over: str) -> str:
    """Of classic buckets, or where there are none, of native histograms."""
    name = f"traces_service_graph_request_{side}_seconds"
    classic = f"histogram_quantile({q}, sum by (le, {_BY}) (rate({name}_bucket{over})))"
    return f"{classic} or histogram_quantile({q}, sum by ({_BY}) (rate({name}{over})))"


def _by_edge(rows: Sequence[Series]) -> dict[tuple[str, str, str], float]:
    found = {}
    for series in rows:
        labels = series.labels
        if len(series.values) and math.isfinite(value := float(series.values[-1])):
            found[labels.get("client", ""), labels.get("server", ""), labels.get("connection_type", "")] = (
                value
            )
    return found
