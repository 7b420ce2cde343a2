"""The sources of a recorded cluster: the same questions as live ones, answered from the bundle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from aiops_cli.errors import AiopsError, ErrorCode, UsageError
from aiops_cli.models.fleet import Cluster
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import AlertItem, Change, KubeEvent, LogEntry, Series, Span, Workload
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.bundle import (
    ClusterParts,
    RecordedCluster,
    RecordedLogs,
    RecordedQuery,
    RecordedSpan,
    arrays,
    not_recorded,
)
from aiops_cli.services.recorded_query import check_syntax, normal, parse_logql, selector
from aiops_cli.sources.base import Direction, TraceQuery, TraceSummary

if TYPE_CHECKING:
    from aiops_cli.services.bundle import Bundle

_LOOKBACK = 300.0
Labels = dict[str, str]


class RecordedMember:
    """A cluster of a bundle."""

    def __init__(self, cluster: Cluster, recorded: RecordedCluster, bundle: Bundle) -> None:
        self._cluster, self._recorded, self._bundle = cluster, recorded, bundle

    @property
    def name(self) -> str:
        return self._cluster.name

    @property
    def cluster(self) -> Cluster:
        return self._cluster

    @property
    def origin(self) -> str:
        return "bundle"

    @property
    def recorded(self) -> RecordedCluster:
        return self._recorded

    async def recover(self, error: AiopsError) -> bool:
        return False

    def _parts(self) -> ClusterParts:
        return self._bundle.parts_of(self.name)

    async def metrics(self) -> RecordedMetrics:
        parts = self._parts()
        if not parts.queries:
            raise not_recorded("any metric", [])
        return RecordedMetrics(parts.queries, self._bundle.end)

    async def alerts(self) -> RecordedAlerts:
        return RecordedAlerts(self._parts().alerts)

    async def logs(self) -> RecordedLogSource:
        return RecordedLogSource(self._parts().logs)

    async def traces(self) -> RecordedTraces:
        return RecordedTraces(self._parts().spans)

    async def kube(self) -> RecordedKubeSource:
        kube = self._parts().kube
        if kube is None:
            raise not_recorded("the Kubernetes API", [])
        return RecordedKubeSource(kube.version, kube.events, kube.changes, kube.workloads)


class RecordedMetrics:
    """Recorded range queries, by their normalised PromQL."""

    def __init__(self, queries: list[RecordedQuery], end: float) -> None:
        self._queries = {normal(q.expr): q for q in queries}
        self._end = end

    def _find(self, expr: str) -> list[tuple[Labels, Any, Any]]:
        """The recorded points of an expression. A bare selector is looked for in every recorded one."""
        if found := self._queries.get(normal(expr)):
            return [(s.labels, *arrays(s)) for s in found.series]
        matches = selector(expr)
        if matches is not None:
            rows = [
                (s.labels, *arrays(s))
                for q in self._queries.values()
                if selector(q.expr) is not None
                for s in q.series
                if matches(s.labels)
            ]
            if rows:
                unique = {tuple(sorted(labels.items())): (labels, t, v) for labels, t, v in rows}
                return [unique[k] for k in sorted(unique)]
        check_syntax(expr)
        raise not_recorded(f"the query {expr!r}", [q.expr for q in self._queries.values()])

    async def query(self, expr: str, at: float | None = None) -> Answer[Series]:
        moment = self._end if at is None else at
        rows = []
        for labels, times, values in self._find(expr):
            i = int(np.searchsorted(times, moment, side="right")) - 1
            if i >= 0 and moment - times[i] < _LOOKBACK:
                rows.append(Series(labels, np.array([moment]), values[i : i + 1].copy()))
        return Answer(rows, "bundle")

    async def query_range(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        """Recorded points that lie on the asked grid; where the grids differ, the newest before each
        step within the recorded step, and a warning that says so."""
        rows, shifted = [], False
        grid = window.start + step * np.arange(int((window.end - window.start) / step + 1e-9) + 1)
        for labels, times, values in self._find(expr):
            if not len(times):
                continue
            near = np.searchsorted(times, grid + 1e-6, side="right") - 1
            known = near >= 0
            gap = np.where(known, grid - times[np.maximum(near, 0)], np.inf)
            recorded_step = float(np.min(np.diff(times))) if len(times) > 1 else step
            exact = np.abs(gap) < 1e-3
            close = known & (gap < recorded_step)
            shifted = shifted or bool((close & ~exact).any())
            if close.any():
                rows.append(Series(labels, np.asarray(grid[close], np.float64), values[near[close]]))
        notes = (
            ["the asked steps lie between the recorded ones: the newest recorded value before each is shown"]
            if shifted
            else []
        )
        return Answer(rows, "bundle", warnings=notes)

    async def labels(self, matchers: list[str], window: TimeRange | None = None) -> Answer[str]:
        return Answer(sorted({k for labels in self._matching(matchers) for k in labels}), "bundle")

    async def label_values(
        self, name: str, matchers: list[str], window: TimeRange | None = None
    ) -> Answer[str]:
        return Answer(sorted({v for labels in self._matching(matchers) if (v := labels.get(name))}), "bundle")

    async def series(self, matchers: list[str], window: TimeRange | None = None) -> Answer[Labels]:
        unique = {tuple(sorted(labels.items())): labels for labels in self._matching(matchers)}
        return Answer([unique[k] for k in sorted(unique)], "bundle")

    def _matching(self, matchers: list[str]) -> Iterable[Labels]:
        tests = [t for m in matchers if (t := selector(m)) is not None]
        for query in self._queries.values():
            if selector(query.expr) is not None:
                for series in query.series:
                    if not matchers or any(t(series.labels) for t in tests):
                        yield series.labels


class RecordedAlerts:
    def __init__(self, alerts: list[AlertItem]) -> None:
        self._alerts = alerts

    async def alerts(self) -> Answer[AlertItem]:
        return Answer(list(self._alerts), "bundle")


class RecordedLogSource:
    """Recorded lines. Stream selectors and the line filters |= != |~ !~ are answered; other stages
    were not recorded."""

    def __init__(self, logs: list[RecordedLogs]) -> None:
        self._logs = logs

    async def query_range(
        self, expr: str, window: TimeRange, limit: int, direction: Direction = "backward"
    ) -> Answer[LogEntry]:
        if not self._logs:
            raise not_recorded("any log line", [])
        matches, filters = parse_logql(expr)
        start, end = window.start * 1e9, window.end * 1e9
        seen: dict[tuple[int, str, str], LogEntry] = {}
        for part in self._logs:
            wanted = [matches(labels) for labels in part.streams]
            for line in part.lines:
                if start <= line.ns < end and wanted[line.stream] and all(f(line.line) for f in filters):
                    labels = part.streams[line.stream]
                    seen.setdefault(
                        (line.ns, str(labels), line.line), LogEntry(line.ns, labels, line.line, line.metadata)
                    )
        rows = sorted(seen.values(), key=lambda e: e.ns, reverse=direction == "backward")[:limit]
        notes = (
            ["more lines were there than the recording kept"] if any(p.truncated for p in self._logs) else []
        )
        return Answer(rows, "bundle", warnings=notes)

    async def labels(self, window: TimeRange) -> Answer[str]:
        return Answer(sorted({k for p in self._logs for s in p.streams for k in s}), "bundle")


class RecordedTraces:
    """Recorded spans. Service, operation, duration, error and tag filters are answered; TraceQL is not."""

    def __init__(self, spans: list[RecordedSpan]) -> None:
        self._spans = spans

    def _traces(self, query: TraceQuery, window: TimeRange) -> list[list[Span]]:
        if query.traceql:
            raise UsageError(
                "TraceQL is not answered from a bundle",
                hint="use --service, --operation, --min-duration, --error",
                code=ErrorCode.INVALID_TRACEQL,
            )
        grouped: dict[str, list[Span]] = {}
        for recorded in self._spans:
            grouped.setdefault(recorded.trace_id, []).append(_span(recorded))
        start, end = window.start * 1e9, window.end * 1e9
        found = []
        for spans in grouped.values():
            spans.sort(key=lambda s: (s.start_ns, s.span_id))
            if start <= spans[0].start_ns <= end and any(_wanted(s, query) for s in spans):
                found.append(spans)
        found.sort(key=lambda spans: -spans[0].start_ns)
        return found[: query.limit]

    async def search(self, query: TraceQuery, window: TimeRange) -> Answer[TraceSummary]:
        return Answer([summary(spans) for spans in self._traces(query, window)], "bundle")

    async def trace(self, trace_id: str) -> Answer[Span]:
        wanted = trace_id.lower().lstrip("0")
        spans = [_span(s) for s in self._spans if s.trace_id.lstrip("0") == wanted]
        return Answer(sorted(spans, key=lambda s: (s.start_ns, s.span_id)), "bundle")

    async def spans(self, query: TraceQuery, window: TimeRange) -> Answer[Span]:
        return Answer([s for spans in self._traces(query, window) for s in spans], "bundle")


class RecordedKubeSource:
    def __init__(
        self, version: str, events: list[KubeEvent], changes: list[Change], workloads: list[Workload]
    ) -> None:
        self._version, self._events, self._changes, self._workloads = version, events, changes, workloads

    async def version(self) -> str:
        return self._version

    async def events(self, window: TimeRange) -> Answer[KubeEvent]:
        return Answer([e for e in self._events if window.start <= e.at <= window.end], "bundle")

    async def changes(self, window: TimeRange) -> Answer[Change]:
        return Answer([c for c in self._changes if window.start <= c.at <= window.end], "bundle")

    async def workloads(self) -> Answer[Workload]:
        return Answer(list(self._workloads), "bundle")


def summary(spans: list[Span]) -> TraceSummary:
    """What a search shows of a whole trace."""
    root = next((s for s in spans if s.parent_id is None), spans[0])
    end = max(s.start_ns + s.duration_ns for s in spans)
    errors = sum(s.status == "error" for s in spans)
    return TraceSummary(
        spans[0].trace_id,
        root.service,
        root.name,
        spans[0].start_ns,
        (end - spans[0].start_ns) / 1e6,
        len(spans),
        errors,
    )


def _span(r: RecordedSpan) -> Span:
    return Span(
        r.trace_id,
        r.span_id,
        r.parent_id,
        r.service,
        r.name,
        r.kind,
        r.start_ns,
        r.duration_ns,
        r.status,
        r.attributes,
        r.resource,
        tuple(r.events),
    )


def _wanted(span: Span, query: TraceQuery) -> bool:
    ms = span.duration_ns / 1e6
    return (
        (query.service is None or _glob(query.service, span.service))
        and (query.operation is None or _glob(query.operation, span.name))
        and (query.min_ms is None or ms >= query.min_ms)
        and (query.max_ms is None or ms <= query.max_ms)
        and (not query.errors or span.status == "error")
        and all(str(span.attributes.get(k, span.resource.get(k))) == v for k, v in query.tags.items())
    )


def _glob(pattern: str, text: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(text, pattern)
