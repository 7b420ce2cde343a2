"""Named queries: the golden signals, each with unit and meaning, and the user's own from the config.

`CATALOGUE` is what analysis reads and bundles record; `catalogue.MORE` is asked by name alone.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from aiops_cli.config.settings import Settings
from aiops_cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query of the catalogue. `entity` names the label that says what a series is about."""

    expr: str
    unit: str
    meaning: str
    entity: str
    kind: str
    indicator: str


CATALOGUE: dict[str, NamedQuery] = {
    "targets-up": NamedQuery("up", "", "1 while a target can be scraped", "instance", "target", "up"),
    "cpu-by-node": NamedQuery(
        '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m]))',
        "ratio",
        "busy share of a node's CPUs",
        "instance",
        "node",
        "cpu",
    ),
    "memory-by-node": NamedQuery(
        "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
        "ratio",
        "used share of a node's memory",
        "instance",
        "node",
        "memory",
    ),
    "disk-by-node": NamedQuery(
        'max by (instance, mountpoint) (1 - node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|ramfs"} / node_filesystem_size_bytes)',
        "ratio",
        "used share of a filesystem",
        "instance",
        "node",
        "disk_used",
    ),
    "load-by-node": NamedQuery("node_load1", "", "runnable processes", "instance", "node", "load"),
    "cpu-by-namespace": NamedQuery(
        'sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=""}[5m]))',
        "cores",
        "CPU used by a namespace's containers",
        "namespace",
        "namespace",
        "cpu",
    ),
    "memory-by-namespace": NamedQuery(
        'sum by (namespace) (container_memory_working_set_bytes{container!=""})',
        "bytes",
        "memory of a namespace's containers",
        "namespace",
        "namespace",
        "memory",
    ),
    "restarts-by-pod": NamedQuery(
        "sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total[15m]))",
        "",
        "container restarts in 15 minutes",
        "pod",
        "pod",
        "restarts",
    ),
    "apiserver-errors": NamedQuery(
        'sum(rate(apiserver_request_total{code=~"5.."}[5m])) / sum(rate(apiserver_request_total[5m]))',
        "ratio",
        "share of API requests that failed",
        "cluster",
        "cluster",
        "error_rate",
    ),
    "etcd-fsync": NamedQuery(
        "histogram_quantile(0.99, sum by (le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m])))",
        "seconds",
        "p99 of etcd's WAL fsync",
        "cluster",
        "etcd",
        "disk_latency",
    ),
    "service-rate": NamedQuery(
        "sum by (job) (rate(http_requests_total[1m]))",
        "1/s",
        "requests a service answers",
        "job",
        "service",
        "traffic",
    ),
    "service-errors": NamedQuery(
        'sum by (job) (rate(http_requests_total{code=~"5.."}[1m])) / sum by (job) (rate(http_requests_total[1m]))',
        "ratio",
        "share of requests a service failed",
        "job",
        "service",
        "error_rate",
    ),
    "service-latency": NamedQuery(
        "histogram_quantile(0.95, sum by (job, le) (rate(http_request_duration_seconds_bucket[1m])))",
        "seconds",
        "p95 of a service's answer time",
        "job",
        "service",
        "latency_p95",
    ),
    "process-cpu": NamedQuery(
        "sum by (job) (rate(process_cpu_seconds_total[1m]))",
        "cores",
        "CPU used by a service's processes",
        "job",
        "service",
        "cpu",
    ),
    "process-memory": NamedQuery(
        "sum by (job) (process_resident_memory_bytes)",
        "bytes",
        "memory of a service's processes",
        "job",
        "service",
        "memory",
    ),
    "process-fds": NamedQuery(
        "max by (job) (process_open_fds / process_max_fds)",
        "ratio",
        "share of file descriptors in use",
        "job",
        "service",
        "open_fds",
    ),
    "pool-in-use": NamedQuery(
        'max by (job, pool) ({__name__=~".*pool.*(in_use|used|active).*"})',
        "",
        "connections of a pool in use",
        "job",
        "service",
        "pool_in_use",
    ),
    "pool-waiting": NamedQuery(
        'max by (job, pool) ({__name__=~".*pool.*(waiting|pending|waiters).*"})',
        "",
        "callers that wait for a pool",
        "job",
        "service",
        "pool_waiting",
    ),
    "queue-depth": NamedQuery(
        'max by (job, queue) ({__name__=~".*queue.*(depth|length|size|backlog).*"})',
        "",
        "entries waiting in a queue",
        "job",
        "service",
        "queue_depth",
    ),
    "volume-used": NamedQuery(
        'max by (job, volume) ({__name__=~".*(volume|disk|storage).*used.*(ratio|percent).*"})',
        "ratio",
        "used share of a service's volume",
        "job",
        "service",
        "disk_used",
    ),
}


def resolve(text: str, settings: Settings) -> str:
    """`@name` to its PromQL; anything else as it is. Raises UsageError for an unknown name."""
    return named(text, settings).expr


def named(text: str, settings: Settings) -> NamedQuery:
    """The query of `@name`, with its unit and meaning; of plain PromQL, one without.

    Raises UsageError for an unknown name.
    """
    if not text.startswith("@"):
        return NamedQuery(text, "", "", "", "", "")
    known = every(settings)
    if text[1:] in known:
        return known[text[1:]]
    near = difflib.get_close_matches(text[1:], known, n=1)
    raise UsageError(
        f"unknown named query {text}",
        hint=f"did you mean @{near[0]}?" if near else "aiops metrics queries lists them",
    )


def is_ours(name: str) -> bool:
    """Whether the catalogue has a query of this name."""
    from aiops_cli.services.catalogue import MORE

    return name in CATALOGUE or name in MORE


def every(settings: Settings) -> dict[str, NamedQuery]:
    """All queries by name: the user's own first, which win over ours."""
    from aiops_cli.services.catalogue import MORE

    own = {n: NamedQuery(q.expr, q.unit, q.meaning, "", "own", "") for n, q in settings.queries.items()}
    return own | {n: q for n, q in (CATALOGUE | MORE).items() if n not in own}
