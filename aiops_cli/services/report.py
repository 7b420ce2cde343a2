"""Incident reports: what the services found, put in the order a reader asks.

A report holds everything that its Markdown shows, so that it can be rendered again later. What looks
like a secret in texts from clusters is replaced before it gets in.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from aiops_cli import __version__
from aiops_cli.analysis.clues import sortable
from aiops_cli.models.analysis import WEAK_CONFIDENCE, Anomaly, Cause, Entity, Evidence
from aiops_cli.models.findings import Finding
from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.result import ClusterStatus, ErrorInfo, FleetResult, Origin, Status
from aiops_cli.models.signals import AlertItem
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.queries import CATALOGUE
from aiops_cli.services.rca import Investigation
from aiops_cli.services.scrub import scrub, scrub_labels
from aiops_cli.services.times import rfc3339

_ENTRIES = 200
_ONSETS, _ANOMALIES = 3, 20
_NAMES = {query.expr: f"@{name}" for name, query in CATALOGUE.items()}
_LEVELS = {"critical": 0, "error": 1, "warning": 2, "info": 3}


class Missing(Struct, frozen=True, rename="camel"):
    """A source of a cluster that gave nothing, and why. `source` is `all` where nothing was read."""

    cluster: str
    source: str
    error: ErrorInfo


class ReportCluster(Struct, frozen=True, rename="camel"):
    """One asked cluster: its health (null where it was not probed), and where the data came from.

    `metricsSource` and `metricsAgeSeconds` are of the range answers, which may come from the cache.
    """

    name: str
    state: str | None
    score: int | None
    status: Status
    source: Origin
    metrics_source: Origin
    metrics_age_seconds: float
    missing: list[str] = []


class TimelineEntry(Struct, frozen=True, rename="camel"):
    """Something that happened, at an RFC 3339 time."""

    at: str
    cluster: str
    kind: Literal["trigger", "onset", "alert", "change", "event", "anomaly", "finding"]
    subject: str
    text: str


class ReportQuery(Struct, frozen=True, rename="camel"):
    """A query that was run: on which clusters, over which time (RFC 3339), at which step (seconds; null
    where the source has none)."""

    source: str
    query: str
    clusters: list[str]
    start: str
    end: str
    step: float | None


class Report(Struct, frozen=True, rename="camel"):
    """A report. Times are RFC 3339 in UTC; `at` is the moment that was explained. `timelineOmitted`
    counts entries that are left out of a long timeline, farthest from that moment first. `findings` are about
    GPUs, PTP clocks and SR-IOV, worst first."""

    id: str
    type: Literal["incident"]
    title: str
    created_at: str
    created_by: str
    start: str
    end: str
    at: str
    summary: list[str]
    causes: list[Cause]
    alerts: list[AlertItem]
    anomalies: list[Anomaly]
    clusters: list[ReportCluster]
    timeline: list[TimelineEntry]
    missing: list[Missing]
    queries: list[ReportQuery]
    timeline_omitted: int = 0
    findings: list[Finding] = []
    bundle: str | None = None


@dataclass(slots=True, kw_only=True)
class Findings:
    """What an incident report is made of. `step` is the resolution of the range queries in seconds,
    `bundle` the recording that answered, None for live clusters; `lost` are (cluster, source, why) that
    this recording could not read in its time."""

    investigation: Investigation
    anomalies: FleetResult[Anomaly]
    health: Sequence[ClusterHealth] = ()
    step: float = 15.0
    bundle: str | None = None
    lost: Sequence[tuple[str, str, ErrorInfo]] = ()
    created: float = field(default_factory=time.time)


def incident(found: Findings) -> Report:
    """The report of these findings, complete and in order."""
    investigation = found.investigation
    causes = [_clean_cause(c) for c in investigation.causes.rows]
    alerts = sorted((_clean_alert(a) for a in investigation.alerts), key=_alert_order)
    gaps = {(c, s): e for c, s, e in (*found.lost, *investigation.gaps)}
    missing = [
        Missing(c, s, replace(e, message=scrub(e.message), hint=scrub(e.hint))) for (c, s), e in gaps.items()
    ]
    timeline, omitted = _nearest(_timeline(found, causes, alerts), investigation.at)
    stamp = datetime.fromtimestamp(found.created, UTC).strftime("%Y%m%d-%H%M%S")
    return Report(
        id=f"incident-{stamp}-{secrets.token_hex(2)}",
        type="incident",
        title=_title(causes),
        created_at=rfc3339(found.created),
        created_by=f"aiops {__version__}",
        start=rfc3339(investigation.window.start),
        end=rfc3339(investigation.window.end),
        at=rfc3339(investigation.at),
        summary=_summary(found, causes, alerts, missing),
        causes=causes,
        alerts=alerts,
        anomalies=list(found.anomalies.rows),
        clusters=_clusters(found, missing),
        timeline=timeline,
        missing=missing,
        queries=_queries(found),
        timeline_omitted=omitted,
        findings=_findings(investigation),
        bundle=found.bundle,
    )


def entity_text(entity: Entity) -> str:
    """kind namespace/name in cluster."""
    path = "/".join(p for p in (entity.namespace, entity.name) if p)
    where = f" in {entity.cluster}" if entity.cluster and entity.cluster != entity.name else ""
    return f"{entity.kind} {path}{where}"


def named(expr: str) -> str:
    """A query of the catalogue by its @name, any other as it is."""
    return _NAMES.get(expr, expr)


def _title(causes: Sequence[Cause]) -> str:
    if not causes or causes[0].confidence < WEAK_CONFIDENCE:
        return "no clear cause"
    return f"{entity_text(causes[0].entity)}: {causes[0].indicator}"


def _summary(
    found: Findings, causes: Sequence[Cause], alerts: Sequence[AlertItem], missing: Sequence[Missing]
) -> list[str]:
    lines = []
    if causes:
        first = causes[0]
        since = f", since {first.onset}" if first.onset else ""
        lead = "Most likely cause"
        if first.confidence < WEAK_CONFIDENCE:
            lead = "No clear cause: nothing in the window deviates much. The strongest hint"
        lines.append(
            f"{lead}: {entity_text(first.entity)}, {first.indicator}{since} "
            f"(confidence {first.confidence:.2f})."
        )
        if len(first.chain) > 1:
            *between, last = first.chain[1:]
            way = f" by way of {', '.join(e.name for e in between)}" if between else ""
            lines.append(f"From there it reached {entity_text(last)}{way}.")
        if first.blast_radius:
            lines.append(f"{_count(len(first.blast_radius), 'other')} affected.")
        if len(causes) > 1:
            second = causes[1]
            lines.append(
                f"Next: {entity_text(second.entity)}, {second.indicator} "
                f"(confidence {second.confidence:.2f})."
            )
    elif not found.investigation.evidence:
        lines.append("No cause can be told: no cluster could be asked.")
    else:
        read = "what could be read of " if any(not m.error.absent for m in missing) else ""
        lines.append(f"No cause was found: nothing in {read}the window deviates enough.")
    firing = [a for a in alerts if a.state == "FIRING"]
    high = sum(a.severity == "HIGH" for a in found.anomalies.rows)
    lines.append(
        f"{_count(len(firing), 'firing alert')} and {_count(len(found.anomalies.rows), 'anomaly', 'anomalies')} "
        f"({high} of high severity) in {_count(len(found.investigation.causes.clusters), 'cluster')}."
    )
    lost = [m.cluster for m in missing if m.source == "all"]
    if lost:
        lines.append(f"Nothing could be read from {', '.join(lost)}: what happened there is not known.")
    parts = [m for m in missing if m.source != "all"]
    if parts:
        lines.append(f"{_count(len(parts), 'source')} gave no data; see the data gaps.")
    return lines


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _clusters(found: Findings, missing: Sequence[Missing]) -> list[ReportCluster]:
    health = {h.cluster: h for h in found.health}
    metrics = {c.name: c for c in found.anomalies.clusters}

    def one(status: ClusterStatus) -> ReportCluster:
        state = health.get(status.name)
        ranges = metrics.get(status.name, status)
        return ReportCluster(
            status.name,
            state.state if state else None,
            state.score if state else None,
            status.status,
            status.source,
            ranges.source,
            ranges.age_seconds,
            [m.source for m in missing if m.cluster == status.name],
        )

    return [one(c) for c in found.investigation.causes.clusters]


def _timeline(found: Findings, causes: Sequence[Cause], alerts: Sequence[AlertItem]) -> list[TimelineEntry]:
    investigation = found.investigation
    entries = [TimelineEntry(rfc3339(investigation.at), "", "trigger", "", "the moment this report explains")]
    entries += [
        TimelineEntry(
            c.onset, c.entity.cluster or "", "onset", entity_text(c.entity), f"{c.indicator} deviates"
        )
        for c in causes[:_ONSETS]
        if c.onset
    ]
    entries += [
        TimelineEntry(rfc3339(started), a.cluster, "alert", a.name, a.annotations.get("summary", a.state))
        for a in alerts
        if (started := _unix(a.starts_at)) is not None and _inside(started, investigation.window)
    ]
    entries += [
        TimelineEntry(a.start, a.cluster, "anomaly", f"{named(a.expr)} {_labels(a.labels)}".strip(), a.reason)
        for a in found.anomalies.rows[:_ANOMALIES]
        if a.severity == "HIGH"
    ]
    entries += [
        TimelineEntry(f.since, f.cluster, "finding", entity_text(f.entity), f"{f.code}: {f.text}")
        for f in _findings(investigation)
        if (began := _unix(f.since)) is not None and f.since and _inside(began, investigation.window)
    ]
    for part in investigation.evidence:
        entries += [
            TimelineEntry(
                rfc3339(c.at),
                part.cluster,
                "change",
                f"{c.kind} {_path(c.namespace, c.name)}",
                scrub(f"{c.what}: {c.detail}" if c.detail else c.what),
            )
            for c in part.changes
        ]
        entries += [
            TimelineEntry(
                rfc3339(e.at),
                part.cluster,
                "event",
                f"{e.kind} {_path(e.namespace, e.name)}",
                scrub(f"{e.reason}: {e.message}" + (f" ({e.count} times)" if e.count > 1 else "")),
            )
            for e in part.events
            if e.type != "Normal"
        ]
    return [replace(e, at=e.at if (t := _unix(e.at)) is None else rfc3339(t)) for e in dict.fromkeys(entries)]


def _nearest(entries: list[TimelineEntry], at: float) -> tuple[list[TimelineEntry], int]:
    """At most 200 entries in time order, those nearest to `at`, and how many were left out."""

    def distance(entry: TimelineEntry) -> float:
        moment = _unix(entry.at)
        return abs((at if moment is None else moment) - at)

    kept = sorted(entries, key=distance)[:_ENTRIES]
    kept.sort(key=lambda e: (_unix(e.at) or 0.0, e.cluster, e.subject))
    return kept, len(entries) - len(kept)


def _queries(found: Findings) -> list[ReportQuery]:
    """Equal queries of several clusters once, in the order they were asked."""
    grouped: dict[tuple[str, str, float, float], list[str]] = {}
    for asked in found.investigation.queries:
        key = (asked.source, asked.query, asked.window.start, asked.window.end)
        grouped.setdefault(key, []).append(asked.cluster)
    return [
        ReportQuery(
            source,
            query,
            list(dict.fromkeys(clusters)),
            rfc3339(start),
            rfc3339(end),
            found.step if source == "prometheus" else None,
        )
        for (source, query, start, end), clusters in grouped.items()
    ]


def _findings(investigation: Investigation) -> list[Finding]:
    found = [replace(f, text=scrub(f.text)) for part in investigation.evidence for f in part.devices.findings]
    return sorted(
        found, key=lambda f: (_LEVELS[f.severity], f.since or "~", f.cluster, sortable(f.entity), f.code)
    )


def _clean_cause(cause: Cause) -> Cause:
    return replace(
        cause, evidence=_each(cause.evidence, _clean_evidence), against=_each(cause.against, _clean_evidence)
    )


def _clean_evidence(evidence: Evidence) -> Evidence:
    return replace(evidence, text=scrub(evidence.text))


def _clean_alert(alert: AlertItem) -> AlertItem:
    return replace(
        alert,
        labels=scrub_labels(alert.labels),
        annotations=scrub_labels(alert.annotations),
    )


def _each(items: Iterable[Evidence], change: Callable[[Evidence], Evidence]) -> list[Evidence]:
    return [change(i) for i in items]


def _alert_order(alert: AlertItem) -> tuple[bool, int, str, str, str]:
    level = _LEVELS.get((alert.severity or "").lower(), 9)
    return alert.state != "FIRING", level, alert.starts_at or "", alert.cluster, alert.fingerprint


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(f"{k}={v}" for k, v in sorted(labels.items()))


def _path(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _inside(moment: float, window: TimeRange) -> bool:
    return window.start <= moment <= window.end


def _unix(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
