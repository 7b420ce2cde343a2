"""One pooled HTTP client an endpoint, with a deadline over everything, retries and a retry budget.

A deadline covers the whole request, retries and a slowly dripping body included, so that one bad
cluster costs the fleet one timeout. Logging in has a limit of its own and costs none of it. Redirects are never followed: a gateway's redirect to its login
page means that the token was refused, and a token must not travel to another host.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeVar

from aiops_cli.errors import AuthError, ClusterError, ErrorCode
from aiops_cli.transport.credentials import Credentials, Login
from aiops_cli.transport.failures import REDIRECTS, lost, redirected, refused, unconnected
from aiops_cli.transport.proxy import environment_proxy
from aiops_cli.transport.redaction import secrets_of, without
from aiops_cli.transport.tls import Trust, context_for

if TYPE_CHECKING:
    import httpx2
    from httpcore2 import AsyncNetworkStream

Params = Sequence[tuple[str, str]]

CONNECT_TIMEOUT = 5.0
_ATTEMPTS = 3
_RETRY_BUDGET = 10.0
_REFILL = 0.1  # of a retry, by each good answer: a tail of hours is not left without for a bad start
_PATIENCE = 5.0  # a server that asks us to wait longer than this gets its answer shown instead
_RETRY_STATUS = frozenset({429, 502, 503, 504})
_MAX_BODY = 1 << 30
_CLIENT = "aiops_client"  # among a response's extensions: whose it is


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: `status`, lower-case `headers`, and the decoded body.

    Unless it is a 200, what lets us in is hidden where the server quoted it.
    """

    status: int
    headers: dict[str, str]
    body: bytes | bytearray
    url: str

    @property
    def text(self) -> str:
        """The first 500 characters on one line, for messages."""
        return " ".join(bytes(self.body[:2000]).decode("utf-8", "replace").split())[:500]


