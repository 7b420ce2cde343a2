"""An HTTP(S) server on loopback with faults that a real server can't be made to show, and a relay.

It runs in a thread of its own, so that tests may wait for the program, which is another process. Each
behaviour is a coroutine function of the request and the connection; a connection serves one request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.servers.network import free_port
from tests.servers.pki import Credential


@dataclass(frozen=True)
class Asked:
    """A request that came in; of a parameter given several times the last is kept. Headers in lower case."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    target: str
    body: bytes = b""


Behaviour = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def answer(
    body: object,
    *,
    status: int = 200,
    kind: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Behaviour:
    """Text and bytes as they are, anything else as JSON."""
    return _sent(_encoded(body), status, kind, headers or {})


def cut(body: object, *, after: int) -> Behaviour:
    """Promises the whole body, sends its first `after` bytes and hangs up."""
    return _sent(_encoded(body), 200, "application/json", {}, after=after)


def silence() -> Behaviour:
    """Takes the request and never says anything."""

    async def behave(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return behave


def drip(body: object, *, pause: float) -> Behaviour:
    """One byte of the body, a pause in seconds, one byte, …"""

    async def behave(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        raw = _encoded(body)
        writer.write(_head(200, "application/json", len(raw), {}))
        for i in range(len(raw)):
            writer.write(raw[i : i + 1])
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


def late(behaviour: Behaviour, *, seconds: float) -> Behaviour:
    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await behaviour(asked, writer)

    return behave


def held(behaviour: Behaviour, *, until: threading.Event, arrived: threading.Event) -> Behaviour:
    """Says through `arrived` that a request is here, and serves it once `until` is set."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.to_thread(until.wait)
        await behaviour(asked, writer)

    return behave


def hang_up() -> Behaviour:
    """Closes the connection without a word."""

    async def behave(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
        return None

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other, the last one again and again."""
    waiting = list(behaviours)

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(asked, writer)

    return behave


def bearer(token: str, behaviour: Behaviour) -> Behaviour:
    """401 unless that token is shown."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        known = asked.headers.get("authorization") == f"Bearer {token}"
        await (behaviour if known else answer("Unauthorized", status=401, kind="text/plain"))(asked, writer)

    return behave


def relay(upstream: str) -> Behaviour:
    """Passes requests on to a real server and its answers back, unchanged."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        async with httpx2.AsyncClient(timeout=60.0, trust_env=False) as client:
            reply = await client.request(
                asked.method,
                upstream + asked.target,
                content=asked.body or None,
                headers={k: v for k, v in asked.headers.items() if k in ("content-type", "accept")},
            )
        await _sent(reply.content, reply.status_code, reply.headers.get("content-type", "text/plain"), {})(
            asked, writer
        )

    return behave


def vector(*series: tuple[Mapping[str, str], float | str]) -> dict[str, object]:
    """The body of an instant query's answer; values as Prometheus prints them."""
    return {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [{"metric": dict(labels), "value": [1.7e9, str(value)]} for labels, value in series],
        },
    }


def _encoded(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _head(status: int, kind: str, length: int, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Status",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _sent(
    raw: bytes, status: int, kind: str, headers: Mapping[str, str], *, after: int | None = None
) -> Behaviour:
    async def behave(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(_head(status, kind, len(raw), headers) + raw[:after])
        await writer.drain()

    return behave


@dataclass
class Stub:
    """`on(path, behaviour)` for a path and all under it; the longest that fits is taken, else 404."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    _behaviours: dict[str, Behaviour] = field(default_factory=dict)

    def on(self, path: str, behaviour: Behaviour) -> None:
        self._behaviours[path] = behaviour

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read(reader)
            self.asked.append(asked)
            fitting = [
                p for p in self._behaviours if asked.path == p or asked.path.startswith(p.rstrip("/") + "/")
            ]
            behave = (
                self._behaviours[max(fitting, key=len)] if fitting else answer("no such page", status=404)
            )
            await behave(asked, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, which some tests are about
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    request, *lines = head.strip().split("\r\n")
    method, target, _ = request.split()
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    params = {k: v[-1] for k, v in parse_qs(url.query + "&" + body.decode()).items()}
    return Asked(method, url.path, params, headers, target, body)


@contextmanager
def serve(*, tls: ssl.SSLContext | None = None) -> Iterator[Stub]:
    """A running stub, over TLS where a server context is given."""
    stub = Stub()
    with _in_thread(stub.handle, tls) as port:
        stub.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield stub


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def _in_thread(handle: Handler, tls: ssl.SSLContext | None) -> Iterator[int]:
    """Serve on a free port of loopback, which is given, until the end of the block."""
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    port = 0

    async def run() -> None:
        nonlocal port
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        loop.set_exception_handler(lambda _loop, _context: None)  # handshakes that fail on purpose
        started.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the stub did not start")
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def server_tls(credential: Credential) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(*credential.write(Path(folder), "serving"))
    return context


@contextmanager
def tunnel() -> Iterator[tuple[str, list[str]]]:
    """An HTTP proxy for CONNECT: its URL, and the addresses it was asked for, as they come."""
    asked: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, address, _ = head.split("\r\n")[0].split()
        asked.append(f"{method} {address}")
        host, _, port = address.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    with _in_thread(handle, None) as port:
        yield f"http://127.0.0.1:{port}", asked


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def black_hole() -> Iterator[str]:
    """A URL whose port accepts nothing: its queue is full, so that connections neither come nor fail."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def dead_address() -> str:
    """A URL where nothing listens: the port was free a moment ago and is not given out at random."""
    return f"http://127.0.0.1:{free_port()}"
