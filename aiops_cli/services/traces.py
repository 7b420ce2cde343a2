"""Traces over the fleet: search everywhere, show one from wherever its spans are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from aiops_cli.analysis import trace_tree
from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import Span, TraceItem
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.times import rfc3339_ns
from aiops_cli.sources.base import TraceQuery, TraceSummary

STATUSES = ("error", "ok", "unset")
_MS = 1e6


async def search(
    members: Sequence[Member], query: TraceQuery, window: TimeRange, *, watch: Watcher | None = None
) -> FleetResult[TraceItem]:
    """Found traces of all clusters, newest first, or slowest first; one that several have is one item.

    Raises UsageError for a limit or status that can't be, and for TraceQL that no store can run.
    """
    if query.limit < 1:
        raise UsageError("--limit must be at least 1", hint="--limit 20")
    if query.status is not None and query.status not in STATUSES:
        raise UsageError(f"--status {query.status!r} is no status", hint=f"one of: {', '.join(STATUSES)}")

    async def ask(member: Member) -> Answer[TraceSummary]:
        return await (await member.traces()).search(query, window)

    result = await fan_out(members, ask, watch=watch)
    found: dict[str, list[tuple[str, TraceSummary]]] = {}
    for cluster, row in result.rows:
        found.setdefault(row.trace_id, []).append((cluster, row))
    merged = [_merged(rows) for rows in found.values()]
    merged.sort(key=lambda m: (-m[1].duration_ms if query.slowest else -m[1].start_ns, m[0], m[1].trace_id))
    return result.with_rows([_item(*m) for m in merged])


def _merged(rows: list[tuple[str, TraceSummary]]) -> tuple[str, TraceSummary, list[str]]:
    """One trace of what several clusters know of it, under the one that has its root.

    Parts are added up; the very same answer (clusters that share a store) counts once.
    """
    clusters = [cluster for cluster, _ in rows]
    cluster, first = next((r for r in rows if r[1].rooted), rows[0])
    parts = {(r.start_ns, r.duration_ms, r.span_count, r.error_count): r for _, r in rows}
    if len(parts) == 1:
        return cluster, first, clusters
    start = min(r.start_ns for r in parts.values())
    end = max(r.start_ns + r.duration_ms * _MS for r in parts.values())
    spans = [r.span_count for r in parts.values()]
    errors = [r.error_count for r in parts.values()]
    whole = TraceSummary(
        first.trace_id,
        first.root_service,
        first.root_name,
        start,
        (end - start) / _MS,
        None if None in spans else sum(s or 0 for s in spans),
        None if None in errors else sum(e or 0 for e in errors),
        first.rooted,
    )
    return cluster, whole, clusters


def _item(cluster: str, found: TraceSummary, clusters: list[str]) -> TraceItem:
    return TraceItem(
        cluster,
        found.trace_id,
        found.root_service,
        found.root_name,
        rfc3339_ns(found.start_ns),
        round(found.duration_ms, 3),
        found.span_count,
        found.error_count,
        clusters,
    )


class SpanEvent(msgspec.Struct, frozen=True, rename="camel"):
    """An event of a span, such as an exception; `atMs` from the trace's start."""

    at_ms: float
    name: str
    attributes: dict[str, object] = {}


class SpanLink(msgspec.Struct, frozen=True, rename="camel"):
    """A span of another trace that led to this one."""

    trace_id: str
    span_id: str
    attributes: dict[str, object] = {}


class SpanItem(msgspec.Struct, frozen=True, rename="camel"):
    """An item of `traces show`, in tree order; `depth` 0 is a root. Times from the trace's start.

    `selfMs` is the time in no child, `criticalMs` the time on the critical path, which lies in
    `criticalSections`; the parent of an `orphan` was not found; `clusters` are all that have the span.
    """

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
    critical_ms: float
    critical_sections: list[tuple[float, float]]
    orphan: bool
    clusters: list[str]
    attributes: dict[str, object] = {}
    resource: dict[str, object] = {}
    events: list[SpanEvent] = []
    links: list[SpanLink] = []


class TraceFacts(msgspec.Struct, frozen=True, rename="camel"):
    """`trace` of `traces show`: the whole of it. `rootService` and `rootName` are null if the root is missing."""

    trace_id: str
    start_time: str
    duration_ms: float
    spans: int
    errors: int
    services: list[str]
    clusters: list[str]
    root_service: str | None
    root_name: str | None


@dataclass(slots=True)
class Shown:
    """A trace: its spans in tree order, the whole of it, and what does not fit together, a line each."""

    result: FleetResult[SpanItem]
    facts: TraceFacts | None = None
    notes: list[str] = field(default_factory=list)


