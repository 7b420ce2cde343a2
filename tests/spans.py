"""Spans with ids of one's choice, sent to a Jaeger as OTLP/JSON: for traces that lie in several places."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.servers.jaeger import Jaeger
from tests.servers.process import POLL_SECONDS

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


def new_trace_id() -> str:
    return secrets.token_hex(16)


@dataclass
class Sent:
    """A span; `start` and `end` in milliseconds from `origin` (unix seconds) of the push."""

    trace: str
    span: str
    parent: str | None
    service: str
    name: str
    start: float
    end: float
    kind: str = "server"
    error: str | None = None
    attributes: dict[str, str | int | bool] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()
    exception: tuple[str, str] | None = None


def push(jaeger: Jaeger, spans: Iterable[Sent], *, origin: float, seconds: float = 30.0) -> None:
    """Send them and wait until Jaeger shows all. Raises TimeoutError if it does not."""
    spans = list(spans)
    resources: dict[str, list[dict[str, Any]]] = {}
    for s in spans:
        resources.setdefault(s.service, []).append(_otlp(s, origin))
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": [_pair("service.name", service)]},
                "scopeSpans": [{"spans": members}],
            }
            for service, members in resources.items()
        ]
    }
    with httpx2.Client(timeout=10.0, trust_env=False) as client:
        client.post(f"{jaeger.otlp_url}/v1/traces", json=body).raise_for_status()
        deadline = time.monotonic() + seconds
        for trace in {s.trace for s in spans}:
            wanted = {s.span for s in spans if s.trace == trace}
            while True:
                reply = client.get(f"{jaeger.url}/api/traces/{trace}")
                if reply.status_code == 200:
                    there = {s["spanID"] for s in reply.json()["data"][0]["spans"]}
                    if wanted <= there:
                        break
                if time.monotonic() > deadline:
                    raise TimeoutError(f"Jaeger does not show trace {trace} after {seconds:.0f} s")
                time.sleep(POLL_SECONDS)


def _pair(key: str, value: str | int | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": key, "value": {kind: value}}


def _otlp(s: Sent, origin: float) -> dict[str, Any]:
    def ns(ms: float) -> str:
        return str(round(origin * 1e9) + round(ms * 1e6))

    span: dict[str, Any] = {
        "traceId": s.trace,
        "spanId": s.span,
        "name": s.name,
        "kind": KINDS.index(s.kind),
        "startTimeUnixNano": ns(s.start),
        "endTimeUnixNano": ns(s.end),
        "attributes": [_pair(k, v) for k, v in s.attributes.items()],
        "links": [{"traceId": t, "spanId": i} for t, i in s.links],
    }
    if s.parent is not None:
        span["parentSpanId"] = s.parent
    if s.error is not None:
        span["status"] = {"code": 2, "message": s.error}
    if s.exception is not None:
        kind, message = s.exception
        fields = [_pair("exception.type", kind), _pair("exception.message", message)]
        span["events"] = [{"timeUnixNano": ns(s.end), "name": "exception", "attributes": fields}]
    return span
