"""Clues from Kubernetes events, changes, alerts and log lines: what happened where around the onset."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from aiops_cli.analysis import logs
from aiops_cli.analysis.clues import Clue, ClueKind, rfc3339
from aiops_cli.analysis.robust import strength
from aiops_cli.models.analysis import Entity, Evidence

if TYPE_CHECKING:
    from aiops_cli.analysis.entities import Directory
    from aiops_cli.analysis.observations import Observations
    from aiops_cli.models.signals import AlertItem

BEFORE = 1800.0
AFTER = 120.0
"""A change or event may precede the onset by BEFORE seconds, or follow by AFTER, to be of interest."""

_NODE_REASONS = re.compile(
    r"NodeNotReady|NodeHasDiskPressure|NodeHas\w*Pressure|EvictionThresholdMet|Rebooted"
)
_GRAVE_REASONS = re.compile(
    r"OOM|BackOff|Failed|Evicted|Unhealthy|NotReady|Killing|Preempt|Pressure|ErrImage|Unschedulable|Exceeded"
)
_IMAGE = re.compile(r"image \"?([a-z0-9.-]+\.[a-z]{2,}(?::\d+)?)/", re.IGNORECASE)
_ALERT_LABELS = (
    ("pod", "pod"),
    ("deployment", "service"),
    ("statefulset", "service"),
    ("daemonset", "service"),
    ("service", "service"),
    ("service_name", "service"),
    ("app", "service"),
    ("node", "node"),
    ("job", "service"),
)


def near(at: float, onset: float) -> float:
    """1 for something right before the onset, falling to 0 at the edges of the time of interest."""
    if at > onset:
        return max(0.0, 1 - (at - onset) / AFTER)
    return max(0.0, 1 - (onset - at) / BEFORE)


def event_clues(
    obs: Observations, directory: Directory, onset: float
) -> tuple[list[Clue], list[tuple[Entity, Entity]]]:
    """Warning events near or after the onset, and (pod's service, registry) edges that they reveal."""
    found: list[Clue] = []
    edges: list[tuple[Entity, Entity]] = []
    for cluster, event in obs.events:
        if event.type.lower() != "warning" and not _NODE_REASONS.search(event.reason):
            continue
        grave = bool(_GRAVE_REASONS.search(event.reason))
        when = near(event.at, onset) if event.at < onset else max(0.3, near(event.at, onset))
        if event.at < onset - BEFORE or event.at > obs.window.end:
            continue
        entity = directory.object(cluster, event.kind, event.name, event.namespace)
        loud = (0.7 if grave else 0.3) * when
        text = f"{event.reason}: {event.message[:200]}" + (
            f" ({event.count} times)" if event.count > 1 else ""
        )
        evidence = Evidence("event", text, rfc3339(event.at), float(event.count), entity=entity, score=loud)
        topic = "restarts" if "OOM" in event.reason or event.reason == "BackOff" else "event"
        kind = "origin" if entity.kind == "node" else "hint"
        found.append(
            Clue(entity, kind, "event", event.reason, topic, loud, event.at, evidence)  # type: ignore[arg-type]
        )
        image = _IMAGE.search(event.message) if "Failed" in event.reason or "Err" in event.reason else None
        if image:
            registry = Entity("external", image.group(1), None, cluster)
            edges.append((entity, registry))
            found.append(
                Clue(registry, "origin", "event", "image_pull", "registry", loud, event.at, evidence)
            )
    return found, edges


def change_clues(obs: Observations, directory: Directory, onset: float) -> list[Clue]:
    """Rollouts, scalings and edits shortly before the onset."""
    found = []
    for cluster, change in obs.changes:
        loud = 0.6 * near(change.at, onset)
        if loud <= 0:
            continue
        entity = directory.object(cluster, change.kind, change.name, change.namespace)
        text = f"{change.what} {change.kind} {change.name}" + (
            f": {change.detail[:200]}" if change.detail else ""
        )
        evidence = Evidence("change", text, rfc3339(change.at), entity=entity, score=round(loud, 4))
        found.append(Clue(entity, "hint", "change", change.what, "change", loud, change.at, evidence))
    return found


def log_clues(obs: Observations, directory: Directory, onset: float) -> list[Clue]:
    """New, louder and missing log templates after the onset, and code paths that end early."""
    begin = int(onset * 1e9)
    now = [(directory.entity(e), entry) for e, entry in obs.logs if entry.ns >= begin]
    before = [(e, entry) for e, entry in obs.logs if 0 < entry.ns < begin]
    usual = [(directory.entity(e), entry) for e, entry in (obs.reference_logs or before)]
    if not now and not usual:
        return []
    mined = logs.Mined(now, usual, *_operations(obs, directory, begin))
    found = []
    for change in logs.changes(mined):
        sigmas = abs(change.sigmas)
        missing = change.now < 0.1 * change.expected
        if change.error and change.sigmas > 0:
            new = change.expected < 0.5
            loud = float(strength(sigmas, start=1.0, full=12.0)) * (1.0 if new else 0.8)
            verb = "new error" if new else "more frequent error"
        elif change.error:
            continue
        elif missing:
            loud, verb = 0.3 * float(strength(sigmas, start=3.0, full=12.0)), "missing line"
        else:
            loud, verb = 0.2 * float(strength(sigmas, start=3.0, full=20.0)), "changed rate of line"
        found.append(_log_clue(change, "symptom", verb, loud))
    for change in logs.broken_paths(mined):
        loud = 0.9 * float(strength(abs(change.sigmas), start=1.0, full=8.0))
        found.append(_log_clue(change, "origin", "code path ends early, this line no longer follows", loud))
    return [clue for clue in found if clue.strength > 0]


def _operations(
    obs: Observations, directory: Directory, begin: int
) -> tuple[list[tuple[Entity, str, str]], list[tuple[Entity, str, str]]]:
    """Spans as (entity, path id, operation), after the onset and of the reference; an operation is named
    with the one above it, since a handler serves several routes."""
    now: list[tuple[Entity, str, str]] = []
    usual: list[tuple[Entity, str, str]] = []
    for spans, sides in ((obs.spans, (now, usual)), (obs.reference_spans, (usual, usual))):
        names = {(span.trace_id, span.span_id): span.name for _, span in spans}
        for cluster, span in spans:
            side = sides[0] if span.start_ns >= begin else sides[1]
            if side is usual and spans is obs.spans and obs.reference_logs:
                continue
            entity = directory.service(cluster, span.service, span.resource.get("k8s.namespace.name"))
            above = names.get((span.trace_id, span.parent_id or ""), "")
            side.append((entity, f"{span.trace_id}/{span.span_id}".lower(), f"{above}>{span.name}"))
    return now, usual


def _log_clue(change: logs.LogChange, kind: ClueKind, verb: str, loud: float) -> Clue:
    first = change.first_ns / 1e9 if change.first_ns else None
    shown = (change.example or change.template)[:240]
    text = f"{verb} ({change.now} now, {change.expected:.3g} expected): {shown}"
    evidence = Evidence(
        "log",
        text,
        rfc3339(first),
        float(change.now),
        round(change.expected, 2),
        "lines",
        None,
        change.entity,
        round(loud, 4),
    )
    return Clue(change.entity, kind, "log", "log_template", "log_template", loud, first, evidence)


def alert_entity(alert: AlertItem, directory: Directory) -> Entity | None:
    """What an alert is about, by its labels; None when they name nothing."""
    labels = alert.labels
    for label, kind in _ALERT_LABELS:
        name = labels.get(label)
        if name:
            return directory.entity(Entity(kind, name, labels.get("namespace"), alert.cluster or None))
    return None


def alert_time(alert: AlertItem) -> float | None:
    """When an alert began, unix seconds; None for a time that can't be read."""
    if not alert.starts_at:
        return None
    try:
        return datetime.fromisoformat(alert.starts_at.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def alert_clues(obs: Observations, directory: Directory) -> list[Clue]:
    """Firing alerts: each is a symptom of the entity that it names."""
    found = []
    for alert in obs.alerts:
        entity = alert_entity(alert, directory)
        if entity is None or alert.state in ("RESOLVED", "SUPPRESSED"):
            continue
        began = alert_time(alert)
        loud = {"critical": 0.2, "page": 0.2, "warning": 0.15}.get((alert.severity or "").lower(), 0.1)
        evidence = Evidence(
            "alert", f"alert {alert.name} is {alert.state}", alert.starts_at, entity=entity, score=loud
        )
        found.append(Clue(entity, "symptom", "alert", alert.name, "other", loud, began, evidence))
    return found


def loudest(found: list[Clue]) -> float:
    """The strongest of some clues, 0 without any."""
    return float(np.max([clue.strength for clue in found], initial=0.0))
