"""Jaeger's query HTTP API, as its own UI uses it: times in microseconds, whole traces in a search."""

from __future__ import annotations

import asyncio
import fnmatch
import json
from typing import Any

import msgspec

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Span
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources import traceql
from aiops_cli.sources.base import TraceQuery, TraceSummary
from aiops_cli.sources.replies import error_text, failure, query_failed
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json

_WHAT = "Jaeger"
_WIDTH = 8


class _Tag(msgspec.Struct):
    key: str
    value: Any = None


class _Log(msgspec.Struct):
    timestamp: int = 0
    fields: list[_Tag] = []


class _Reference(msgspec.Struct, rename={"kind": "refType", "trace": "traceID", "span": "spanID"}):
    kind: str = ""
    trace: str = ""
    span: str = ""


class _Process(msgspec.Struct, rename="camel"):
    service_name: str = ""
    tags: list[_Tag] | None = None


class _Span(msgspec.Struct, rename={"trace": "traceID", "span": "spanID", "process_id": "processID"}):
    trace: str
    span: str
    operation: str = msgspec.field(name="operationName", default="")
    references: list[_Reference] | None = None
    start: int = msgspec.field(name="startTime", default=0)
    duration: int = 0
    tags: list[_Tag] | None = None
    logs: list[_Log] | None = None
    process_id: str = ""
    process: _Process | None = None
    warnings: list[str] | None = None


class _Trace(msgspec.Struct):
    spans: list[_Span] = []
    processes: dict[str, _Process] = {}


class _Problem(msgspec.Struct):
    msg: str = ""
    code: int = 0


class _Services(msgspec.Struct):
    data: list[str] | None = None


class _Traces(msgspec.Struct):
    data: list[_Trace] | None = None
    errors: list[_Problem] | None = None


_services = msgspec.json.Decoder(_Services)
_traces = msgspec.json.Decoder(_Traces)


def decode_traces(body: bytes | bytearray) -> tuple[list[list[Span]], list[str]]:
    """An answer of /api/traces to (the spans of each trace by start time, errors of single traces).

    Raises msgspec.MsgspecError if the body is none.
    """
    answer = _traces.decode(body)
    traces = [_to_spans(trace) for trace in answer.data or []]
    return [t for t in traces if t], [problem.msg for problem in answer.errors or []]


