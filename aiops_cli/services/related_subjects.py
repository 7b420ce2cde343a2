"""What the rows of commands are about: a subject for each thing they speak of, the first ones first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from aiops_cli.analysis.subjects import likeness, subject_of, subject_of_object
from aiops_cli.models.events import EventItem
from aiops_cli.models.metric_row import MetricRow
from aiops_cli.models.related import Subject
from aiops_cli.models.signals import AlertItem, Labels, LogItem, TraceItem
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.times import unix
from aiops_cli.services.traces import SpanItem

BEFORE, AFTER = 1800.0, 900.0
"""Seconds looked at before and after a row's moment, where the user names no window. Alerts wait for as
long as 15 minutes before they fire: what was usual lies before that."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Which times are looked at: `window` where the user named one, else so much around each row; never
    outside of `limits` (what was recorded, or up to now). Unix seconds."""

    limits: TimeRange
    window: TimeRange | None = None

    def around(self, at: float) -> tuple[float, float, float]:
        """(moment, start, end), the moment within the limits."""
        if self.window is not None:
            start, end = self.window.start, self.window.end
        else:
            moment = min(max(at, self.limits.start), self.limits.end)
            start, end = moment - BEFORE, moment + AFTER
        start, end = max(start, self.limits.start), min(end, self.limits.end)
        return min(max(at, start), end), start, end


def of_alerts(rows: Iterable[AlertItem], horizon: Horizon) -> list[Subject]:
    """By labels, at the time each alert began."""
    return [
        subject_of(
            a.cluster,
            "alert",
            a.labels,
            *horizon.around(unix(a.starts_at) or horizon.limits.end),
            title=f"alert {a.name}",
        )
        for a in rows
    ]


def of_metrics(rows: Iterable[MetricRow], horizon: Horizon) -> list[Subject]:
    """By labels, when each series was farthest from its median: for one sample, when that was taken."""
    return [
        subject_of(
            m.cluster,
            "metric",
            {("cluster" if k == "exported_cluster" else k): v for k, v in m.labels.items()},
            *horizon.around(_loudest(m) or horizon.limits.end),
            title=f"series {_selector(m.labels)}",
        )
        for m in rows
    ]


def of_series(rows: Iterable[tuple[str, Labels]], horizon: Horizon) -> list[Subject]:
    """By (cluster, labels), at the end of the times looked at."""
    moment = horizon.around(horizon.limits.end)
    return [
        subject_of(cluster, "metric", labels, *moment, title=f"series {_selector(labels)}")
        for cluster, labels in rows
    ]


def of_logs(rows: Iterable[LogItem], horizon: Horizon) -> list[Subject]:
    """By labels, at each line's time; a line may name its trace."""
    return [
        subject_of(
            line.cluster,
            "log",
            line.labels,
            *horizon.around(unix(line.timestamp) or horizon.limits.end),
            title="log line of "
            + next(
                (
                    line.labels[k]
                    for k in ("pod", "service_name", "app", "job", "container")
                    if k in line.labels
                ),
                _selector(line.labels),
            ),
            text=line.line,
        )
        for line in rows
    ]


def of_traces(rows: Iterable[TraceItem], horizon: Horizon) -> list[Subject]:
    """By the root's service, with the trace itself."""
    return [
        subject_of(
            t.cluster,
            "trace",
            {"service.name": t.root_service, "trace_id": t.trace_id},
            *horizon.around(unix(t.start_time) or horizon.limits.end),
            title=f"trace {t.trace_id}",
        )
        for t in rows
    ]


def of_spans(rows: Sequence[SpanItem], horizon: Horizon) -> list[Subject]:
    """The services of a trace: first those whose spans failed with no failing child, then other failed
    ones, then by self time."""
    failing = {s.parent_id for s in rows if s.status == "error"}
    order: dict[tuple[str, str], tuple[int, float]] = {}
    first: dict[tuple[str, str], SpanItem] = {}
    for s in rows:
        key = (s.cluster, s.service)
        rank = 2 if s.status != "error" else 1 if s.span_id in failing else 0
        known_rank, self_ms = order.get(key, (2, 0.0))
        order[key] = (min(known_rank, rank), self_ms + s.self_ms)
        if key not in first or rank < known_rank:
            first[key] = s
    keys = sorted(order, key=lambda k: (order[k][0], -order[k][1], k))
    return [
        subject_of(
            first[k].cluster,
            "trace",
            {
                **first[k].resource,
                **first[k].attributes,
                "service.name": first[k].service,
                "trace_id": first[k].trace_id,
                "span_id": first[k].span_id,
            },
            *horizon.around(unix(first[k].start_time) or horizon.limits.end),
            title=f"span {first[k].service} {first[k].name}",
        )
        for k in keys
    ]


def of_events(rows: Iterable[EventItem], horizon: Horizon) -> list[Subject]:
    """By the object that each is about; an alert without one leads nowhere."""
    return [
        subject_of_object(
            e.cluster,
            "event",
            e.kind,
            e.name,
            e.namespace,
            *horizon.around(unix(e.time) or horizon.limits.end),
            title=f"{e.reason or e.type} of {e.kind} {e.name}",
        )
        for e in rows
        if e.kind != "Alert"
    ]


def distinct(subjects: Iterable[Subject], most: int) -> tuple[list[Subject], int]:
    """The first `most` that are about different things, and how many things there were in all.

    Of rows about one thing the first is kept; a trace that only a later one names is taken over, and the
    names of alerts all are.
    """
    kept: dict[tuple[str | None, ...], Subject] = {}
    for subject in subjects:
        key = likeness(subject)
        known = kept.setdefault(key, subject)
        if known.trace_id is None and subject.trace_id is not None:
            known = kept[key] = msgspec.structs.replace(known, trace_id=subject.trace_id)
        if subject.origin == "alert" and subject.title not in known.title.split(", "):
            kept[key] = msgspec.structs.replace(known, title=f"{known.title}, {subject.title}")
    return list(kept.values())[:most], len(kept)


def _loudest(row: MetricRow) -> float | None:
    """The time of the sample farthest from the median, the last of such; None for a series of none."""
    if len(row.values) < 2:
        return float(row.times[0]) if len(row.times) else None
    import numpy as np

    values = np.asarray(row.values, np.float64)
    known = np.isfinite(values)
    if not known.any():
        return float(row.times[-1])
    far = np.abs(np.where(known, values, np.nan) - np.median(values[known]))
    return float(row.times[int(np.flatnonzero(far == np.nanmax(far))[-1])])


def _selector(labels: dict[str, str]) -> str:
    name = labels.get("__name__", "")
    inside = ",".join(f'{k}="{v}"' for k, v in sorted(labels.items()) if k != "__name__")
    text = f"{name}{{{inside}}}" if inside else name or "{}"
    return text if len(text) <= 80 else text[:79] + "…"
