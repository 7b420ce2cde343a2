"""From clues and a graph to a ranking: what explains the rest, and is explained by nothing else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aiops_cli.analysis.indicators import PERCENTILES, classify, words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiops_cli.analysis.clues import Clue
    from aiops_cli.analysis.graph import CallGraph
    from aiops_cli.models.analysis import Entity

HOP = 0.9
"""What is left of an explanation over each further hop."""
SYMPTOM = 0.75
"""A symptom that nothing below explains counts this much of a clue to the origin."""
UNREACHABLE = 0.5
"""Factor for an entity that the alerting ones do not depend on, as far as is known."""
OTHER_TOPIC = 0.35
"""Factor for latency under an alert about errors, and the other way round."""
MUCH_DEVIATES = 0.25
"""Strength from which an entity counts as affected."""


FULL_RESOURCES = frozenset(
    {"pool", "disk", "queue", "descriptors", "throttling", "restarts", "gpu", "clock", "loss"}
)
SAME_TIME = 30.0  # seconds within which two onsets can't be told apart


@dataclass(slots=True)
class Standing:
    """One entity's case: parts from 0 to 1, its clues strongest first, and what explains its symptoms."""

    entity: Entity
    clues: list[Clue]
    origin: float = 0.0
    symptom: float = 0.0
    hint: float = 0.0
    explained: float = 0.0
    explained_by: Entity | None = None
    score: float = 0.0
    upstream: list[Entity] = field(default_factory=list)

    @property
    def own(self) -> float:
        """How much is wrong with it at all, whatever the reason."""
        return 1 - (1 - self.origin) * (1 - self.symptom)

    @property
    def onset(self) -> float | None:
        """When its first strong clue was seen."""
        loud = max((clue.strength for clue in self.clues), default=0.0)
        times = [c.onset for c in self.clues if c.onset is not None and c.strength >= 0.5 * loud]
        return min(times) if times else None

    def best(self) -> Clue:
        """The clue that says most about where the fault is.

        A resource that ran full names the cause more exactly than the errors and the waiting it led to.
        CPU and memory do not: they rise wherever anything waits or is asked again.
        """
        weight = {"origin": 1.0, "symptom": 0.8, "hint": 0.5}
        loudest = max(self.clues, key=lambda c: (c.strength * weight[c.kind], c.indicator))
        full = [
            c
            for c in self.clues
            if c.kind == "origin"
            and c.topic in FULL_RESOURCES
            and c.strength >= 0.5 * loudest.strength
            and (loudest.onset is None or c.onset is None or c.onset <= loudest.onset + SAME_TIME)
        ]
        return max(full, key=lambda c: (c.strength, c.indicator)) if full else loudest


def either(parts: Iterable[float]) -> float:
    """Probability that at least one of independent parts holds."""
    left = 1.0
    for part in parts:
        left *= 1 - min(max(part, 0.0), 0.999)
    return 1 - left


def _part(clues: list[Clue], kind: str) -> float:
    """Within a signal the strongest clue counts, further ones a little; signals are independent."""
    by_signal: dict[str, list[float]] = defaultdict(list)
    for clue in clues:
        if clue.kind == kind:
            by_signal[clue.signal].append(clue.strength)
    parts = []
    for strengths in by_signal.values():
        strengths.sort(reverse=True)
        parts.append(either(s * 0.3**i for i, s in enumerate(strengths[:3])))
    return either(parts)


def rank(
    clues: list[Clue],
    graph: CallGraph,
    alerting: list[Entity],
    alert_topic: str | None,
    node_load: dict[Entity, list[Entity]],
    volume: dict[Entity, float],
) -> list[Standing]:
    """All entities with a clue, likeliest cause first.

    `alerting` are the entities that the trigger names, `alert_topic` the topic of the alert ("latency",
    "errors") where it has one, `node_load` the services placed on each node, `volume` the requests that each
    entity serves (any unit, the same for all).
    """
    by_entity: dict[Entity, list[Clue]] = defaultdict(list)
    sufficient = _Sufficiency(clues, alerting, volume)
    for clue in clues:
        by_entity[clue.entity].append(clue)
    standings = {}
    for entity, mine in by_entity.items():
        mine.sort(key=lambda c: (-c.strength, c.signal, c.indicator, c.evidence.text))
        weighed = [_for_topic(sufficient(clue), alert_topic) for clue in mine]
        standing = Standing(entity, mine)
        standing.origin = _part(weighed, "origin")
        standing.symptom = _part(weighed, "symptom")
        standing.hint = _part(weighed, "hint")
        standings[entity] = standing
    for node, services in node_load.items():
        if node in standings:
            _weigh_node(standings[node], services, standings)
    reachable = _reachable(graph, alerting)
    for standing in standings.values():
        _explain(standing, standings, graph)
        _score(standing, standings, graph, reachable)
    return sorted(standings.values(), key=lambda s: (-s.score, -s.own, s.entity.kind, s.entity.name))


