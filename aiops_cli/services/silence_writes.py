"""Making and ending silences: the only writes of aiops to a cluster, and only when told to.

A silence is written once to each group of Alertmanagers that gossip, whichever clusters they are of: they
pass it on. Several that do not gossip each get one. A write is never tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.alerts import SilenceItem, SilenceResult
from aiops_cli.models.result import Answer, ClusterStatus, FleetResult
from aiops_cli.services.alert_sources import attempt
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.silences import Draft
from aiops_cli.services.times import rfc3339
from aiops_cli.sources.alertmanager import AlertmanagerSource, Instance

_LOST = frozenset(
    {
        ErrorCode.CLUSTER_UNREACHABLE,
        ErrorCode.QUERY_TIMEOUT,
        ErrorCode.BAD_ANSWER,
        ErrorCode.SERVER_ERROR,
        ErrorCode.TLS_FAILED,
    }
)
"""After these a write may have happened all the same: the server had answered just before."""


async def create(
    members: Sequence[LiveMember],
    drafts: Sequence[Draft],
    *,
    update: bool = False,
    dry_run: bool = False,
    done: list[SilenceResult] | None = None,
    watch: Watcher | None = None,
) -> FleetResult[SilenceResult]:
    """Make each silence in its cluster, or in every one where it names none; one row for each that was made.
    `done` gets each as it is, for who has to tell of an interrupted run.

    With `update` one whose id a cluster knows is changed there. A failure in one cluster leaves the others'
    as they are; nothing is taken back.
    """
    asked = [m for m in members if any(d.cluster in (None, m.name) for d in drafts)]
    found = await fan_out(asked, _places, watch=watch)
    groups = _groups(found.rows)

    async def write(writer: _Writer) -> Answer[SilenceResult]:
        outcome = _Outcome(done)
        for group in groups:
            if how := group.others.get(writer.name):
                outcome.warnings.append(f"it {how} {group.owner}, which was told")
            if writer.name == group.owner:
                own = [d for d in drafts if d.cluster in (None, group.owner, *group.others)]
                await outcome.make(group, own, update, dry_run)
        return outcome.answer()

    return await _written(found, write)


async def expire(
    members: Sequence[LiveMember],
    ids: Sequence[str],
    *,
    dry_run: bool = False,
    done: list[SilenceResult] | None = None,
    watch: Watcher | None = None,
) -> tuple[FleetResult[SilenceResult], list[str]]:
    """End silences now, wherever they live; an id may be cut to its first eight characters or more.

    Gives what became of them, and the ids that no cluster that answered has. `done` is as in `create`.
    Raises UsageError before anything is written where a cut id may mean several.
    """

    async def look(member: LiveMember) -> Answer[tuple[_Place, list[SilenceItem]]]:
        places = await _places(member)
        rows = [(place, (await place.source.silences()).rows) for place in places.rows]
        return Answer(rows, warnings=places.warnings, partial=places.partial)

    found = await fan_out(members, look, watch=watch)
    groups = _groups([(cluster, place) for cluster, (place, _) in found.rows])
    there = {place.source: silences for _, (place, silences) in found.rows}
    held = [(group, silence) for group in groups for silence in there[group.source]]
    known = dict.fromkeys(silence.id for _, silence in held)
    chosen: dict[str, None] = {}
    missing = []
    for given in (i.rstrip("…") for i in ids):  # as a table may have cut it
        fitting = [i for i in known if i == given or (len(given) >= 8 and i.startswith(given))]
        if len(fitting) > 1:
            raise UsageError(f"{given!r} may mean {len(fitting)} silences", hint="write more of the id")
        chosen.update(dict.fromkeys(fitting))
        missing += [] if fitting else [given]

    async def end(writer: _Writer) -> Answer[SilenceResult]:
        outcome = _Outcome(done)
        for group, silence in held:
            if silence.id in chosen and group.owner == writer.name:
                await outcome.end(group, silence, dry_run)
        return outcome.answer()

    return await _written(found, end), missing


@dataclass(frozen=True, slots=True)
class _Place:
    """An Alertmanager that answers, and the credential that config names for it."""

    source: AlertmanagerSource
    instance: Instance
    credential: str | None = None

    @property
    def identity(self) -> str:
        """It is told from others by its URL, the way there, and behind a gateway the tenant, which a header
        or the credential says."""
        target = self.source.client.target
        way = [target.base_url, target.proxy, target.tls_server_name, self.credential]
        return f"{way} {sorted(target.headers.items())}"


async def _places(member: LiveMember) -> Answer[_Place]:
    """One Alertmanager of each gossiping group of a cluster, with warnings of those that are lost. Raises why
    none of them answers: so that what fails later has been sent."""
    sources = await member.alertmanagers()
    instances = await asyncio.gather(*(attempt(s.instance()) for s in sources))
    given = [e.credential for e in member.cluster.alertmanagers] or [None]
    chosen: list[_Place] = []
    reached: set[str] = set()
    largest = 0
    failed: list[tuple[AlertmanagerSource, AiopsError]] = []
    for source, instance, credential in zip(sources, instances, given, strict=True):
        if isinstance(instance, AiopsError):
            failed.append((source, instance))
            continue
        largest = max(largest, len(instance.peers))
        if instance.name and instance.name in reached:
            continue
        chosen.append(_Place(source, instance, credential))
        reached |= instance.peers
    if not chosen:
        raise failed[0][1]
    alone = largest < len(sources)
    what = "what is written reaches it only by its peers, if it has any" if alone else "its peers pass it on"
    warnings = [f"{s.endpoint}: {e.message}; {what}" for s, e in failed]
    return Answer(chosen, warnings=warnings, partial=bool(failed) and alone)


@dataclass(slots=True)
class _Group:
    """Alertmanagers of which one tells the others, and the clusters they are of: `owner`'s is told.
    `others` says how each other cluster takes part."""

    owner: str
    source: AlertmanagerSource
    identities: set[str]
    peers: set[str]
    others: dict[str, str] = field(default_factory=dict)


def _groups(placed: Sequence[tuple[str, _Place]]) -> list[_Group]:
    groups: list[_Group] = []
    for cluster, place in placed:
        name = place.instance.name
        group = next((g for g in groups if place.identity in g.identities or name in g.peers), None)
        if group is None:
            peers = {p for p in (name, *place.instance.peers) if p}
            groups.append(_Group(cluster, place.source, {place.identity}, peers))
            continue
        if cluster != group.owner:
            same = place.identity in group.identities
            how = "has the same Alertmanager as" if same else "has an Alertmanager that gossips with that of"
            group.others.setdefault(cluster, how)
        group.identities.add(place.identity)
        group.peers |= place.instance.peers
    return groups


class _Outcome:
    """What became of one cluster's writes, as they are made. `done` is shared with the others' of a run."""

    def __init__(self, done: list[SilenceResult] | None) -> None:
        self.warnings: list[str] = []
        self._rows: list[SilenceResult] = []
        self._errors: list[tuple[str, AiopsError]] = []
        self._done = done

    def answer(self) -> Answer[SilenceResult]:
        """Raises the first error where nothing was done."""
        if self._errors and not self._rows:
            raise self._errors[0][1]
        told = [f"{what}: {error.message}" for what, error in self._errors]
        return Answer(self._rows, warnings=[*self.warnings, *told], partial=bool(told))

    async def make(self, group: _Group, drafts: Sequence[Draft], update: bool, dry_run: bool) -> None:
        try:
            known = await _updatable(group.source) if dry_run and update else set()
            for draft in drafts:
                try:
                    made = _imagined(draft, known) if dry_run else await _created(group.source, draft, update)
                except UsageError as error:  # of this one alone
                    self._errors.append((group.source.endpoint, error))
                else:
                    self._note(replace(made, cluster=group.owner, endpoint=group.source.endpoint))
        except ClusterError as error:
            self._errors.append((group.source.endpoint, error))

    async def end(self, group: _Group, silence: SilenceItem, dry_run: bool) -> None:
        result = "ALREADY EXPIRED" if silence.state == "EXPIRED" else "EXPIRED"
        if result == "EXPIRED" and dry_run:
            result = "WOULD EXPIRE"
        elif result == "EXPIRED":
            try:
                await group.source.expire(silence.id)
            except AiopsError as error:
                self._errors.append((silence.id, error))
                return
        self._note(
            SilenceResult(
                group.owner,
                silence.id,
                result,
                silence.starts_at,
                silence.ends_at,
                silence.matchers,
                group.source.endpoint,
            )
        )

    def _note(self, row: SilenceResult) -> None:
        self._rows.append(row)
        if self._done is not None:
            self._done.append(row)


async def _created(source: AlertmanagerSource, draft: Draft, update: bool) -> SilenceResult:
    given = draft.id if update else ""
    try:
        try:
            made = await source.create(draft.body(given))
        except NotAvailableError:
            if not given:
                raise
            made = await source.create(draft.body())
    except ClusterError as error:
        raise _unsure(error) from None
    return _result(draft, made, "UPDATED" if made == given else "CREATED")


def _imagined(draft: Draft, known: set[str]) -> SilenceResult:
    return _result(draft, draft.id, "WOULD UPDATE" if draft.id in known else "WOULD CREATE")


async def _updatable(source: AlertmanagerSource) -> set[str]:
    return {s.id for s in (await source.silences()).rows if s.state != "EXPIRED"}


def _result(draft: Draft, silence_id: str, result: str) -> SilenceResult:
    return SilenceResult(
        "", silence_id, result, rfc3339(draft.starts), rfc3339(draft.ends), list(draft.matchers)
    )


def _unsure(error: ClusterError) -> ClusterError:
    if error.code in _LOST:
        return ClusterError(
            f"{error.message}; the silence may have been made all the same",
            hint="aiops alerts silence list shows whether it was",
            code=ErrorCode.QUERY_FAILED,
            endpoint=error.endpoint,
        )
    return error


@dataclass(frozen=True, slots=True)
class _Writer:
    """A cluster that is written to: once."""

    name: str

    async def recover(self, error: AiopsError) -> bool:
        return False


async def _written(
    found: FleetResult[Any], write: Callable[[_Writer], Awaitable[Answer[SilenceResult]]]
) -> FleetResult[SilenceResult]:
    """Write to every cluster that answered; its status tells of both."""
    writers = [_Writer(s.name) for s in found.clusters if s.error is None]
    done = await fan_out(writers, write)
    after = {s.name: s for s in done.clusters}
    statuses = [_both(s, after[s.name]) if s.name in after else s for s in found.clusters]
    return FleetResult([row for _, row in done.rows], statuses)


def _both(before: ClusterStatus, after: ClusterStatus) -> ClusterStatus:
    partial = "PARTIAL" in (before.status, after.status) and after.error is None
    return replace(
        after,
        status="PARTIAL" if partial else after.status,
        duration_ms=round(before.duration_ms + after.duration_ms, 1),
        warnings=[*before.warnings, *after.warnings],
    )
