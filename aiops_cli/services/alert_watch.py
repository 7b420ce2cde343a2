"""Changes of alerts as they happen, by asking again and again.

A cluster that does not answer fully changes nothing: its alerts stay as they were until it does. Where only
Prometheus fails, that holds for the alerts that it alone knows. An
Alertmanager keeps no alerts over a restart, and Prometheus sends each again within a minute: so what is
missing right after a restart is not taken for resolved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress

from aiops_cli.errors import AiopsError
from aiops_cli.models.alerts import AlertEvent
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.alert_sources import LiveAlerts, attempt
from aiops_cli.services.alerts import AlertFilter
from aiops_cli.services.fanout import failure_of
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.times import rfc3339

_RESENT = 150.0
"""Seconds after a restart by which an Alertmanager has been sent every alert: Prometheus sends again
after a minute by default."""
_LONGEST = 60.0
"""Seconds between two tries to reach what does not answer, at most."""

Report = Callable[[str, AiopsError | str | None], None]
"""Told once that a cluster does not answer (why), and once that it does again (None)."""


async def watch_alerts(
    members: Sequence[LiveMember], wanted: AlertFilter, interval: float, report: Report
) -> AsyncGenerator[AlertEvent]:
    """What is there at first (PRESENT), then each change. Goes on until it is closed."""
    queue: asyncio.Queue[AlertEvent] = asyncio.Queue()
    tasks = [asyncio.ensure_future(_follow(m, wanted, interval, report, queue)) for m in members]
    try:
        while True:
            event = asyncio.ensure_future(queue.get())
            done, _ = await asyncio.wait({event, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            if event in done:
                yield event.result()
            else:  # a follower never ends by itself: it failed
                event.cancel()
                for task in done:
                    task.result()
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(
    member: LiveMember,
    wanted: AlertFilter,
    interval: float,
    report: Report,
    queue: asyncio.Queue[AlertEvent],
) -> None:
    known: dict[str, AlertItem] | None = None
    restarts = _Restarts()
    wait = interval
    lost = False
    while True:
        source = await member.alerts()
        now: dict[str, AlertItem] = {}
        try:
            answer = await source.alerts()
            trouble: AiopsError | str | None = "; ".join(answer.warnings) if answer.partial else None
            readable = trouble is None or source.unruled
            if readable:
                now = {a.fingerprint: a for a in answer.rows if wanted(a)}
                if source.unruled:
                    own = {k: a for k, a in (known or {}).items() if a.source == "prometheus"}
                    now = own | now
                now |= await restarts.held(source, known or {}, now)
        except Exception as error:  # whatever one cluster makes of us, the others are watched on
            trouble, readable = failure_of(member.name, error), False
            if not lost and await member.recover(trouble):
                continue
        if readable:
            for event in _changes(member.name, known, now):
                queue.put_nowait(event)
            known = now
        if trouble is None and lost:
            report(member.name, None)
        elif trouble is not None and not lost:
            report(member.name, trouble)
        wait = interval if readable or not lost else min(wait * 2, _LONGEST)
        lost = trouble is not None
        await asyncio.sleep(wait)


class _Restarts:
    """Keeps what a restarted Alertmanager has not been sent again yet."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._until = 0.0

    async def held(
        self, source: LiveAlerts, known: dict[str, AlertItem], now: dict[str, AlertItem]
    ) -> dict[str, AlertItem]:
        """Of the known alerts those that are missing, or that only Prometheus has, since a restart. The
        server's own clock says whether there was one: it is asked at first, and when something is gone."""
        gone = {
            key: a
            for key, a in known.items()
            if a.source == "alertmanager" and (key not in now or now[key].source != "alertmanager")
        }
        if gone or self._started is None:
            started = await attempt(source.started())
            if isinstance(started, float):
                if self._started is not None and started != self._started:
                    self._until = time.monotonic() + _RESENT
                self._started = started
        return gone if time.monotonic() < self._until else {}


def _changes(cluster: str, known: dict[str, AlertItem] | None, now: dict[str, AlertItem]) -> list[AlertEvent]:
    at = rfc3339(time.time())

    def event(kind: str, a: AlertItem, state: str | None = None, was: str | None = None) -> AlertEvent:
        return AlertEvent(
            at,
            kind,
            cluster,
            a.fingerprint,
            a.name,
            state or a.state,
            a.severity,
            a.labels,
            a.annotations,
            a.starts_at,
            was,
        )

    if known is None:
        return [event("PRESENT", a) for a in sorted(now.values(), key=lambda a: a.starts_at or "")]
    return [
        *(event("NEW", a) for key, a in now.items() if key not in known),
        *(
            event("CHANGED", a, was=known[key].state)
            for key, a in now.items()
            if key in known and _told(a) != _told(known[key])
        ),
        *(event("RESOLVED", a, "RESOLVED", a.state) for key, a in known.items() if key not in now),
    ]


def _told(a: AlertItem) -> tuple[object, ...]:
    """What a change of is worth a line."""
    return a.state, a.annotations, a.silenced_by, a.inhibited_by