@dataclass(frozen=True, slots=True)
class Stream(Reply):
    """An answer that goes on: the body of a 200 comes through `chunks`, a 101 gives `network`, the raw
    connection. Of any other status the body has been read."""

    response: httpx2.Response | None = None

    @property
    def network(self) -> AsyncNetworkStream:
        if self.response is None:
            raise ValueError("only a 101 has a raw connection")
        stream: AsyncNetworkStream = self.response.extensions["network_stream"]
        return stream

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises ClusterError when it is cut off."""
        import httpx2

        if self.response is None:
            return
        try:
            async for chunk in self.response.aiter_bytes():
                yield chunk
        except httpx2.DecodingError:
            raise _damaged(self.url) from None
        except (httpx2.TransportError, ssl.SSLError) as error:
            raise lost(error, self.url, begun=True) from None


R = TypeVar("R", bound=Reply)


@dataclass(slots=True)
class Target:
    """An endpoint to talk to. `base_url` has no trailing slash and may carry a path.

    `extra` is sent beside `headers` and may hold a name several times (Impersonate-Group).
    """

    base_url: str
    credentials: Credentials = field(default_factory=Credentials)
    trust: Trust = field(default_factory=Trust)
    headers: dict[str, str] = field(default_factory=dict)
    proxy: str | None = None
    tls_server_name: str | None = None
    extra: list[tuple[str, str]] = field(default_factory=list)


class HttpClient:
    """Talks to one endpoint. Use as an async context manager, or call `aclose`."""

    on_reply: ClassVar[Callable[[str], None] | None] = None
    """Called with one redacted line a request (method, URL without query, status, size, time)."""

    def __init__(self, target: Target, *, timeout: float = 30.0, max_in_flight: int = 10) -> None:
        self.target = target
        self.timeout = timeout
        self._slots = asyncio.Semaphore(max_in_flight)
        self._most = max_in_flight
        self._client: httpx2.AsyncClient | None = None
        self._uses: dict[httpx2.AsyncClient, int] = {}
        self._certificate: bytes | None = None
        self._budget = _RETRY_BUDGET
        self._connect_timeout = min(CONNECT_TIMEOUT, timeout)
        self.requests = 0

    @property
    def endpoint(self) -> str:
        return self.target.base_url

    async def aclose(self) -> None:
        for client in {*self._uses, *([self._client] if self._client is not None else [])}:
            await client.aclose()
        self._uses.clear()
        self._client = None

    async def get(
        self,
        path: str,
        params: Params = (),
        *,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """GET `path`; any status is returned but 401 and login redirects. Raises ClusterError, AuthError."""
        return await self.request("GET", path, params=params, headers=headers, timeout=timeout)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
        retry: bool = True,
    ) -> Reply:
        """As `get`. With `retry=False` it is sent once, for what must not happen twice."""
        import httpx2  # noqa: F401 - which takes long; a server is not to be charged for it

        deadline = timeout or self.timeout
        try:
            async with asyncio.timeout(deadline) as limit:
                async with self._slots:
                    return await self._attempts(
                        lambda login: self._once(method, path, params, data, headers or {}, login),
                        limit,
                        _ATTEMPTS if retry else 1,
                    )
        except TimeoutError:
            raise self._late(deadline) from None

    @asynccontextmanager
    async def stream(
        self, path: str, params: Params = (), *, headers: dict[str, str] | None = None
    ) -> AsyncIterator[Stream]:
        """GET `path` and leave the body open, for as long as the block lasts; the client's deadline is for
        the head alone. Holds one of the connections. Raises as `get` does."""
        import httpx2  # noqa: F401 - see `request`

        async with self._slots:
            try:
                async with asyncio.timeout(self.timeout) as limit:
                    answer = await self._attempts(
                        lambda login: self._opened(path, params, headers or {}, login), limit
                    )
            except TimeoutError:
                raise self._late(self.timeout) from None
            try:
                yield answer
            finally:
                if answer.response is not None:
                    await self._close(answer.response)

    def _late(self, seconds: float) -> ClusterError:
        return ClusterError(
            f"no answer within {seconds:g} s",
            hint="raise --timeout, ask for less, or check the network",
            code=ErrorCode.QUERY_TIMEOUT,
            endpoint=self.endpoint,
        )

    async def _attempts(
        self, once: Callable[[Login], Awaitable[R]], limit: asyncio.Timeout, most: int = _ATTEMPTS
    ) -> R:
        refreshed = False
        attempt = 0
        while True:
            attempt += 1
            login = await self._login(limit)
            try:
                reply = await once(login)
            except ClusterError as error:
                if error.code is not ErrorCode.CLUSTER_UNREACHABLE or not self._may_retry(attempt, most):
                    raise
                await _pause(attempt, 0)
                continue
            if reply.status == 401 and not refreshed and self.target.credentials.forget(login):
                refreshed = True
                continue
            if reply.status == 401:
                raise self._here(refused())
            if reply.status in REDIRECTS:
                raise self._here(redirected(reply.status, reply.url, reply.headers.get("location", "")))
            wait = _retry_after(reply)
            if (
                reply.status in _RETRY_STATUS
                and not _is_verdict(reply)
                and wait <= _PATIENCE
                and self._may_retry(attempt, most)
            ):
                await _pause(attempt, wait)
                continue
            if reply.status not in _RETRY_STATUS:
                self._budget = min(self._budget + _REFILL, _RETRY_BUDGET)
            return reply

    def _may_retry(self, attempt: int, most: int) -> bool:
        if attempt >= most or self._budget < 1:
            return False
        self._budget -= 1
        return True

    def _here(self, error: ClusterError) -> ClusterError:
        error.endpoint = self.endpoint
        return error

    async def _login(self, limit: asyncio.Timeout) -> Login:
        """The login, while the clock of the request stands still."""
        loop = asyncio.get_running_loop()
        left = (limit.when() or 0.0) - loop.time()
        limit.reschedule(None)
        try:
            return await self.target.credentials.login()
        except AuthError as error:
            raise self._here(error) from None
        finally:
            limit.reschedule(loop.time() + left)

    async def _once(
        self,
        method: str,
        path: str,
        params: Params,
        data: bytes | None,
        headers: dict[str, str],
        login: Login,
    ) -> Reply:
        start = time.perf_counter()
        response = await self._send(method, path, params, data, headers, login)
        try:
            return self._reply(response, await self._body(response), login, start)
        finally:
            await self._close(response)

    async def _opened(self, path: str, params: Params, headers: dict[str, str], login: Login) -> Stream:
        start = time.perf_counter()
        response = await self._send("GET", path, params, None, headers, login)
        try:
            going_on = response.status_code in (200, 101)
            body = bytearray() if going_on else await self._body(response)
            head = self._reply(response, body, login, start)
        except BaseException:
            await self._close(response)
            raise
        if not going_on:
            await self._close(response)
        return Stream(head.status, head.headers, head.body, head.url, response if going_on else None)

    async def _send(
        self,
        method: str,
        path: str,
        params: Params,
        data: bytes | None,
        headers: dict[str, str],
        login: Login,
    ) -> httpx2.Response:
        """The answer's head, its body still to be read; whoever gets it calls `_close`."""

        client = await self._open(login)
        self._uses[client] = self._uses.get(client, 0) + 1
        try:
            response = await self._sent(client, method, path, params, data, headers, login)
        except BaseException:
            await self._leave(client)
            raise
        response.extensions[_CLIENT] = client
        return response

    async def _close(self, response: httpx2.Response) -> None:
        await response.aclose()
        await self._leave(response.extensions[_CLIENT])

    async def _leave(self, client: httpx2.AsyncClient) -> None:
        """One whose certificate was renewed meanwhile is closed by the last who used it."""
        self._uses[client] = self._uses.get(client, 1) - 1
        if not self._uses[client]:
            del self._uses[client]
            if client is not self._client:
                await client.aclose()

    async def _sent(
        self,
        client: httpx2.AsyncClient,
        method: str,
        path: str,
        params: Params,
        data: bytes | None,
        headers: dict[str, str],
        login: Login,
    ) -> httpx2.Response:
        import httpx2

        sent = self._sendable({**self.target.headers, **headers}, login.token)
        extensions = {"sni_hostname": self.target.tls_server_name} if self.target.tls_server_name else {}
        self.requests += 1
        try:
            request = client.build_request(
                method,
                self.target.base_url + path,
                params=list(params),
                content=data,
                headers=sent,
                extensions=extensions,
            )
            return await client.send(request, stream=True)
        except httpx2.ConnectTimeout:
            raise ClusterError(
                f"could not connect within {self._connect_timeout:g} s",
                hint="check the address, VPN and firewall",
                code=ErrorCode.CONNECT_TIMEOUT,
                endpoint=self.endpoint,
            ) from None
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError, ssl.SSLError) as error:
            raise lost(error, self.endpoint, begun=False) from None
        except httpx2.InvalidURL as error:
            raise self._bad(f"the URL can't be used: {error}", "fix the URL in the config") from None
        except httpx2.TransportError as error:
            raise unconnected(error, self.endpoint) from None

    async def _body(self, response: httpx2.Response) -> bytearray:
        import httpx2

        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BODY:
                    raise self._bad(f"the answer is larger than {_MAX_BODY >> 20} MiB", "ask for less")
        except httpx2.DecodingError:
            raise _damaged(self.endpoint) from None
        except (httpx2.TransportError, ssl.SSLError) as error:
            raise lost(error, self.endpoint, begun=True) from None
        return body

    def _reply(self, response: httpx2.Response, body: bytearray, login: Login, start: float) -> Reply:
        status, url = response.status_code, str(response.url).partition("?")[0]
        if (log := HttpClient.on_reply) is not None:
            took = (time.perf_counter() - start) * 1000
            log(f"{response.request.method} {url} {status} {len(body)} B {took:.0f} ms")
        headers = {k.lower(): v for k, v in response.headers.items()}
        if status in (101, 200):
            return Reply(status, headers, body, url)
        secrets = secrets_of(self.target.headers, login.token)
        clean = {k: bytes(without(v.encode(), secrets)).decode() for k, v in headers.items()}
        return Reply(status, clean, without(body, secrets), url)

    def _sendable(self, headers: dict[str, str], token: str | None) -> list[tuple[str, str]]:
        """The headers with the token. Raises AuthError, which must not quote them, if HTTP has no way
        to write one."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        sent = [*headers.items(), *self.target.extra]
        for name, value in sent:
            if not (value.isascii() and value.isprintable()):
                what = "token" if name == "Authorization" else f"{name} header"
                raise AuthError(
                    f"the {what} holds a line break or another character that can't be sent",
                    hint="write it again in the kubeconfig or config, on one line",
                    endpoint=self.endpoint,
                )
        return sent

    def _bad(self, message: str, hint: str) -> ClusterError:
        return ClusterError(message, hint=hint, code=ErrorCode.BAD_ANSWER, endpoint=self.endpoint)

    async def _open(self, login: Login) -> httpx2.AsyncClient:
        """The pooled client; made anew when an exec plugin gave another certificate."""
        import httpx2

        if self._client is not None and login.certificate == self._certificate:
            return self._client
        old, self._client = self._client, None
        if old is not None and old not in self._uses:
            await old.aclose()
        trust = self.target.trust
        if login.certificate and login.key:
            trust = Trust(trust.ca, trust.insecure, login.certificate, login.key)
        try:
            context = context_for(trust, https=self.target.base_url.startswith("https:"))
        except ClusterError as error:
            error.endpoint = self.endpoint
            raise
        self._certificate = login.certificate
        try:
            self._client = httpx2.AsyncClient(
                verify=context,
                proxy=self.target.proxy or environment_proxy(self.target.base_url),
                timeout=httpx2.Timeout(None, connect=self._connect_timeout),
                limits=httpx2.Limits(
                    max_connections=self._most, max_keepalive_connections=self._most, keepalive_expiry=60
                ),
                trust_env=False,
                headers={"User-Agent": "aiops", "Accept": "application/json"},
            )
        except (ValueError, httpx2.InvalidURL):
            raise ClusterError(
                "the proxy for it is no URL that can be used",
                hint="write HTTPS_PROXY, HTTP_PROXY or proxy-url as http://HOST:PORT or socks5://HOST:PORT",
                endpoint=self.endpoint,
            ) from None
        return self._client


def _damaged(endpoint: str) -> ClusterError:
    return ClusterError(
        "the compressed body is damaged",
        hint="check proxies on the way",
        code=ErrorCode.BAD_ANSWER,
        endpoint=endpoint,
    )


def status_error(reply: Reply, what: str, endpoint: str) -> ClusterError:
    """The error of a status that the protocol's own error body did not explain. `what` is for people."""
    status = reply.status
    detail = "" if _is_html(reply) else f": {reply.text}" if reply.text else ""
    if status == 403:
        return AuthError(
            f"not allowed to read {what} (403){detail}",
            hint="ask for the viewer role of that endpoint",
            code=ErrorCode.FORBIDDEN,
            endpoint=endpoint,
        )
    if status == 404:
        return ClusterError(
            f"{what} answered 404 (not found)",
            hint="check the endpoint's URL and path prefix",
            code=ErrorCode.NOT_FOUND,
            endpoint=endpoint,
        )
    if status == 429:
        return ClusterError(
            f"{what} is rate limiting (429)",
            hint="ask again later, or ask for less",
            code=ErrorCode.RATE_LIMITED,
            endpoint=endpoint,
        )
    if status == 504:
        return ClusterError(
            f"{what} timed out behind a gateway (504)",
            hint="ask for less, or raise the gateway's timeout",
            code=ErrorCode.QUERY_TIMEOUT,
            endpoint=endpoint,
        )
    return ClusterError(
        f"{what} answered {status}{detail}",
        hint="look at that server's own logs",
        code=ErrorCode.SERVER_ERROR,
        endpoint=endpoint,
    )


