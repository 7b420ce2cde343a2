"""The same metrics, lines, traces and alerts for every server, made by rule from one moment `at`.

Sizes: 1,000 series of 1,000 samples (`big_total`) beside 200 small series over the same 1,000 steps;
200,000 lines in 20 streams; 2,000 traces of 10 spans; 1,000 alerts and 200 silences.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from tests.servers.alertmanager import Alertmanager
from tests.servers.binaries import locate
from tests.servers.jaeger import Jaeger
from tests.servers.loki import Loki
from tests.servers.prometheus import Prometheus
from tests.servers.push import SpanNode, push_logs, push_spans

STEP = 15
POINTS = 1000
BIG_SERIES = 1000
PODS = 40
STREAMS = 20
LINES = 200_000
TRACES = 2000
ALERTS = 1000
SILENCES = 200
SERVICES = ("checkout", "cart", "search", "payment")
LEVELS = ("info", "info", "info", "info", "warn", "info", "info", "error")


def settled() -> int:
    """A moment half an hour ago on a whole step: the end of what is made here, seconds since 1970."""
    return int(time.time() - 1800) // 600 * 600  # the longest step asked


def openmetrics(at: int) -> Iterator[str]:
    """OpenMetrics text in pieces: 1,000 counters `big_total`, and four families of 50 small series."""
    first = at - (POINTS - 1) * STEP
    times = [first + STEP * n for n in range(POINTS)]
    yield "# TYPE big counter\n"
    for series in range(BIG_SERIES):
        labels = f'{{namespace="ns-{series % 10}",pod="pod-{series:04}"}}'
        slope = series % 7 + 1
        yield "".join(f"big_total{labels} {slope * n + series}.5 {t}\n" for n, t in enumerate(times))
    for family in ("cpu_cores", "memory_bytes", "queue_length"):
        yield f"# TYPE {family} gauge\n"
        for pod in range(PODS):
            labels = f'{{namespace="shop",pod="web-{pod}",service="{SERVICES[pod % 4]}"}}'
            yield "".join(
                f"{family}{labels} {(pod * 31 + n * 7) % 101 / 8} {t}\n" for n, t in enumerate(times)
            )
    yield "# TYPE http_requests counter\n"
    for pod in range(PODS):
        for code in ("200", "500"):
            labels = f'{{code="{code}",pod="web-{pod}",service="{SERVICES[pod % 4]}"}}'
            slope = 1 if code == "500" else 40
            yield "".join(f"http_requests_total{labels} {slope * n} {t}\n" for n, t in enumerate(times))
    yield "# TYPE latency histogram\n# UNIT latency \n"
    for service in SERVICES:
        for bound, share in (("0.1", 5), ("0.5", 8), ("+Inf", 10)):
            labels = f'{{service="{service}",le="{bound}"}}'
            yield "".join(f"latency_bucket{labels} {share * n} {t}\n" for n, t in enumerate(times))
    yield "# EOF\n"


def make_blocks(folder: Path, at: int) -> Path:
    """The metrics as Prometheus blocks in `folder`, which copies into a data folder."""
    text = folder.with_suffix(".om")
    with text.open("w") as file:
        file.writelines(openmetrics(at))
    made = [locate("promtool"), "tsdb", "create-blocks-from", "openmetrics", text, folder]
    subprocess.run(made, check=True, capture_output=True)
    text.unlink()
    return folder


def add_blocks(prometheus: Prometheus, blocks: Path) -> None:
    """Copy the blocks beside Prometheus's own; it is stopped meanwhile if it runs."""
    was_running = prometheus.running
    prometheus.stop()
    shutil.copytree(blocks, prometheus.home / "data", dirs_exist_ok=True)
    if was_running:
        prometheus.start()


def line(n: int) -> str:
    """JSON for the even streams, logfmt for the odd ones."""
    stream = n % STREAMS
    level = LEVELS[n // STREAMS % len(LEVELS)]
    fields = {
        "level": level,
        "path": f"/api/{SERVICES[stream % 4]}/{n % 97}",
        "took": n % 1000,
        "message": f"request {n} served for customer {n * 7919 % 100003}",
    }
    if stream % 2 == 0:
        return json.dumps(fields)
    return " ".join(f'{k}="{v}"' if " " in str(v) else f"{k}={v}" for k, v in fields.items())


def push_lines(loki: Loki, at: int) -> None:
    """200,000 lines in 20 streams over the last 100 minutes before `at`, every 30 ms."""
    first = (at - 6000) * 1_000_000_000
    for stream in range(STREAMS):
        labels = {
            "app": SERVICES[stream % 4],
            "format": "json" if stream % 2 == 0 else "logfmt",
            "pod": f"pod-{stream}",
        }
        numbers = range(stream, LINES, STREAMS)
        push_logs(loki, [(labels, [(first + n * 30_000_000, line(n)) for n in numbers])])


def trace(n: int, at: int) -> SpanNode:
    """Ten spans over four services; every 20th fails, and it takes 50 ms to 1 s."""
    began = (at - 3000) * 1_000_000_000 + n * 1_000_000_000
    took = 0.05 + n % 96 * 0.01
    part = took / 10

    def span(service: str, name: str, index: int, children: Sequence[SpanNode] = ()) -> SpanNode:
        failed = "refused" if n % 20 == 0 and service == "payment" else None
        start = began + int(index * part * 1e9)
        return SpanNode(
            service, name, start, part * (1 + len(children)), error=failed, children=children,
            attributes={"http.status_code": 500 if failed else 200, "customer": n % 100},
        )  # fmt: skip

    pay = span("payment", "charge", 6, [span("payment", "SELECT", 7)])
    carts = [span("cart", f"GET /cart/{i}", i + 1, [span("cart", "redis", i + 2)]) for i in range(2)]
    search = span("search", "GET /search", 5, [span("search", "index", 6)])
    children = [*carts, search, pay, span("checkout", "render", 9)]
    return SpanNode("checkout", f"POST /order/{n % 5}", began, took, children=children)


def push_traces(jaeger: Jaeger, at: int) -> list[str]:
    """2,000 traces a second apart, the last at `at` - 1000 s; returns their ids."""
    return push_spans(jaeger, [trace(n, at) for n in range(TRACES)], seconds=120)


def post_alerts(alertmanager: Alertmanager, at: int) -> None:
    """1,000 alerts, and 200 silences that hold for the first fifth of them."""
    starts = datetime.fromtimestamp(at, UTC).isoformat()
    ends = datetime.fromtimestamp(at + 14 * 86400, UTC).isoformat()
    alerts: list[dict[str, Any]] = [
        {
            "labels": {
                "alertname": f"Alert{n % 10}",
                "severity": ("critical", "warning", "info")[n % 3],
                "namespace": f"ns-{n % 20}",
                "pod": f"pod-{n:04}",
            },
            "annotations": {"summary": f"Pod {n} is not well."},
            "startsAt": starts,
            "endsAt": ends,
        }
        for n in range(ALERTS)
    ]
    with httpx2.Client(base_url=alertmanager.url, timeout=60.0, trust_env=False) as client:
        client.post("/api/v2/alerts", json=alerts).raise_for_status()
        for n in range(SILENCES):
            matcher = {"name": "pod", "value": f"pod-{n:04}", "isRegex": False, "isEqual": True}
            silence = {
                "matchers": [matcher],
                "startsAt": datetime.now(UTC).isoformat(),
                "endsAt": ends,
                "createdBy": "tests",
                "comment": f"known, ticket {n}",
            }
            client.post("/api/v2/silences", json=silence).raise_for_status()
