"""Silences over the fleet. These are the only commands that write to a cluster, and only when told to.

A silence is written once to each group of Alertmanagers that gossip: they pass it on. Several that do
not gossip each get one. Clusters that share an Alertmanager share its silences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.alerts import SilenceItem, SilenceMatcher, SilenceResult
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
        whole, *answers = await asyncio.gather(alerts.alerts(), *(s.alerts(wire) for s in sources))
        chosen = {a.fingerprint for answer in answers for a in answer.rows}
        rows = [
            replace(a, cluster=member.name)
            for a in whole.rows
            if a.fingerprint in chosen
            or (a.source == "prometheus" and all(m.matches(a.labels) for m in matchers))
        ]
        return Answer(rows, warnings=whole.warnings, partial=whole.partial)

    result = await fan_out(members, ask)
    return result.with_rows(in_order([row for _, row in result.rows]))


async def create(
    members: Sequence[LiveMember],
    drafts: Sequence[Draft],
    *,
    update: bool = False,
    dry_run: bool = False,
    made: list[SilenceResult] | None = None,
    watch: Watcher | None = None,
) -> FleetResult[SilenceResult]:
    """Make each silence in its cluster, or in every one where it names none; one row for each that was made.
    `made` gets each as it is, for who has to tell of an interrupted run.

    With `update` one whose id a cluster knows is changed there. A failure in one cluster leaves the others'
    as they are; nothing is taken back.
    """
    owners = await _owners(members)

    async def ask(member: LiveMember) -> Answer[SilenceResult]:
        own = [d for d in drafts if d.cluster in (None, member.name)]
        answer: Answer[SilenceResult] = Answer([])
        if not own:
            return answer
        places = await _places(await member.alertmanagers())
        answer.warnings += places.warnings
        answer.partial = places.partial
        for source in places.sources:
            owner = owners.get(_identity(source), member.name)
            if owner != member.name:
                answer.warnings.append(f"it has the same Alertmanager as {owner}, which was told")
                continue
            for draft in own:
                try:
                    row = replace(await _created(source, draft, update, dry_run), cluster=member.name)
                except AiopsError as error:
                    if not answer.rows:
                        raise
                    answer.warnings.append(f"{source.endpoint}: {error.message}")
                    answer.partial = True
                    continue
                answer.rows.append(row)
                if made is not None:
                    made.append(row)
        return answer

    result = await fan_out(members, ask, watch=watch)
    return result.with_rows([row for _, row in result.rows])


async def _created(source: AlertmanagerSource, draft: Draft, update: bool, dry_run: bool) -> SilenceResult:
    silence_id, result = draft.id if update else "", "CREATED"
    if dry_run:
        result = "WOULD CREATE"
    else:
        try:
            made = await source.create(draft.body(silence_id))
            result = "UPDATED" if made == silence_id else result
        except NotAvailableError:
            if not silence_id:
                raise
            made = await source.create(draft.body())
        except ClusterError as error:
            raise _unsure(error) from None
        silence_id = made
    return SilenceResult(
        "",
        silence_id,
        result,
        rfc3339(draft.starts),
        rfc3339(draft.ends),
        list(draft.matchers),
        source.endpoint,
    )


def _unsure(error: ClusterError) -> ClusterError:
    """A write whose answer was lost must not be tried again: it may have happened."""
    if error.code in (ErrorCode.CLUSTER_UNREACHABLE, ErrorCode.QUERY_TIMEOUT, ErrorCode.BAD_ANSWER):
        return ClusterError(
            f"{error.message}; the silence may have been made all the same",
            hint="aiops alerts silence list shows whether it was",
            code=ErrorCode.QUERY_FAILED,
            endpoint=error.endpoint,
        )
    return error


async def expire(
    members: Sequence[LiveMember],
    ids: Sequence[str],
    *,
    dry_run: bool = False,
    watch: Watcher | None = None,
) -> tuple[FleetResult[SilenceResult], list[str]]:
    """End silences now, wherever they live; an id may be cut to its first eight characters or more.

    Gives what became of them, and the ids that no cluster that answered has. Raises UsageError before
    anything is written where a cut id may mean several.
    """

    async def look(member: LiveMember) -> Answer[tuple[SilenceItem, AlertmanagerSource]]:
        places = await _places(await member.alertmanagers())
        rows = [(s, source) for source in places.sources for s in (await source.silences()).rows]
        return Answer(rows, warnings=places.warnings, partial=places.partial)

    found = await fan_out(members, look, watch=watch)
    holders: dict[str, dict[str, tuple[str, SilenceItem, AlertmanagerSource]]] = {}
    for cluster, (silence, source) in found.rows:
        holders.setdefault(silence.id, {}).setdefault(source.endpoint, (cluster, silence, source))
    chosen: dict[str, None] = {}
    missing = []
    for given in (i.rstrip("…") for i in ids):  # as a table may have cut it
        fitting = [i for i in holders if i == given or (len(given) >= 8 and i.startswith(given))]
        if len(fitting) > 1:
            raise UsageError(f"{given!r} may mean {len(fitting)} silences", hint="write more of the id")
        chosen.update(dict.fromkeys(fitting))
        missing += [] if fitting else [given]

    async def end(member: LiveMember) -> Answer[SilenceResult]:
        answer: Answer[SilenceResult] = Answer([])
        for cluster, silence, source in (h for i in chosen for h in holders[i].values()):
            if cluster != member.name:
                continue
            result = "ALREADY EXPIRED" if silence.state == "EXPIRED" else "EXPIRED"
            if result == "EXPIRED" and dry_run:
                result = "WOULD EXPIRE"
            elif result == "EXPIRED":
                await source.expire(silence.id)
            answer.rows.append(
                SilenceResult(
                    cluster,
                    silence.id,
                    result,
                    silence.starts_at,
                    silence.ends_at,
                    silence.matchers,
                    source.endpoint,
                )
            )
        return answer

    clusters = {cluster for i in chosen for cluster, _, _ in holders[i].values()}
    done = await fan_out([m for m in members if m.name in clusters], end)
    ended = {status.name: status for status in done.clusters if status.error is not None}
    statuses = [ended.get(status.name, status) for status in found.clusters]
    return FleetResult([row for _, row in done.rows], statuses), missing


@dataclass(slots=True)
class _Places:
    """Where to write: one Alertmanager of each gossiping group. `warnings` name those that are lost."""

    sources: list[AlertmanagerSource]
    warnings: list[str] = field(default_factory=list)
    partial: bool = False


async def _places(sources: Sequence[AlertmanagerSource]) -> _Places:
    """Raises why none of them answers: so that what fails later has been sent."""
    instances = await asyncio.gather(*(attempt(s.instance()) for s in sources))
    chosen: list[AlertmanagerSource] = []
    reached: set[str] = set()
    largest = 0
    failed: list[tuple[AlertmanagerSource, AiopsError]] = []
    for source, instance in zip(sources, instances, strict=True):
        if isinstance(instance, AiopsError):
            failed.append((source, instance))
            continue
        largest = max(largest, len(instance.peers))
        if instance.name and instance.name in reached:
            continue
        chosen.append(source)
        reached |= instance.peers
    if not chosen:
        raise failed[0][1]
    alone = largest < len(sources)
    what = "what is written reaches it only by its peers, if it has any" if alone else "its peers pass it on"
    return _Places(chosen, [f"{s.endpoint}: {e.message}; {what}" for s, e in failed], bool(failed) and alone)


async def _each(
    sources: Sequence[AlertmanagerSource], ask: Callable[[AlertmanagerSource], Awaitable[list[SilenceItem]]]
) -> Answer[SilenceItem]:
    """The rows of all that answer. Raises why none does."""
    answers = await asyncio.gather(*(attempt(ask(s)) for s in sources))
    failed = [(s, a) for s, a in zip(sources, answers, strict=True) if isinstance(a, AiopsError)]
    if len(failed) == len(sources):
        raise failed[0][1]
    rows = [row for a in answers if not isinstance(a, AiopsError) for row in a]
    return Answer(rows, warnings=[f"{s.endpoint}: {e.message}" for s, e in failed], partial=bool(failed))


async def _owners(members: Sequence[LiveMember]) -> dict[str, str]:
    """The first cluster of each Alertmanager; others that share it leave it to that one."""
    answers = await asyncio.gather(*(attempt(m.alertmanagers()) for m in members))
    owners: dict[str, str] = {}
    for member, sources in zip(members, answers, strict=True):
        for source in [] if isinstance(sources, AiopsError) else sources:
            owners.setdefault(_identity(source), member.name)
    return owners


def _identity(source: AlertmanagerSource) -> str:
    """An Alertmanager is told from others by its URL and, behind a gateway, the tenant in the headers."""
    return f"{source.endpoint} {sorted(source.client.target.headers.items())}"


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