def not_json(reply: Reply, what: str, endpoint: str) -> ClusterError:
    """A 200 whose body is not what the protocol says: mostly a login page or a proxy's page."""
    if _is_html(reply):
        return ClusterError(
            f"{what} answered an HTML page, not JSON",
            hint="the URL is a web page or a login: use the API's URL",
            code=ErrorCode.BAD_ANSWER,
            endpoint=endpoint,
        )
    return ClusterError(
        f"{what} answered something that is no valid JSON",
        hint="the answer may be cut: check proxies on the way",
        code=ErrorCode.BAD_ANSWER,
        endpoint=endpoint,
    )


def _is_html(reply: Reply) -> bool:
    return "html" in reply.headers.get("content-type", "") or bytes(reply.body[:200]).lstrip()[:1] == b"<"


def _is_verdict(reply: Reply) -> bool:
    """A protocol's own JSON error (a query that timed out) won't get better by asking again."""
    return reply.status == 503 and bytes(reply.body[:64]).lstrip().startswith(b'{"status":"error"')


def _retry_after(reply: Reply) -> float:
    value = reply.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


async def _pause(attempt: int, at_least: float) -> None:
    backoff = 0.15 * 2 ** (attempt - 1) * (0.5 + random.random())  # noqa: S311 - jitter
    await asyncio.sleep(max(backoff, at_least))
