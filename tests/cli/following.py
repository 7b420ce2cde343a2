"""What tests of `logs tail` need: writers that never stop, the command's output as it comes, a line to cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.servers.loki import Loki

PATIENCE = 90.0


class Output:
    """A started command's lines, as they come; `until` waits for what they make true."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((process.stdout, self.out), (process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            with self._news:
                lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def until(self, what: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
        with self._news:
            if not self._news.wait_for(what, seconds):
                raise AssertionError(f"waited in vain; stderr: {self.err[-20:]}, {len(self.out)} lines out")

    def until_told(self, text: str, times: int = 1) -> None:
        """Wait until that many lines of stderr hold the text."""
        self.until(lambda: sum(text in line for line in self.err) >= times)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The lines of `-o ndjson`; each must be whole."""
        return [json.loads(line) for line in self.out]

    def ended(self) -> int:
        """The exit code, once all output was read."""
        code = self.process.wait(30)
        for reader in self._readers:
            reader.join(30)
        return code


@dataclass
class Writer:
    """Pushes numbered lines, `batch` at once, until told to stop; each again and again until it is taken."""

    loki: Loki
    labels: dict[str, str]
    batch: int = 5
    pause: float = 0.05
    taken: int = 0
    _next: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx2.Client(base_url=self.loki.url, timeout=10.0, trust_env=False) as client:
            while not self._stop.wait(self.pause):
                now = time.time_ns()
                numbers = range(self._next, self._next + self.batch)
                values = [[str(now + i), f"number={n}"] for i, n in enumerate(numbers)]
                self._next += self.batch
                while not self._pushed(client, values):
                    time.sleep(self.pause)

    def _pushed(self, client: httpx2.Client, values: list[list[str]]) -> bool:
        body = {"streams": [{"stream": self.labels, "values": values}]}
        with contextlib.suppress(httpx2.HTTPError):
            reply = client.post("/loki/api/v1/push", json=body)
            # Out of order: it was taken before, and the answer was lost.
            if reply.status_code == 204 or (reply.status_code == 400 and "out of order" in reply.text):
                self.taken += len(values)
                return True
        return False

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def writing(*writers: Writer) -> Iterator[None]:
    threads = [threading.Thread(target=w.run, daemon=True) for w in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.stop()
        for thread in threads:
            thread.join(30)


class Line:
    """A way to a server that can be cut: what was sent may be lost on it, as when a cable is pulled."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._to = (parts.hostname or "", parts.port or 80)
        self._writers: set[asyncio.StreamWriter] = set()
        self.loop = asyncio.new_event_loop()
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        """End every connection with a reset."""

        def abort() -> None:
            for writer in list(self._writers):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
                )
                writer.transport.abort()

        self.loop.call_soon_threadsafe(abort)


@contextmanager
def line_to(upstream: str) -> Iterator[Line]:
    line = Line(upstream)
    started, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(line.handle, "127.0.0.1", 0)
        line.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=line.loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the line did not start")
    try:
        yield line
    finally:
        line.loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        line.loop.close()
