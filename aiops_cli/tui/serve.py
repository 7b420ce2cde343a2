"""The dashboard in a browser: `aiops tui --serve`, for whoever has the token that was printed.

Each page runs the same program with the same options as a child of its own. Whoever gets in can do what the
one who started it can, so: loopback by default, a token before anything is served, and no request whose Host
or Origin is another site's (DNS rebinding, cross-site WebSockets). All is below a path that nobody can guess, since
browsers send a cookie to every port of a host, and only its path keeps it from another user's server there.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import textual_serve
from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from aiops_cli.errors import UsageError
from aiops_cli.models.options import Options

_STATIC = Path(textual_serve.__file__).parent / "static"
_PATIENCE = 5.0  # seconds for a dashboard to end by itself
_MOST_CELLS = 1000  # a side of the terminal
_MOST_PAGES = 16  # at once; each is a program of its own
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
# The script of textual-serve wants `#start`, and draws into `.textual-terminal`.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>aiops</title>
<link rel="stylesheet" href="static/css/xterm.css">
<style>
@font-face { font-family: "Roboto Mono"; src: url("static/fonts/RobotoMono-VariableFont_wght.ttf"); }
body { margin: 0; background: #0f1115; color: #e5e7eb; font: 16px "Roboto Mono", monospace; }
#start, .ended { display: none; padding: 2em; }
body.-closed .ended { display: block; }
body.-closed .textual-terminal { display: none; }
a { color: #60a5fa; }
</style>
<script src="static/js/textual.js"></script>
</head>
<body>
<div id="start"></div>
<p class="ended">The dashboard has ended. <a href="./">Start it again</a>; the terminal of
<code>aiops tui --serve</code> says why if it ended by an error.</p>
<div id="terminal" class="textual-terminal" data-session-websocket-url="ws://HOST/ws" data-font-size="16"></div>
</body>
</html>
"""


class Child(AppService):
    """The dashboard of one page: started without a shell, ended with the page."""

    def __init__(self, command: Sequence[str], page: web.WebSocketResponse) -> None:
        super().__init__(
            shlex.join(command),
            write_bytes=page.send_bytes,
            write_str=page.send_str,
            close=page.close,  # type: ignore[arg-type]
            download_manager=DownloadManager(),
        )
        self._command = tuple(command)

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=self._build_environment(width, height),
            start_new_session=True,  # Ctrl-C in the terminal reaches the server alone, which ends this
        )
        self._stdin = self._process.stdin
        return self._process

    async def stop(self) -> None:
        """Ask it to end; kill it where it does not."""
        process = self._process
        try:
            await asyncio.wait_for(super().stop(), _PATIENCE)
        except (TimeoutError, OSError):
            pass
        finally:
            if process is not None and process.returncode is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _PATIENCE)
                if process.returncode is None:
                    process.kill()


