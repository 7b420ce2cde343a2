"""Recorded series, asked as a Prometheus would be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from aiops_cli.models.metric_row import Described, ExemplarSeries, MetricRow
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.bundle import RecordedQuery, arrays, not_recorded
from aiops_cli.services.queries import CATALOGUE
from aiops_cli.services.recorded_query import check_syntax, normal, selector

_LOOKBACK = 300.0
Labels = dict[str, str]


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
        raise not_recorded(f"the query {expr!r}", self._there())

    def _there(self) -> list[str]:
        """The recorded queries, named ones by their names."""
        names = {normal(q.expr): f"@{name}" for name, q in CATALOGUE.items()}
        named = [names[expr] for expr in self._queries if expr in names]
        others = [q.expr for expr, q in self._queries.items() if expr not in names]
        raw = ["raw series, whose names aiops metrics values __name__ lists"]
        asked = [expr for expr in others if selector(expr) is None]
        return [*filter(None, [", ".join(sorted(named))]), *asked, *(raw if len(asked) < len(others) else [])]

    def coarsest(self, expr: str) -> float:
        """The longest step (s) at which what a bare selector selects was recorded; 0 where nothing was."""
        matches = selector(expr)
        return max(
            (
                q.step
                for q in self._queries.values()
                if matches is not None
                and selector(q.expr) is not None
                and any(matches(s.labels) for s in q.series)
            ),
            default=0.0,
        )

    async def query(self, expr: str, at: float | None = None) -> Answer[Series]:
        moment = self._end if at is None else at
        rows = []
        for labels, times, values in self._find(expr):
            i = int(np.searchsorted(times, moment, side="right")) - 1
            if i >= 0 and moment - times[i] < _LOOKBACK:
                rows.append(Series(labels, np.array([moment]), values[i : i + 1].copy()))
        return Answer(rows, "bundle")

    async def instant(self, expr: str, at: float | None = None) -> Answer[MetricRow]:
        found = await self.query(expr, at)
        return Answer([MetricRow.of("", s, s.labels) for s in found.rows], "bundle", warnings=found.warnings)

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

    async def labels(
        self, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[str]:
        return Answer(sorted({k for labels in self._matching(matchers) for k in labels}), "bundle")

    async def label_values(
        self, name: str, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[str]:
        return Answer(sorted({v for labels in self._matching(matchers) if (v := labels.get(name))}), "bundle")

    async def series(
        self, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[Labels]:
        unique = {tuple(sorted(labels.items())): labels for labels in self._matching(matchers)}
        return Answer([unique[k] for k in sorted(unique)], "bundle")

    async def metadata(self, metric: str | None, limit: int | None) -> Answer[tuple[str, list[Described]]]:
        raise not_recorded("the metadata of metrics", [])

    async def exemplars(self, expr: str, window: TimeRange) -> Answer[ExemplarSeries]:
        raise not_recorded("any exemplar", [])

    def _matching(self, matchers: list[str]) -> Iterable[Labels]:
        tests = [t for m in matchers if (t := selector(m)) is not None]
        for query in self._queries.values():
            if selector(query.expr) is not None:
                for series in query.series:
                    if not matchers or any(t(series.labels) for t in tests):
                        yield series.labels
