"""What a process tells of itself: spans by OTLP/HTTP, log lines to Loki, metrics for Prometheus."""

from __future__ import annotations

import http.client
import json
import queue
import sys
import threading
import time
import traceback
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from prometheus_client import Counter, Gauge, Histogram

from tests.incidents.shop.identity import Identity

FLUSH_SECONDS = 1.0
SAMPLED_SHARE = 0.3
"""Of the traces; the other processes of a trace follow the first."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)

REQUESTS = Counter("http_requests", "Requests answered", ("method", "path", "code"))
DURATION = Histogram("http_request_duration_seconds", "Time to answer", ("method", "path"), buckets=BUCKETS)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests being answered")


def start_tracing(me: Identity) -> TracerProvider:
    """Send spans to the cluster's collector; `shutdown` of the result sends the rest."""
    resource = Resource.create(
        {
            "service.name": me.service,
            "service.version": me.version,
            "service.namespace": me.namespace,
            "service.instance.id": me.pod,
            "k8s.cluster.name": me.cluster,
            "k8s.namespace.name": me.namespace,
            "k8s.pod.name": me.pod,
            "k8s.node.name": me.node,
            "k8s.deployment.name": me.service,
            "k8s.container.name": me.service,
        }
    )
    sampler = ParentBased(TraceIdRatioBased(SAMPLED_SHARE))
    provider = TracerProvider(resource=resource, sampler=sampler)
    exporter = OTLPSpanExporter(endpoint=f"{me.otlp}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=2000))
    trace.set_tracer_provider(provider)
    return provider


class Log:
    """JSON log lines, pushed once a second. A line that can't be delivered goes to stderr with the reason."""

    def __init__(self, me: Identity) -> None:
        url = urlsplit(me.loki)
        self._host, self._port = url.hostname or "127.0.0.1", url.port or 80
        self._stream = {
            "job": me.service,
            "namespace": me.namespace,
            "pod": me.pod,
            "container": me.service,
        }
        self._lines: queue.SimpleQueue[tuple[str, int, str]] = queue.SimpleQueue()
        self._last_ns = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def info(self, msg: str, **fields: Any) -> None:
        self._write("info", msg, fields)

    def warning(self, msg: str, **fields: Any) -> None:
        self._write("warn", msg, fields)

    def error(self, msg: str, error: BaseException | None = None, **fields: Any) -> None:
        """With an exception, its text and the innermost place it came from are added."""
        if error is not None:
            fields = {"error": f"{type(error).__name__}: {error}", **fields}
            frames = traceback.extract_tb(error.__traceback__)
            if frames:
                last = frames[-1]
                fields["at"] = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno} {last.name}"
        self._write("error", msg, fields)

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(5)

    def _write(self, level: str, msg: str, fields: dict[str, Any]) -> None:
        context = trace.get_current_span().get_span_context()
        if context.trace_flags.sampled:
            fields["trace_id"] = f"{context.trace_id:032x}"
        line = json.dumps({"level": level, "msg": msg, **fields})
        with self._lock:
            # Loki refuses a stream's lines out of order.
            self._last_ns = max(time.time_ns(), self._last_ns + 1)
            self._lines.put((level, self._last_ns, line))

    def _run(self) -> None:
        while not self._stopped.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        by_level: dict[str, list[list[str]]] = {}
        while not self._lines.empty():
            level, ns, line = self._lines.get()
            by_level.setdefault(level, []).append([str(ns), line])
        if not by_level:
            return
        streams = [{"stream": self._stream | {"level": level}, "values": v} for level, v in by_level.items()]
        connection = http.client.HTTPConnection(self._host, self._port, timeout=5)
        try:
            body = json.dumps({"streams": streams})
            connection.request("POST", "/loki/api/v1/push", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status >= 300:
                print(f"log push refused: {answer.status} {answer.read(300)!r}", file=sys.stderr)
        except OSError as error:
            print(f"log push failed: {error}: {body}", file=sys.stderr)
        finally:
            connection.close()
