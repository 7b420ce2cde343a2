"""TraceQL answered from whole traces: which spans of a trace a query selects.

As in Tempo: a comparison with an attribute that is not there is false, unless it is with nil; a regular
expression must match the whole value; text and numbers are never equal.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from aiops_cli.models.signals import Span
from aiops_cli.sources.re2 import compiled
from aiops_cli.sources.traceql_parse import (
    Aggregate,
    Combined,
    Compare,
    Condition,
    Field,
    Filter,
    Joined,
    Literal,
    Query,
    Spanset,
)

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}
_TOTALS: dict[str, Callable[[list[Any]], float]] = {
    "min": min,
    "max": max,
    "sum": sum,
    "avg": lambda numbers: sum(numbers) / len(numbers),
}


@dataclass
class _Trace:
    """A trace's spans, and what is asked of the whole of it. Times in nanoseconds."""

    spans: Sequence[Span]

    @cached_property
    def root(self) -> Span | None:
        return next((s for s in self.spans if s.parent_id is None), None)

    @cached_property
    def duration(self) -> int:
        return max(s.start_ns + s.duration_ns for s in self.spans) - min(s.start_ns for s in self.spans)

    @cached_property
    def by_id(self) -> dict[str, Span]:
        return {s.span_id: s for s in self.spans}

    def parent(self, span_id: str) -> str | None:
        above = self.by_id[span_id].parent_id
        return above if above in self.by_id else None

    @cached_property
    def circles(self) -> dict[str, frozenset[str]]:
        """Of spans whose ancestors end in a circle of parents, by id, that circle. A span of it is no ancestor
        of its own."""
        found: dict[str, frozenset[str]] = {}
        done: set[str] = set()
        for start in self.by_id:
            path: dict[str, None] = {}
            at: str | None = start
            while at is not None and at not in done and at not in path:
                path[at] = None
                at = self.parent(at)
            done.update(path)
            if at is not None and at in path:
                walked = list(path)
                found.update(dict.fromkeys(path, frozenset(walked[walked.index(at) :])))
            elif at in found:
                found.update(dict.fromkeys(path, found[at]))
        return found

    def below(self, ids: set[str]) -> set[str]:
        """Which spans have one of these as an ancestor: each is looked at once, however deep the trace."""
        under: dict[str, bool] = {}
        for circle in set(self.circles.values()):
            hits = len(circle & ids)
            under.update((x, hits > (x in ids)) for x in circle)
        for start in self.by_id:
            path: list[str] = []
            at: str | None = start
            while at is not None and at not in under:
                path.append(at)
                at = self.parent(at)
            for span_id in reversed(path):
                above = self.parent(span_id)
                under[span_id] = above is not None and (above in ids or under[above])
        return {x for x, is_under in under.items() if is_under}

    def above(self, ids: set[str]) -> set[str]:
        """The ancestors of these spans, as `below`."""
        found: set[str] = set()
        for span_id in ids:
            at = self.parent(span_id)
            while at is not None and at not in found:
                found.add(at)
                at = self.parent(at)
        in_circle: dict[frozenset[str], set[str]] = defaultdict(set)
        for span_id in ids & self.circles.keys():
            in_circle[self.circles[span_id]].add(span_id)
        for circle, several in in_circle.items():
            if len(several) == 1:
                found -= several & circle
        return found


def matching(query: Query, spans: Sequence[Span]) -> list[Span]:
    """The spans of one trace that the query selects, in the order given; none if it does not match."""
    if not spans:
        return []
    trace = _Trace(spans)
    found = _select(query.spanset, trace)
    for stage in query.filters:
        if isinstance(stage, Filter):
            found = _filtered(stage, found, trace)
        elif found and not _kept(stage, found, trace):
            return []
    return found


def values(field: Field, span: Span, spans: Sequence[Span]) -> list[Any]:
    """What a field of a span is: nothing, one value, or several of its events and links."""
    return _values(field, span, _Trace(spans))


def _select(spanset: Spanset, trace: _Trace) -> list[Span]:
    if isinstance(spanset, Filter):
        return _filtered(spanset, trace.spans, trace)
    left, right = _select(spanset.left, trace), _select(spanset.right, trace)
    if spanset.sign == "||" or (spanset.sign == "&&" and left and right):
        chosen = {id(s) for s in [*left, *right]}
        return [s for s in trace.spans if id(s) in chosen]
    if spanset.sign == "&&":
        return []
    return _related(spanset, left, right, trace)


