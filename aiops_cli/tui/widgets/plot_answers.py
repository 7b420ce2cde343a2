"""What the metrics screen asks of the fleet: series to draw, and values of one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiops_cli.models.metric_row import MetricRow
from aiops_cli.models.result import FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.views import selector
from aiops_cli.services.session import Session


@dataclass(slots=True)
class Chart(FleetResult[MetricRow]):
    """Series of a range query, and of each its key and its last, least, mean and greatest value (None: none that
    is finite, and nothing to draw)."""

    window: TimeRange = field(default_factory=lambda: TimeRange(0.0, 1.0))
    step: float = 1.0
    unit: str = ""
    meaning: str = ""
    keys: list[str] = field(default_factory=list)
    numbers: list[tuple[float | None, float | None, float | None, float | None]] = field(default_factory=list)


@dataclass(slots=True)
class Values(FleetResult[MetricRow]):
    """An instant answer."""

    unit: str = ""


async def ask_chart(session: Session, expr: str, zoom: TimeRange | None) -> Chart:
    """The query over the window, decoded and measured here: that may be millions of samples."""
    if not expr:
        return Chart([], [])
    import numpy as np

    from aiops_cli.services import metrics, queries

    asked = queries.named(expr, session.settings)
    window = (
        session.window() if zoom is None else zoom if session.bundle is None else session.bundle.within(zoom)
    )
    step = session.step(window)
    found = await metrics.query_range(
        session.members, asked.expr, window, step, session.now,
        policy=session.cache_policy(), replica_labels=session.settings.defaults.replica_labels,
    )  # fmt: skip
    rows = metrics.rows(found)
    numbers: list[tuple[float | None, float | None, float | None, float | None]] = []
    for row in rows.rows:
        values = np.asarray(row.values, np.float64)
        known = values[np.isfinite(values)]
        if known.size:
            numbers.append((row.last, float(known.min()), float(known.mean()), float(known.max())))
        else:
            numbers.append((row.last, None, None, None))
    keys = [f"{row.cluster}/{selector(row.labels)}" for row in rows.rows]
    return Chart(rows.rows, rows.clusters, window, step, asked.unit, asked.meaning, keys, numbers)


async def ask_values(session: Session, expr: str, at: float | None) -> Values:
    """The query at a moment, now or the end of a bundle without one."""
    if not expr:
        return Values([], [])
    from aiops_cli.services import metrics, queries

    asked = queries.named(expr, session.settings)
    found = await metrics.query(
        session.members, asked.expr, session.now if at is None and session.bundle else at,
        replica_labels=session.settings.defaults.replica_labels,
    )  # fmt: skip
    return Values(found.rows, found.clusters, asked.unit)
