"""Recorded spans, asked as a trace store would be; TraceQL is answered by looking at them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cached_property

from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series, Span
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.bundle import RecordedSpan
from aiops_cli.sources import trace_series, traceql, traceql_match, traceql_parse
from aiops_cli.sources.base import TraceOperation, TraceQuery, TraceService, TraceSummary
from aiops_cli.sources.jaeger import summary

_SAMPLE = "a bundle holds a sample of the traces: counts and rates are those of the sample"
_LEAST_PREFIX = 4


class RecordedTraces:
    """The traces of one cluster in a bundle."""

    newest_first = False  # they are a sample, newest or not

    def __init__(self, spans: list[RecordedSpan]) -> None:
        self._spans = spans

    @cached_property
    def _traces(self) -> list[list[Span]]:
        """Every trace's spans by start, the newest trace first."""
        grouped: dict[str, list[Span]] = {}
        for recorded in self._spans:
            grouped.setdefault(recorded.trace_id, []).append(_span(recorded))
        for spans in grouped.values():
            spans.sort(key=lambda s: (s.start_ns, s.span_id))
        return sorted(grouped.values(), key=lambda spans: (-spans[0].start_ns, spans[0].trace_id))

    def _within(self, window: TimeRange) -> list[list[Span]]:
        start, end = window.start * 1e9, window.end * 1e9
        return [t for t in self._traces if start <= t[0].start_ns <= end]

    def _found(self, query: TraceQuery, window: TimeRange) -> list[list[Span]]:
        parsed = traceql_parse.parse(traceql.build(query))
        if parsed.metrics:
            raise trace_series.not_a_search(query.traceql)
        found = [t for t in self._within(window) if traceql_match.matching(parsed, t)]
        if query.slowest:
            found.sort(key=lambda t: -summary(t).duration_ms)
        return found[: query.limit]

    async def search(self, query: TraceQuery, window: TimeRange) -> Answer[TraceSummary]:
        return Answer([summary(spans) for spans in self._found(query, window)], "bundle")

    async def trace(self, trace_id: str) -> Answer[Span]:
        """A trace by its id, or all whose ids begin so."""
        wanted = trace_id.lower().lstrip("0")
        for spans in self._traces:
            if spans[0].trace_id.lstrip("0") == wanted:
                return Answer(list(spans), "bundle")
        given = trace_id.lower()
        near = [t for t in self._traces if len(given) >= _LEAST_PREFIX and t[0].trace_id.startswith(given)]
        return Answer([span for spans in near for span in spans], "bundle")

    async def spans(self, query: TraceQuery, window: TimeRange) -> Answer[Span]:
        return Answer([s for spans in self._found(query, window) for s in spans], "bundle")

    async def trace_services(self, window: TimeRange) -> Answer[TraceService]:
        counts: dict[str, list[int]] = {}
        for spans in self._within(window):
            for span in spans:
                count = counts.setdefault(span.service, [0, 0])
                count[0] += 1
                count[1] += span.status == "error"
        return Answer([TraceService(name, *counts[name]) for name in sorted(counts)], "bundle")

    async def operations(self, service: str, window: TimeRange) -> Answer[TraceOperation]:
        found = {
            (span.service, span.name, span.kind)
            for spans in self._within(window)
            for span in spans
            if fnmatchcase(span.service, service)
        }
        return Answer([TraceOperation(*key) for key in sorted(found)], "bundle")

    async def trace_metrics(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        query = traceql_parse.parse(expr)
        metrics = trace_series.wanted(query)
        rows = trace_series.series(metrics, query, self._traces, window, window, step)
        return Answer(rows, "bundle", warnings=[_SAMPLE])


def _span(r: RecordedSpan) -> Span:
    return Span(
        r.trace_id,
        r.span_id,
        r.parent_id,
        r.service,
        r.name,
        r.kind,
        r.start_ns,
        r.duration_ns,
        r.status,
        r.attributes,
        r.resource,
        tuple(r.events),
        tuple(r.links),
        r.follows,
    )
