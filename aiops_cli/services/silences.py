"""Silences over the fleet: what there is, what one would cover, and what is to be made.

Clusters that share an Alertmanager share its silences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from aiops_cli.errors import AiopsError, UsageError
from aiops_cli.models.alerts import SilenceItem, SilenceMatcher
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.alert_merge import identity
from aiops_cli.services.alert_sources import attempt
from aiops_cli.services.alerts import in_order
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.matchers import Matcher
from aiops_cli.services.times import rfc3339, unix
from aiops_cli.sources.alertmanager import AlertmanagerSource

T = TypeVar("T")
_LAST = 253_402_300_799.0  # unix seconds: the last that an Alertmanager can write


@dataclass(frozen=True, slots=True)
class Draft:
    """A silence to be made. Times are unix seconds; `id` and `cluster` are those of an imported one."""

    matchers: Sequence[SilenceMatcher]
    starts: float
    ends: float
    author: str
    comment: str
    id: str = ""
    cluster: str | None = None

    def check(self, now: float) -> None:
        """Raises UsageError for what every Alertmanager refuses, before any is asked."""
        if not self.matchers:
            raise UsageError("a silence needs a matcher", hint="aiops alerts silence add alertname=Down …")
        if all(_takes_empty(m) for m in self.matchers):
            raise UsageError(
                "these matchers fit every alert: one has to say what a label is",
                hint="add a matcher such as alertname=Down",
            )
        if not self.comment.strip():
            raise UsageError("a silence needs a comment", hint="--comment 'why, and until when'")
        if self.ends <= self.starts:
            raise UsageError("the silence ends before it starts", hint="check --start, --end and --duration")
        if self.ends > _LAST:
            raise UsageError("the silence ends after the year 9999", hint="-d 30d, or --end now+30d")
        if self.ends <= now:
            raise UsageError("the silence would be over already", hint="check --start, --end and --duration")

    def body(self, silence_id: str = "") -> dict[str, Any]:
        body: dict[str, Any] = {
            "matchers": list(self.matchers),
            "startsAt": rfc3339(self.starts),
            "endsAt": rfc3339(self.ends),
            "createdBy": self.author,
            "comment": self.comment,
        }
        return body | ({"id": silence_id} if silence_id else {})


@dataclass(frozen=True, slots=True)
class SilenceFilter:
    """Which silences to list, as `amtool silence query` chooses. `within` in seconds, 0 for any time."""

    matchers: Sequence[Matcher] = ()
    within: float = 0.0
    expired: bool = False
    created_by: str | None = None
    unmatched: bool = False

    def __call__(self, silence: SilenceItem, now: float) -> bool:
        ends = unix(silence.ends_at) or now
        if self.expired:
            timely = ends <= now and (not self.within or ends >= now - self.within)
        else:
            timely = ends > now and (not self.within or ends <= now + self.within)
        return timely and (self.created_by is None or silence.created_by == self.created_by)


def author() -> str:
    """Who makes a silence where nobody is named: this user and host."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


async def list_silences(
    members: Sequence[LiveMember], wanted: SilenceFilter, now: float, *, watch: Watcher | None = None
) -> FleetResult[SilenceItem]:
    """Silences that fit, soonest end first, with how many alerts each keeps quiet now."""
    filters = [m.wire for m in wanted.matchers]

    async def ask(member: LiveMember) -> Answer[SilenceItem]:
        sources = await member.alertmanagers()
        outcome = await _each(sources, lambda s: _silences(s, filters, now, wanted))
        unique: dict[str, SilenceItem] = {}
        for silence in outcome.rows:
            before = unique.get(silence.id)
            counts = [c for c in (silence.alerts, before.alerts if before else None) if c is not None]
            unique[silence.id] = replace(silence, cluster=member.name, alerts=max(counts, default=None))
        rows = [s for s in unique.values() if not (wanted.unmatched and s.alerts != 0)]
        return Answer(rows, warnings=outcome.warnings, partial=outcome.partial)

    result = await fan_out(members, ask, watch=watch)
    unique: dict[tuple[str, str], SilenceItem] = {}
    for _, silence in result.rows:
        unique.setdefault((silence.id, silence.endpoint), silence)  # clusters may share an Alertmanager
    return result.with_rows(sorted(unique.values(), key=lambda s: (s.ends_at, s.cluster, s.id)))


async def _silences(
    source: AlertmanagerSource, filters: Sequence[SilenceMatcher], now: float, wanted: SilenceFilter
) -> list[SilenceItem]:
    """The count of a silence that has not begun is asked of the server, by its matchers, and only where
    it decides."""
    found, alerts = await asyncio.gather(source.silences(filters), source.alerts())
    rows = []
    for silence in found.rows:
        if not wanted(silence, now):
            continue
        count = None
        if silence.state == "ACTIVE":
            count = len({identity(a.labels) for a in alerts.rows if silence.id in a.silenced_by})
        elif silence.state == "PENDING" and wanted.unmatched:
            count = len({identity(a.labels) for a in (await source.alerts(silence.matchers)).rows})
        rows.append(replace(silence, alerts=count))
    return rows


async def covered(members: Sequence[LiveMember], matchers: Sequence[Matcher]) -> FleetResult[AlertItem]:
    """The alerts that a silence of these matchers would keep quiet now. Alertmanager itself decides of
    its own; those that Prometheus alone knows (pending ones) are matched here."""
    wire = [m.wire for m in matchers]

    async def ask(member: LiveMember) -> Answer[AlertItem]:
        sources = await member.alertmanagers()
        alerts = await member.alerts()
        fitting, whole = await asyncio.gather(_each(sources, lambda s: _alerts(s, wire)), alerts.alerts())
        chosen = {a.fingerprint for a in fitting.rows}
        rows = [
            replace(a, cluster=member.name)
            for a in whole.rows
            if a.fingerprint in chosen
            or (a.source == "prometheus" and all(m.matches(a.labels) for m in matchers))
        ]
        warnings = list(dict.fromkeys([*whole.warnings, *fitting.warnings]))
        return Answer(
            rows, warnings=warnings, partial=whole.partial
        )  # which knows whether its peers are enough

    result = await fan_out(members, ask)
    return result.with_rows(in_order([row for _, row in result.rows]))


async def _alerts(source: AlertmanagerSource, matchers: Sequence[SilenceMatcher]) -> list[AlertItem]:
    return (await source.alerts(matchers)).rows


async def _each(
    sources: Sequence[AlertmanagerSource], ask: Callable[[AlertmanagerSource], Awaitable[list[T]]]
) -> Answer[T]:
    """The rows of all that answer. Raises why none does."""
    answers = await asyncio.gather(*(attempt(ask(s)) for s in sources))
    failed = [(s, a) for s, a in zip(sources, answers, strict=True) if isinstance(a, AiopsError)]
    if len(failed) == len(sources):
        raise failed[0][1]
    rows = [row for a in answers if not isinstance(a, AiopsError) for row in a]
    return Answer(rows, warnings=[f"{s.endpoint}: {e.message}" for s, e in failed], partial=bool(failed))


def _takes_empty(m: SilenceMatcher) -> bool:
    """Whether a matcher fits an alert without the label. Of a regex that Python can't read, the server
    decides."""
    import re

    if not m.is_regex:
        return (m.value == "") is m.is_equal
    try:
        return (re.fullmatch(m.value, "") is not None) is m.is_equal
    except re.error:
        return False