def _for_topic(clue: Clue, topic: str | None) -> Clue:
    """An alert about latency is rather explained by latency than by another symptom, and so on."""
    if topic is None or clue.kind != "symptom" or clue.topic not in ("latency", "errors"):
        return clue
    if clue.topic == topic:
        return clue
    return replace(clue, strength=clue.strength * OTHER_TOPIC)


class _Sufficiency:
    """Whether a symptom is large enough to make the trigger's: its rise times the requests it touches.

    A slow call that is made once a minute does not explain a slow front door, however odd it is.
    """

    def __init__(self, clues: list[Clue], alerting: list[Entity], volume: dict[Entity, float]) -> None:
        sized = [c for c in clues if c.kind == "symptom" and c.signal == "metric" and c.change]
        # Rises of means add up, those of percentiles don't: they only serve where there are no means.
        means = {c.topic for c in sized if not words(c.indicator) & PERCENTILES}
        rise: dict[tuple[Entity, str], float] = {}
        for clue in sized:
            percentile = bool(words(clue.indicator) & PERCENTILES)
            if clue.change and clue.entity in volume and percentile != (clue.topic in means):
                key = (clue.entity, clue.topic)
                rise[key] = max(rise.get(key, 0.0), clue.change)
        self._impact = {key: change * volume[key[0]] for key, change in rise.items()}
        named = set(alerting)
        anywhere: dict[str, float] = {}
        symptom: dict[str, float] = {}
        for (entity, topic), impact in self._impact.items():
            for needed in (anywhere, symptom) if entity in named else (anywhere,):
                needed[topic] = max(needed.get(topic, 0.0), impact)
        self._needed = anywhere | symptom

    def __call__(self, clue: Clue) -> Clue:
        impact, needed = self._impact.get((clue.entity, clue.topic)), self._needed.get(clue.topic)
        if clue.kind != "symptom" or impact is None or not needed:
            return clue
        share = min(1.0, impact / needed)
        return replace(clue, strength=clue.strength * (0.1 + 0.9 * share))


def _weigh_node(node: Standing, services: list[Entity], standings: dict[Entity, Standing]) -> None:
    """A node is at fault when most of what runs on it deviates; when one service does, that one loads it."""
    if not services:
        return
    affected = [s for s in services if s in standings and standings[s].own >= MUCH_DEVIATES]
    share = len(affected) / len(services)
    if len(affected) < 2:
        node.origin *= 0.4
    else:
        node.origin = either((node.origin * (0.5 + 0.5 * share), 0.5 * share))


def _reachable(graph: CallGraph, alerting: list[Entity]) -> set[Entity] | None:
    known = graph.entities()
    starts = [entity for entity in alerting if entity in known]
    if not starts:
        return None
    reach = set(starts)
    for start in starts:
        reach.update(graph.downstream(start))
    return reach


def _explain(standing: Standing, standings: dict[Entity, Standing], graph: CallGraph) -> None:
    """How much of an entity's symptoms something it depends on accounts for."""
    own = standing.own
    if own <= 0:
        return
    for callee, hops in graph.downstream(standing.entity).items():
        other = standings.get(callee)
        if other is None or (hops > 0 and standing.entity in graph.downstream(callee)):
            continue
        share = min(1.0, other.own / own) * HOP ** (hops - 1) * _size(standing, other)
        if share > standing.explained:
            standing.explained, standing.explained_by = share, callee


def _size(caller: Standing, callee: Standing) -> float:
    """Whether the callee's symptom is of the kind and size to make the caller's."""
    best = 0.0
    comparable = False
    mine = [c for c in caller.clues if c.change and c.kind == "symptom"]
    theirs = [c for c in callee.clues if c.change and c.kind == "symptom"]
    for one in mine:
        for other in theirs:
            if other.indicator == one.indicator:
                comparable = True
                best = max(best, min(1.0, (other.change or 0.0) / (one.change or 1.0)))
    if comparable:
        return best
    # Slow is not failing: a callee that only got slower rarely explains errors, nor the reverse.
    crossed = mine and theirs and not {c.topic for c in mine} & {c.topic for c in theirs}
    return 0.5 if crossed else 1.0


def _score(
    standing: Standing,
    standings: dict[Entity, Standing],
    graph: CallGraph,
    reachable: set[Entity] | None,
) -> None:
    symptom = SYMPTOM * standing.symptom * (1 - 0.85 * standing.explained)
    hint = 0.5 * standing.hint * (0.3 + 0.7 * standing.own)
    score = either((standing.origin, symptom, hint))
    standing.upstream = [
        caller
        for caller in graph.upstream(standing.entity)
        if caller in standings and standings[caller].own >= MUCH_DEVIATES
    ]
    if len(graph):
        score *= 1.0 if standing.upstream else 0.9
    if reachable is not None and standing.entity not in reachable and standing.entity.kind != "node":
        score *= UNREACHABLE
    standing.score = score


def topic_of(alert_name: str) -> str | None:
    """ "latency" or "errors" for an alert whose name says so."""
    kind, _ = classify(alert_name)
    return kind if kind in ("latency", "errors") else None
