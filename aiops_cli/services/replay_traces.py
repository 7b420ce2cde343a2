"""Recorded spans, asked as a trace store would be."""

from __future__ import annotations

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Span
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.bundle import RecordedSpan
from aiops_cli.sources.base import TraceQuery, TraceSummary


class RecordedTraces:
    """Recorded spans. Service, operation, duration, error and tag filters are answered; TraceQL is not."""

    def __init__(self, spans: list[RecordedSpan]) -> None:
        self._spans = spans

    def _traces(self, query: TraceQuery, window: TimeRange) -> list[list[Span]]:
        if query.traceql:
            raise UsageError(
                "TraceQL is not answered from a bundle",
                hint="use --service, --operation, --min-duration, --error",
                code=ErrorCode.INVALID_TRACEQL,
            )
        grouped: dict[str, list[Span]] = {}
        for recorded in self._spans:
            grouped.setdefault(recorded.trace_id, []).append(_span(recorded))
        start, end = window.start * 1e9, window.end * 1e9
        found = []
        for spans in grouped.values():
            spans.sort(key=lambda s: (s.start_ns, s.span_id))
            if start <= spans[0].start_ns <= end and any(_wanted(s, query) for s in spans):
                found.append(spans)
        found.sort(key=lambda spans: -spans[0].start_ns)
        return found[: query.limit]

    async def search(self, query: TraceQuery, window: TimeRange) -> Answer[TraceSummary]:
        return Answer([summary(spans) for spans in self._traces(query, window)], "bundle")

    async def trace(self, trace_id: str) -> Answer[Span]:
        wanted = trace_id.lower().lstrip("0")
        spans = [_span(s) for s in self._spans if s.trace_id.lstrip("0") == wanted]
        return Answer(sorted(spans, key=lambda s: (s.start_ns, s.span_id)), "bundle")

    async def spans(self, query: TraceQuery, window: TimeRange) -> Answer[Span]:
        return Answer([s for spans in self._traces(query, window) for s in spans], "bundle")


def summary(spans: list[Span]) -> TraceSummary:
    """What a search shows of a whole trace."""
    root = next((s for s in spans if s.parent_id is None), spans[0])
    end = max(s.start_ns + s.duration_ns for s in spans)
    errors = sum(s.status == "error" for s in spans)
    return TraceSummary(
        spans[0].trace_id,
        root.service,
        root.name,
        spans[0].start_ns,
        (end - spans[0].start_ns) / 1e6,
        len(spans),
        errors,
    )


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
    )


def _wanted(span: Span, query: TraceQuery) -> bool:
    ms = span.duration_ns / 1e6
    return (
        (query.service is None or _glob(query.service, span.service))
        and (query.operation is None or _glob(query.operation, span.name))
        and (query.min_ms is None or ms >= query.min_ms)
        and (query.max_ms is None or ms <= query.max_ms)
        and (not query.errors or span.status == "error")
        and all(str(span.attributes.get(k, span.resource.get(k))) == v for k, v in query.tags.items())
    )


def _glob(pattern: str, text: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(text, pattern)