def valid_id(text: str) -> str:
    """A trace id as it is asked for: lower-case hex. Raises UsageError."""
    wanted = text.strip().rstrip("…").lower()
    if not wanted or len(wanted) > 32 or any(c not in "0123456789abcdef" for c in wanted):
        raise UsageError(f"{text!r} is no trace id", hint="a trace id is up to 32 hex digits")
    return wanted


async def show(members: Sequence[Member], trace_id: str, *, watch: Watcher | None = None) -> Shown:
    """A trace as a tree, joined over the clusters its spans lie in.

    Raises UsageError for what is no id, ClusterError (NOT_FOUND) for an id that no cluster has though all answered.
    """
    wanted = valid_id(trace_id)

    async def ask(member: Member) -> Answer[Span]:
        return await (await member.traces()).trace(wanted)

    result = await fan_out(members, ask, watch=watch)
    ids = sorted({span.trace_id for _, span in result.rows})
    if len(ids) > 1:
        raise UsageError(
            f"{len(ids)} traces have ids that begin with {wanted}", hint=f"more of it: {', '.join(ids[:5])}"
        )
    if not ids and not result.failed:
        whole = len(wanted) in (16, 32)
        raise ClusterError(
            f"no chosen cluster has trace {wanted}",
            hint="widen -c, or search for it: aiops traces search"
            if whole
            else f"a whole id has 32 hex digits (16 in old tracers), this has {len(wanted)}: aiops traces search -o name",
            code=ErrorCode.NOT_FOUND,
        )
    tree = trace_tree.build(result.rows)
    return Shown(result.with_rows(spans(tree)), _facts(tree), _notes(tree))


def spans(tree: trace_tree.Tree) -> list[SpanItem]:
    """The tree's nodes as items, in its order."""
    start = tree.start_ns

    def ms(ns: int) -> float:
        return round((ns - start) / _MS, 3)

    items = []
    for node in tree.nodes:
        s = node.span
        items.append(
            SpanItem(
                node.cluster,
                s.trace_id,
                s.span_id,
                s.parent_id,
                node.depth,
                s.service,
                s.name,
                s.kind,
                rfc3339_ns(s.start_ns),
                ms(s.start_ns),
                round(s.duration_ns / _MS, 3),
                round(node.self_ns / _MS, 3),
                s.status,
                bool(node.sections),
                round(node.critical_ns / _MS, 3),
                [(ms(a), ms(b)) for a, b in node.sections],
                node.orphan,
                [node.cluster, *node.copies],
                s.attributes,
                s.resource,
                [
                    SpanEvent(ms(_int(e.get("ns"))), str(e.get("name", "")), e.get("attributes") or {})
                    for e in s.events
                ],
                [
                    SpanLink(str(k.get("traceId")), str(k.get("spanId")), k.get("attributes") or {})
                    for k in s.links
                ],
            )
        )
    return items


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _facts(tree: trace_tree.Tree) -> TraceFacts | None:
    if not tree.nodes:
        return None
    root = next((n.span for n in tree.nodes if n.span.parent_id is None), None)
    return TraceFacts(
        tree.nodes[0].span.trace_id,
        rfc3339_ns(tree.start_ns),
        round((tree.end_ns - tree.start_ns) / _MS, 3),
        len(tree.nodes),
        sum(n.span.status == "error" for n in tree.nodes),
        _unique(n.span.service for n in tree.nodes),
        _unique(c for n in tree.nodes for c in (n.cluster, *n.copies)),
        root.service if root else None,
        root.name if root else None,
    )


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _notes(tree: trace_tree.Tree) -> list[str]:
    """What is missing or can't be: told, and not mended."""
    notes = []
    if not tree.rooted and tree.nodes:
        notes.append("the root span is missing: each part has a critical path of its own")
    if tree.missing_parents:
        orphans = sum(n.orphan for n in tree.nodes)
        notes.append(
            f"{_many(orphans, 'span')} marked ? {'names a parent' if orphans == 1 else 'name parents'} that no asked "
            "cluster has: lost, not sampled, not there yet, or in another cluster"
        )
    if tree.after_root_ns:
        notes.append(
            f"spans go on for {tree.after_root_ns / _MS:,.3g} ms after the root ended: nobody waited for them"
        )
    for skew in tree.skews:
        word = "ahead of" if skew.ns > 0 else "behind"
        notes.append(
            f"the clock of {skew.cluster} is at least {abs(skew.ns) / _MS:,.3g} ms {word} that of {skew.other} "
            f"({_many(skew.spans, 'span')}): their order is not to be trusted"
        )
    return notes


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
