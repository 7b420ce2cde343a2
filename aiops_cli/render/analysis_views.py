"""How anomalies and causes look in tables."""

from __future__ import annotations

from datetime import tzinfo

from aiops_cli.models.analysis import Anomaly, Cause
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import si
from aiops_cli.render.views import when


def _series_name(names: dict[str, str], a: Anomaly) -> str:
    """The named query it came from, if any, and the labels."""
    labels = ",".join(f"{k}={v}" for k, v in sorted(a.labels.items()) if k != "__name__")
    what = names.get(a.expr) or a.labels.get("__name__")
    return f"{what} {labels}".strip() if what else labels or a.expr


def anomaly_view(zone: tzinfo | None) -> View[Anomaly]:
    from aiops_cli.services.queries import CATALOGUE

    names = {q.expr: f"@{name}" for name, q in CATALOGUE.items()}
    return View(
        "AnomalyList",
        [
            Column("cluster", lambda a: a.cluster),
            Column("severity", lambda a: a.severity),
            Column("type", lambda a: a.type),
            Column("start", lambda a: when(a.start, zone)[5:], plain=lambda a: a.start),
            Column("end", lambda a: when(a.end, zone)[11:], plain=lambda a: a.end),
            Column("series", lambda a: _series_name(names, a), keep=True),
            Column("expected", lambda a: si(a.expected), right=True, plain=lambda a: a.expected),
            Column("actual", lambda a: si(a.actual), right=True, plain=lambda a: a.actual),
            Column("conf", lambda a: f"{a.confidence:.2f}", right=True, plain=lambda a: a.confidence),
            Column("reason", lambda a: a.reason, wide=True),
            Column("query", lambda a: a.expr, wide=True),
            Column("id", lambda a: a.id, wide=True),
        ],
        lambda a: a.id,
    )


def cause_view(zone: tzinfo | None) -> View[Cause]:
    return View(
        "CauseList",
        [
            Column("rank", lambda c: str(c.rank), right=True),
            Column("cluster", lambda c: c.entity.cluster),
            Column("kind", lambda c: c.entity.kind),
            Column("entity", lambda c: c.entity.name),
            Column("namespace", lambda c: c.entity.namespace, wide=True),
            Column("indicator", lambda c: c.indicator),
            Column("onset", lambda c: when(c.onset, zone), plain=lambda c: c.onset),
            Column("score", lambda c: f"{c.score:.2f}", right=True, plain=lambda c: c.score),
            Column("conf", lambda c: f"{c.confidence:.2f}", right=True, plain=lambda c: c.confidence),
            Column("evidence", lambda c: c.evidence[0].text if c.evidence else None),
        ],
        lambda c: f"{c.entity.cluster}/{c.entity.kind}/{c.entity.name}",
    )
