"""Jaeger's query HTTP API, as its own UI uses it: times in microseconds, whole traces in a search."""

from __future__ import annotations

import asyncio
import fnmatch
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeVar

import msgspec

from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series, Span
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources import jaeger_search, trace_series, traceql, traceql_match, traceql_parse
from aiops_cli.sources.base import TraceOperation, TraceQuery, TraceService, TraceSummary
from aiops_cli.sources.jaeger_search import Asked
from aiops_cli.sources.replies import error_text, failure, query_failed
from aiops_cli.sources.traceql import is_glob, valid_trace_id
from aiops_cli.sources.traceql_parse import Query
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json

_WHAT = "Jaeger"
_WIDTH = 8
_OPERATIONS = 32  # more names than this are not asked one by one
_SLOWEST = 1000
_MOST = 5000
_COUNTED = 2000
T = TypeVar("T")
R = TypeVar("R")


class _Tag(msgspec.Struct, gc=False):
    key: str
    value: Any = None


class _Log(msgspec.Struct, gc=False):
    timestamp: int = 0
    fields: list[_Tag] = []


class _Reference(msgspec.Struct, gc=False, rename={"kind": "refType", "trace": "traceID", "span": "spanID"}):
    kind: str = ""
    trace: str = ""
    span: str = ""


class _Process(msgspec.Struct, gc=False, rename="camel"):
    service_name: str = ""
    tags: list[_Tag] | None = None


class _Span(
    msgspec.Struct, gc=False, rename={"trace": "traceID", "span": "spanID", "process_id": "processID"}
):
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


class _Operation(msgspec.Struct, rename="camel"):
    name: str = ""
    span_kind: str = ""


class _Operations(msgspec.Struct):
    data: list[_Operation] | None = None


@dataclass(slots=True)
class _Found:
    """Traces that match, newest first; `full` says that Jaeger may have had more."""

    traces: list[list[Span]]
    problems: list[str]
    full: bool


_services = msgspec.json.Decoder(_Services)
_operations = msgspec.json.Decoder(_Operations)
_traces = msgspec.json.Decoder(_Traces)


def decode_traces(body: bytes | bytearray) -> tuple[list[list[Span]], list[str]]:
    """An answer of /api/traces to (the spans of each trace by start time, errors of single traces).

    Raises msgspec.MsgspecError if the body is none.
    """
    answer = _traces.decode(body)
    traces = [_to_spans(trace) for trace in answer.data or []]
    return [t for t in traces if t], [problem.msg for problem in answer.errors or []]


