"""Tempo's HTTP API. A search without start and end would look at recent data alone: both always go."""

from __future__ import annotations

import asyncio
import math
import re
import time

import msgspec

from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Span
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources import otlp, traceql
from aiops_cli.sources.base import TraceQuery, TraceSummary
from aiops_cli.sources.replies import error_text, failure, query_failed, says_ready
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json

_WHAT = "Tempo"
_WIDTH = 8
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
            )
        )
    rows.sort(key=lambda row: (-row.start_ns, row.trace_id))
    return rows


def decode_trace(body: bytes | bytearray) -> Answer[Span]:
    """An answer of either trace endpoint; a trace too large for the server comes as far as it goes.

    Raises msgspec.MsgspecError or ValueError if the body is none.
    """
    answer = _trace.decode(body)
    spans = (answer.trace or answer).spans()
    cut = answer.status in ("PARTIAL", 1)
    return Answer(spans, warnings=[answer.message or "the trace is incomplete"] if cut else [], partial=cut)


class TempoSource:
    """Answers of one Tempo, or of one tenant behind its gateway (the URL then ends in /tempo)."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    async def ready(self) -> None:
        """Raises ClusterError unless Tempo is ready; where a gateway hides /ready, runs a search."""
        if not await says_ready(self.client, "Tempo", ErrorCode.TEMPO_NOT_AVAILABLE):
            now = time.time()
            await self.search(TraceQuery(limit=1), TimeRange(now - 60, now))

    async def search(self, query: TraceQuery, window: TimeRange) -> Answer[TraceSummary]:
        """Up to `query.limit` traces, newest first; Tempo gives the first it finds, not the newest."""
        expr = traceql.build(query)
        params = [
            ("q", expr),
            ("limit", str(query.limit)),
            ("start", str(math.floor(window.start))),
            ("end", str(math.ceil(window.end))),
        ]
        reply = await self._ask("/api/search", params, expr)
        try:
            return Answer(decode_search(reply.body))
        except (msgspec.MsgspecError, ValueError):
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def trace(self, trace_id: str) -> Answer[Span]:
        """A 404 of v2 is asked of v1 too: older servers have no v2. Neither has it: no rows."""
        wanted = traceql.valid_trace_id(trace_id)
        reply = await self.client.get(f"/api/v2/traces/{wanted}")
        if reply.status == 404:
            reply = await self.client.get(f"/api/traces/{wanted}")
            if reply.status == 404:
                return Answer([])
        if reply.status != 200:
            raise failure(reply, _WHAT, self.endpoint)
        try:
            return decode_trace(reply.body)
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
        raise failure(reply, _WHAT, self.endpoint)


def invalid_traceql(expr: str, text: str, endpoint: str | None = None) -> UsageError:
    """INVALID_TRACEQL with the server's message, and a caret where it names a line and a column."""
    found = re.search(r"parse error at line (\d+), col (\d+): (.*)", text, re.S)
    if not found:
        return UsageError(
            f"invalid TraceQL: {text.removeprefix('invalid TraceQL query: ')}",
            hint=expr,
            code=ErrorCode.INVALID_TRACEQL,
            endpoint=endpoint,
        )
    lines = expr.splitlines() or [""]
    source = lines[min(max(int(found[1]), 1), len(lines)) - 1]
    return UsageError(
        f"invalid TraceQL: {found[3].strip()}",
        hint=f"{source}\n      {' ' * max(int(found[2]) - 1, 0)}^",
        code=ErrorCode.INVALID_TRACEQL,
        endpoint=endpoint,
    )
