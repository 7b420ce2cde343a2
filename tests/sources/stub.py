"""An HTTP server on loopback for answers that a real server can't be made to give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import msgspec


@dataclass
class Asked:
    """A request: its path, its parameters (the last of each name) and its lower-case headers."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


@dataclass
class Stub:
    """`answers` maps a path to (status, body) or to several, given one after the other, the last again."""

    url: str = ""
    answers: dict[str, list[tuple[int, bytes, str]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def on(self, path: str, body: object, *, status: int = 200, kind: str = "application/json") -> None:
        """Text goes as it is, anything else as JSON."""
        raw = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        self.answers.setdefault(path, []).append((status, raw, kind))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.strip().split("\r\n")
        url = urlsplit(request.split()[1])
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        params = {k: v[-1] for k, v in parse_qs(url.query).items()}
        self.asked.append(Asked(url.path, params, headers))
        waiting = self.answers.get(url.path, [(404, b"404 page not found\n", "text/plain")])
        status, body, kind = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        writer.write(
            f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()


@asynccontextmanager
async def serve() -> AsyncIterator[Stub]:
    stub = Stub()
    server = await asyncio.start_server(stub.handle, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield stub
