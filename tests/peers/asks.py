"""Ten small and ten large questions of each kind, to aiops and to its peer, and how the two are compared.

An `Ask` holds the arguments of both; `SHAPES[ask.shape]` turns each one's standard output into the same
plain values. The peers: `promtool query` for metrics, `logcli` for lines, `amtool` for alerts and silences.
Traces have no peer that may be used here (Tempo's CLI is under the AGPL): a script of the standard
library that asks Jaeger's own JSON API stands in for it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.json import decode

from tests.peers.data import POINTS, STEP
from tests.servers.binaries import locate

JAEGER_SCRIPT = Path(__file__).parent / "jaeger_script.py"
SMALL, LARGE = "small", "large"


@dataclass(frozen=True)
class Ask:
    """`peer` begins with the program's name as `tests.servers.binaries.locate` knows it, or `python`."""

    kind: str
    size: str
    name: str
    shape: str
    aiops: tuple[str, ...]
    peer: tuple[str, ...]


def peer_command(ask: Ask) -> list[str]:
    """Raises MissingServer where the peer is not on this machine."""
    program, *args = ask.peer
    return [sys.executable if program == "python" else str(locate(program)), *args]


def aiops_command(ask: Ask) -> list[str]:
    return [sys.executable, "-m", "aiops_cli", *ask.aiops, "-o", SHAPES[ask.shape].output]


