"""From a row of any signal to the others: same cluster, same workload, same time.

Each cluster is asked at once: its pods, events, changes and alerts once for all its subjects, metrics,
logs and traces for each. A source that fails costs its own rows and is told in the cluster's status; one
that the cluster does not have is a note.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from aiops_cli.analysis.subjects import Map, Place, subject_of
from aiops_cli.errors import AiopsError, ClusterError, NotAvailableError
from aiops_cli.models.events import TYPES
from aiops_cli.models.related import RelatedItem, Signal, Subject
from aiops_cli.models.result import Answer, ClusterStatus, FleetResult, Origin
from aiops_cli.models.signals import Change, KubeEvent, Workload
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.metrics import CachePolicy
from aiops_cli.services.related_alerts import KnownAlerts, alerts_of, known_alerts
from aiops_cli.services.related_commands import Commands
from aiops_cli.services.related_found import Found
from aiops_cli.services.related_korrel8r import neighbours_of
from aiops_cli.services.related_kube import events_of, objects_of
from aiops_cli.services.related_logs import logs_of
from aiops_cli.services.related_metrics import metrics_of, node_at
from aiops_cli.services.related_traces import trace_named, trace_of_exemplar, traces_of
from aiops_cli.services.times import rfc3339

__all__ = ["Scene", "related", "subject_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a look is made with: `step` of ranges in seconds, `now` in unix seconds, the cache, and the
    shared options (`--bundle FILE`) that the told commands need to ask the same."""

    step: float
    now: float
    given: Sequence[str] = ()
    policy: CachePolicy = field(default_factory=CachePolicy)


async def related(
    members: Sequence[Member], subjects: Sequence[Subject], scene: Scene, *, watch: Watcher | None = None
) -> FleetResult[RelatedItem]:
    """What the other signals know of each subject, in the order of subjects within a cluster."""
    wanted: dict[str, list[Subject]] = {}
    for subject in subjects:
        wanted.setdefault(subject.cluster, []).append(subject)
    asked = [m for m in members if m.name in wanted]

    async def ask(member: Member) -> Answer[RelatedItem]:
        return await _Look(member, wanted[member.name], scene).answer()

    result = await fan_out(asked, ask, watch=watch)
    return result.with_rows([row for _, row in result.rows])


def joined(asked: Sequence[ClusterStatus], looked: Sequence[ClusterStatus]) -> list[ClusterStatus]:
    """The statuses of the answer that subjects came from, with what looking at the others added."""
    later = {s.name: s for s in looked}
    return [_worse(s, later[s.name]) if s.name in later else s for s in asked]


def _worse(one: ClusterStatus, other: ClusterStatus) -> ClusterStatus:
    status, error = next(
        ((s.status, s.error) for s in (other, one) if s.status != "SUCCESS"), ("SUCCESS", None)
    )
    return replace(
        other,
        status=status,
        error=error,
        duration_ms=round(one.duration_ms + other.duration_ms, 1),
        warnings=list(dict.fromkeys([*one.warnings, *other.warnings])),
    )


