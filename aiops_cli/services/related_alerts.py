"""The alerts of a place: those active now, and those that fired in the window by `ALERTS`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiops_cli.analysis.subjects import Map, Place, subject_of
from aiops_cli.errors import AiopsError, NotAvailableError
from aiops_cli.models.related import Subject
from aiops_cli.models.signals import AlertItem, Labels, Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import Member
from aiops_cli.services.related_commands import Commands, matcher, option, selector
from aiops_cli.services.related_found import Found, counted
from aiops_cli.services.times import unix

_RANK = {"critical": 0, "warning": 1, "info": 2}
_NOT_OF_ALERTS = ("__name__", "alertname", "alertstate")


@dataclass(frozen=True, slots=True)
class KnownAlerts:
    """What one cluster knows: active alerts, and `ALERTS` series that fired in the window."""

    active: Sequence[AlertItem]
    fired: Sequence[Series]


async def known_alerts(member: Member, window: TimeRange, step: float) -> KnownAlerts:
    """Both kinds. Raises what the active alerts raised if neither was answered."""

    async def active() -> Sequence[AlertItem] | AiopsError:
        try:
            return (await (await member.alerts()).alerts()).rows
        except AiopsError as error:
            return error

    async def fired() -> Sequence[Series] | AiopsError:
        try:
            source = await member.metrics()
            expr = "ALERTS" if member.origin == "bundle" else 'ALERTS{alertstate="firing"}'
            return (await source.query_range(expr, window.aligned(step), step)).rows
        except NotAvailableError:
            return []
        except AiopsError as error:
            return error

    now, before = await asyncio.gather(active(), fired())
    if isinstance(now, AiopsError):
        raise now
    rows = [] if isinstance(before, AiopsError) else before
    return KnownAlerts(now, [s for s in rows if s.labels.get("alertstate") == "firing" and len(s.timestamps)])


def alerts_of(
    known: KnownAlerts, place: Place, subject: Subject, map_: Map, commands: Commands
) -> list[Found]:
    """The worst active alert by name and all of them; then what fired and is over. The alert that was
    asked about is left out."""

    def ours(labels: Labels) -> bool:
        about = subject_of(subject.cluster, "alert", labels, subject.at, subject.start, subject.end)
        return place.is_about(map_.locate(about))

    def asked_about(labels: Labels) -> bool:
        return subject.origin == "alert" and _same(labels, subject.labels)

    space = (option("--namespace", place.namespace),) if place.namespace and place.about != "node" else ()
    active = [a for a in known.active if ours(a.labels) and not asked_about(a.labels)]
    active.sort(key=lambda a: (_RANK.get((a.severity or "").lower(), 3), a.starts_at or "", a.name))
    found: list[Found] = []
    if active:
        worst = active[0]
        names = ", ".join(dict.fromkeys(a.name for a in active))
        about = worst.annotations.get("summary") or worst.annotations.get("description") or ""
        summary = f"{counted(len(active), 'active alert')}: {names}"
        summary += f"; {worst.severity or 'alert'} {worst.name}: {about}" if about else ""
        fits = all(a.labels.get("namespace") == place.namespace for a in active)
        command = commands.plain("alerts", "list", *(space if fits else ()))
        found.append(Found(len(active), unix(worst.starts_at), summary, command))
    names_now = {(a.name, a.labels.get("namespace")) for a in known.active}
    over = [
        s
        for s in known.fired
        if (s.labels.get("alertname", ""), s.labels.get("namespace")) not in names_now
        and ours({k: v for k, v in s.labels.items() if k not in _NOT_OF_ALERTS})
        and not asked_about(s.labels)
    ]
    if over:
        first = min(over, key=lambda s: float(s.timestamps[0]))
        names = ", ".join(dict.fromkeys(s.labels.get("alertname", "") for s in over))
        inside = [matcher("namespace", place.namespace)] if space and place.namespace else []
        expr = selector("ALERTS", [matcher("alertstate", "firing"), *inside])
        summary = f"{counted(len(over), 'alert')} fired in the window, now over: {names}"
        command = commands.timed("metrics", "range", expr)
        found.append(Found(len(over), float(first.timestamps[0]), summary, command))
    return found


def _same(labels: Labels, asked: Labels) -> bool:
    """Whether these are one alert's labels: Alertmanager has external labels that `ALERTS` has not."""
    name = labels.get("alertname")
    if name is None or name != asked.get("alertname"):
        return False
    return all(asked.get(k, v) == v for k, v in labels.items() if k not in ("alertstate", "__name__"))
