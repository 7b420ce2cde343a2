"""A real Chromium without a window, driven by its DevTools protocol
(https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from tests.servers.binaries import CACHE_ROOT, locate
from tests.servers.process import Server

SECONDS = 60.0


class Browser(Server):
    name = "browser"
    program = "browser"

    def command(self) -> list[str]:
        return [
            "--headless",
            "--no-sandbox",  # which root may not have, and which a namespace of a test can't make
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-port=0",
            f"--user-data-dir={self.home / 'profile'}",
            "--window-size=1300,900",
            "about:blank",
        ]

    def environment(self) -> dict[str, str]:
        program = locate(self.program)
        if CACHE_ROOT not in program.parents:
            return {}
        tree = program.parents[3]
        folders = {str(p.parent) for p in tree.glob("usr/lib/**/*.so*")}
        return {"LD_LIBRARY_PATH": ":".join(sorted(folders))}

    @property
    def _port_file(self) -> Path:
        return self.home / "profile" / "DevToolsActivePort"

    def is_ready(self) -> bool:
        return self._port_file.is_file() and self._port_file.read_text().count("\n") > 0

    async def open(self) -> Page:
        """Its one page."""
        port = int(self._port_file.read_text().splitlines()[0])
        async with httpx2.AsyncClient(trust_env=False) as client:
            targets = (await client.get(f"http://127.0.0.1:{port}/json")).json()
        url = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")
        page = Page(await connect(url, max_size=None, proxy=None))
        for domain in ("Page", "Network", "Runtime"):
            await page.call(f"{domain}.enable")
        return page


class Page:
    """Commands to a page, and what its WebSockets and console said."""

    def __init__(self, socket: ClientConnection) -> None:
        self.received = b""
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._changed = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._waiting.pop(message["id"]).set_result(message)
            else:
                self._heard(message["method"], message["params"])
            self._changed.set()

    def _heard(self, method: str, said: dict[str, Any]) -> None:
        if method == "Network.webSocketFrameReceived" and said["response"]["opcode"] == 2:
            self.received += base64.b64decode(said["response"]["payloadData"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(str(said["exceptionDetails"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Run a command; its result."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        answer = await asyncio.wait_for(self._waiting[number], SECONDS)
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def until(self, seen: Callable[[], object]) -> None:
        """Wait until this is true; looked at whenever the page said something."""
        async with asyncio.timeout(SECONDS):
            while not seen():
                self._changed.clear()
                await self._changed.wait()

    async def evaluate(self, script: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    async def press(self, key: str, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, text=text or (key if len(key) == 1 else "")
            )

    async def colours(self) -> int:
        """How many different colours the middle of the page shows."""
        clip = {"x": 0, "y": 0, "width": 800, "height": 400, "scale": 0.5}
        shot = await self.call("Page.captureScreenshot", format="png", clip=clip)
        return len(set(_pixels(base64.b64decode(shot["data"]))))

    async def close(self) -> None:
        await self._socket.close()
        await self._reader


def _pixels(png: bytes) -> list[bytes]:
    """The pixels of an 8-bit RGB or RGBA PNG (https://www.w3.org/TR/png-3/#9Filters)."""
    at, packed, step, width = 8, b"", 3, 0
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, step = struct.unpack(">I", body[:4])[0], {2: 3, 6: 4}[body[9]]
        elif kind == b"IDAT":
            packed += body
        at += size + 12
    raw, length = zlib.decompress(packed), width * step
    above, found = bytearray(length), []
    for start in range(0, len(raw), length + 1):
        line = bytearray(raw[start + 1 : start + 1 + length])
        for i in range(length):
            left = line[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            line[i] = (line[i] + _predicted(raw[start], left, above[i], corner)) & 255
        found += [bytes(line[i : i + step]) for i in range(0, length, step)]
        above = line
    return found


def _predicted(rule: int, left: int, up: int, corner: int) -> int:
    if rule < 4:
        return (0, left, up, (left + up) // 2)[rule]
    guess = left + up - corner
    return min((left, up, corner), key=lambda v: abs(guess - v))
