"""How alerts, log lines, traces, anomalies and causes look in tables."""

from __future__ import annotations

from datetime import tzinfo

from aiops_cli.models.analysis import Anomaly, Cause
from aiops_cli.models.signals import AlertItem, LogItem, TraceItem
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import age, clock, duration, one_line, si
from aiops_cli.services.times import unix
from aiops_cli.services.traces import SpanItem


def when(text: str | None, zone: tzinfo | None) -> str:
    moment = unix(text)
    return "-" if moment is None else clock(moment, zone)


def alert_view(now: float) -> View[AlertItem]:
    def since(a: AlertItem) -> str:
        started = unix(a.starts_at)
        return "-" if started is None else age(now - started)

    return View(
        "AlertList",
        [
            Column("cluster", lambda a: a.cluster),
            Column("severity", lambda a: a.severity),
            Column("state", lambda a: a.state),
            Column(
                "age",
                since,
                right=True,
                plain=lambda a: None if (t := unix(a.starts_at)) is None else now - t,
            ),
            Column("alert", lambda a: a.name),
            Column("namespace", lambda a: a.labels.get("namespace")),
            Column("summary", lambda a: a.annotations.get("summary") or a.annotations.get("description")),
            Column("fingerprint", lambda a: a.fingerprint, wide=True),
            Column("labels", lambda a: ",".join(f"{k}={v}" for k, v in sorted(a.labels.items())), wide=True),
        ],
        lambda a: a.fingerprint,
    )


def alert_text(a: AlertItem, now: float, zone: tzinfo | None) -> str:
    """One alert in full, for people."""
    lines = [
        f"{a.name} ({a.state}, {a.severity or 'no severity'}) on {a.cluster}",
        f"  since        {when(a.starts_at, zone)}",
    ]
    lines += [f"  fingerprint  {a.fingerprint}", f"  source       {a.source}"]
    lines += [f"  {k}: {v}" for k, v in sorted(a.annotations.items())]
    lines += [f"  {k}={v}" for k, v in sorted(a.labels.items())]
    if a.generator_url:
        lines.append(f"  rule         {a.generator_url}")
    return "\n".join(one_line(line) for line in lines) + "\n"


def log_view(zone: tzinfo | None) -> View[LogItem]:
    def owner(i: LogItem) -> str | None:
        return next(
            (i.labels[k] for k in ("pod", "service_name", "app", "job", "container") if k in i.labels), None
        )

    return View(
        "LogList",
        [
            Column("cluster", lambda i: i.cluster),
            Column("time", lambda i: when(i.timestamp, zone), plain=lambda i: i.timestamp),
            Column("source", owner),
            Column("labels", lambda i: ",".join(f"{k}={v}" for k, v in sorted(i.labels.items())), wide=True),
            Column("line", lambda i: i.line),
        ],
        lambda i: i.timestamp,
    )


def trace_view(zone: tzinfo | None) -> View[TraceItem]:
    return View(
        "TraceList",
        [
            Column("cluster", lambda t: t.cluster),
            Column("trace", lambda t: t.trace_id),
            Column("start", lambda t: when(t.start_time, zone), plain=lambda t: t.start_time),
            Column("service", lambda t: t.root_service),
            Column("name", lambda t: t.root_name),
            Column("duration", lambda t: duration(t.duration_ms), right=True, plain=lambda t: t.duration_ms),
            Column(
                "spans",
                lambda t: None if t.span_count is None else str(t.span_count),
                right=True,
                plain=lambda t: t.span_count,
            ),
            Column(
                "errors",
                lambda t: None if t.error_count is None else str(t.error_count),
                right=True,
                plain=lambda t: t.error_count,
            ),
        ],
        lambda t: t.trace_id,
    )


def span_view() -> View[SpanItem]:
    return View(
        "SpanList",
        [
            Column("cluster", lambda s: s.cluster),
            Column("span", lambda s: s.span_id),
            Column("parent", lambda s: s.parent_id, wide=True),
            Column("service", lambda s: s.service),
            Column("name", lambda s: s.name),
            Column("start", lambda s: duration(s.start_ms), right=True, plain=lambda s: s.start_ms),
            Column("duration", lambda s: duration(s.duration_ms), right=True, plain=lambda s: s.duration_ms),
            Column("self", lambda s: duration(s.self_ms), right=True, plain=lambda s: s.self_ms),
            Column("status", lambda s: s.status),
            Column("critical", lambda s: "yes" if s.critical else None),
        ],
        lambda s: s.span_id,
    )


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
            Column("series", lambda a: _series_name(names, a)),
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