def instant(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- metrics

_P90 = "histogram_quantile(0.9, sum by (le, service) (rate(latency_bucket[5m])))"
_ERRORS = 'sum(rate(http_requests_total{code="500"}[5m])) / sum(rate(http_requests_total[5m]))'
_WINDOW = (POINTS - 1) * STEP


def metrics(at: int, url: str, *, promtool: str = "promtool") -> list[Ask]:
    first = at - _WINDOW

    def query(size: str, expr: str) -> Ask:
        peer = (promtool, "query", "--format=json", "instant", f"--time={at}", url, expr)
        return Ask("metrics", size, expr, "vector", ("metrics", "query", expr, "--time", str(at)), peer)

    def range_(size: str, expr: str, start: int, step: int) -> Ask:
        window = (f"--start={start}", f"--end={at}", f"--step={step}s")
        mine = ("metrics", "range", expr, "--from", str(start), "--to", str(at), "--step", f"{step}s")
        peer = (promtool, "query", "--format=json", "range", *window, url, expr)
        return Ask("metrics", size, f"{expr} [{(at - start) // step + 1} steps]", "matrix", mine, peer)

    def series(size: str, selector: str) -> Ask:
        mine = ("metrics", "series", selector, "--from", str(first), "--to", str(at))
        window = (f"--start={first}", f"--end={at}")
        peer = (promtool, "query", "--format=json", "series", f"--match={selector}", *window, url)
        return Ask("metrics", size, f"series {selector}", "series", mine, peer)

    def values(size: str, label: str) -> Ask:
        mine = ("metrics", "values", label, "--from", str(first), "--to", str(at))
        window = (f"--start={first}", f"--end={at}")
        peer = (promtool, "query", "--format=json", "labels", *window, url, label)
        return Ask("metrics", size, f"values {label}", "values", mine, peer)

    hour = at - 3600
    return [
        query(SMALL, "sum by (service) (cpu_cores)"),
        query(SMALL, "topk(5, memory_bytes)"),
        query(SMALL, _P90),
        query(SMALL, _ERRORS),
        query(SMALL, "absent(no_such_metric)"),
        range_(SMALL, "sum by (service) (rate(http_requests_total[5m]))", hour, 60),
        range_(SMALL, 'cpu_cores{service="cart"}', hour, 60),
        range_(SMALL, "max_over_time(queue_length[10m])", hour, 150),
        series(SMALL, 'http_requests_total{service="cart"}'),
        values(SMALL, "service"),
        range_(LARGE, "big_total", first, STEP),
        range_(LARGE, "rate(big_total[5m])", first, STEP),
        range_(LARGE, "sum by (pod) (big_total)", first, STEP),
        range_(LARGE, 'big_total{namespace=~"ns-[0-4]"}', first, STEP),
        range_(LARGE, 'big_total{namespace="ns-1"}', first, STEP),
        range_(LARGE, "max by (namespace) (big_total)", first, STEP),
        range_(LARGE, "big_total / 3", at - 499 * STEP, STEP),
        query(LARGE, "big_total"),
        series(LARGE, "big_total"),
        values(LARGE, "pod"),
    ]


# --- lines

_MINUTES = 100


def logs(at: int, url: str) -> list[Ask]:
    def window(seconds: int) -> tuple[str, ...]:
        return ("--from", instant(at - seconds), "--to", instant(at))

    def logcli(*args: str) -> tuple[str, ...]:
        return ("logcli", f"--addr={url}", "--timezone=UTC", "--output=jsonl", *args)

    def lines(
        size: str, expr: str, limit: int, *, seconds: int = _MINUTES * 60, forward: bool = False
    ) -> Ask:
        order = ("--forward",) if forward else ()
        mine = ("logs", "query", expr, *window(seconds), "--limit", str(limit), *order)
        batch = f"--batch={min(limit, 5000)}"
        peer = logcli("query", expr, *window(seconds), f"--limit={limit}", batch, *order)
        name = f"{expr} [{limit} lines{', oldest first' if forward else ''}]"
        return Ask("logs", size, name, "lines", mine, peer)

    def series(size: str, expr: str, step: int, *, seconds: int = _MINUTES * 60) -> Ask:
        mine = ("logs", "query", expr, *window(seconds), "--step", f"{step}s")
        peer = logcli("query", expr, *window(seconds), f"--step={step}s", "--quiet")
        return Ask("logs", size, f"{expr} [{seconds // step + 1} steps]", "samples", mine, peer)

    everything = '{app=~".+"}'
    return [
        lines(SMALL, '{app="cart"}', 100),
        lines(SMALL, '{app="cart"}', 100, forward=True),
        lines(SMALL, '{app="search"} |= "error" != "served for customer 1"', 100),
        lines(SMALL, '{app="checkout"} |~ "customer 1[0-9]{4}"', 100),
        lines(SMALL, '{format="json"} | json | level="error"', 100),
        lines(SMALL, '{format="logfmt"} | logfmt | took > 990', 100),
        lines(SMALL, '{app="payment"} | logfmt | line_format "{{.level}} {{.path}}"', 50),
        series(SMALL, "sum by (app) (rate({app=~\".+\"}[5m]))", 300),
        series(SMALL, 'sum by (level) (count_over_time({format="logfmt"} | logfmt [10m]))', 600, seconds=1200),
        Ask("logs", SMALL, "labels", "values", ("logs", "labels", *window(6000)), ("logcli", f"--addr={url}", "labels", *window(6000), "--quiet")),
        lines(LARGE, everything, 200_000),
        lines(LARGE, everything, 200_000, forward=True),
        lines(LARGE, '{format="json"}', 100_000),
        lines(LARGE, '{app="cart"}', 50_000),
        lines(LARGE, '{app=~".+"} |= "error"', 25_000),
        lines(LARGE, '{format="json"} | json', 50_000),
        lines(LARGE, '{format="logfmt"} | logfmt | level="info"', 50_000),
        lines(LARGE, everything, 20_000),
        series(LARGE, "sum by (pod) (rate({app=~\".+\"}[1m]))", 10),
        series(LARGE, 'max by (pod) (max_over_time({format="logfmt"} | logfmt | unwrap took [1m]))', 30),
    ]  # fmt: skip


# --- alerts


def alerts(at: int, url: str) -> list[Ask]:
    del at

    def active(size: str, mine: Iterable[str], peer: Iterable[str]) -> Ask:
        tool = ("amtool", f"--alertmanager.url={url}", "--output=json", "alert", "query", *peer)
        return Ask("alerts", size, " ".join(peer) or "all", "alerts", ("alerts", "list", *mine), tool)

    def silences(size: str, peer: Iterable[str], mine: Iterable[str] = ()) -> Ask:
        tool = ("amtool", f"--alertmanager.url={url}", "--output=json", "silence", "query", *peer)
        name = f"silences {' '.join(peer)}".strip()
        return Ask("alerts", size, name, "silences", ("alerts", "silence", "list", *mine), tool)

    firing = ("--state", "FIRING")
    return [
        active(SMALL, ("--name", "Alert3", "--namespace", "ns-13", *firing), ["Alert3", "namespace=ns-13"]),
        active(SMALL, ("--namespace", "ns-7", *firing), ["namespace=ns-7"]),
        active(
            SMALL, ("--name", "Alert1", "--severity", "critical", *firing), ["Alert1", "severity=critical"]
        ),
        active(SMALL, ("--name", "NoSuchAlert", *firing), ["NoSuchAlert"]),
        active(
            SMALL, ("--namespace", "ns-2", "--severity", "info", *firing), ["namespace=ns-2", "severity=info"]
        ),
        active(LARGE, firing, []),
        active(LARGE, ("--state", "SUPPRESSED"), ["--silenced"]),
        active(LARGE, (), ["--silenced", "--active"]),
        active(LARGE, ("--severity", "critical", *firing), ["severity=critical"]),
        silences(LARGE, []),
    ]


# --- traces


def traces(at: int, url: str, ids: list[str]) -> list[Ask]:
    first = at - 3600

    def search(size: str, mine: Iterable[str], limit: int, **params: str) -> Ask:
        args = ("traces", "search", *mine, "--from", str(first), "--to", str(at), "--limit", str(limit))
        window = (f"start={first * 1_000_000}", f"end={at * 1_000_000}", f"limit={limit}")
        given = [f"{key}={value}" for key, value in params.items()]
        script = ("python", str(JAEGER_SCRIPT), "search", url, *window, *given)
        name = f"{' '.join(mine)} [{limit}]"
        return Ask("traces", size, name, "traces", args, script)

    def show(which: int) -> Ask:
        mine = ("traces", "show", ids[which])
        script = ("python", str(JAEGER_SCRIPT), "show", url, ids[which])
        return Ask("traces", SMALL, f"show trace {which + 1}", "spans", mine, script)

    checkout = ("--service", "checkout")
    error = '{"error":"true"}'
    return [
        search(SMALL, checkout, 20, service="checkout"),
        search(SMALL, ("--service", "payment", "--error"), 20, service="payment", tags=error),
        search(SMALL, (*checkout, "--operation", "POST /order/3"), 20, service="checkout", operation="POST /order/3"),
        search(SMALL, (*checkout, "--min-duration", "990ms"), 20, service="checkout", minDuration="990ms"),
        search(SMALL, (*checkout, "--tag", "customer=7"), 20, service="checkout", tags='{"customer":"7"}'),
        show(0),
        show(20),
        show(2),
        Ask("traces", SMALL, "services", "services", ("traces", "services"), ("python", str(JAEGER_SCRIPT), "services", url)),
        Ask("traces", SMALL, "operations cart", "operations", ("traces", "operations", "cart"), ("python", str(JAEGER_SCRIPT), "operations", url, "cart")),
        search(LARGE, checkout, 2000, service="checkout"),
        search(LARGE, ("--service", "payment"), 2000, service="payment"),
        search(LARGE, checkout, 1000, service="checkout"),
        search(LARGE, checkout, 500, service="checkout"),
        search(LARGE, ("--service", "cart", "--operation", "redis"), 2000, service="cart", operation="redis"),
        search(LARGE, (*checkout, "--min-duration", "500ms"), 2000, service="checkout", minDuration="500ms"),
        search(LARGE, (*checkout, "--max-duration", "500ms"), 2000, service="checkout", maxDuration="500ms"),
        search(LARGE, ("--service", "payment", "--error"), 2000, service="payment", tags=error),
        search(LARGE, (*checkout, "--operation", "POST /order/1"), 2000, service="checkout", operation="POST /order/1"),
        search(LARGE, ("--service", "search", "--min-duration", "50ms"), 2000, service="search", minDuration="50ms"),
    ]  # fmt: skip


# --- what both answered


class Read(NamedTuple):
    """How one shape of answer is read from what aiops prints (as `output`) and from what the peer prints.

    The peer's stderr is in its text too: logcli says there what labels the lines after it have in common.
    """

    aiops: Callable[[str], Any]
    peer: Callable[[str], Any]
    output: str = "json"


def _frozen(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return _sorted(tuple(labels.items()))


@lru_cache
def _sorted(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels))


def _number(text: str) -> float | None:
    """NaN and infinities are null in aiops's JSON."""
    value = float(text)
    return value if isfinite(value) else None


def _items(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = decode(text)["items"]
    return found


def _as_sent(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """A server's own `cluster` label is `exported_cluster` in aiops, whose `cluster` is the one asked."""
    return _frozen({"cluster" if k == "exported_cluster" else k: v for k, v in labels.items()})


def _samples_of_aiops(text: str) -> Any:
    return sorted((_as_sent(i["labels"]), [(t, v) for t, v in i["samples"]]) for i in _items(text))


def _vector_of_promtool(text: str) -> Any:
    return sorted((_frozen(s["metric"]), [(s["value"][0], _number(s["value"][1]))]) for s in decode(text))


def _matrix_of_promtool(text: str) -> Any:
    return sorted((_frozen(s["metric"]), [(t, _number(v)) for t, v in s["values"]]) for s in decode(text))


def _ns(rfc3339: str) -> int:
    """Nanoseconds since 1970 of `…Z` with any number of decimals."""
    whole, _, fraction = rfc3339.removesuffix("Z").partition(".")
    return _second(whole) * 10**9 + int(fraction[:9].ljust(9, "0"))


@lru_cache
def _second(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp())


def _lines_of_aiops(text: str) -> Any:
    rows = map(decode, text.splitlines())
    return sorted((_ns(r["timestamp"]), _frozen(r["labels"]), r["line"]) for r in rows if "line" in r)


def _lines_of_logcli(text: str) -> Any:
    """Labels that all lines of a batch have are said once, before it, and not with its lines."""
    found = []
    common: dict[str, str] = {}
    for row in text.splitlines():
        if row.startswith("Common labels: {"):
            common = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', row))
        elif row.startswith("{"):
            entry = decode(row)
            labels = _frozen({**common, **entry["labels"]})
            found.append((_ns(entry["timestamp"]), labels, entry["line"]))
    return sorted(found)


SHAPES = {
    "vector": Read(_samples_of_aiops, _vector_of_promtool),
    "matrix": Read(_samples_of_aiops, _matrix_of_promtool),
    "samples": Read(_samples_of_aiops, _matrix_of_promtool),
    "lines": Read(_lines_of_aiops, _lines_of_logcli, "ndjson"),
    "series": Read(
        lambda text: sorted(_as_sent(i["labels"]) for i in _items(text)),
        lambda text: sorted(_frozen(labels) for labels in json.loads(text)),
    ),
    "values": Read(
        lambda text: sorted(i["value"] for i in _items(text)),
        lambda text: sorted(json.loads(text) if text.startswith("[") else text.split()),
    ),
    "services": Read(
        lambda text: sorted(i["service"] for i in _items(text)),
        lambda text: sorted(json.loads(text)),
    ),
    "operations": Read(
        lambda text: sorted(i["operation"] for i in _items(text)),
        lambda text: sorted(json.loads(text)),
    ),
    "alerts": Read(
        lambda text: sorted((i["fingerprint"], _frozen(i["labels"])) for i in _items(text)),
        lambda text: sorted((i["fingerprint"], _frozen(i["labels"])) for i in json.loads(text)),
    ),
    "silences": Read(
        lambda text: sorted(i["id"] for i in _items(text)),
        lambda text: sorted(i["id"] for i in json.loads(text)),
    ),
    "traces": Read(
        lambda text: sorted((i["traceId"], i["spanCount"], i["errorCount"], i["rootName"]) for i in _items(text)),
        lambda text: sorted(tuple(i) for i in json.loads(text)),
    ),
    "spans": Read(
        lambda text: sorted((s["spanId"], s["service"], s["name"]) for s in _items(text)),
        lambda text: sorted(tuple(i) for i in json.loads(text)),
    ),
}  # fmt: skip
