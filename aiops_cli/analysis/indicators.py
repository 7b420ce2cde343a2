"""What an indicator's name says: the resource of an entity, or a symptom that may come from elsewhere."""

from __future__ import annotations

import re
from typing import Literal

IndicatorKind = Literal["resource", "errors", "latency", "traffic", "other"]

# The first matching row decides; words are whole parts of a snake-case, kebab or camel-case name.
_WORDS: tuple[tuple[IndicatorKind, str, frozenset[str]], ...] = (
    ("resource", "restarts", frozenset({"restart", "restarts", "oom", "oomkilled", "crash", "crashloop"})),
    ("resource", "pool", frozenset({"pool", "connections", "conns", "sessions", "semaphore", "threads"})),
    ("resource", "queue", frozenset({"queue", "backlog", "pending", "lag", "waiting", "inflight"})),
    ("resource", "disk", frozenset({"disk", "filesystem", "fs", "inode", "inodes", "iops", "io", "iowait"})),
    ("resource", "throttling", frozenset({"throttled", "throttling", "throttle"})),
    ("resource", "cpu", frozenset({"cpu", "load", "load1", "load5"})),
    ("resource", "memory", frozenset({"memory", "mem", "rss", "heap", "swap", "gc", "working"})),
    ("resource", "gpu", frozenset({"gpu", "xid", "vram", "nvlink", "temperature"})),
    ("resource", "descriptors", frozenset({"fd", "fds", "descriptors", "sockets", "socket", "ports"})),
    ("resource", "clock", frozenset({"ptp", "offset", "clock"})),
    ("resource", "loss", frozenset({"drop", "drops", "dropped", "loss", "retrans", "retransmits", "packet"})),
    (
        "errors",
        "errors",
        frozenset(
            {"error", "errors", "fail", "failed", "failure", "failures", "5xx", "success", "availability"}
            | {"exceptions", "timeouts", "timeout", "refused", "unavailable", "up", "ready", "readiness"}
        ),
    ),
    (
        "latency",
        "latency",
        frozenset({"latency", "duration", "delay", "rtt", "p50", "p90", "p95", "p99", "seconds"}),
    ),
    (
        "traffic",
        "traffic",
        frozenset(
            {"requests", "request", "rps", "qps", "throughput", "traffic", "workload", "ops", "bytes"}
            | {"calls", "receive", "transmit", "network", "read", "write", "syscall", "replicas"}
        ),
    ),
)
PERCENTILES = frozenset({"p50", "p75", "p90", "p95", "p99", "p999", "max", "quantile"})
_PARTS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+[a-z]*")


def words(name: str) -> frozenset[str]:
    """The lower-case parts of an indicator's name: "PodLatencyP95" has "pod", "latency" and "p95"."""
    return frozenset(part.lower() for part in _PARTS.findall(name))


def classify(name: str) -> tuple[IndicatorKind, str]:
    """The kind of an indicator and the topic its runbook is filed under ("cpu", "pool", "latency", ...)."""
    parts = words(name)
    for kind, topic, known in _WORDS:
        if parts & known:
            return kind, topic
    return "other", "other"
