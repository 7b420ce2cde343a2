"""Root-cause analysis: from observations around a moment to causes, best first.

The way: find when it began (a change point over many series), compare everything after with a fault-free
reference, turn what differs into clues, and rank entities by the clues that nothing they depend on
explains. No names, thresholds per case, clock or randomness: equal observations give equal causes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from aiops_cli.analysis import deviations, device_clues, kube_clues, trace_clues, traffic
from aiops_cli.analysis.clues import rfc3339, sortable
from aiops_cli.analysis.entities import Directory
from aiops_cli.analysis.fleet import shared_causes
from aiops_cli.analysis.graph import CallGraph
from aiops_cli.analysis.ranking import MUCH_DEVIATES, Standing, rank, topic_of
from aiops_cli.analysis.runbooks import steps
from aiops_cli.analysis.span_table import tabulate
from aiops_cli.models.analysis import Cause, Entity, Evidence

if TYPE_CHECKING:
    from aiops_cli.analysis.clues import Clue
    from aiops_cli.analysis.observations import Observations
    from aiops_cli.models.signals import Span

EVIDENCE_PER_CAUSE = 8
_ALL_SIGNALS = ("metric", "trace", "log", "event")


def analyze(obs: Observations, *, limit: int = 10) -> list[Cause]:
    """The causes that explain `obs` best, at most `limit`, ranked from 1; empty when nothing deviates."""
    directory = Directory(obs.workloads, _entities(obs))
    onset = deviations.find_onset(obs)
    graph = CallGraph((directory.entity(a), directory.entity(b)) for a, b in obs.edges)
    moved = deviations.deviations(obs, onset)
    clues = deviations.clues(moved, directory)
    traced, quiet = _trace_clues(obs, directory, graph, onset)
    served, idle = traffic.volumes(obs, onset, directory)
    clues = traced + [_doubted(clue, quiet, idle) for clue in clues]
    clues += kube_clues.log_clues(obs, directory, onset)
    clues += traffic.lost_calls(moved, directory, graph)
    events, edges = kube_clues.event_clues(obs, directory, onset)
    for caller, callee in edges:
        graph.add(caller, callee)
    clues += events + kube_clues.change_clues(obs, directory, onset)
    clues += kube_clues.alert_clues(obs, directory)
    clues += device_clues.clues(obs, directory, onset)
    node_load: dict[Entity, list[Entity]] = {}
    for service, nodes in directory.node_of.items():
        for node in sorted(set(nodes.values())):
            graph.add(service, node)
            node_load.setdefault(node, []).append(service)
    clues, graph = shared_causes(clues, graph)
    firing = [a for a in obs.alerts if a.state not in ("RESOLVED", "SUPPRESSED")]
    alerting = [e for a in firing if (e := kube_clues.alert_entity(a, directory)) is not None]
    topics = {topic_of(alert.name) for alert in firing}
    topic = topics.pop() if len(topics) == 1 else None
    standings = rank(clues, graph, alerting, topic, node_load, served)
    return _causes(standings[: max(limit, 0)], standings, graph, alerting, obs, onset)


def _entities(obs: Observations) -> list[Entity]:
    found = [indicator.entity for indicator in obs.indicators]
    found += [entity for edge in obs.edges for entity in edge]
    seen = dict.fromkeys(entity for entity, _ in obs.logs)
    return found + list(seen)


def _trace_clues(
    obs: Observations, directory: Directory, graph: CallGraph, onset: float
) -> tuple[list[Clue], set[Entity]]:
    """The clues of the spans, and the entities whose spans show nothing."""
    begin = int(onset * 1e9)
    spans: list[tuple[str, Span]] = list(obs.reference_spans)
    current = [False] * len(spans)
    for pair in obs.spans:
        after = pair[1].start_ns + pair[1].duration_ns >= begin
        # Spans before the onset may hold an earlier incident: they only serve without a reference.
        if after or not obs.reference_spans:
            spans.append(pair)
            current.append(after)
    if not spans:
        return [], set()
    table = tabulate(spans, np.array(current, dtype=bool), directory)
    for (caller, callee), count in table.edges.items():
        graph.add(table.entities[caller], table.entities[callee], count)
    clues = trace_clues.clues(table, onset)
    return clues, set(table.entities) - {clue.entity for clue in clues}


def _doubted(clue: Clue, quiet: set[Entity], idle: set[Entity]) -> Clue:
    """A latency series that the entity's own spans contradict (few requests make percentiles jump), and
    the symptoms of what usually is not called at all, count less."""
    if clue.kind == "symptom" and clue.entity in idle:
        return replace(clue, strength=0.3 * clue.strength)
    if clue.topic == "latency" and clue.signal == "metric" and clue.entity in quiet:
        return replace(clue, strength=0.3 * clue.strength)
    return clue


def _causes(
    chosen: list[Standing],
    standings: list[Standing],
    graph: CallGraph,
    alerting: list[Entity],
    obs: Observations,
    onset: float,
) -> list[Cause]:
    by_entity = {s.entity: s for s in standings}
    total = sum(s.score for s in standings[:5]) or 1.0
    coverage = _coverage(obs)
    causes = []
    for position, standing in enumerate(chosen):
        if standing.score <= 0:
            continue
        best = standing.best()
        goal = _symptom(standing, by_entity, alerting, graph)
        seen = standing.onset
        began = onset if seen is None or not obs.window.start <= seen <= obs.window.end else seen
        share = standing.score / total
        confidence = standing.score * (0.35 + 0.65 * share) * (0.55 + 0.45 * coverage)
        causes.append(
            Cause(
                rank=position + 1,
                score=round(standing.score, 4),
                confidence=round(min(max(confidence, 0.0), 0.99), 4),
                entity=standing.entity,
                indicator=best.indicator,
                onset=rfc3339(min(max(began, obs.window.start), obs.window.end)),
                evidence=_evidence(standing, best),
                against=_against(standing, standings, obs),
                chain=graph.path(standing.entity, goal) if goal else [standing.entity],
                next_steps=steps(
                    best.topic,
                    standing.entity,
                    indicator=best.indicator,
                    owner=_owner_label(obs, standing.entity),
                ),
                blast_radius=sorted(standing.upstream, key=sortable),
            )
        )
    return causes


def _owner_label(obs: Observations, entity: Entity) -> str:
    """The stream label under which the entity's own lines were found."""
    for writer, entry in obs.logs:
        if writer.name == entity.name and writer.cluster == entity.cluster:
            found = next((key for key, value in entry.labels.items() if value == entity.name), None)
            if found:
                return found
    return "app"


