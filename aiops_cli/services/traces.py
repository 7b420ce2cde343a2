"""Traces over the fleet: search everywhere, show one from wherever its spans are."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import Span, TraceItem
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.times import rfc3339_ns
from aiops_cli.sources.base import TraceQuery, TraceSummary


async def search(
    members: Sequence[Member],
    query: TraceQuery,
    window: TimeRange,
    *,
    slowest: bool = False,
    watch: Watcher | None = None,
) -> FleetResult[TraceItem]:
    """Found traces of all clusters, newest first, or slowest first."""
    if query.limit < 1:
        raise UsageError("--limit must be at least 1", hint="--limit 20")

    async def ask(member: Member) -> Answer[TraceSummary]:
        return await (await member.traces()).search(query, window)

    result = await fan_out(members, ask, watch=watch)
    rows = sorted(
        result.rows, key=lambda r: (-r[1].duration_ms if slowest else -r[1].start_ns, r[0], r[1].trace_id)
    )
    return result.with_rows([_item(c, t) for c, t in rows])


def _item(cluster: str, found: TraceSummary) -> TraceItem:
    return TraceItem(
        cluster,
        found.trace_id,
        found.root_service,
        found.root_name,
        rfc3339_ns(found.start_ns),
        round(found.duration_ms, 3),
        found.span_count,
        found.error_count,
    )


class SpanItem(msgspec.Struct, frozen=True, rename="camel"):
    """An item of `traces show`, in tree order; `depth` 0 is a root. `selfMs` is the time in no child."""

    cluster: str
    trace_id: str
    span_id: str
    parent_id: str | None
    depth: int
    service: str
    name: str
    kind: str
    start_time: str
    start_ms: float
    duration_ms: float
    self_ms: float
    status: str
    critical: bool
    attributes: dict[str, object] = {}


async def show(members: Sequence[Member], trace_id: str) -> FleetResult[SpanItem]:
    """A trace as a tree, joined over the clusters its spans lie in. Raises UsageError for a bad id."""
    wanted = trace_id.strip().lower()
    if not wanted or len(wanted) > 32 or any(c not in "0123456789abcdef" for c in wanted):
        raise UsageError(
            f"{trace_id!r} is no trace id", hint="a trace id is up to 32 hex digits", code=ErrorCode.USAGE
        )

    async def ask(member: Member) -> Answer[Span]:
        return await (await member.traces()).trace(wanted)

    result = await fan_out(members, ask)
    return result.with_rows(tree(result.rows))


def tree(rows: Sequence[tuple[str, Span]]) -> list[SpanItem]:
    """Spans in tree order with self time and the critical path (from the end, always the child that
    ended last before). A span whose parent is missing is a root."""
    unique: dict[str, tuple[str, Span]] = {}
    for cluster, span in rows:
        unique.setdefault(span.span_id, (cluster, span))
    children: dict[str | None, list[str]] = {}
    for span_id, (_, span) in unique.items():
        parent = span.parent_id if span.parent_id in unique and span.parent_id != span_id else None
        children.setdefault(parent, []).append(span_id)
    for ids in children.values():
        ids.sort(key=lambda i: (unique[i][1].start_ns, i))
    if not unique:
        return []
    begin = min(s.start_ns for _, s in unique.values())
    critical: set[str] = set()
    for root in children.get(None, []):
        _mark_critical(root, unique, children, critical)
    items: list[SpanItem] = []
    visited: set[str] = set()
    # Spans that are each other's parents hang from no root: they are shown after the others.
    starts = [*children.get(None, []), *sorted(unique, key=lambda i: (unique[i][1].start_ns, i))]
    stack = [(i, 0) for i in reversed(starts)]
    while stack:
        span_id, depth = stack.pop()
        if span_id in visited:
            continue
        visited.add(span_id)
        cluster, s = unique[span_id]
        own = children.get(span_id, [])
        items.append(
            SpanItem(
                cluster,
                s.trace_id,
                s.span_id,
                s.parent_id,
                depth,
                s.service,
                s.name,
                s.kind,
                rfc3339_ns(s.start_ns),
                round((s.start_ns - begin) / 1e6, 3),
                round(s.duration_ns / 1e6, 3),
                round(self_ns(s, [unique[c][1] for c in own]) / 1e6, 3),
                s.status,
                span_id in critical,
                dict(s.attributes),
            )
        )
        stack += [(c, depth + 1) for c in reversed(own)]
    return items


def self_ns(span: Span, children: Sequence[Span]) -> int:
    """The part of a span's time that none of its children covers, in nanoseconds."""
    end = span.start_ns + span.duration_ns
    covered, reached = 0, span.start_ns
    for child in sorted(children, key=lambda c: c.start_ns):
        start, stop = max(child.start_ns, reached), min(child.start_ns + child.duration_ns, end)
        if stop > start:
            covered += stop - start
            reached = stop
    return span.duration_ns - covered


def _mark_critical(
    root: str, spans: dict[str, tuple[str, Span]], children: dict[str | None, list[str]], critical: set[str]
) -> None:
    stack = [root]
    while stack:
        span_id = stack.pop()
        if span_id in critical:
            continue
        critical.add(span_id)
        span = spans[span_id][1]
        until = span.start_ns + span.duration_ns
        by_end = sorted(
            children.get(span_id, []), key=lambda i: -(spans[i][1].start_ns + spans[i][1].duration_ns)
        )
        for child in by_end:
            found = spans[child][1]
            stop = min(found.start_ns + found.duration_ns, span.start_ns + span.duration_ns)
            if found.start_ns < until and stop <= until:
                stack.append(child)
                until = found.start_ns
