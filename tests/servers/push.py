"""Lines into Loki and spans into Jaeger, by the protocols that agents use."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx2
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode

from tests.servers.jaeger import Jaeger
from tests.servers.loki import Loki
from tests.servers.process import POLL_SECONDS

# Loki's gRPC inside refuses messages over 4 MB.
LINES_A_PUSH = 5000

Time = datetime | int | float
"""A datetime, integer nanoseconds, or float seconds since 1970."""


def nanoseconds(at: Time) -> int:
    if isinstance(at, datetime):
        return int(at.timestamp() * 1_000_000) * 1000
    return at if isinstance(at, int) else int(at * 1e9)


def push_logs(
    loki: Loki,
    streams: Iterable[tuple[Mapping[str, str], Iterable[tuple[Time, str]]]],
    *,
    tenant: str | None = None,
) -> None:
    """Push streams, each its labels and its `(time, line)`s; they can be queried once this returns.

    Loki takes a stream's lines in the order of time only, so they are sorted here, and a later push to
    the same stream must not be older. Raises httpx2.HTTPStatusError with Loki's reason.
    """
    headers = {"X-Scope-OrgID": tenant} if tenant else {}
    with httpx2.Client(base_url=loki.url, headers=headers, timeout=60.0, trust_env=False) as client:
        for labels, lines in streams:
            values = [[str(at), line] for at, line in sorted((nanoseconds(t), line) for t, line in lines)]
            for first in range(0, len(values), LINES_A_PUSH):
                stream = {"stream": dict(labels), "values": values[first : first + LINES_A_PUSH]}
                reply = client.post("/loki/api/v1/push", json={"streams": [stream]})
                if reply.is_error:
                    raise httpx2.HTTPStatusError(
                        f"push: {reply.status_code} {reply.text[:500]}", request=reply.request, response=reply
                    )


@dataclass
class SpanNode:
    """A span and what it called. `start` as in `Time`, `duration` in seconds.

    `children` of another service are server spans there, as after a call over the network.
    """

    service: str
    name: str
    start: Time
    duration: float
    error: str | None = None
    kind: SpanKind = SpanKind.SERVER
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    children: Sequence[SpanNode] = ()


class _Collected(SpanProcessor):
    """Keeps ended spans, for one export instead of one a span."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def _services(roots: Iterable[SpanNode]) -> Iterator[SpanNode]:
    for node in roots:
        yield node
        yield from _services(node.children)


def push_spans(jaeger: Jaeger, roots: Sequence[SpanNode], *, seconds: float = 30.0) -> list[str]:
    """Send one trace a root by OTLP/HTTP; returns their ids (32 hex digits) once Jaeger finds them.

    Raises RuntimeError when Jaeger refuses the spans, TimeoutError when it does not show them.
    """
    collected = _Collected()
    tracers: dict[str, trace.Tracer] = {}
    for node in _services(roots):
        if node.service not in tracers:
            provider = TracerProvider(resource=Resource({"service.name": node.service, **node.resource}))
            provider.add_span_processor(collected)
            tracers[node.service] = provider.get_tracer("aiops.tests")

    def emit(node: SpanNode, parent: trace.Span | None) -> trace.Span:
        began = nanoseconds(node.start)
        # With no parent the SDK would take the caller's current span; an invalid one starts a trace.
        context = trace.set_span_in_context(parent or trace.INVALID_SPAN)
        span = tracers[node.service].start_span(
            node.name, context=context, kind=node.kind, attributes=dict(node.attributes), start_time=began
        )
        for child in node.children:
            emit(child, span)
        if node.error is not None:
            span.set_status(Status(StatusCode.ERROR, node.error))
        span.end(began + int(node.duration * 1e9))
        return span

    ids = [format(emit(root, None).get_span_context().trace_id, "032x") for root in roots]
    exporter = OTLPSpanExporter(endpoint=f"{jaeger.otlp_url}/v1/traces", timeout=30)
    for first in range(0, len(collected.spans), 2000):
        if exporter.export(collected.spans[first : first + 2000]) is not SpanExportResult.SUCCESS:
            raise RuntimeError(f"Jaeger at {jaeger.otlp_url} did not take the spans")
    _await_traces(
        jaeger, dict(zip(ids, (sum(1 for _ in _services([r])) for r in roots), strict=True)), seconds
    )
    return ids


def _await_traces(jaeger: Jaeger, expected: Mapping[str, int], seconds: float) -> None:
    """Wait until each trace shows all its spans: Jaeger answers OTLP before it has stored them."""
    deadline = time.monotonic() + seconds
    with httpx2.Client(base_url=jaeger.url, timeout=10.0, trust_env=False) as client:
        for trace_id, count in expected.items():
            while True:
                reply = client.get(f"/api/traces/{trace_id}")
                if reply.status_code == 200 and len(reply.json()["data"][0]["spans"]) >= count:
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError(f"Jaeger does not show trace {trace_id} after {seconds:.0f} s")
                time.sleep(POLL_SECONDS)
