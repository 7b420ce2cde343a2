"""One value out of several clusters' series of the same labels: sum, avg, max, min.

As PromQL's own aggregations: what a cluster lacks at a step does not count, NaN makes a sum or average
NaN and is passed over by max and min. Because a sum over fewer clusters looks like a fall, each cluster
that lacks steps which the others have is told of by a warning of its status.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from aiops_cli.errors import UsageError
from aiops_cli.models.metric_row import MetricRow
from aiops_cli.models.result import FleetResult

if TYPE_CHECKING:
    from aiops_cli.models.signals import Floats

METHODS = ("merge", "sum", "avg", "max", "min")
ALL = "*"  # the cluster of an aggregate


def checked(method: str) -> str:
    """Raises UsageError for a method that there is not."""
    if method not in METHODS:
        raise UsageError(f"unknown aggregation {method!r}", hint=f"one of: {', '.join(METHODS)}")
    return method


def aggregate(found: FleetResult[MetricRow], method: str, *, instant: bool) -> FleetResult[MetricRow]:
    """Rows by label set, each with the clusters that went into it; `merge` leaves them as they are.

    An instant answer is one value for each cluster, whatever the moments at which they were evaluated;
    its time is the newest of them. Raises UsageError for the samples of range vectors.
    """
    if checked(method) == "merge":
        return found
    if instant and any(len(r.values) > 1 for r in found.rows):
        raise UsageError(
            "the samples of a range vector are of each cluster's own moments and can't be aggregated",
            hint="aggregate a value: metrics range EXPR, or rate(…), max_over_time(…)",
        )
    groups: dict[tuple[tuple[str, str], ...], list[MetricRow]] = {}
    for row in found.rows:
        groups.setdefault(tuple(sorted(row.labels.items())), []).append(row)
    lacking: dict[str, int] = {}
    rows = [_one(group, method, lacking, instant) for _, group in sorted(groups.items())]
    notes = {name: [f"no sample at {n} of the aggregated steps"] for name, n in lacking.items()}
    for row in found.rows:
        if row.histograms:
            notes.setdefault(row.cluster, []).append("native histograms are left out of the aggregate")
    clusters = [
        msgspec.structs.replace(c, warnings=[*c.warnings, *dict.fromkeys(notes.get(c.name, []))])
        for c in found.clusters
    ]
    return FleetResult([r for r in rows if len(r.values)], clusters)


def _one(group: Sequence[MetricRow], method: str, lacking: dict[str, int], instant: bool) -> MetricRow:
    """The aggregate of series of one label set; without samples where there are histograms alone."""
    labels = group[0].labels
    group = [r for r in group if len(r.values)]
    names = list(dict.fromkeys(r.cluster for r in group))
    if not group:
        return MetricRow(ALL, labels, [], [], (), names)
    if instant:
        values = [float(r.values[0]) for r in group]
        newest = max(float(r.times[0]) for r in group)
        return MetricRow(ALL, labels, [newest], [_number(values, method)], (), names)
    return MetricRow(ALL, labels, *_steps(group, method, lacking), (), names)


def _number(values: Sequence[float], method: str) -> float:
    if method in ("sum", "avg"):
        return sum(values) / (len(values) if method == "avg" else 1)
    known = [v for v in values if v == v]
    return (max(known) if method == "max" else min(known)) if known else float("nan")


def _steps(group: Sequence[MetricRow], method: str, lacking: dict[str, int]) -> tuple[Floats, Floats]:
    """The steps that any of them has, and the aggregate of those that have each."""
    import numpy as np

    stamps = [np.rint(np.asarray(r.times) * 1000).astype(np.int64) for r in group]
    steps = np.unique(np.concatenate(stamps))
    counts = np.zeros(len(steps))
    totals = np.full(len(steps), {"max": np.nan, "min": np.nan}.get(method, 0.0))
    for row, at in zip(group, stamps, strict=True):
        places = np.searchsorted(steps, at)
        values = np.asarray(row.values)
        counts[places] += 1
        if method in ("sum", "avg"):
            totals[places] += values
        else:
            pick = np.fmax if method == "max" else np.fmin  # both pass over NaN
            totals[places] = pick(totals[places], values)
        if missing := len(steps) - len(np.unique(at)):
            lacking[row.cluster] = max(lacking.get(row.cluster, 0), missing)
    if method == "avg":
        totals = totals / counts
    return steps / 1000, totals