class JaegerSource:
    """Answers of one Jaeger query service. TraceQL is answered by asking Jaeger for what it can search by,
    and checking the rest on the traces that come."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    @property
    def newest_first(self) -> bool:
        return True

    async def ready(self) -> None:
        """Raises ClusterError unless the API answers."""
        await self._services()

    async def trace_services(self, window: TimeRange) -> Answer[TraceService]:
        """Every service that Jaeger knows: it keeps no times of them."""
        return Answer([TraceService(name) for name in await self._services()])

    async def operations(self, service: str, window: TimeRange) -> Answer[TraceOperation]:
        names = fnmatch.filter(await self._services(), service) if is_glob(service) else [service]
        found = await self._each(names, self._operations)
        return Answer(sorted(chain.from_iterable(found), key=lambda o: (o.service, o.name, o.kind or "")))

    async def search(self, query: TraceQuery, window: TimeRange) -> Answer[TraceSummary]:
        """Of the traces that match: the newest `query.limit`, or the slowest of the newest 1,000."""
        found = await self._search(query, window)
        return Answer([summary(t) for t in found.rows], warnings=found.warnings, partial=found.partial)

    async def spans(self, query: TraceQuery, window: TimeRange) -> Answer[Span]:
        found = await self._search(query, window)
        return Answer(list(chain.from_iterable(found.rows)), warnings=found.warnings, partial=found.partial)

    async def trace(self, trace_id: str) -> Answer[Span]:
        reply = await self.client.get(f"/api/traces/{valid_trace_id(trace_id)}")
        if reply.status == 404 and "trace not found" in error_text(reply):
            return Answer([])
        if reply.status != 200:
            raise failure(reply, _WHAT, self.endpoint)
        traces, problems = self._decode(reply)
        spans = sorted((s for t in traces for s in t), key=lambda s: (s.start_ns, s.span_id))
        return Answer(spans, warnings=problems)

    async def trace_metrics(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        """Computed here, from the newest traces; what lies before them is left out and told."""
        query = traceql_parse.parse(expr)
        metrics = trace_series.wanted(query)
        found = await self._newest(query, window, _COUNTED, _COUNTED)
        known = window
        if found.full and found.traces:
            known = TimeRange(max(window.start, found.traces[-1][0].start_ns / 1e9), window.end)
            found.problems.append(
                f"only the newest {len(found.traces):,} traces were counted: shorten the window"
            )
        rows = trace_series.series(metrics, query, found.traces, known, window, step)
        return Answer(rows, warnings=found.problems, partial=bool(found.problems))

    async def _search(self, query: TraceQuery, window: TimeRange) -> Answer[list[Span]]:
        parsed = traceql_parse.parse(traceql.build(query))
        if parsed.metrics:
            raise trace_series.not_a_search(query.traceql)
        found = await self._newest(parsed, window, _SLOWEST if query.slowest else query.limit, _MOST)
        partial = bool(found.problems)
        if query.slowest:
            found.traces.sort(key=lambda t: (-_lasted(t), t[0].trace_id))
            if found.full:
                found.problems.append(
                    f"the slowest of the newest {len(found.traces):,} traces: shorten the window"
                )
        elif found.full and len(found.traces) < query.limit:
            found.problems.append(
                f"Jaeger's newest {_MOST:,} traces were looked through: older ones may match too"
            )
        return Answer(found.traces[: query.limit], warnings=found.problems, partial=partial)

    async def _newest(self, query: Query, window: TimeRange, wanted: int, most: int) -> _Found:
        """The newest `wanted` traces that match. Where Jaeger can't search by all that the query says, more
        are asked for, up to `most`, until enough of them do."""
        targets = await self._targets(jaeger_search.asked(query))
        size = wanted if all(asked.whole for asked, _, _ in targets) else min(max(4 * wanted, 200), most)
        while True:
            found = await self._ask_all(targets, query, window, size, wanted)
            if len(found.traces) >= wanted or not found.full or size >= most:
                found.traces = found.traces[:wanted]
                return found
            size = min(5 * size, most)

    async def _targets(self, asks: list[Asked]) -> list[tuple[Asked, str, str | None]]:
        """Jaeger searches one service at a time, and one operation by its whole name: with an expression
        each name that matches is asked, unless they are many."""
        known: list[str] | None = None
        targets: list[tuple[Asked, str, str | None]] = []
        for ask in asks:
            service, operation = jaeger_search.plain(ask.service), jaeger_search.plain(ask.operation)
            if service is None and known is None:
                known = await self._services()
            services = [service] if service is not None else jaeger_search.names(ask.service, known or [])
            if ask.operation is None or operation is not None:
                targets += [(ask, name, operation) for name in services]
                continue
            listed = chain.from_iterable(await self._each(services, self._operations))
            pairs = dict.fromkeys((o.service, o.name) for o in listed)
            chosen = [(s, o) for s, o in pairs if jaeger_search.names(ask.operation, [o])]
            if len(chosen) <= _OPERATIONS:
                targets += [(ask, s, o) for s, o in chosen]
            else:
                loose = replace(ask, whole=False)
                targets += [(loose, s, None) for s in dict.fromkeys(s for s, _ in chosen)]
        return targets

    async def _ask_all(
        self,
        targets: list[tuple[Asked, str, str | None]],
        query: Query,
        window: TimeRange,
        size: int,
        wanted: int,
    ) -> _Found:
        """Eight at a time; once `wanted` traces are found, the others are asked for newer ones alone."""
        found = _Found([], [], False)
        known: dict[str, list[Span]] = {}
        exact = all(asked.exact for asked, _, _ in targets)
        for wave in _batches(targets, _WIDTH):

            async def one(
                target: tuple[Asked, str, str | None], within: TimeRange = window
            ) -> tuple[list[list[Span]], list[str]]:
                return self._decode(await self._ask("/api/traces", _params(*target, within, size)))

            for traces, problems in await self._each(wave, one):
                fresh = {t[0].trace_id: t for t in traces if t[0].trace_id not in known}
                known |= {i: t for i, t in fresh.items() if exact or traceql_match.matching(query, t)}
                found.problems += [p for p in problems if p not in found.problems]
                found.full = found.full or len(traces) >= size
            found.traces = sorted(known.values(), key=lambda t: (-t[0].start_ns, t[0].trace_id))
            if len(found.traces) >= wanted:
                window = TimeRange(max(window.start, found.traces[wanted - 1][0].start_ns / 1e9), window.end)
                found.full = True
        return found

    async def _each(self, items: Sequence[T], one: Callable[[T], Awaitable[R]]) -> list[R]:
        """`one` of each, eight at a time; the first failure ends the others."""
        slots = asyncio.Semaphore(_WIDTH)

        async def slotted(item: T) -> R:
            async with slots:
                return await one(item)

        tasks = [asyncio.ensure_future(slotted(item)) for item in items]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _services(self) -> list[str]:
        reply = await self._ask("/api/services", [])
        try:
            return sorted(_services.decode(reply.body).data or [])
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def _operations(self, service: str) -> list[TraceOperation]:
        reply = await self._ask("/api/operations", [("service", service)])
        try:
            listed = _operations.decode(reply.body).data or []
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None
        return [TraceOperation(service, o.name, o.span_kind or None) for o in listed]

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


def summary(trace: list[Span]) -> TraceSummary:
    """What a trace looks like from its spans, which are not none and lie in order of time."""
    known = {span.span_id for span in trace}
    first = next((s for s in trace if s.parent_id is None), None)
    root = first or next((s for s in trace if s.parent_id not in known), trace[0])
    end = max(span.start_ns + span.duration_ns for span in trace)
    return TraceSummary(
        trace_id=root.trace_id,
        root_service=root.service or None,
        root_name=root.name or None,
        start_ns=trace[0].start_ns,
        duration_ms=(end - trace[0].start_ns) / 1e6,
        span_count=len(trace),
        error_count=sum(span.status == "error" for span in trace),
        rooted=first is not None,
    )


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _lasted(trace: list[Span]) -> int:
    return max(s.start_ns + s.duration_ns for s in trace) - trace[0].start_ns


def _params(
    asked: Asked, service: str, operation: str | None, window: TimeRange, limit: int
) -> list[tuple[str, str]]:
    params = [
        ("service", service),
        ("start", str(round(window.start * 1e6))),
        ("end", str(round(window.end * 1e6))),
        ("limit", str(limit)),
    ]
    if operation is not None:
        params.append(("operation", operation))
    if asked.min_us is not None:
        params.append(("minDuration", f"{asked.min_us}us"))
    if asked.max_us is not None:
        params.append(("maxDuration", f"{asked.max_us}us"))
    if asked.tags:
        params.append(("tags", json.dumps(asked.tags)))
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
        references = span.references or []
        above = next((r for r in references if r.kind == "CHILD_OF"), None)
        above = above or next((r for r in references if r.trace == span.trace), None)
        spans.append(
            Span(
                trace_id=span.trace.lower().zfill(32),
                span_id=span.span.lower().zfill(16),
                parent_id=above.span.lower().zfill(16) if above else None,
                service=str(resource["service.name"]),
                name=span.operation,
                kind=str(attributes.get("span.kind", "unspecified")).lower(),
                start_ns=span.start * 1000,
                duration_ns=span.duration * 1000,
                status=_status(attributes),
                attributes=attributes,
                resource=resource,
                events=tuple([_event(log) for log in span.logs]) if span.logs else (),
                links=tuple([_link(r) for r in references if r is not above])
                if len(references) > (above is not None)
                else (),
                follows=above is not None and above.kind != "CHILD_OF",
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


def _link(reference: _Reference) -> dict[str, Any]:
    """OpenTelemetry's links come as references beside the parent; Jaeger keeps no attributes of them."""
    trace, span = reference.trace.lower().zfill(32), reference.span.lower().zfill(16)
    return {"traceId": trace, "spanId": span, "attributes": {}}


def _mapping(tags: list[_Tag] | None) -> dict[str, Any]:
    return {tag.key: tag.value for tag in tags or []}
