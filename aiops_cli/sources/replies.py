"""What servers say when they refuse: one message out of the many shapes that error bodies have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from aiops_cli.errors import AuthError, ClusterError, ErrorCode
from aiops_cli.transport.client import HttpClient, Reply, status_error

_TIMED_OUT = ("context deadline exceeded", "request timed out", "context canceled")


def error_text(reply: Reply) -> str:
    """The server's message on one line, "" if there is none.

    Reads plain text (Loki, Tempo), a JSON string or {"code","message"} (Alertmanager), {"error"}
    (Prometheus, Observatorium gateways), {"errors": [{"msg"}]} (Jaeger), and v1.Status {"message"}
    (the Kubernetes API and its service proxy).
    """
    try:
        body: Any = msgspec.json.decode(reply.body)
    except (msgspec.MsgspecError, RecursionError):
        return reply.text
    found: Any = body
    if isinstance(body, dict):
        errors = body.get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            body = errors[0]
        found = body.get("message") or body.get("error") or body.get("msg")
    return " ".join(found.split())[:500] if isinstance(found, str) else reply.text


def failure(reply: Reply, what: str, endpoint: str) -> ClusterError:
    """The error of a reply that is no success, with the server's own message in it."""
    text = error_text(reply)
    if reply.status >= 500 and any(sign in text for sign in _TIMED_OUT):
        return ClusterError(
            f"{what} timed out: {text}",
            hint="ask for a shorter window or less data",
            code=ErrorCode.QUERY_TIMEOUT,
            endpoint=endpoint,
        )
    return status_error(replace(reply, body=text.encode()) if text else reply, what, endpoint)


async def says_ready(client: HttpClient, what: str, code: ErrorCode) -> bool:
    """Whether /ready says so; False where a gateway hides it. Raises ClusterError (`code`) if it says no."""
    try:
        reply = await client.get("/ready")
    except AuthError:
        return False
    if reply.status >= 500:
        raise ClusterError(
            f"{what} is not ready: {error_text(reply)}",
            hint="wait, or look at its pods",
            code=code,
            endpoint=client.endpoint,
        )
    return reply.status == 200


def pointed(expr: str, line: int, column: int) -> str:
    """A hint: that line of a query, with a caret below that column (both from 1), as far as it goes."""
    lines = expr.splitlines() or [""]
    source = lines[min(max(line, 1), len(lines)) - 1]
    return f"{source}\n      {' ' * min(max(column - 1, 0), len(source))}^"


def query_failed(text: str, endpoint: str) -> ClusterError:
    """QUERY_FAILED: the server understood the query and would not run it."""
    return ClusterError(
        f"the query failed: {text}",
        hint="change the query, or ask for less",
        code=ErrorCode.QUERY_FAILED,
        endpoint=endpoint,
    )
