"""Tempo's HTTP API. A search without start and end would look at recent data alone: both always go.

JSON is asked for. A trace that comes as protobuf all the same (some gateways choose it) is read too.
"""

from __future__ import annotations

import asyncio
import fnmatch
import math
import re
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series, Span
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources import otlp, otlp_proto, tempo_metrics, traceql
from aiops_cli.sources.base import TraceOperation, TraceQuery, TraceService, TraceSummary
from aiops_cli.sources.replies import error_text, failure, pointed, query_failed, says_ready
from aiops_cli.sources.slowest import slowest
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json

_WHAT = "Tempo"
_WIDTH = 8
T = TypeVar("T")
_NO_ROOT = "<root span not yet received>"


class _ServiceStats(msgspec.Struct, rename="camel"):
    span_count: int = 0
    error_count: int = 0


class _Found(msgspec.Struct, rename="camel"):
    trace_id: str = msgspec.field(name="traceID", default="")
    root_service_name: str = ""
    root_trace_name: str = ""
    start_time_unix_nano: str | int = 0
    duration_ms: int = 0
    service_stats: dict[str, _ServiceStats] = {}


class _Search(msgspec.Struct):
    traces: list[_Found] | None = None


class _TraceAnswer(otlp.Trace):
    """v2 wraps the trace, v1 does not."""

    trace: otlp.Trace | None = None
    status: str | int = ""
    message: str = ""


_search = msgspec.json.Decoder(_Search)
_trace = msgspec.json.Decoder(_TraceAnswer)
_PROTOBUF = ("application/protobuf", "application/x-protobuf")
_NEWEST = " with (most_recent=true)"
_VALUES = 10_000


class _Value(msgspec.Struct):
    value: str = ""


class _Values(msgspec.Struct, rename="camel"):
    tag_values: list[_Value | str] | None = None


_values = msgspec.json.Decoder(_Values)


def decode_search(body: bytes | bytearray) -> list[TraceSummary]:
    """A search answer, newest first. What is zero is left out there: a trace under 1 ms has no duration.

    Raises msgspec.MsgspecError or ValueError if the body is none.
    """
    rows = []
    for found in _search.decode(body).traces or []:
        root = found.root_service_name
        stats = found.service_stats.values()
        rows.append(
            TraceSummary(
                trace_id=found.trace_id.lower().zfill(32),
                root_service=root if root and root != _NO_ROOT else None,
                root_name=found.root_trace_name or None,
                start_ns=int(found.start_time_unix_nano),
                duration_ms=float(found.duration_ms),
                span_count=sum(s.span_count for s in stats) if stats else None,
                error_count=sum(s.error_count for s in stats) if stats else None,
                rooted=root != _NO_ROOT,
            )
        )
    rows.sort(key=lambda row: (-row.start_ns, row.trace_id))
    return rows


def decode_trace(body: bytes | bytearray, kind: str = "", *, wrapped: bool = True) -> Answer[Span]:
    """An answer of either trace endpoint; a trace too large for the server comes as far as it goes.

    `kind` is the content type; protobuf is `wrapped` in v2 and bare in v1, JSON says it by itself.
    Raises msgspec.MsgspecError or ValueError if the body is none.
    """
    status: str | int
    if kind.partition(";")[0].strip().lower() in _PROTOBUF:
        trace, status, message = (
            otlp_proto.decode_answer(body) if wrapped else (otlp_proto.decode(body), 0, "")
        )
    else:
        answer = _trace.decode(body)
        trace, status, message = answer.trace or answer, answer.status, answer.message
    cut = status in ("PARTIAL", 1)
    return Answer(trace.spans(), warnings=[message or "the trace is incomplete"] if cut else [], partial=cut)


