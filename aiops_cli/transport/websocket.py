"""Websockets over the HTTP client of an endpoint, so that TLS, proxies, credentials and the API server's
service proxy are the same for both: the handshake is a GET that is answered 101 (RFC 6455)."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.transport.client import HttpClient, Params, Reply
from aiops_cli.transport.failures import lost

if TYPE_CHECKING:
    from httpcore2 import AsyncNetworkStream

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_MAX_MESSAGE = 64 << 20
_CLOSE_SECONDS = 1.0
IDLE_SECONDS = 10.0  # of silence, before we ask whether anybody is there; as long again, and nobody is


class HandshakeRefused(Exception):
    """The server answered the handshake with something else than 101."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"answered {reply.status}")
        self.reply = reply


class WebSocketClosed(Exception):
    """The server ended the connection with a close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code}: {reason}")
        self.code, self.reason = code, reason


class WebSocket:
    """An open connection; `messages` are its texts. Pings are answered, silence is looked into."""

    def __init__(self, network: AsyncNetworkStream, endpoint: str, idle: float) -> None:
        from websockets.protocol import Protocol, Side

        self._network = network
        self._endpoint = endpoint
        self._idle = idle
        self._protocol = Protocol(Side.CLIENT, max_size=_MAX_MESSAGE)

    async def messages(self) -> AsyncIterator[bytes]:
        """Whole messages as they come. Raises WebSocketClosed, or ClusterError for a lost connection."""
        from websockets.frames import Frame, Opcode

        parts = bytearray()
        while True:
            await self._receive()
            for event in self._protocol.events_received():
                if not isinstance(event, Frame) or event.opcode not in (
                    Opcode.TEXT,
                    Opcode.BINARY,
                    Opcode.CONT,
                ):
                    continue
                parts += event.data
                if event.fin:
                    yield bytes(parts)
                    parts.clear()
            if (closed := self._protocol.close_rcvd) is not None:
                raise WebSocketClosed(closed.code, closed.reason)
            if (error := self._protocol.parser_exc) is not None:
                raise ClusterError(
                    f"it sent what is no websocket: {error}",
                    hint="check proxies on the way",
                    code=ErrorCode.BAD_ANSWER,
                    endpoint=self._endpoint,
                )

    async def close(self) -> None:
        """Say goodbye, if the other side still listens."""
        from httpcore2 import NetworkError, TimeoutException
        from websockets.exceptions import InvalidState

        with suppress(NetworkError, TimeoutException, InvalidState):
            self._protocol.send_close(1000)
            await self._flush(_CLOSE_SECONDS)

    async def _receive(self) -> None:
        """Take in what comes next, and answer what has to be answered."""
        from httpcore2 import NetworkError, ReadTimeout, TimeoutException

        asked = False
        while True:
            try:
                data = await self._network.read(65536, timeout=self._idle)
                break
            except ReadTimeout:
                if asked:
                    raise ClusterError(
                        f"nothing came for {2 * self._idle:g} s, not even an answer to a ping",
                        hint="check proxies on the way",
                        endpoint=self._endpoint,
                    ) from None
                asked = True
                self._protocol.send_ping(b"")
                await self._flush(self._idle)
            except NetworkError as error:
                raise lost(error, self._endpoint, begun=False) from None
        if not data:
            raise lost(EOFError(), self._endpoint, begun=False)
        self._protocol.receive_data(data)
        with suppress(NetworkError, TimeoutException):  # what came counts, even if no answer gets through
            await self._flush(self._idle)

    async def _flush(self, seconds: float) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self._network.write(data, timeout=seconds)


@asynccontextmanager
async def connect(
    client: HttpClient,
    path: str,
    params: Params = (),
    *,
    headers: dict[str, str] | None = None,
    idle: float = IDLE_SECONDS,
) -> AsyncIterator[WebSocket]:
    """A websocket to `path`. Raises HandshakeRefused, and what `HttpClient.get` raises."""
    key = base64.b64encode(os.urandom(16)).decode()
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }
    async with client.stream(path, params, headers={**(headers or {}), **handshake}) as answer:
        if answer.status != 101:
            raise HandshakeRefused(answer)
        expected = base64.b64encode(hashlib.sha1((key + _MAGIC).encode(), usedforsecurity=False).digest())
        if answer.headers.get("sec-websocket-accept", "") != expected.decode():
            raise ClusterError(
                "its answer to the websocket handshake is wrong",
                hint="check proxies on the way",
                code=ErrorCode.BAD_ANSWER,
                endpoint=client.endpoint,
            )
        socket = WebSocket(answer.network, client.endpoint, idle)
        try:
            yield socket
        finally:
            await socket.close()
