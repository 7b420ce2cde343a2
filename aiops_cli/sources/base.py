"""What services ask of a source. Live clients and bundles answer the same questions.

Every method raises ClusterError (its code says what failed) or UsageError for a query that no
server can run. Times are unix seconds; log and span times are integer unix nanoseconds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aiops_cli.models.alerts import AlertRule
from aiops_cli.models.metric_row import Described, ExemplarSeries, MetricRow
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import AlertItem, Change, KubeEvent, LogEntry, Series, Span, Workload
from aiops_cli.models.timerange import TimeRange

Labels = dict[str, str]
LogRow = tuple[int, str, Labels, Labels]
"""A log line where there are many: unix nanoseconds, line, labels (one object for the lines of a stream),
structured metadata."""
Direction = Literal["backward", "forward"]


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """What to search for: TraceQL, or the plain filters, or both. Durations in milliseconds.

    `status` is error, ok or unset; `slowest` asks for the longest traces instead of the newest.
    """

    traceql: str | None = None
    service: str | None = None
    operation: str | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    errors: bool = False
    tags: Labels = field(default_factory=dict)
    limit: int = 20
    status: str | None = None
    slowest: bool = False


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A found trace. `start_ns` unix nanoseconds; what the server does not say is None; `rooted` says
    that its first span is among those found."""

    trace_id: str
    root_service: str | None
    root_name: str | None
    start_ns: int
    duration_ms: float
    span_count: int | None
    error_count: int | None
    rooted: bool = True


@dataclass(frozen=True, slots=True)
class TraceService:
    """A service that sends spans; how many, and how many failed, where the store can say."""

    name: str
    spans: int | None = None
    errors: int | None = None


@dataclass(frozen=True, slots=True)
class TraceOperation:
    """A span name of a service, and the kind of its spans where the store can say."""

    service: str
    name: str
    kind: str | None = None


class MetricsSource(Protocol):
    """The Prometheus HTTP API: Prometheus, Thanos, Mimir, VictoriaMetrics."""

    async def query(self, expr: str, at: float | None = None) -> Answer[Series]:
        """An instant answer: one point a series; a scalar is a series without labels."""
        ...

    async def query_range(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        """A matrix at `start`, `start + step`, ... up to `end`, both included."""
        ...

    async def instant(self, expr: str, at: float | None = None) -> Answer[MetricRow]:
        """As `query`, but as rows to show, whose `cluster` is still empty."""
        ...

    async def labels(
        self, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[str]:
        """Label names; a server that knows no limit may give more than `limit`."""
        ...

    async def label_values(
        self, name: str, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[str]: ...

    async def series(
        self, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[Labels]: ...

    async def metadata(self, metric: str | None, limit: int | None) -> Answer[tuple[str, list[Described]]]:
        """Type, help and unit by metric, in name order; one metric, or at most `limit` of all."""
        ...

    async def exemplars(self, expr: str, window: TimeRange) -> Answer[ExemplarSeries]:
        """Exemplars of the series that an expression selects."""
        ...


class AlertsSource(Protocol):
    """Active alerts of Alertmanager and of Prometheus' rules. The `cluster` of a row is left empty."""

    async def alerts(self, *, pending: bool = False) -> Answer[AlertItem]:
        """Each alert once, by fingerprint. With `pending`, what only Prometheus knows is needed too."""
        ...

    async def rules(self) -> Answer[AlertRule]: ...

    async def external_labels(self) -> Labels:
        """What Prometheus adds to the labels of its alerts."""
        ...


@dataclass(frozen=True, slots=True)
class LogStats:
    """How much a stream selector holds in a window; None for what the source can't say."""

    streams: int
    chunks: int | None
    entries: int
    bytes: int | None


class PagedLines(Protocol):
    """Log lines page by page, in time order of `direction`, at most `limit` of them, of [start, end)."""

    def pages(
        self,
        expr: str,
        window: TimeRange,
        limit: int,
        direction: Direction = "backward",
        *,
        most: int = 5_000,
        lanes: int = 2,
    ) -> AsyncGenerator[Answer[LogRow], None]:
        """Pages of at most `most` lines; `lanes` parts of the window may be asked at once."""
        ...

    async def query_range(
        self, expr: str, window: TimeRange, limit: int, direction: Direction = "backward"
    ) -> Answer[LogEntry]:
        """All pages as one."""
        ...


class LogsSource(PagedLines, Protocol):
    """LogQL."""

    async def metric(self, expr: str, at: float) -> Answer[Series]:
        """A metric query at one time."""
        ...

    async def metric_range(self, expr: str, window: TimeRange, step: float) -> Answer[Series]: ...

    async def labels(self, window: TimeRange) -> Answer[str]: ...

    async def label_values(self, name: str, window: TimeRange, selector: str = "") -> Answer[str]: ...

    async def series(self, selector: str, window: TimeRange) -> Answer[Labels]: ...

    async def stats(self, selector: str, window: TimeRange) -> Answer[LogStats]:
        """One row. Raises ClusterError (NOT_FOUND) where the server keeps no such statistics."""
        ...


@dataclass(frozen=True, slots=True)
class LiveLines:
    """Lines of a tail as they came, and how many more the server says that it left out."""

    rows: list[LogRow]
    dropped: int = 0
    warnings: list[str] = field(default_factory=list)


class LiveLogs(Protocol):
    """Log lines as they come in. `leaves_out` says that some may be missing, to be read again by pages;
    `silent` that all are, since the server can't be reached that way."""

    @property
    def leaves_out(self) -> bool: ...

    @property
    def silent(self) -> bool: ...

    def follow(
        self, expr: str, delay_for: int = 0, since: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[LiveLines]]:
        """Lines from now on, held back for `delay_for` seconds where the server can; some sources begin at
        `since` (ns). Ends by ClusterError alone; raises UsageError for a query that is refused."""
        ...


class TracesSource(Protocol):
    """Tempo or Jaeger. `newest_first` says that a search which finds more than its limit gives the newest."""

    @property
    def newest_first(self) -> bool: ...

    async def search(self, query: TraceQuery, window: TimeRange) -> Answer[TraceSummary]: ...

    async def trace(self, trace_id: str) -> Answer[Span]:
        """All spans of a trace, by start time; no rows if this store does not have it."""
        ...

    async def spans(self, query: TraceQuery, window: TimeRange) -> Answer[Span]:
        """The spans of the traces that `search` would find, for analysis."""
        ...

    async def trace_services(self, window: TimeRange) -> Answer[TraceService]:
        """The services that spans name, by name."""
        ...

    async def operations(self, service: str, window: TimeRange) -> Answer[TraceOperation]:
        """The span names of a service; `service` may have `*` and `?`."""
        ...

    async def trace_metrics(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        """A TraceQL metrics query: a sample at each multiple of `step`, of the spans of the step before."""
        ...


class KubeSource(Protocol):
    """What analysis needs of the Kubernetes API."""

    async def version(self) -> str: ...

    async def events(self, window: TimeRange) -> Answer[KubeEvent]: ...

    async def changes(self, window: TimeRange) -> Answer[Change]:
        """Rollouts, scalings and config edits whose time lies in the window."""
        ...

    async def timeline(
        self, window: TimeRange, types: Collection[str], namespace: str | None = None
    ) -> Answer[KubeEvent | Change]:
        """Events, changes and states of these types (models/events.py) in the window, in no order."""
        ...

    async def workloads(self) -> Answer[Workload]: ...
