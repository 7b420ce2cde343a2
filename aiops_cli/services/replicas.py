"""The same series from several replicas, shown once: labels that only name the replica are taken off."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from aiops_cli.models.metric_row import MetricRow
from aiops_cli.models.signals import Labels, Series


def rows_once(rows: Sequence[MetricRow], replica_labels: Collection[str]) -> list[MetricRow]:
    """Instant rows of one cluster without the replica labels, each label set once, in the same order."""
    if not _marked((r.labels for r in rows), replica_labels):
        return list(rows)
    if any(len(r.values) > 1 for r in rows):
        return _samples_once(rows, replica_labels)
    kept: dict[tuple[tuple[str, str], ...], MetricRow] = {}
    for row in sorted(rows, key=lambda r: [r.labels.get(name, "") for name in replica_labels]):
        labels = _without(row.labels, replica_labels)
        kept.setdefault(tuple(sorted(labels.items())), _with(row, labels))
    order = dict.fromkeys(tuple(sorted(_without(r.labels, replica_labels).items())) for r in rows)
    return [kept[key] for key in order]


def series_once(series: Sequence[Series], replica_labels: Collection[str]) -> list[Series]:
    """The same for the steps of a range: what one replica has missed, another one fills."""
    if not _marked((s.labels for s in series), replica_labels):
        return list(series)
    from aiops_cli.services.replicated import joined

    ordered = sorted(series, key=lambda s: [s.labels.get(name, "") for name in replica_labels])
    bare = (Series(_without(s.labels, replica_labels), s.timestamps, s.values, s.histograms) for s in ordered)
    return joined(bare, raw=False)


def _samples_once(rows: Sequence[MetricRow], replica_labels: Collection[str]) -> list[MetricRow]:
    import numpy as np

    from aiops_cli.services.replicated import joined

    bare = (
        Series(
            _without(r.labels, replica_labels),
            np.asarray(r.times),
            np.asarray(r.values),
            tuple(r.histograms),
        )
        for r in rows
    )
    return [MetricRow.of("", s, s.labels) for s in joined(bare, raw=True)]


def _marked(labels: Iterable[Labels], replica_labels: Collection[str]) -> bool:
    return any(name in one for one in labels for name in replica_labels)


def _without(labels: Labels, names: Collection[str]) -> Labels:
    return {k: v for k, v in labels.items() if k not in names}


def _with(row: MetricRow, labels: Labels) -> MetricRow:
    return MetricRow(row.cluster, labels, row.times, row.values, row.histograms)
