"""The state of each cluster at a glance, and of the fleet: health, alerts and GPUs put together as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiops_cli.errors import ErrorCode
from aiops_cli.models.findings import Finding
from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.gpu import Gpu, GpuThresholds
from aiops_cli.models.result import ClusterStatus
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.alerts import rank
from aiops_cli.services.rounds import Round

LATE_SECONDS = 5.0
"""From when on a cluster that is asked and has not answered is told."""
_NAMED = 3
_STATES = ("OFFLINE", "DEGRADED", "UNKNOWN", "ONLINE")
SEVERITIES = ("critical", "warning", "info", "other")
"""By `alerts.rank`."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One cluster's GPUs now, and what is wrong with them."""

    gpus: list[Gpu]
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One cluster. What nobody has answered yet is None. `age` is that of its health and `waiting` how long it has
    been asked again without an answer, in seconds; `failed` says what could not be read, by part. `alerts`
    counts those that fire by SEVERITIES, `firing` names the gravest. `gpus_used` are those that compute."""

    cluster: str
    labels: Mapping[str, str] = field(default_factory=dict)
    health: ClusterHealth | None = None
    age: float | None = None
    waiting: float | None = None
    alerts: tuple[int, int, int, int] | None = None
    firing: tuple[str, ...] = ()
    gpus: int | None = None
    gpus_used: int | None = None
    finding: Finding | None = None
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return self.health.state if self.health is not None else "UNKNOWN"

    @property
    def old(self) -> bool:
        """Whether what is known of it is not of now: it fails, or lets wait."""
        return self.health is None or self.waiting is not None or self.state == "OFFLINE"

    @property
    def verdict(self) -> str:
        """The word that judges it: its state where that is not well; else the gravest that fires on it, or was
        found of its GPUs, critical or warning. The score is of what answers and does not know of alerts."""
        found: set[str] = {self.finding.severity} if self.finding is not None else set()
        found |= {s for s, n in zip(SEVERITIES, self.alerts or (), strict=False) if n}
        if self.state != "ONLINE":
            return "warning" if self.state == "UNKNOWN" else self.state  # not known to be well
        return next((s for s in SEVERITIES[:2] if s in found), self.state)

    @property
    def trouble(self) -> tuple[object, ...]:
        """Sorts what needs a look first."""
        firing = self.alerts or (0, 0, 0, 0)
        worst = self.finding.severity if self.finding else "-"
        score = self.health.score if self.health is not None and self.health.score is not None else 100
        return (_STATES.index(self.state), -firing[0], worst != "critical", -firing[1], score)


def fleet_rows(
    clusters: Iterable[tuple[str, Mapping[str, str]]],
    now: float,
    states: Round[ClusterHealth] | None,
    firing: Round[AlertItem] | None,
    gpus: Round[GpuReading] | None,
    limits: GpuThresholds,
) -> list[FleetRow]:
    """A row for each (cluster, labels), those with trouble first."""
    found = {h.cluster: h for h in states.result.rows} if states else {}
    alerts, names = _counted(firing), _names(firing)
    cards = _by_cluster(gpus)
    failed = _failures(alerts=firing, gpus=gpus)
    rows = []
    for name, labels in clusters:
        reading = cards.get(name)
        used = total = None
        if reading is not None:
            used, total = gpus_used(reading.gpus, limits), len(reading.gpus)
        at = states.at.get(name) if states else None
        asked = states.asked_at.get(name) if states else None
        waited = None if asked is None else now - asked
        rows.append(
            FleetRow(
                name,
                labels,
                found.get(name),
                None if at is None else _stepped(now - at, 15.0),
                None if waited is None or waited < LATE_SECONDS else _stepped(waited, 5.0),
                alerts.get(name),
                tuple(names.get(name, ())),
                total,
                used,
                reading.findings[0] if reading is not None and reading.findings else None,
                failed.get(name, {}),
            )
        )
    rows.sort(key=lambda r: r.trouble)
    return rows


def _stepped(seconds: float, step: float) -> float:
    """An age that changes only when it is worth a look: 0, 15, 30, 45 seconds, then whole minutes."""
    step = 60.0 if seconds >= 60 else step
    return max(seconds - seconds % step, 0.0)


def gpus_used(gpus: Iterable[Gpu], limits: GpuThresholds) -> int:
    return sum(g.utilization is not None and g.utilization >= limits.idle_utilization for g in gpus)


def _counted(firing: Round[AlertItem] | None) -> dict[str, tuple[int, int, int, int]]:
    """Alerts that fire, by cluster and severity; zeros for a cluster that answered with none."""
    if firing is None:
        return {}
    counts: dict[str, list[int]] = {c.name: [0, 0, 0, 0] for c in firing.result.clusters if c.error is None}
    for alert in firing.result.rows:
        if alert.state == "FIRING":
            counts.setdefault(alert.cluster, [0, 0, 0, 0])[rank(alert.severity)] += 1
    return {name: (c[0], c[1], c[2], c[3]) for name, c in counts.items()}


def _names(firing: Round[AlertItem] | None) -> dict[str, list[str]]:
    """The first few that fire on each cluster, in the order of the answer: the gravest first."""
    names: dict[str, list[str]] = {}
    for alert in firing.result.rows if firing is not None else ():
        known = names.setdefault(alert.cluster, [])
        if alert.state == "FIRING" and len(known) < _NAMED and alert.name not in known:
            known.append(alert.name)
    return names


def _by_cluster(gpus: Round[GpuReading] | None) -> dict[str, GpuReading]:
    """Clusters that have any."""
    return {r.gpus[0].cluster: r for r in gpus.result.rows if r.gpus} if gpus else {}


_ABSENT = frozenset(c for c in ErrorCode if c.endswith("_NOT_AVAILABLE") or c is ErrorCode.NOT_RECORDED)


def lacks(status: ClusterStatus) -> bool:
    """Whether the cluster has no such source at all, which is no failure of it."""
    return status.error is not None and status.error.code in _ABSENT


def _failures(
    **parts: Round[AlertItem] | Round[GpuReading] | None,
) -> dict[str, dict[str, str]]:
    """What could not be read of each cluster, by part."""
    failed: dict[str, dict[str, str]] = {}
    for what, found in parts.items():
        for c in found.result.failed if found is not None else ():
            if c.error is not None and not lacks(c):
                failed.setdefault(c.name, {})[what] = c.error.message
    return failed


@dataclass(frozen=True, slots=True)
class Totals:
    """The fleet in numbers. `scores` are those that are known, ascending; `worst` is the GPUs' gravest finding;
    `ablaze` are the clusters on which critical or warning alerts fire, each counted under its gravest."""

    states: Counter[str]
    scores: Sequence[int]
    lowest: FleetRow | None
    alerts: tuple[int, int, int, int]
    alerting: int
    unknown_alerts: int
    gpus: int
    gpus_used: int
    gpu_clusters: int
    worst: Finding | None
    ablaze: tuple[int, int]


def totals(rows: Sequence[FleetRow]) -> Totals:
    scored = sorted(
        ((r.health.score, r) for r in rows if r.health is not None and r.health.score is not None),
        key=lambda pair: pair[0],
    )
    known = [r.alerts for r in rows if r.alerts is not None]
    sums = [sum(a[i] for a in known) for i in range(4)]
    worst = sorted(
        (r.finding for r in rows if r.finding is not None),
        key=lambda f: ("critical", "warning", "info").index(f.severity),
    )
    with_gpus = [r for r in rows if r.gpus]
    return Totals(
        Counter(r.state for r in rows),
        [score for score, _ in scored],
        scored[0][1] if scored else None,
        (sums[0], sums[1], sums[2], sums[3]),
        sum(any(a) for a in known),
        len(rows) - len(known),
        sum(r.gpus or 0 for r in with_gpus),
        sum(r.gpus_used or 0 for r in with_gpus),
        len(with_gpus),
        worst[0] if worst else None,
        (sum(a[0] > 0 for a in known), sum(a[0] == 0 < a[1] for a in known)),
    )