class _Look:
    """One cluster's subjects, and what is asked once for all of them."""

    def __init__(self, member: Member, subjects: list[Subject], scene: Scene) -> None:
        self.member, self.subjects, self.scene = member, subjects, scene
        self.window = TimeRange(min(s.start for s in subjects), max(s.end for s in subjects))
        self.gaps: dict[str, AiopsError] = {}
        self.answered: set[str] = set()
        self.lacks: list[str] = []

    async def answer(self) -> Answer[RelatedItem]:
        """Raises the first failure if nothing at all was answered."""
        pods: list[Workload] | None
        events: list[KubeEvent | Change] | None
        alerts: KnownAlerts | None
        pods, events, alerts = await asyncio.gather(
            self.read("objects", self._workloads),
            self.read("events", self._events),
            self.read("alerts", lambda: known_alerts(self.member, self.window, self.scene.step)),
        )
        self.map = Map(self.member.name, pods or [])
        places: dict[tuple[str, str | None], tuple[Subject, Place]] = {}
        for subject in await asyncio.gather(*(self._with_node(s) for s in self.subjects)):
            place = self.map.locate(subject)
            places.setdefault((place.text, subject.trace_id), (subject, place))
        parts = await asyncio.gather(*(self._told(s, p, events or [], alerts) for s, p in places.values()))
        real = [e for s, e in self.gaps.items() if s != "korrel8r" and not isinstance(e, NotAvailableError)]
        if self.gaps and not self.answered - {"korrel8r"}:
            raise real[0] if real else next(iter(self.gaps.values()))
        rows = [item for part in parts for item in part]
        notes = [f"{source}: {error.message}" for source, error in self.gaps.items()]
        notes += dict.fromkeys(self.lacks)
        origin: Origin = "bundle" if self.member.origin == "bundle" else "live"
        return Answer(rows, origin, warnings=notes, partial=bool(real or self.lacks))

    async def read(self, source: str, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What was asked; None where it failed, which is kept as a gap. Another way is tried once."""
        try:
            try:
                found = await ask()
            except ClusterError as error:
                if not await self.member.recover(error):
                    raise
                found = await ask()
        except AiopsError as error:
            self.gaps.setdefault(source, error)
            return None
        self.answered.add(source)
        return found

    async def _with_node(self, subject: Subject) -> Subject:
        """The subject with the node's name where its labels have only the address of a node exporter."""
        if self.map.locate(subject).about != "node" or subject.node or subject.instance is None:
            return subject
        instance = subject.instance
        name = await self.read("metrics", lambda: node_at(self.member, instance, subject.end))
        return replace(subject, node=name) if name in self.map.nodes else subject

    async def _workloads(self) -> list[Workload]:
        return self._rows("objects", await (await self.member.kube()).workloads())

    async def _events(self) -> list[KubeEvent | Change]:
        kube = await self.member.kube()
        types = frozenset(TYPES) - {"alert"}
        return self._rows("events", await kube.timeline(self.window, types))

    def _rows(self, source: str, answer: Answer[T]) -> list[T]:
        """The rows of an answer that may lack some, which is then told."""
        if answer.partial:
            self.lacks += [f"{source}: {warning}" for warning in answer.warnings]
        return answer.rows

    async def _told(
        self,
        subject: Subject,
        place: Place,
        events: Sequence[KubeEvent | Change],
        alerts: KnownAlerts | None,
    ) -> list[RelatedItem]:
        window = TimeRange(subject.start, subject.end)
        commands = Commands(self.member.name, window, self.scene.given)
        scene = self.scene

        async def metrics() -> list[Found]:
            return await metrics_of(
                self.member, place, subject, scene.step, scene.now, scene.policy, commands
            )

        async def logs() -> list[Found]:
            return await logs_of(self.member, place, subject.trace_id, window, commands)

        async def traces() -> list[Found]:
            source = await self.member.traces()
            trace_id = None if "span_id" in subject.labels else subject.trace_id  # a span's is known
            named = await trace_named(source, trace_id, commands) if trace_id else []
            through, exemplar = await asyncio.gather(
                traces_of(source, place, window, commands),
                trace_of_exemplar(self.member, source, place, window, commands),
            )
            return [*named, *exemplar, *through]

        moved, lines, spans, neighbours = await asyncio.gather(
            self.read("metrics", metrics),
            self.read("logs", logs),
            self.read("traces", traces),
            self.read("korrel8r", lambda: neighbours_of(self.member, place, subject, commands)),
        )
        found: dict[Signal, list[Found]] = {
            "metric": moved or [],
            "alert": alerts_of(alerts, place, subject, self.map, commands) if alerts else [],
            "log": lines or [],
            "trace": spans or [],
            "event": events_of(events, place, subject, commands),
            "object": objects_of(place, subject, commands),
        }
        items = [self._item(subject, place, signal, f) for signal, rows in found.items() for f in rows]
        return items + [
            self._item(subject, place, signal, f, korrel8r=True) for signal, f in neighbours or []
        ]

    def _item(
        self, subject: Subject, place: Place, signal: Signal, found: Found, *, korrel8r: bool = False
    ) -> RelatedItem:
        return RelatedItem(
            self.member.name,
            subject.title,
            place.text,
            signal,
            found.count,
            None if found.at is None else rfc3339(found.at),
            found.summary,
            found.command,
            "korrel8r" if korrel8r else "aiops",
        )