def _filtered(spanset: Filter, among: Sequence[Span], trace: _Trace) -> list[Span]:
    condition = spanset.condition
    return [s for s in among if condition is None or _holds(condition, s, trace)]


def _related(spanset: Combined, left: list[Span], right: list[Span], trace: _Trace) -> list[Span]:
    """The spans on the right that stand in the relation to one on the left: child `>`, descendant `>>`,
    parent `<`, ancestor `<<`, sibling `~`."""
    ids = {s.span_id for s in left}
    if spanset.sign == ">":
        return [s for s in right if s.parent_id in ids]
    if spanset.sign == ">>":
        below = trace.below(ids)
        return [s for s in right if s.span_id in below]
    if spanset.sign == "~":
        siblings: dict[str | None, set[str]] = defaultdict(set)
        for s in left:
            siblings[s.parent_id].add(s.span_id)
        return [s for s in right if s.parent_id and siblings[s.parent_id] - {s.span_id}]
    above = (
        {s.parent_id for s in left if s.parent_id != s.span_id} if spanset.sign == "<" else trace.above(ids)
    )
    return [s for s in right if s.span_id in above]


def _kept(stage: Aggregate, found: list[Span], trace: _Trace) -> bool:
    compare = _ORDER[stage.sign]
    if stage.function == "count":
        return compare(len(found), stage.value.value)
    assert stage.field is not None
    numbers = [v for s in found for v in _values(stage.field, s, trace) if _is_number(v)]
    if not numbers:
        return False
    return compare(_TOTALS[stage.function](numbers), stage.value.value)


def _holds(condition: Condition, span: Span, trace: _Trace) -> bool:
    if isinstance(condition, Compare):
        return _compare(condition, span, trace)
    if isinstance(condition, Joined):
        left = _holds(condition.left, span, trace)
        if left is (condition.sign == "||"):
            return left
        return _holds(condition.right, span, trace)
    return not _holds(condition.inner, span, trace)


def _compare(condition: Compare, span: Span, trace: _Trace) -> bool:
    found = _values(condition.field, span, trace)
    literal = condition.value
    if literal.kind == "nil":
        return bool(found) is (condition.sign == "!=")
    if condition.sign in ("=~", "!~"):
        matches = _pattern(str(literal.value)).fullmatch
        hits = [isinstance(v, str) and matches(v) is not None for v in found]
        return any(hits) if condition.sign == "=~" else bool(found) and not any(hits)
    compare = _ORDER[condition.sign]
    return any(_same_kind(v, literal) and compare(v, literal.value) for v in found)


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    return compiled(text, re.S)


def _same_kind(value: Any, literal: Literal) -> bool:
    if literal.kind in ("number", "duration"):
        return _is_number(value)
    if literal.kind == "bool":
        return isinstance(value, bool)
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _values(field: Field, span: Span, trace: _Trace) -> list[Any]:
    if field.scope == "span":
        return _known(span.attributes.get(field.name))
    if field.scope == "resource":
        return _known(_of_resource(span, field.name))
    if field.scope == "any":
        value = span.attributes.get(field.name)
        return _known(_of_resource(span, field.name) if value is None else value)
    if field.scope in ("event", "link"):
        among = span.events if field.scope == "event" else span.links
        return [v for each in among if (v := each.get("attributes", {}).get(field.name)) is not None]
    return _intrinsic(field.name, span, trace)


def _of_resource(span: Span, name: str) -> Any:
    return span.service if name == "service.name" else span.resource.get(name)


def _known(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _intrinsic(name: str, span: Span, trace: _Trace) -> list[Any]:
    match name:
        case "name":
            return [span.name]
        case "duration":
            return [span.duration_ns]
        case "status":
            return [span.status]
        case "kind":
            return [span.kind]
        case "statusMessage":
            message = span.attributes.get("status.message", span.attributes.get("otel.status_description"))
            return _known(message)
        case "spanId":
            return [span.span_id]
        case "traceId":
            return [span.trace_id]
        case "parent":
            return _known(span.parent_id)
        case "traceDuration":
            return [trace.duration]
        case "eventName":
            return [event.get("name") for event in span.events]
        case _:
            root = trace.root
            return [] if root is None else [root.name if name == "rootName" else root.service]
