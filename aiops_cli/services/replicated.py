"""Several Prometheuses that watch the same targets, asked as one.

All are asked at once. One that fails costs nothing but a warning while another answers; what one has
missed, another one fills (`analysis/dedup.py`). Where both have a value, the first in the config's order
is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from aiops_cli.errors import AiopsError, UsageError
from aiops_cli.models.metric_row import Described, ExemplarSeries, MetricRow
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.prometheus import PrometheusSource

T = TypeVar("T")
Labels = dict[str, str]


class ReplicatedSource:
    """A pair, or more, of Prometheuses. Each method raises only what all of them fail with first."""

    def __init__(self, replicas: Sequence[PrometheusSource]) -> None:
        self._replicas = list(replicas)

    async def ready(self) -> None:
        """Raises ClusterError unless one of them can be asked."""
        await self.instant("1")

    async def query(self, expr: str, at: float | None = None) -> Answer[Series]:
        return await self._series(lambda s: s.query(expr, at), raw=True)

    async def instant(self, expr: str, at: float | None = None) -> Answer[MetricRow]:
        answers, warnings = await self._ask(lambda s: s.instant(expr, at))
        if any(len(row.values) > 1 for a in answers for row in a.rows):
            return await self._samples(answers, warnings)
        first: dict[Hashable, MetricRow] = {}
        for answer in answers:
            for row in answer.rows:
                first.setdefault(identity(row.labels), row)
        return _answer(list(first.values()), answers, warnings)

    async def query_range(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        return await self._series(lambda s: s.query_range(expr, window, step), raw=False)

    async def labels(
        self, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[str]:
        answers, warnings = await self._ask(lambda s: s.labels(matchers, window, limit))
        return _answer(sorted({r for a in answers for r in a.rows}), answers, warnings)

    async def label_values(
        self, name: str, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[str]:
        answers, warnings = await self._ask(lambda s: s.label_values(name, matchers, window, limit))
        return _answer(sorted({r for a in answers for r in a.rows}), answers, warnings)

    async def series(
        self, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[Labels]:
        answers, warnings = await self._ask(lambda s: s.series(matchers, window, limit))
        found = {identity(labels): labels for a in answers for labels in a.rows}
        return _answer([found[key] for key in sorted(found)], answers, warnings)

    async def metadata(self, metric: str | None, limit: int | None) -> Answer[tuple[str, list[Described]]]:
        answers, warnings = await self._ask(lambda s: s.metadata(metric, limit))
        found: dict[str, list[Described]] = {}
        for answer in answers:
            for name, described in answer.rows:
                known = found.setdefault(name, [])
                known += [d for d in described if d not in known]
        return _answer(sorted(found.items()), answers, warnings)

    async def exemplars(self, expr: str, window: TimeRange) -> Answer[ExemplarSeries]:
        answers, warnings = await self._ask(lambda s: s.exemplars(expr, window))
        found: dict[Hashable, ExemplarSeries] = {}
        for answer in answers:
            for one in answer.rows:
                known = found.setdefault(identity(one.series_labels), ExemplarSeries(one.series_labels, []))
                known.exemplars.extend(e for e in one.exemplars if e not in known.exemplars)
        return _answer(list(found.values()), answers, warnings)

    async def _series(
        self, ask: Callable[[PrometheusSource], Awaitable[Answer[Series]]], *, raw: bool
    ) -> Answer[Series]:
        answers, warnings = await self._ask(ask)
        return _answer(joined((s for a in answers for s in a.rows), raw=raw), answers, warnings)

    async def _samples(self, answers: list[Answer[MetricRow]], warnings: list[str]) -> Answer[MetricRow]:
        """Range vectors: each series has samples of its own moments."""
        import numpy as np

        found = joined(
            (
                Series(r.labels, np.asarray(r.times), np.asarray(r.values), tuple(r.histograms))
                for a in answers
                for r in a.rows
            ),
            raw=True,
        )
        return _answer([MetricRow.of("", s, s.labels) for s in found], answers, warnings)

    async def _ask(
        self, ask: Callable[[PrometheusSource], Awaitable[Answer[T]]]
    ) -> tuple[list[Answer[T]], list[str]]:
        """The answers there are, and a warning for each replica that gave none."""
        outcomes = await asyncio.gather(*(ask(r) for r in self._replicas), return_exceptions=True)
        answers, warnings, failures = [], [], []
        for replica, outcome in zip(self._replicas, outcomes, strict=True):
            if isinstance(outcome, Answer):
                answers.append(outcome)
            elif isinstance(outcome, AiopsError) and not isinstance(outcome, UsageError):
                failures.append(outcome)
                warnings.append(f"replica {replica.endpoint} did not answer: {outcome.message}")
            else:
                raise outcome
        if not answers:
            raise failures[0]
        return answers, warnings


def identity(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def joined(series: Iterable[Series], *, raw: bool) -> list[Series]:
    """Series of one label set as one, in the order of labels."""
    from aiops_cli.analysis.dedup import one_of

    groups: dict[tuple[tuple[str, str], ...], list[Series]] = {}
    for one in series:
        groups.setdefault(identity(one.labels), []).append(one)
    return [one_of(groups[key], raw=raw) for key in sorted(groups)]


def _answer(rows: list[T], answers: Sequence[Answer[T]], warnings: list[str]) -> Answer[T]:
    said = dict.fromkeys([*warnings, *(w for a in answers for w in a.warnings)])
    return Answer(rows, warnings=list(said), partial=any(a.partial for a in answers))