class JaegerSource:
    """Answers of one Jaeger query service."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    async def ready(self) -> None:
        """Raises ClusterError unless the API answers."""
        await self.services()

    async def services(self) -> Answer[str]:
        reply = await self._ask("/api/services", [])
        try:
            return Answer(sorted(_services.decode(reply.body).data or []))
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def search(self, query: TraceQuery, window: TimeRange) -> Answer[TraceSummary]:
        """The newest `query.limit` traces that hold a span in the window that meets all conditions."""
        found = await self._search(query, window)
        return Answer([summary(t) for t in found.rows], warnings=found.warnings, partial=found.partial)

    async def spans(self, query: TraceQuery, window: TimeRange) -> Answer[Span]:
        found = await self._search(query, window)
        rows = [span for trace in found.rows for span in trace]
        return Answer(rows, warnings=found.warnings, partial=found.partial)

    async def trace(self, trace_id: str) -> Answer[Span]:
        reply = await self.client.get(f"/api/traces/{traceql.valid_trace_id(trace_id)}")
        if reply.status == 404 and "trace not found" in error_text(reply):
            return Answer([])
        if reply.status != 200:
            raise failure(reply, _WHAT, self.endpoint)
        traces, problems = self._decode(reply)
        spans = sorted((s for t in traces for s in t), key=lambda s: (s.start_ns, s.span_id))
        return Answer(spans, warnings=problems)

    async def _search(self, query: TraceQuery, window: TimeRange) -> Answer[list[Span]]:
        """Jaeger searches one service at a time: without one, or with a glob, each is asked."""
        selection = select(query)
        if selection.service and not traceql.is_glob(selection.service):
            names = [selection.service]
        else:
            known = (await self.services()).rows
            names = fnmatch.filter(known, selection.service or "*")
        slots = asyncio.Semaphore(_WIDTH)

        async def one(service: str) -> tuple[list[list[Span]], list[str]]:
            async with slots:
                return self._decode(
                    await self._ask("/api/traces", _params(selection, service, query, window))
                )

        asked = [asyncio.ensure_future(one(name)) for name in names]
        try:
            answers = await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
        merged = {trace[0].trace_id: trace for traces, _ in answers for trace in traces}
        newest = sorted(merged.values(), key=lambda t: (-t[0].start_ns, t[0].trace_id))
        warnings = list(dict.fromkeys(problem for _, problems in answers for problem in problems))
        return Answer(newest[: query.limit], warnings=warnings, partial=bool(warnings))

    def _decode(self, reply: Reply) -> tuple[list[list[Span]], list[str]]:
        try:
            return decode_traces(reply.body)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def _ask(self, path: str, params: Params) -> Reply:
        reply = await self.client.get(path, params)
        if reply.status == 200:
            return reply
        if reply.status == 400:
            raise query_failed(error_text(reply), self.endpoint)
        raise failure(reply, _WHAT, self.endpoint)


def select(query: TraceQuery) -> traceql.Selection:
    """The query's TraceQL and plain filters as one selection: one span must meet all of them.

    Raises UsageError (INVALID_TRACEQL) for what Jaeger has no search for.
    """
    selection = traceql.parse(query.traceql) if query.traceql else traceql.Selection()
    for given, read in ((query.service, selection.service), (query.operation, selection.operation)):
        if given and read and given != read:
            raise UsageError(
                f"the TraceQL asks for {read!r}, the flags for {given!r}",
                hint="give one of them",
                code=ErrorCode.INVALID_TRACEQL,
            )
    selection.service = query.service or selection.service
    selection.operation = query.operation or selection.operation
    if query.min_ms is not None:
        selection.at_least(round(query.min_ms * 1000))
    if query.max_ms is not None:
        selection.at_most(round(query.max_ms * 1000))
    if query.errors:
        selection.tags["error"] = "true"
    for key, value in query.tags.items():
        selection.tags[key.removeprefix("span.").removeprefix("resource.")] = value
    return selection


def summary(trace: list[Span]) -> TraceSummary:
    """What a trace looks like from its spans, which are not none and lie in order of time."""
    known = {span.span_id for span in trace}
    root = next((s for s in trace if s.parent_id is None), None)
    root = root or next((s for s in trace if s.parent_id not in known), trace[0])
    end = max(span.start_ns + span.duration_ns for span in trace)
    return TraceSummary(
        trace_id=root.trace_id,
        root_service=root.service or None,
        root_name=root.name or None,
        start_ns=trace[0].start_ns,
        duration_ms=(end - trace[0].start_ns) / 1e6,
        span_count=len(trace),
        error_count=sum(span.status == "error" for span in trace),
    )


def _params(
    selection: traceql.Selection, service: str, query: TraceQuery, window: TimeRange
) -> list[tuple[str, str]]:
    params = [
        ("service", service),
        ("start", str(round(window.start * 1e6))),
        ("end", str(round(window.end * 1e6))),
        ("limit", str(query.limit)),
    ]
    if selection.operation:
        params.append(("operation", selection.operation))
    if selection.min_us is not None:
        params.append(("minDuration", f"{selection.min_us}us"))
    if selection.max_us is not None:
        params.append(("maxDuration", f"{selection.max_us}us"))
    if selection.tags:
        params.append(("tags", json.dumps(selection.tags)))
    return params


def _to_spans(trace: _Trace) -> list[Span]:
    resources = {
        key: _mapping(p.tags) | {"service.name": p.service_name} for key, p in trace.processes.items()
    }
    spans = []
    for span in trace.spans:
        resource = resources.get(span.process_id)
        if resource is None:
            process = span.process or _Process()
            resource = _mapping(process.tags) | {"service.name": process.service_name}
        attributes = _mapping(span.tags)
        parent = next((r.span for r in span.references or [] if r.kind == "CHILD_OF"), None)
        if parent is None:
            parent = next((r.span for r in span.references or [] if r.trace == span.trace), None)
        spans.append(
            Span(
                trace_id=span.trace.lower().zfill(32),
                span_id=span.span.lower().zfill(16),
                parent_id=parent.lower().zfill(16) if parent else None,
                service=str(resource["service.name"]),
                name=span.operation,
                kind=str(attributes.get("span.kind", "unspecified")).lower(),
                start_ns=span.start * 1000,
                duration_ns=span.duration * 1000,
                status=_status(attributes),
                attributes=attributes,
                resource=resource,
                events=tuple(_event(log) for log in span.logs or []),
            )
        )
    spans.sort(key=lambda s: (s.start_ns, s.span_id))
    return spans


def _status(attributes: dict[str, Any]) -> str:
    """From the OpenTelemetry status, else from OpenTracing's `error` tag (a boolean or a text)."""
    code = str(attributes.get("otel.status_code", "")).lower()
    if code == "error" or str(attributes.get("error", "")).lower() == "true":
        return "error"
    return "ok" if code == "ok" else "unset"


def _event(log: _Log) -> dict[str, Any]:
    """OpenTracing keeps an event's name in the field `event`."""
    fields = _mapping(log.fields)
    return {"ns": log.timestamp * 1000, "name": str(fields.pop("event", "")), "attributes": fields}


def _mapping(tags: list[_Tag] | None) -> dict[str, Any]:
    return {tag.key: tag.value for tag in tags or []}
