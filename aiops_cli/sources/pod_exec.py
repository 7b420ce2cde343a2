"""Run a program in a container and read what it prints, by the API server's exec.

GET /api/v1/namespaces/NS/pods/POD/exec, upgraded to a websocket of the subprotocol v4.channel.k8s.io (or
v5, which adds only the end of stdin, and stdin is not used): the first byte of a message is its channel,
1 stdout, 2 stderr, 3 a v1.Status once the program has ended
(k8s.io/apimachinery/pkg/util/remotecommand/constants.go). Callers pass a fixed argv: there is no shell.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from aiops_cli.errors import AuthError, ClusterError, ErrorCode
from aiops_cli.sources.replies import failure
from aiops_cli.transport.websocket import HandshakeRefused, WebSocketClosed, connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiops_cli.transport.client import HttpClient

_PROTOCOLS = ("v4.channel.k8s.io", "v5.channel.k8s.io")
_STDOUT, _STDERR, _ERROR = 1, 2, 3
_MOST = 32 << 20


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a program printed, and its exit code."""

    stdout: str
    stderr: str
    exit_code: int


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None


class _Status(msgspec.Struct):
    status: str = ""
    message: str = ""
    reason: str = ""
    details: _Details | None = None


async def exec_in_pod(
    client: HttpClient, namespace: str, pod: str, container: str, argv: Sequence[str], timeout: float
) -> ExecResult:
    """Run `argv` in a container. `client` is one of the API server, `timeout` is for all of it, in seconds.

    Raises AuthError (FORBIDDEN) without permission, ClusterError where the program can't be started, prints
    more than 32 MiB, or does not end in time. A program that fails is no error: see its exit code.
    """
    where = f"{namespace}/{pod}/{container}"
    try:
        async with asyncio.timeout(timeout):
            refused: HandshakeRefused | None = None
            for protocol in _PROTOCOLS:
                try:
                    return await _run(client, namespace, pod, container, argv, protocol)
                except HandshakeRefused as error:
                    if error.reply.status != 400:
                        raise _not_started(error, where, argv, client.endpoint) from None
                    refused = refused or error
            assert refused is not None
            raise _not_started(refused, where, argv, client.endpoint)
    except TimeoutError:
        raise ClusterError(
            f"{argv[0]} in {where} did not end within {timeout:g} s",
            hint="raise --timeout, or look at that node",
            code=ErrorCode.QUERY_TIMEOUT,
            endpoint=client.endpoint,
        ) from None


async def _run(
    client: HttpClient, namespace: str, pod: str, container: str, argv: Sequence[str], protocol: str
) -> ExecResult:
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/exec"
    params = [("container", container), ("stdout", "true"), ("stderr", "true")]
    params += [("command", word) for word in argv]
    printed = {_STDOUT: bytearray(), _STDERR: bytearray()}
    status: bytes | None = None
    async with connect(client, path, params, headers={"Sec-WebSocket-Protocol": protocol}) as socket:
        try:
            async with aclosing(socket.messages()) as messages:  # type: ignore[type-var]
                async for message in messages:
                    channel = message[0] if message else -1
                    if channel == _ERROR:
                        status = message[1:]
                        break
                    if channel in printed:
                        printed[channel] += message[1:]
                        _check(printed, argv, client.endpoint)
        except WebSocketClosed:
            pass  # without a status: it is told below
    code = _exit_code(status, argv, f"{namespace}/{pod}/{container}", client.endpoint)
    out, err = (bytes(printed[c]).decode("utf-8", "replace") for c in (_STDOUT, _STDERR))
    return ExecResult(out, err, code)


def _check(printed: dict[int, bytearray], argv: Sequence[str], endpoint: str) -> None:
    if sum(map(len, printed.values())) > _MOST:
        raise ClusterError(
            f"{argv[0]} prints more than {_MOST >> 20} MiB",
            hint="look at that pod",
            code=ErrorCode.BAD_ANSWER,
            endpoint=endpoint,
        )


def _exit_code(body: bytes | None, argv: Sequence[str], where: str, endpoint: str) -> int:
    """Raises ClusterError for a program that never ran, or of which no end was told."""
    try:
        status = msgspec.json.decode(body or b"{}", type=_Status)
    except msgspec.MsgspecError:
        status = _Status(message="the end of the program was told in a way that can't be read")
    if status.status == "Success":
        return 0
    if status.reason == "NonZeroExitCode":
        for cause in (status.details.causes if status.details else None) or []:
            if cause.reason == "ExitCode" and cause.message.isascii() and cause.message.isdigit():
                return int(cause.message)
    why = " ".join(status.message.split())[:300] or "the connection ended before the program did"
    raise ClusterError(
        f"{argv[0]} could not be run in {where}: {why}",
        hint="the container may lack that program, or be gone: look at the pod",
        code=ErrorCode.QUERY_FAILED,
        endpoint=endpoint,
    )


def _not_started(error: HandshakeRefused, where: str, argv: Sequence[str], endpoint: str) -> ClusterError:
    told = failure(error.reply, f"exec in {where}", endpoint)
    if told.code is ErrorCode.FORBIDDEN:
        return AuthError(
            f"not allowed to exec in {where}",
            hint="ask for the verbs get and create on pods/exec in that namespace",
            code=ErrorCode.FORBIDDEN,
            endpoint=endpoint,
        )
    if told.code is ErrorCode.NOT_FOUND:
        return ClusterError(
            f"there is no container {where} any more",
            hint="ask again",
            code=ErrorCode.NOT_FOUND,
            endpoint=endpoint,
        )
    return ClusterError(
        f"{argv[0]} could not be run in {where}: {told.message}",
        hint="look at the node's kubelet and at proxies on the way",
        code=told.code,
        endpoint=endpoint,
    )
