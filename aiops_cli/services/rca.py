"""Root cause over the fleet: collect, analyse, keep."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from aiops_cli.analysis.observations import BadDirection, Indicator, Observations
from aiops_cli.analysis.rca import analyze
from aiops_cli.config.settings import Settings
from aiops_cli.models.analysis import Cause, Entity
from aiops_cli.models.result import Answer, ErrorInfo, FleetResult
from aiops_cli.models.signals import AlertItem, Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.evidence import AskedQuery, Evidence, collect
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.metrics import CachePolicy
from aiops_cli.services.times import unix

_MOST = 200  # causes that are looked at when only some are asked for
_DOWN = frozenset({"up"})
_SAID = {"prometheus": "metrics", "kubernetes": "events and changes", "ptp": "clocks", "sriov": "VFs"}
_EITHER = frozenset({"traffic"})


@dataclass(slots=True)
class Investigation:
    """What an analysis saw and concluded. `gaps` are (cluster, source, why it is missing); `step` is the
    resolution of its range queries in seconds."""

    causes: FleetResult[Cause]
    evidence: list[Evidence]
    window: TimeRange
    at: float
    step: float
    gaps: list[tuple[str, str, ErrorInfo]] = field(default_factory=list)
    queries: list[AskedQuery] = field(default_factory=list)
    analysis_seconds: float = 0.0

    @property
    def unread(self) -> dict[str, list[str]]:
        """What the clusters that answered have and could not be read all the same: sources by cluster, as
        people call them."""
        found: dict[str, list[str]] = {}
        for part in self.evidence:
            sources = [_SAID.get(source, source) for source, why in part.gaps if not why.absent]
            if sources:
                found[part.cluster] = list(dict.fromkeys(sources))
        return found

    @property
    def alerts(self) -> list[AlertItem]:
        return [a for e in self.evidence for a in e.alerts]


async def investigate(
    members: Sequence[Member],
    window: TimeRange,
    at: float,
    step: float,
    now: float,
    *,
    namespace: str | None = None,
    alert: str | None = None,
    limit: int = 10,
    policy: CachePolicy | None = None,
    settings: Settings | None = None,
    watch: Watcher | None = None,
) -> Investigation:
    """Read all signals of the chosen clusters in `window` and rank what explains the trouble at `at`.

    `namespace` keeps only what belongs to it (and what belongs to no namespace); `alert` is a fingerprint:
    the analysis is then about that alert alone. `settings` has the thresholds of findings about devices. A cluster that fails leaves a gap, not a failure.
    """

    async def ask(member: Member) -> Answer[Evidence]:
        found = await collect(member, window, step, now, policy, settings)
        origin = "bundle" if member.origin == "bundle" else "live"
        notes = [
            f"{source}: {info.message}"
            for source, info in found.gaps
            if not info.code.endswith(("NOT_AVAILABLE", "NOT_RECORDED"))
        ]
        return Answer([found], origin, warnings=notes, partial=found.missing)  # type: ignore[arg-type]

    result = await fan_out(members, ask, watch=watch)
    evidence = [e for _, e in result.rows]
    begun = time.perf_counter()
    ranked = analyze(observations(evidence, window, at, namespace, alert), limit=_MOST) if evidence else []
    placed = any(e.workloads for e in evidence)
    causes = [c for c in ranked if _belongs(c.entity, namespace, placed)][:limit]
    causes = [msgspec.structs.replace(c, rank=i + 1) for i, c in enumerate(causes)]
    gaps = [(e.cluster, source, info) for e in evidence for source, info in e.gaps]
    gaps += [(c.name, "all", c.error) for c in result.clusters if c.error is not None]
    return Investigation(
        result.with_rows(causes),
        evidence,
        window,
        at,
        step,
        gaps,
        [q for e in evidence for q in e.asked],
        time.perf_counter() - begun,
    )


def observations(
    evidence: Sequence[Evidence],
    window: TimeRange,
    at: float,
    namespace: str | None = None,
    alert: str | None = None,
) -> Observations:
    """The analysis' input of what was collected."""
    found = Observations(window=window, at=at)
    for part in evidence:
        for name, query, series in part.series:
            if _kept(series.labels.get("namespace"), namespace) and (
                made := _indicator(
                    part.cluster,
                    name,
                    query.entity,
                    query.kind,
                    query.indicator,
                    query.expr,
                    query.unit,
                    series,
                )
            ):
                found.indicators.append(made)
        found.spans += [(part.cluster, s) for s in part.spans]
        found.logs += [(e, line) for e, line in part.logs if _kept(e.namespace, namespace)]
        found.alerts += [
            a
            for a in part.alerts
            if _kept(a.labels.get("namespace"), namespace) and alert in (None, a.fingerprint)
        ]
        found.events += [(part.cluster, e) for e in part.events if _kept(e.namespace, namespace)]
        found.changes += [(part.cluster, c) for c in part.changes if _kept(c.namespace, namespace)]
        # All pods: they say which namespace a service is in.
        found.workloads += [(part.cluster, w) for w in (*part.workloads, *part.devices.pods)]
        found.findings += [f for f in part.devices.findings if _kept(f.entity.namespace, namespace)]
        found.indicators += [i for i in part.devices.indicators if _kept(i.entity.namespace, namespace)]
        found.edges += part.devices.uses
    return found


def _belongs(entity: Entity, wanted: str | None, placed: bool) -> bool:
    """Whether a cause is of the namespace: what has none (a node) is of each; a service without one is
    elsewhere where pods are known (`placed`), and may be anywhere where they are not."""
    if wanted is None or entity.namespace == wanted:
        return True
    return entity.namespace is None and (entity.kind != "service" or not placed)


def _kept(of: str | None, wanted: str | None) -> bool:
    return wanted is None or not of or of == wanted


def _indicator(
    cluster: str, name: str, label: str, kind: str, indicator: str, expr: str, unit: str, series: Series
) -> Indicator | None:
    who = cluster if label == "cluster" else series.labels.get(label)
    if not who or not np.isfinite(series.values).any():
        return None
    entity = Entity(kind, who, series.labels.get("namespace") if kind != "namespace" else None, cluster)
    extra = (
        series.labels.get("pool")
        or series.labels.get("queue")
        or series.labels.get("volume")
        or series.labels.get("mountpoint")
    )
    bad: BadDirection = "down" if indicator in _DOWN else "both" if indicator in _EITHER else "up"
    return Indicator(entity, f"{indicator}:{extra}" if extra else indicator, series, expr, unit, bad)


def alert_time(alerts: Sequence[AlertItem], fingerprint: str | None = None) -> float | None:
    """When the trouble was first alerted (unix seconds): of one alert, or of the oldest firing one.

    A start that is no time is passed over."""
    starts = [
        started
        for a in alerts
        if a.state == "FIRING" and fingerprint in (None, a.fingerprint)
        if (started := unix(a.starts_at)) is not None
    ]
    return min(starts, default=None)