class Site:
    """The pages, their guard, and the dashboards behind them."""

    def __init__(self, command: Sequence[str], host: str, token: str, most: int = _MOST_PAGES) -> None:
        self._base = base = f"/{secrets.token_urlsafe(24)}"
        self.app = web.Application(middlewares=[self._guard])
        self.app.add_routes([
            web.get(f"{base}/", self._index),
            web.get(f"{base}/ws", self._websocket),
            web.static(f"{base}/static", _STATIC),
        ])  # fmt: skip
        self.children: set[Child] = set()
        self._command = command
        self._token = token
        self._most = most
        self._names = {"localhost", "127.0.0.1", "::1", host.lower(), socket.gethostname().lower()}
        self._any_address = not is_loopback(host)
        self._cookie = f"aiops-{secrets.token_hex(4)}"  # cookies don't tell ports apart
        self._pass = secrets.token_urlsafe(32)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not self._is_ours(request.headers.get("Host", "")):
            return _refused("this host name is not served here; open the address that aiops printed")
        origin = request.headers.get("Origin")
        if origin is None and request.path.endswith("/ws"):
            return _refused("a WebSocket names its origin")
        if origin is not None and origin.partition("://")[2] != request.headers["Host"]:
            return _refused("another site may not ask")
        if (said := request.query.get("token")) is not None and _same(said, self._token):
            entered = web.Response(status=303, headers={"Location": f"{self._base}/", **_HEADERS})
            entered.set_cookie(self._cookie, self._pass, httponly=True, samesite="Strict", path=self._base)
            return entered
        if not _same(request.cookies.get(self._cookie, ""), self._pass):
            return _refused("open the address with the token that aiops printed")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this machine. The port may be another: of an SSH forward."""
        name = host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host.lower()
        name = name.removeprefix("[").removesuffix("]")
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address

    async def _index(self, request: web.Request) -> web.Response:
        return web.Response(
            text=_PAGE.replace("HOST", f"{request.headers['Host']}{self._base}"), content_type="text/html"
        )

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if len(self.children) >= self._most:
            print(
                f"warning: a page was refused: {self._most} are open, close one", file=sys.stderr, flush=True
            )
            return web.Response(status=503, text=f"503: {self._most} pages are open; close one\n")
        page = web.WebSocketResponse(heartbeat=15)
        child = Child(self._command, page)
        self.children.add(child)
        try:
            await page.prepare(request)
            await child.start(_cells(request.query.get("width"), 80), _cells(request.query.get("height"), 24))
            async for message in page:
                if message.type is WSMsgType.TEXT:
                    await _heard(child, page, message.data)
        finally:
            ending = asyncio.ensure_future(child.stop())
            ending.add_done_callback(
                lambda _: self.children.discard(child)
            )  # also where the page is torn off
            await asyncio.shield(ending)
        return page


async def _heard(child: Child, page: web.WebSocketResponse, text: str) -> None:
    """What a page says: keys, mouse, size. What can't be read is of no page of ours, and is dropped."""
    try:
        kind, *rest = json.loads(text)
        if kind == "stdin":
            await child.send_bytes(str(rest[0]).encode())
        elif kind == "resize":
            await child.set_terminal_size(_cells(rest[0]["width"], 80), _cells(rest[0]["height"], 24))
        elif kind == "ping":
            await page.send_json(["pong", rest[0]])
        elif kind == "blur":
            await child.blur()
        elif kind == "focus":
            await child.focus()
    except (ValueError, TypeError, KeyError, IndexError, UnicodeError):
        return


def _cells(said: object, default: int) -> int:
    try:
        return min(max(int(str(said)), 1), _MOST_CELLS)
    except ValueError:
        return default


def _refused(why: str) -> web.Response:
    return web.Response(status=403, text=f"403: {why}\n", headers=_HEADERS)


def _same(a: str, b: str) -> bool:
    return secrets.compare_digest(a.encode(errors="replace"), b.encode())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def command(options: Options, place: Sequence[str]) -> list[str]:
    """The dashboard's own command line with the options of this one."""
    values = {
        "--selector": options.selector,
        "--group": options.group,
        "--since": options.since,
        "--from": options.start,
        "--to": options.end,
        "--step": options.step,
        "--tz": options.tz,
        "--timeout": options.timeout,
        "--max-age": options.max_age,
        "--bundle": options.bundle,
        "--config": options.config,
        "--kubeconfig": options.kubeconfig,
    }
    switches = {"--no-cache": options.no_cache, "--refresh": options.refresh, "--debug": options.debug}
    return [
        sys.executable,
        *("-P", "-m", "aiops_cli"),  # never a module of the folder that it was started in
        *(f"--context={c}" for c in options.contexts),
        *(f"{flag}={value}" for flag, value in values.items() if value is not None),
        *(flag for flag, on in switches.items() if on),
        *("tui", "--", *place),
    ]


def serve(options: Options, place: Sequence[str], host: str, port: int) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises UsageError where the address can't be had."""
    asyncio.run(
        _serve(Site(command(options, place), host, token := secrets.token_urlsafe(32)), token, host, port)
    )


async def _serve(site: Site, token: str, host: str, port: int) -> None:
    # No access log: its lines would have the token.
    runner = web.AppRunner(site.app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    listener = web.TCPSite(runner, host, port)
    try:
        await listener.start()
    except OSError as error:
        await runner.cleanup()
        why = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(
            f"can't listen on {host} port {port}: {why}", hint="--port N, 0 for any that is free; --host"
        ) from None
    bound = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    if not is_loopback(host):
        print(
            "warning: others can reach this address, and it is plain HTTP: who can read the network can read "
            "the token; an SSH tunnel to loopback is safer",
            file=sys.stderr,
        )
    print(f"http://{shown}:{bound}/?token={token}", flush=True)
    print("the dashboard is at that address, for whoever has it; Ctrl-C ends it", file=sys.stderr, flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await asyncio.gather(*(child.stop() for child in set(site.children)), return_exceptions=True)
    await runner.cleanup()
