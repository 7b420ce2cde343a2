"""The tail's protocol and its way through TLS, proxies and logins: what a real Loki does not show here.

A websocket server of our own stands in for one; `tests/cli/test_tail.py` has the real ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from aiops_cli.errors import AuthError, ClusterError, ErrorCode, UsageError
from aiops_cli.sources.base import LiveLines
from aiops_cli.sources.loki_tail import LokiTail, decode_message
from aiops_cli.transport.client import HttpClient, Target
from aiops_cli.transport.credentials import Login, StaticCredentials, TokenFileCredentials
from aiops_cli.transport.tls import Trust
from tests.faults.stub import server_tls, tunnel
from tests.servers.pki import CertificateAuthority

Handler = Callable[[ServerConnection], Awaitable[None]]


def message(*lines: str, dropped: int = 0) -> str:
    values = [[str(1_700_000_000_000_000_000 + i), line] for i, line in enumerate(lines)]
    left_out = [{"timestamp": "1700000000000000000", "labels": {"app": "x"}}] * dropped
    return json.dumps({"streams": [{"stream": {"app": "x"}, "values": values}], "dropped_entries": left_out})


class Tailed:
    """A server whose tail does what `handler` says; `asked` are the requests."""

    def __init__(self, handler: Handler, refuse: Callable[[Request], tuple[int, str] | None]) -> None:
        self.handler, self._refuse = handler, refuse
        self.asked: list[Request] = []

    def before(self, connection: ServerConnection, request: Request) -> Response | None:
        self.asked.append(request)
        refusal = self._refuse(request)
        return connection.respond(HTTPStatus(refusal[0]), refusal[1]) if refusal else None


@asynccontextmanager
async def tailed(
    handler: Handler, *, refuse: Callable[[Request], tuple[int, str] | None] = lambda _: None, tls: Any = None
) -> AsyncIterator[tuple[str, Tailed]]:
    one = Tailed(handler, refuse)
    async with serve(
        handler, "127.0.0.1", 0, ssl=tls, process_request=one.before, ping_interval=None
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", one


async def first(target: Target, *, idle: float = 10.0, query: str = '{app="x"}') -> LiveLines:
    client = HttpClient(target, timeout=10)
    try:
        async with LokiTail(client, idle=idle).follow(query) as live:
            return await anext(live)
    finally:
        await client.aclose()


def test_entries_of_older_and_newer_servers() -> None:
    plain = decode_message(message("one", "two", dropped=3).encode())
    newer = decode_message(
        b'{"streams":[{"stream":{"app":"x"},"values":[["5","l",{"structuredMetadata":{"pod":"p"},'
        b'"parsed":{"level":"warn"}}]]}],"encodingFlags":["categorize-labels"]}'
    )
    assert [row[1] for row in plain.rows] == ["one", "two"]
    assert plain.dropped == 3
    assert newer.rows == [(5, "l", {"app": "x", "level": "warn"}, {"pod": "p"})]
    assert decode_message(b'{"streams":null,"dropped_entries":null}').rows == []


async def test_a_message_in_many_pieces_is_one() -> None:
    async def handler(socket: ServerConnection) -> None:
        text = message("x" * 200_000)
        await socket.send([text[:10], text[10:70_000], text[70_000:]])
        await socket.wait_closed()

    async with tailed(handler) as (url, _):
        assert len((await first(Target(url))).rows[0][1]) == 200_000


async def test_the_line_of_history_that_comes_twice_is_one() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.send(message("history"))
        await socket.send(message("history", "live"))
        await socket.wait_closed()

    async with tailed(handler) as (url, _):
        client = HttpClient(Target(url))
        async with LokiTail(client).follow("{}") as live:
            told = [await anext(live), await anext(live)]
        await client.aclose()
    assert [[row[1] for row in lines.rows] for lines in told] == [["history"], ["live"]]


async def test_tls_with_our_own_authority_a_proxy_a_token_and_a_tenant() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.send(message("through"))
        await socket.wait_closed()

    authority = CertificateAuthority()
    with tunnel() as (proxy, asked_proxy):
        async with tailed(handler, tls=server_tls(authority.server(["loki.example"]))) as (url, server):
            target = Target(
                f"{url}/api/logs/v1/application",
                StaticCredentials(Login(token="s3cret-token")),
                Trust(authority.certificate),
                headers={"X-Scope-OrgID": "team-a"},
                proxy=proxy,
                tls_server_name="loki.example",
            )
            lines = await first(target)
            other = Target(
                url, trust=Trust(CertificateAuthority().certificate), tls_server_name="loki.example"
            )
            with pytest.raises(ClusterError) as untrusted:
                await first(other)
    request = server.asked[0]
    assert lines.rows[0][1] == "through"
    assert request.headers["Authorization"] == "Bearer s3cret-token"
    assert request.headers["X-Scope-OrgID"] == "team-a"
    assert request.path.startswith("/api/logs/v1/application/loki/api/v1/tail?query=")
    assert asked_proxy == [f"CONNECT {url.removeprefix('https://')}"]
    assert untrusted.value.code is ErrorCode.TLS_FAILED


async def test_a_client_certificate_is_shown() -> None:
    async def handler(socket: ServerConnection) -> None:
        name = socket.transport.get_extra_info("peercert")["subject"][0][0][1]
        await socket.send(message(name))
        await socket.wait_closed()

    import ssl

    authority = CertificateAuthority()
    context = server_tls(authority.server(["127.0.0.1"]))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.certificate.decode())
    shown = authority.client("sre-1", [])
    async with tailed(handler, tls=context) as (url, _):
        login = StaticCredentials(Login(certificate=shown.certificate, key=shown.key))
        assert (await first(Target(url, login, Trust(authority.certificate)))).rows[0][1] == "sre-1"


async def test_a_refused_token_is_read_again_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    def refuse(request: Request) -> tuple[int, str] | None:
        if request.headers["Authorization"] == "Bearer new":
            return None
        token.write_text("new")
        return 401, "Unauthorized"

    async def handler(socket: ServerConnection) -> None:
        await socket.send(message("in"))
        await socket.wait_closed()

    async with tailed(handler, refuse=refuse) as (url, server):
        lines = await first(Target(url, TokenFileCredentials(str(token))))
        with pytest.raises(AuthError):
            await first(Target(url, StaticCredentials(Login(token="wrong"))))
    assert lines.rows[0][1] == "in"
    assert [r.headers["Authorization"] for r in server.asked] == ["Bearer old", "Bearer new", "Bearer wrong"]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, "parse error at line 1, col 3: syntax error", ErrorCode.INVALID_LOGQL),
        (400, "delay_for can't be greater than 5", ErrorCode.QUERY_FAILED),
        (403, '{"error":"forbidden"}', ErrorCode.FORBIDDEN),
        (404, "page not found", ErrorCode.NOT_FOUND),
        (302, "", ErrorCode.CREDENTIALS_INVALID),
        (200, "<html>", ErrorCode.BAD_ANSWER),
    ],
)
async def test_handshakes_that_are_refused(status: int, body: str, code: ErrorCode) -> None:
    async def handler(socket: ServerConnection) -> None: ...

    async with tailed(handler, refuse=lambda _: (status, body)) as (url, _):
        with pytest.raises((ClusterError, UsageError)) as caught:
            await first(Target(url), query="{a")
    assert caught.value.code is code


async def test_a_server_that_ends_the_tail_says_why() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.close(1011, "reached tail max duration limit")

    async with tailed(handler) as (url, _):
        with pytest.raises(ClusterError, match="ended the tail: reached tail max duration limit"):
            await first(Target(url))


async def test_silence_is_asked_into_and_an_answer_keeps_the_tail() -> None:
    async def handler(socket: ServerConnection) -> None:
        await asyncio.sleep(1)  # several times our patience; our pings are answered meanwhile
        await socket.send(message("late"))
        await socket.wait_closed()

    async with tailed(handler) as (url, _):
        assert (await first(Target(url), idle=0.2)).rows[0][1] == "late"


async def test_a_peer_that_answers_no_ping_is_given_up() -> None:
    released = asyncio.Event()

    async def handler(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        await released.wait()

    async with tailed(handler) as (url, _):
        with pytest.raises(ClusterError, match="not even an answer to a ping"):
            await first(Target(url), idle=0.2)
        released.set()


async def test_what_is_no_websocket_is_a_bad_answer() -> None:
    async def handler(socket: ServerConnection) -> None:
        socket.transport.write(b"HTTP/1.1 500 what?\r\n\r\n" + b" " * 100)
        await socket.wait_closed()

    async with tailed(handler) as (url, _):
        with pytest.raises(ClusterError) as caught:
            await first(Target(url))
    assert caught.value.code is ErrorCode.BAD_ANSWER


@pytest.mark.parametrize("body", ["{", '{"streams":[{"stream":{},"values":[[]]}]}', '{"x":' + "[" * 60_000 + "]" * 60_000 + "}"])  # fmt: skip
async def test_what_is_no_message_is_a_bad_answer(body: str) -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.send(body)
        await socket.wait_closed()

    async with tailed(handler) as (url, _):
        with pytest.raises(ClusterError) as caught:
            await first(Target(url))
    assert caught.value.code is ErrorCode.BAD_ANSWER
