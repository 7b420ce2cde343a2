"""The dashboard in a browser: who may, and that it is there."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from aiohttp import WSServerHandshakeError
from aiohttp.test_utils import TestClient, TestServer
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from aiops_cli.models.options import Options
from aiops_cli.tui.serve import Site, command, is_loopback
from tests.conftest import Aiops
from tests.servers.binaries import MissingServer
from tests.tui.browser import Browser

SECONDS = 60.0


@dataclass
class Served:
    """`aiops tui --serve --bundle demo` that runs."""

    process: subprocess.Popen[str]
    address: str
    token: str

    @property
    def url(self) -> str:
        return f"{self.address}/?token={self.token}"

    def enter(self, client: httpx2.Client) -> tuple[str, str]:
        """The address below which all is, and the cookie for it."""
        first = client.get(self.url)
        return self.address + first.headers["Location"], first.headers["Set-Cookie"].partition(";")[0]

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(p) for p in path.read_text().split()]


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    folders = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE")}
    process = subprocess.Popen(
        [sys.executable, "-m", "aiops_cli", "tui", "--serve", "--port", "0", "--bundle", "demo"],
        env={**os.environ, "HOME": str(home), **folders},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        match = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/\?token=([\w-]{40,})", line)
        assert match, line
        yield Served(process, match[1], match[2])
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as one:
        yield one


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Served]:
    """One that the test ends."""
    with serving(tmp_path) as one:
        yield one


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as made:
        yield made


@pytest.mark.parametrize("path", ["/", "/ws", "/static/js/textual.js", "/static/css/xterm.css", "/nowhere"])
def test_nothing_is_served_without_the_token(served: Served, client: httpx2.Client, path: str) -> None:
    for query in ("", "?token=", "?token=wrong", f"?token={served.token[:-1]}", "?token=%ff%00é"):
        assert client.get(f"{served.address}{path}{query}").status_code == 403
    client.cookies.set("aiops", served.token)
    assert client.get(f"{served.address}{path}").status_code == 403


def test_the_token_is_left_behind_at_the_first_page(served: Served, client: httpx2.Client) -> None:
    first = client.get(served.url)
    base = first.headers["Location"]
    assert first.status_code == 303
    assert re.fullmatch(r"/[\w-]{32}/", base)
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert served.token not in cookie
    assert f"Path={base.rstrip('/')}" in cookie.split("; ")  # no other server of this host is sent it
    assert client.get(f"{served.address}/").status_code == 403
    page = client.get(served.address + base)
    assert page.status_code == 200
    assert served.token not in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "http" not in page.text.replace("<!DOCTYPE html>", "").split("ws://")[0]  # nothing of another host
    assert client.get(f"{served.address}{base}static/js/textual.js").status_code == 200
    assert client.get(f"{served.address}{base}static/").status_code in (403, 404)


def test_another_name_or_site_is_refused(served: Served, client: httpx2.Client) -> None:
    page, _ = served.enter(client)
    port = served.address.rpartition(":")[2]
    for host, status in (
        (f"localhost:{port}", 200), ("localhost:9000", 200), (f"[::1]:{port}", 200),
        ("rebound.example", 403), (f"rebound.example:{port}", 403), (f"127.0.0.1.nip.example:{port}", 403),
        ("169.254.169.254", 403), ("", 403), (f'localhost:{port}"><script>', 403),
    ):  # fmt: skip
        assert client.get(page, headers={"Host": host}).status_code == status, host
    for origin, status in (
        (served.address, 200), ("http://rebound.example", 403), ("null", 403), ("http://127.0.0.1:1", 403),
    ):  # fmt: skip
        assert client.get(page, headers={"Origin": origin}).status_code == status, origin


async def test_a_websocket_needs_the_cookie_and_this_origin(served: Served, client: httpx2.Client) -> None:
    page_url, cookie = served.enter(client)
    ws = page_url.replace("http:", "ws:") + "ws"
    refused = (
        ({}, served.address),
        ({"Cookie": cookie}, None),
        ({"Cookie": cookie}, "http://rebound.example"),
    )
    for headers, origin in refused:
        with pytest.raises(InvalidStatus) as raised:
            await connect(ws, additional_headers=headers, origin=origin, proxy=None)  # type: ignore[arg-type]
        assert raised.value.response.status_code == 403
    assert served.children() == []
    async with connect(ws, additional_headers={"Cookie": cookie}, origin=served.address, proxy=None) as page:  # type: ignore[arg-type]
        for nonsense in ("", "[", "{}", '["stdin"]', '["resize", {"width": "x"}]', '["quit", 1]', "[[]]"):
            await page.send(nonsense)
        await page.send('["ping", "7"]')
        seen = b""
        async for message in page:
            seen += message if isinstance(message, bytes) else b""
            if b"CheckoutErrors" in seen and message != '["pong","7"]':
                break
        assert len(served.children()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_ends_it_and_the_dashboards_behind_it(
    alone: Served, client: httpx2.Client, number: int
) -> None:
    page_url, cookie = alone.enter(client)
    ws = page_url.replace("http:", "ws:") + "ws"
    async with connect(ws, additional_headers={"Cookie": cookie}, origin=alone.address, proxy=None) as page:  # type: ignore[arg-type]
        await page.recv()
        (child,) = alone.children()
        alone.process.send_signal(number)
        out, err = alone.process.communicate(timeout=SECONDS)
    assert alone.process.returncode == 0
    assert not Path(f"/proc/{child}").exists()
    assert "Traceback" not in err
    assert alone.token not in out + err  # told once, in the line that was read before


async def test_a_dashboard_ends_with_a_server_that_was_killed(alone: Served, client: httpx2.Client) -> None:
    page_url, cookie = alone.enter(client)
    ws = page_url.replace("http:", "ws:") + "ws"
    async with connect(ws, additional_headers={"Cookie": cookie}, origin=alone.address, proxy=None) as page:  # type: ignore[arg-type]
        await page.recv()
        (child,) = alone.children()
        gone = os.pidfd_open(child)
        alone.process.kill()
        alone.process.wait()
        assert select.select([gone], [], [], SECONDS)[0]
        os.close(gone)


async def test_a_real_browser_shows_the_fleet_and_takes_keys(served: Served, tmp_path: Path) -> None:
    browser = Browser(tmp_path / "browser")
    try:
        browser.start()
    except MissingServer as error:
        pytest.skip(str(error))
    try:
        page = await browser.open()
        await page.call("Page.navigate", url=served.url)
        await page.until(lambda: b"CheckoutErrors" in page.received)
        assert await page.evaluate("location.pathname.length + location.search") == "34"
        assert await page.evaluate("document.querySelectorAll('.xterm-screen').length") == 1
        before = len(page.received)
        await page.evaluate("document.querySelector('.xterm-helper-textarea').focus()")
        await page.press("?")
        await page.until(lambda: b"rebind by id" in page.received[before:])
        assert await page.colours() > 20  # text of several colours, smoothed: not an empty page
        await page.press("q")  # the keys' dialog
        await page.press("q")
        async with asyncio.timeout(SECONDS):
            while not await page.evaluate("document.body.classList.contains('-closed')"):
                pass
        assert page.problems == []
        assert all(u.startswith((served.address, "ws:", "data:", "about:")) for u in page.requests)
        await page.close()
    finally:
        browser.stop()


# What it runs


def test_the_same_options_are_passed_on_and_no_shell_reads_them() -> None:
    options = Options(contexts=["a b", "$(x)"], bundle="d;rm", config="c.toml", since="5m", no_cache=True)
    words = command(options, ["logs", '{a="b"}', "@west", "-x"])
    assert words[1:] == [
        "-P", "-m", "aiops_cli", "--context=a b", "--context=$(x)", "--since=5m", "--bundle=d;rm", "--config=c.toml",
        "--no-cache", "tui", "--", "logs", '{a="b"}', "@west", "-x",
    ]  # fmt: skip


def test_a_module_of_the_folder_it_was_started_in_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "aiops_cli.py").write_text("print('planted')")
    done = subprocess.run(
        [*command(Options(), [])[:-2], "version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "planted" not in done.stdout
    assert "aiops" in done.stdout, done


async def test_no_more_pages_than_so_many_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    site = Site([sys.executable, "-c", "import sys; sys.stdin.read(1)"], "127.0.0.1", "token", most=1)
    async with TestServer(site.app) as server, TestClient(server) as browser:
        base = (await browser.get("/?token=token", allow_redirects=False)).headers["Location"]
        origin = f"http://{server.host}:{server.port}"
        async with browser.ws_connect(f"{base}ws", origin=origin):
            with pytest.raises(WSServerHandshakeError, match="503"):
                await browser.ws_connect(f"{base}ws", origin=origin)
        assert "1 are open, close one" in capfd.readouterr().err
        async with asyncio.timeout(SECONDS):
            while site.children:
                await asyncio.sleep(0.01)
        await (await browser.ws_connect(f"{base}ws", origin=origin)).close()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a", False)],
)  # fmt: skip
def test_which_addresses_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_bad_words_end_with_one_line(aiops: Aiops, served: Served) -> None:
    port = served.address.rpartition(":")[2]
    for args, said in (
        (["--serve", "--port", port], f"can't listen on 127.0.0.1 port {port}: Address already in use"),
        (["--serve", "--host", "no.such.invalid"], "can't listen on no.such.invalid"),
        (["--port", "80"], "--port and --host are of --serve"),
        (["--serve", "atlantis"], "there is no view 'atlantis'"),
        ([], "the dashboard needs a terminal"),
    ):
        done = aiops("tui", *args)
        assert done.returncode == 2, done
        assert said in done.stderr
        assert done.stderr.count("\n") == 2
        assert done.stdout == ""
