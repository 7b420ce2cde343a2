"""What the signal sources answer: series, log lines, spans, alerts, Kubernetes events and changes.

Bulk values (series, spans) are arrays; times are unix seconds as float64 where a sample's precision
allows it, and integer nanoseconds where it does not (logs, spans).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Series:
    """One series: `timestamps` in unix seconds, ascending, and `values`, both float64 of one length.

    A step with no sample has no point; NaN is a value the server sent. `histograms` holds the native
    histogram samples of a mixed series as (unix seconds, the server's object).
    """

    labels: Labels
    timestamps: Floats
    values: Floats
    histograms: tuple[tuple[float, dict[str, Any]], ...] = ()


class NativeHistogram(Struct, frozen=True):
    """A native histogram; a bucket is [rule, low, high, count], its rule as Prometheus' API has it: 0 open
    left, 1 open right, 2 open both, 3 closed both."""

    count: float | None
    sum: float | None
    buckets: list[tuple[int, float | None, float | None, float]]


class MetricItem(Struct, frozen=True, rename="camel"):
    """An item of `metrics query` and `metrics range`; a sample is [unix seconds, value or null].

    `histograms` is there where a series has native ones. In an aggregate the cluster is `*`, and
    `clusters` names those that went into it. `MetricRow` writes it.
    """

    cluster: str
    labels: Labels
    samples: list[tuple[float, float | None]]
    histograms: list[tuple[float, NativeHistogram]] | UnsetType = UNSET
    clusters: list[str] | UnsetType = UNSET


class LogItem(Struct, frozen=True, rename="camel"):
    """An item of `logs query`; `timestamp` is RFC 3339 with nanoseconds."""

    cluster: str
    timestamp: str
    labels: Labels
    line: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One log line: `ns` unix nanoseconds, the stream's labels, structured metadata apart."""

    ns: int
    labels: Labels
    line: str
    metadata: Labels = field(default_factory=dict)


class AlertItem(Struct, frozen=True, rename="camel"):
    """An item of `alerts list`. `state` is FIRING, PENDING, SUPPRESSED or RESOLVED.

    `endsAt` is set once it is resolved. `source` is who knows it: alertmanager, prometheus or store.
    """

    cluster: str
    fingerprint: str
    name: str
    state: str
    severity: str | None
    labels: Labels
    annotations: Labels
    starts_at: str | None
    generator_url: str | None = None
    source: str = "alertmanager"
    ends_at: str | None = None
    receivers: list[str] = []
    silenced_by: list[str] = []
    inhibited_by: list[str] = []


class TraceItem(Struct, frozen=True, rename="camel"):
    """An item of `traces search`; `startTime` is RFC 3339. A trace that several clusters hold is one item:
    `cluster` is the one with its root, `clusters` are all of them."""

    cluster: str
    trace_id: str
    root_service: str | None
    root_name: str | None
    start_time: str
    duration_ms: float
    span_count: int | None
    error_count: int | None
    clusters: list[str] = []


class Span(Struct, frozen=True):
    """One span. Ids are lower-case hex; `start_ns` unix nanoseconds; `status` ok, error or unset.

    `links` name spans of other traces that led to this one, as {"traceId", "spanId", "attributes"};
    `follows` says that the parent did not wait for it (OpenTracing's FOLLOWS_FROM).
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    service: str
    name: str
    kind: str
    start_ns: int
    duration_ns: int
    status: str
    attributes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    events: tuple[dict[str, Any], ...] = ()
    links: tuple[dict[str, Any], ...] = ()
    follows: bool = False


class KubeEvent(Struct, frozen=True, rename="camel"):
    """A Kubernetes event; `at` is its effective time in unix seconds, `count` how often it was seen."""

    at: float
    type: str
    reason: str
    kind: str
    name: str
    namespace: str
    message: str
    count: int = 1


class Difference(Struct, frozen=True, rename="camel"):
    """One thing that two revisions of a pod template differ in, such as the `image` of a container.

    `change` is added, removed or changed. `before` and `after` are null where there is nothing, and where
    the value may be secret or is too long to show.
    """

    field: str
    change: str
    container: str | None = None
    before: str | None = None
    after: str | None = None


class Change(Struct, frozen=True, rename="camel"):
    """Something a person or a controller changed: a rollout, a scaling, a config edit (unix seconds).

    `differences` are those of a rollout, `workloads` the names of other workloads that it is about (an
    autoscaler's target, a pod's owner, who reads a ConfigMap), `count` how often it happened.
    """

    at: float
    kind: str
    name: str
    namespace: str
    what: str
    detail: str = ""
    differences: list[Difference] = []
    workloads: list[str] = []
    count: int = 1


class Workload(Struct, frozen=True, rename="camel"):
    """A pod and where it belongs: the owner's kind and name, and its node."""

    pod: str
    namespace: str
    node: str | None
    owner_kind: str | None
    owner: str | None
    phase: str
    labels: Labels = {}
    restarts: int = 0