def _evidence(standing: Standing, best: Clue) -> list[Evidence]:
    """The clue that names the indicator first, then the strongest."""
    others = [clue.evidence for clue in standing.clues if clue is not best]
    return [best.evidence, *others][:EVIDENCE_PER_CAUSE]


def _coverage(obs: Observations) -> float:
    have = (obs.indicators, obs.spans, obs.logs, obs.events or obs.changes)
    compared = bool(obs.reference or obs.baseline or obs.reference_spans)
    return (sum(bool(part) for part in have) / len(have)) * (1.0 if compared else 0.8)


def _symptom(
    standing: Standing, by_entity: dict[Entity, Standing], alerting: list[Entity], graph: CallGraph
) -> Entity | None:
    """The loudest symptom among what depends on the entity, an alerting one first."""
    above = graph.upstream(standing.entity)
    alerted = [e for e in alerting if e in above]
    if alerted:
        return max(alerted, key=lambda e: (by_entity[e].symptom if e in by_entity else 0.0, e.name))
    if not standing.upstream:
        return None
    return max(standing.upstream, key=lambda e: (by_entity[e].symptom, above[e], e.name))


def _against(standing: Standing, standings: list[Standing], obs: Observations) -> list[Evidence]:
    entity, found = standing.entity, []

    def say(signal: str, text: str, at: float | None = None) -> None:
        found.append(Evidence(signal, text, rfc3339(at), entity=entity))  # type: ignore[arg-type]

    if standing.explained >= 0.5 and standing.explained_by is not None:
        say("topology", f"it depends on {standing.explained_by.name}, which deviates too")
    mine = standing.onset
    for other in standings[:3]:
        theirs = other.onset
        if other is not standing and mine is not None and theirs is not None and mine - theirs > 60:
            say("metric", f"{other.entity.name} deviated {mine - theirs:.0f} s earlier", mine)
            break
    alike = [
        s.entity.name
        for s in standings
        if s is not standing and s.own >= MUCH_DEVIATES and s.best().indicator == standing.best().indicator
    ]
    if len(alike) >= 3:
        say("metric", f"the same indicator changed at {len(alike)} others, {alike[0]} among them")
    signals = {clue.signal for clue in standing.clues}
    available = {
        "metric": bool(obs.indicators),
        "trace": bool(obs.spans),
        "log": bool(obs.logs),
        "event": bool(obs.events),
    }
    for signal in _ALL_SIGNALS:
        if signal in signals:
            continue
        if available[signal]:
            say(signal, f"no {signal} of {entity.name} stands out")
        else:
            say(signal, f"no {signal} data was available")
    return found
