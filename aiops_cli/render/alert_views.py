"""How alerts look in tables, in full, and as they change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from aiops_cli.models.alerts import AlertDetail, AlertEvent, AlertGroup, AlertPeriod
from aiops_cli.models.signals import AlertItem
from aiops_cli.render.output import Column, View
from aiops_cli.render.silence_views import distance, matchers_text
from aiops_cli.render.text import age, cut, one_line, si
from aiops_cli.render.views import selector, when
from aiops_cli.services.times import unix


def alert_view(now: float) -> View[AlertItem]:
    return View(
        "AlertList",
        [
            Column("cluster", lambda a: a.cluster),
            Column("severity", lambda a: a.severity),
            Column("state", lambda a: a.state),
            _since(now),
            Column("alert", lambda a: a.name, keep=True),
            Column("namespace", lambda a: a.labels.get("namespace")),
            Column("summary", _summary),
            Column("fingerprint", lambda a: a.fingerprint, wide=True),
            Column("labels", lambda a: ",".join(f"{k}={v}" for k, v in sorted(a.labels.items())), wide=True),
            Column("source", lambda a: a.source, wide=True),
        ],
        lambda a: a.fingerprint,
    )


def group_view(by: Sequence[str], now: float) -> View[AlertGroup]:
    def label(name: str) -> Column[AlertGroup]:
        return Column(name, lambda g: g.labels[name], keep=True)

    def count(title: str, pick: Any) -> Column[AlertGroup]:
        return Column(title, lambda g: str(pick(g)), right=True, plain=pick)

    return View(
        "AlertGroupList",
        [
            *(label(name) for name in dict.fromkeys(by)),
            count("alerts", lambda g: g.count),
            count("firing", lambda g: g.firing),
            count("pending", lambda g: g.pending),
            count("suppressed", lambda g: g.suppressed),
            Column("worst", lambda g: g.severity),
            _since(now),
            Column("clusters", lambda g: ",".join(g.clusters)),
            Column("names", lambda g: ",".join(g.names)),
            Column("fingerprints", lambda g: ",".join(g.fingerprints), wide=True),
        ],
        lambda g: selector(g.labels),
    )


def history_view(zone: tzinfo | None) -> View[AlertPeriod]:
    def started(p: AlertPeriod) -> str:
        return ("≤ " if p.started_before else "") + when(p.starts_at, zone)[5:]

    def ended(p: AlertPeriod) -> str:
        """Without the day where it is that of the start: a table has no room for it twice."""
        if p.ends_at is None:
            return "firing"
        end = when(p.ends_at, zone)
        return end[11:] if end[:10] == when(p.starts_at, zone)[:10] else end[5:]

    return View(
        "AlertHistory",
        [
            Column("cluster", lambda p: p.cluster),
            Column("severity", lambda p: p.severity),
            Column("alert", lambda p: p.name, keep=True),
            Column(
                "started",
                started,
                right=True,
                plain=lambda p: p.starts_at,
            ),
            Column(
                "ended",
                ended,
                right=True,
                plain=lambda p: p.ends_at,
            ),
            Column(
                "for",
                lambda p: ("≥ " if p.started_before else "") + age(p.duration_seconds),
                right=True,
                plain=lambda p: p.duration_seconds,
            ),
            Column(
                "pending",
                lambda p: None if p.pending_seconds is None else age(p.pending_seconds),
                right=True,
                plain=lambda p: p.pending_seconds,
            ),
            Column("source", lambda p: p.source),
            Column("labels", _labels, wide=True),
            Column("fingerprint", lambda p: p.fingerprint, wide=True),
        ],
        lambda p: p.fingerprint,
    )


def detail_view(now: float) -> View[AlertDetail]:
    return View(
        "AlertDetail",
        [
            Column("cluster", lambda a: a.cluster),
            Column("severity", lambda a: a.severity),
            Column("state", lambda a: a.state),
            _since(now),
            Column("alert", lambda a: a.name, keep=True),
            Column("expression", lambda a: a.rule.expr if a.rule else None),
            Column("runbook", lambda a: a.runbook),
            Column("fingerprint", lambda a: a.fingerprint, wide=True),
        ],
        lambda a: a.fingerprint,
    )


def detail_text(a: AlertDetail, now: float, zone: tzinfo | None) -> str:
    """One alert in full, for people."""
    lines = [
        f"{a.name} ({a.state}, {a.severity or 'no severity'}) on {a.cluster}",
        f"  since        {when(a.starts_at, zone)}",
        f"  fingerprint  {a.fingerprint}",
        f"  source       {a.source}",
    ]
    if a.receivers:
        lines.append(f"  receivers    {', '.join(a.receivers)}")
    if a.value is not None:
        lines.append(f"  value        {si(a.value)}")
    if a.runbook:
        lines.append(f"  runbook      {a.runbook}")
    lines += _section("annotations", [f"{k}: {v}" for k, v in sorted(a.annotations.items())])
    lines += _section("labels", [f"{k}={v}" for k, v in sorted(a.labels.items())])
    if rule := a.rule:
        lasting = f", for {age(rule.for_seconds)}" if rule.for_seconds else ""
        lines += _section(
            f"rule of group {rule.group}{lasting}",
            [*rule.expr.strip().splitlines(), *([f"fails: {rule.last_error}"] if rule.last_error else [])],
        )
    elif a.generator_url:
        lines += _section("rule", [a.generator_url])
    lines += _section("series now", [f"{si(m.value):>8}  {selector(m.labels)}" for m in a.metrics])
    lines += _section(
        "silenced by",
        [
            f"{s.id} ends {distance(s.ends_at, now)}, by {s.created_by}: {s.comment} ({matchers_text(s.matchers)})"
            for s in a.silences
        ],
    )
    lines += _section("inhibited by", a.inhibited_by)
    lines += _section("not known", a.missing)
    return "\n".join(one_line(line) for line in lines) + "\n"


def event_view() -> View[AlertEvent]:
    return View("AlertEvent", [Column("event", lambda e: e.event)], lambda e: e.fingerprint)


def event_line(e: AlertEvent, zone: tzinfo | None, names: int, width: int | None) -> str:
    """A change, for a terminal of `width` cells: what tells alerts apart first, in columns; `names` is the
    width of clusters' names."""
    state = e.state if e.was in (None, e.state) or e.event == "RESOLVED" else f"{e.was}→{e.state}"
    place = e.labels.get("namespace")
    words = [
        when(e.at, zone)[11:],
        f"{e.event:<8}",
        f"{e.cluster:<{names}}",
        f"{e.severity or '-':<8}",
        f"{state if e.event != 'RESOLVED' else '':<10}",
        f"{e.fingerprint:<16}",
        f"{e.name} ({place})" if place else e.name,
        e.annotations.get("summary") or e.annotations.get("description") or "",
    ]
    line = one_line("  ".join(words)).rstrip()
    return line if width is None else cut(line, width)


def _section(title: str, rows: Sequence[str]) -> list[str]:
    return [f"  {title}", *(f"    {row}" for row in rows)] if rows else []


def _summary(a: AlertItem) -> str | None:
    return a.annotations.get("summary") or a.annotations.get("description")


def _labels(p: AlertPeriod) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(p.labels.items()))


def _since(now: float) -> Column[Any]:
    """How long ago it began; of a resolved one too."""

    def seconds(item: Any) -> float | None:
        started = unix(item.starts_at)
        return None if started is None else now - started

    def text(item: Any) -> str:
        passed = seconds(item)
        return "-" if passed is None else age(passed)

    return Column("age", text, right=True, plain=seconds)