class TempoSource:
    """Answers of one Tempo, or of one tenant behind its gateway (the URL then ends in /tempo)."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client
        self._hints = True

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    @property
    def newest_first(self) -> bool:
        return self._hints

    async def ready(self) -> None:
        """Raises ClusterError unless Tempo is ready; where a gateway hides /ready, runs a search."""
        if not await says_ready(self.client, "Tempo", ErrorCode.TEMPO_NOT_AVAILABLE):
            now = time.time()
            await self.search(TraceQuery(limit=1), TimeRange(now - 60, now))

    async def search(self, query: TraceQuery, window: TimeRange) -> Answer[TraceSummary]:
        """Up to `query.limit` traces: the newest, or the slowest.

        Tempo gives the first traces it finds. Since 2.8 a hint asks for the newest; older ones refuse it
        and are asked without. The slowest are asked for by ever longer durations of the whole trace.
        """
        expr = traceql.build(query)
        if query.slowest:

            async def longer(least: float | None, size: int) -> list[TraceSummary]:
                return await self._search(traceql.lasting(expr, least), size, window)

            rows, sure = await slowest(longer, lambda t: (t.duration_ms, t.trace_id), query.limit)
            return Answer(rows, warnings=[] if sure else ["there may be slower traces: shorten the window"])
        if self._hints and not traceql.has_hints(expr):
            try:
                return Answer(await self._search(expr + _NEWEST, query.limit, window))
            except UsageError:
                rows = await self._search(expr, query.limit, window)
                self._hints = False
                return Answer(rows)
        return Answer(await self._search(expr, query.limit, window))

    async def _search(self, expr: str, limit: int, window: TimeRange) -> list[TraceSummary]:
        params = [("q", expr), ("limit", str(limit)), *_seconds(window)]
        reply = await self._ask("/api/search", params, expr)
        return self._read(reply, decode_search)

    async def trace(self, trace_id: str) -> Answer[Span]:
        """A 404 of v2 is asked of v1 too: older servers have no v2. Neither has it: no rows."""
        wanted = traceql.valid_trace_id(trace_id)
        reply = await self.client.get(f"/api/v2/traces/{wanted}")
        newer = reply.status != 404
        if not newer:
            reply = await self.client.get(f"/api/traces/{wanted}")
            if reply.status == 404:
                return Answer([])
        if reply.status != 200:
            raise failure(reply, _WHAT, self.endpoint)
        kind = reply.headers.get("content-type", "")
        return self._read(reply, lambda body: decode_trace(body, kind, wrapped=newer))

    async def trace_services(self, window: TimeRange) -> Answer[TraceService]:
        values = await self._tag_values("resource.service.name", "service.name", "{ }", window)
        return Answer([TraceService(name) for name in values])

    async def operations(self, service: str, window: TimeRange) -> Answer[TraceOperation]:
        """The span names that Tempo lists for the service; it does not say their kinds."""
        names = [service]
        if traceql.is_glob(service):
            known = (await self.trace_services(window)).rows
            names = fnmatch.filter([s.name for s in known], service)
        rows = []
        for name in names:
            only = traceql.build(TraceQuery(service=name))
            rows += [TraceOperation(name, v) for v in await self._tag_values("name", None, only, window)]
        return Answer(rows)

    async def trace_metrics(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        params = [("q", expr), *_seconds(window), ("step", f"{step:g}s")]
        reply = await self._ask("/api/metrics/query_range", params, expr)
        return self._read(reply, tempo_metrics.decode)

    async def _tag_values(self, tag: str, old: str | None, only: str, window: TimeRange) -> list[str]:
        """Values of a tag among the spans that `only` selects; from the v1 endpoint, where `old` names the
        tag, if the server has no v2. Sorted."""
        params = [("q", only), ("limit", str(_VALUES)), *_seconds(window)]
        reply = await self.client.get(f"/api/v2/search/tag/{tag}/values", params)
        if reply.status == 404 and old is not None:
            reply = await self.client.get(f"/api/search/tag/{old}/values", _seconds(window))
        if reply.status != 200:
            raise self._failure(reply)
        found = self._read(reply, _values.decode).tag_values or []
        return sorted({v if isinstance(v, str) else v.value for v in found})

    def _read(self, reply: Reply, decode: Callable[[bytes | bytearray], T]) -> T:
        try:
            return decode(reply.body)
        except (msgspec.MsgspecError, ValueError):
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def spans(self, query: TraceQuery, window: TimeRange) -> Answer[Span]:
        """The whole traces that a search finds, eight at a time; one that fails makes it partial."""
        found = await self.search(query, window)
        slots = asyncio.Semaphore(_WIDTH)

        async def one(trace_id: str) -> Answer[Span] | ClusterError:
            async with slots:
                try:
                    return await self.trace(trace_id)
                except ClusterError as error:
                    return error

        answers = await asyncio.gather(*(one(row.trace_id) for row in found.rows))
        failed = [a for a in answers if isinstance(a, ClusterError)]
        if failed and len(failed) == len(answers):
            raise failed[0]
        joined: Answer[Span] = Answer([])
        for answer in answers:
            if isinstance(answer, Answer):
                joined.rows += answer.rows
                joined.warnings += answer.warnings
                joined.partial = joined.partial or answer.partial
        if failed:
            joined.partial = True
            joined.warnings.append(
                f"{len(failed)} of {len(answers)} traces could not be read: {failed[0].message}"
            )
        return joined

    async def _ask(self, path: str, params: Params, expr: str) -> Reply:
        reply = await self.client.get(path, params)
        if reply.status == 200:
            return reply
        text = error_text(reply)
        if reply.status == 400 and "invalid TraceQL" in text:
            raise invalid_traceql(expr, text, self.endpoint)
        if reply.status in (400, 422):
            raise query_failed(text, self.endpoint)
        raise self._failure(reply)

    def _failure(self, reply: Reply) -> ClusterError:
        """A gateway with query RBAC refuses whole endpoints, with a 403 that says nothing."""
        error = failure(reply, _WHAT, self.endpoint)
        if reply.status == 403 and not reply.body:
            error.hint = "gateways with query RBAC allow traces, search, and the values of service.name alone"
        return error


def _seconds(window: TimeRange) -> list[tuple[str, str]]:
    """Whole seconds: Tempo takes no finer ones in a search."""
    return [("start", str(math.floor(window.start))), ("end", str(math.ceil(window.end)))]


def invalid_traceql(expr: str, text: str, endpoint: str | None = None) -> UsageError:
    """INVALID_TRACEQL with the server's message, and a caret where it names a line and a column."""
    found = re.search(r"parse error at line (\d{1,9}), col (\d{1,9}): (.*)", text, re.S)
    if not found:
        return UsageError(
            f"invalid TraceQL: {text.removeprefix('invalid TraceQL query: ')}",
            hint=expr,
            code=ErrorCode.INVALID_TRACEQL,
            endpoint=endpoint,
        )
    return UsageError(
        f"invalid TraceQL: {found[3].strip()}",
        hint=pointed(expr, int(found[1]), int(found[2])),
        code=ErrorCode.INVALID_TRACEQL,
        endpoint=endpoint,
    )
