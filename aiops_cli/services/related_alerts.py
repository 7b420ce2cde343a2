"""The alerts of a place: those active now, and those that fired in the window and are over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiops_cli.analysis.subjects import Map, Place, subject_of
from aiops_cli.models.alerts import AlertPeriod
from aiops_cli.models.related import Subject
from aiops_cli.models.signals import AlertItem, Labels
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services import alert_history
from aiops_cli.services.fleet import Member
from aiops_cli.services.related_commands import Commands, option
from aiops_cli.services.related_found import Found, counted
from aiops_cli.services.times import unix

_RANK = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class KnownAlerts:
    """What one cluster knows: active alerts, and when alerts fired in the window."""

    active: Sequence[AlertItem]
    fired: Sequence[AlertPeriod]


async def known_alerts(member: Member, window: TimeRange, step: float) -> KnownAlerts:
    """Both kinds. Raises what the active alerts raised; who fired is left out where that is not known."""

    async def active() -> Sequence[AlertItem]:
        return (await (await member.alerts()).alerts()).rows

    now, fired = await asyncio.gather(active(), alert_history.history([member], window, step=step))
    return KnownAlerts(now, fired.rows)


def alerts_of(
    known: KnownAlerts, place: Place, subject: Subject, map_: Map, commands: Commands
) -> list[Found]:
    """The active alerts with the worst of them; then those that are over. The alert that was asked about
    is left out."""

    def ours(labels: Labels) -> bool:
        about = subject_of(subject.cluster, "alert", labels, subject.at, subject.start, subject.end)
        same = subject.origin == "alert" and _same(labels, subject.labels)
        return not same and place.is_about(map_.locate(about))

    space = place.namespace if place.about != "node" else None
    active = [a for a in known.active if ours(a.labels)]
    active.sort(key=lambda a: (_RANK.get((a.severity or "").lower(), 3), a.starts_at or "", a.name))
    found: list[Found] = []
    if active:
        worst = active[0]
        names = ", ".join(dict.fromkeys(a.name for a in active))
        about = worst.annotations.get("summary") or worst.annotations.get("description") or ""
        summary = f"{counted(len(active), 'active alert')}: {names}"
        summary += f"; {worst.severity or 'alert'} {worst.name}: {about}" if about else ""
        fits = space is not None and all(a.labels.get("namespace") == space for a in active)
        command = commands.plain(
            "alerts", "list", *([option("--namespace", space)] if space and fits else [])
        )
        found.append(Found(len(active), unix(worst.starts_at), summary, command))
    over = [p for p in known.fired if p.ends_at is not None and ours(p.labels)]
    if over:
        first = min(over, key=lambda p: p.starts_at)
        names = ", ".join(dict.fromkeys(p.name for p in over))
        fits = space is not None and all(p.labels.get("namespace") == space for p in over)
        command = commands.timed("alerts", "history", *([f"namespace={space}"] if space and fits else []))
        summary = f"{counted(len(over), 'earlier firing')} in the window: {names}"
        found.append(Found(len(over), unix(first.starts_at), summary, command))
    return found


def _same(labels: Labels, asked: Labels) -> bool:
    """Whether these are one alert's labels: Alertmanager has external labels that Prometheus has not."""
    if labels.get("alertname") != asked.get("alertname"):
        return False
    return all(asked.get(k, v) == v for k, v in labels.items())
