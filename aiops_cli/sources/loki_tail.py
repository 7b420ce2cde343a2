"""Lines as they come in, by Loki's websocket /loki/api/v1/tail.

What a tail gives is not all there is: a querier tells what it dropped for a slow reader, but says nothing
of what an ingester dropped before it (grafana/loki 1.6.1 and 2.2.1, pkg/querier/tail.go and
pkg/ingester/tailer.go), nor of lines that came while an ingester was reconnected to. Whoever must not
lose a line reads again with `query_range` what the tail should have given.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.sources.base import LiveLines, LogRow
from aiops_cli.sources.loki import INVALID, invalid_logql
from aiops_cli.sources.loki_decode import Stream, rows_of
from aiops_cli.sources.replies import error_text, failure, query_failed
from aiops_cli.transport.client import HttpClient, Reply
from aiops_cli.transport.websocket import IDLE_SECONDS, HandshakeRefused, WebSocketClosed, connect

_PATH = "/loki/api/v1/tail"
_CATEGORIZE = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}


class _Message(msgspec.Struct):
    streams: list[Stream] | None = None
    dropped_entries: list[msgspec.Raw] | None = None


_message = msgspec.json.Decoder(_Message)


def decode_message(body: bytes) -> LiveLines:
    """A message of the tail. Of what was dropped only the number can be relied on: Loki 2.2.1 sends the
    line in place of the labels. Raises msgspec.MsgspecError or ValueError."""
    message = _message.decode(body)
    return LiveLines(rows_of(message.streams or ()), len(message.dropped_entries or ()))


class LokiTail:
    """The tails of one Loki. `client` should be one of its own: a tail holds its connection."""

    leaves_out = True
    silent = False

    def __init__(self, client: HttpClient, *, idle: float = IDLE_SECONDS) -> None:
        self.client = client
        self._idle = idle

    @asynccontextmanager
    async def follow(
        self, expr: str, delay_for: int = 0, since: int = 0
    ) -> AsyncIterator[AsyncIterator[LiveLines]]:
        """Lines from now on, held back by the server for `delay_for` seconds (0 to 5), until it ends the
        tail (ClusterError). The first one may be the newest of before.

        Raises UsageError for LogQL that the server refuses, ClusterError for all else.
        """
        # One line of history is the least that can be asked for. A start of ours would have to lie before
        # the server's now, by its clock.
        params = [("query", expr), ("limit", "1"), ("delay_for", str(delay_for))]
        try:
            async with connect(self.client, _PATH, params, headers=_CATEGORIZE, idle=self._idle) as socket:
                yield self._lines(socket.messages(), expr)
        except HandshakeRefused as refused:
            raise self._refused(refused.reply, expr) from None

    async def _lines(self, messages: AsyncIterator[bytes], expr: str) -> AsyncIterator[LiveLines]:
        first: LogRow | None = None
        try:
            async for body in messages:
                try:
                    lines = decode_message(body)
                except (msgspec.MsgspecError, ValueError, RecursionError):
                    raise self._error("it sent what is no message of a tail", ErrorCode.BAD_ANSWER) from None
                # The line of history may come again as a live one.
                if first is not None and first in lines.rows:
                    lines.rows.remove(first)
                elif first is None and lines.rows:
                    first = lines.rows[0]
                yield lines
        except WebSocketClosed as closed:
            if any(sign in closed.reason for sign in INVALID):
                raise invalid_logql(expr, closed.reason, self.client.endpoint) from None
            reason = closed.reason or f"close code {closed.code}"
            raise self._error(f"the server ended the tail: {reason}", ErrorCode.CLUSTER_UNREACHABLE) from None

    def _refused(self, reply: Reply, expr: str) -> Exception:
        text = error_text(reply)
        if reply.status == 400 and any(sign in text for sign in INVALID):
            return invalid_logql(expr, text, self.client.endpoint)
        if reply.status == 400:
            return query_failed(text, self.client.endpoint)
        if reply.status == 200:
            return self._error("it does not speak websocket there", ErrorCode.BAD_ANSWER)
        return failure(reply, "Loki's tail", self.client.endpoint)

    def _error(self, message: str, code: ErrorCode) -> ClusterError:
        hint = "check proxies on the way" if code is ErrorCode.BAD_ANSWER else "it is asked again by itself"
        return ClusterError(message, hint=hint, code=code, endpoint=self.client.endpoint)


def by_service_proxy(url: str) -> bool:
    """Whether an endpoint is reached through an API server's service proxy."""
    return re.search(r"/api/v1/namespaces/[^/]+/services/[^/]+/proxy", url) is not None


class LokiBehindProxy:
    """No tail at all: the API server's service proxy drops the query of a websocket's URL
    (k8s.io/apimachinery, pkg/util/proxy/upgradeaware.go, tryUpgrade), so Loki never learns what to tail."""

    leaves_out = True
    silent = True

    @asynccontextmanager
    async def follow(
        self, expr: str, delay_for: int = 0, since: int = 0
    ) -> AsyncIterator[AsyncIterator[LiveLines]]:
        yield self._nothing()

    async def _nothing(self) -> AsyncIterator[LiveLines]:
        await asyncio.Event().wait()
        yield LiveLines([])
