"""Alerts over the fleet; the same alert from several places once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from aiops_cli.models.alerts import AlertGroup, AlertPeriod
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.alert_merge import Key, fingerprint, identity
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.matchers import Matcher

if TYPE_CHECKING:
    from aiops_cli.services.fleet import Member

STATES = ("FIRING", "PENDING", "SUPPRESSED", "RESOLVED")
_RANK = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts to show. `state` and `severity` compare without case."""

    state: str | None = None
    severity: str | None = None
    namespace: str | None = None
    name: str | None = None
    matchers: Sequence[Matcher] = ()

    def __call__(self, a: AlertItem) -> bool:
        return (
            (self.state is None or a.state == self.state.upper())
            and (self.severity is None or (a.severity or "").lower() == self.severity.lower())
            and (self.namespace is None or a.labels.get("namespace") == self.namespace)
            and (self.name is None or a.name == self.name)
            and all(m.matches(a.labels) for m in self.matchers)
        )


async def list_alerts(
    members: Sequence[Member],
    *,
    state: str | None = None,
    severity: str | None = None,
    namespace: str | None = None,
    name: str | None = None,
    watch: Watcher | None = None,
) -> FleetResult[AlertItem]:
    """Active alerts that fit, worst first, then oldest."""
    found = await active(members, pending=(state or "").upper() == "PENDING", watch=watch)
    wanted = AlertFilter(state, severity, namespace, name)
    return found.with_rows([a for a in found.rows if wanted(a)])


async def active(
    members: Sequence[Member], *, pending: bool = False, watch: Watcher | None = None
) -> FleetResult[AlertItem]:
    """Every alert that has not ended. With `pending`, a cluster whose Prometheus fails is partial."""

    async def ask(member: Member) -> Answer[AlertItem]:
        return await (await member.alerts()).alerts(pending=pending)

    result = await fan_out(members, ask, watch=watch)
    unique: dict[tuple[str, str], AlertItem] = {}
    for cluster, alert in result.rows:
        found = msgspec.structs.replace(
            alert, cluster=cluster, fingerprint=alert.fingerprint or fingerprint(alert.labels)
        )
        unique.setdefault((cluster, found.fingerprint), found)
    return result.with_rows(in_order(list(unique.values())))


def resolved(periods: Sequence[AlertPeriod], present: Sequence[AlertItem]) -> list[AlertItem]:
    """The last time of each alert that fired and does no longer. Annotations are not kept of it."""
    firing = {(a.cluster, identity(a.labels)) for a in present if a.state != "PENDING"}
    last: dict[tuple[str, Key], AlertPeriod] = {}
    for period in sorted(periods, key=lambda p: p.starts_at):
        last[period.cluster, identity(period.labels)] = period
    return [
        AlertItem(
            cluster=p.cluster,
            fingerprint=p.fingerprint,
            name=p.name,
            state="RESOLVED",
            severity=p.severity,
            labels=p.labels,
            annotations={},
            starts_at=p.starts_at,
            source=p.source,
            ends_at=p.ends_at,
        )
        for key, p in last.items()
        if key not in firing and p.ends_at is not None
    ]


def with_resolved(found: FleetResult[AlertItem], past: FleetResult[AlertPeriod]) -> FleetResult[AlertItem]:
    """Active alerts and resolved ones. Where the past can't be read, the cluster's answer is partial."""
    lacking = {c.name: c for c in past.clusters if c.status != "SUCCESS"}
    statuses = []
    for status in found.clusters:
        lost = lacking.get(status.name)
        if lost is not None and status.error is None:
            told = [lost.error.message] if lost.error else lost.warnings
            warnings = [*status.warnings, *(f"resolved alerts: {w}" for w in told)]
            status = msgspec.structs.replace(status, status="PARTIAL", warnings=warnings)
        statuses.append(status)
    return FleetResult(in_order([*found.rows, *resolved(past.rows, found.rows)]), statuses)


def in_order(rows: Sequence[AlertItem]) -> list[AlertItem]:
    """Active before resolved, worst first, then oldest."""
    return sorted(
        rows,
        key=lambda a: (a.state == "RESOLVED", rank(a.severity), a.starts_at or "", a.cluster, a.fingerprint),
    )


def rank(severity: str | None) -> int:
    return _RANK.get((severity or "").lower(), 3)


def grouped(rows: Sequence[AlertItem], by: Sequence[str]) -> list[AlertGroup]:
    """Alerts that share the values of these labels, over all clusters; the worst group first, then the
    largest. `cluster` means aiops' own, and severities are compared without case."""
    groups: dict[tuple[str, ...], list[AlertItem]] = {}
    for a in rows:
        own = a.labels | {"cluster": a.cluster}
        if a.severity:
            own["severity"] = a.severity.lower()
        groups.setdefault(tuple(own.get(label, "") for label in by), []).append(a)
    found = []
    for key, members in groups.items():
        states = [a.state for a in members]
        worst = min(members, key=lambda a: rank(a.severity))
        found.append(
            AlertGroup(
                labels=dict(zip(by, key, strict=True)),
                count=len(members),
                firing=states.count("FIRING"),
                pending=states.count("PENDING"),
                suppressed=states.count("SUPPRESSED"),
                resolved=states.count("RESOLVED"),
                severity=worst.severity,
                starts_at=min((a.starts_at for a in members if a.starts_at), default=None),
                names=sorted({a.name for a in members}),
                clusters=sorted({a.cluster for a in members}),
                fingerprints=[a.fingerprint for a in members],
            )
        )
    return sorted(found, key=lambda g: (rank(g.severity), -g.count, sorted(g.labels.items())))
