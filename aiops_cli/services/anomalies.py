"""Anomalies over the fleet: detection on range answers, with the cluster's name in each finding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from aiops_cli.analysis.anomalies import Finding, Sensitivity
from aiops_cli.analysis.anomalies import detect as detect_series
from aiops_cli.models.analysis import Anomaly
from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher
from aiops_cli.services.fleet import Member
from aiops_cli.services.metrics import CachePolicy, query_range, renamed
from aiops_cli.services.times import rfc3339

SEVERITIES = ("LOW", "MEDIUM", "HIGH")


async def detect(
    members: Sequence[Member],
    exprs: Sequence[str],
    window: TimeRange,
    step: float,
    now: float,
    *,
    sensitivity: Sensitivity = "MEDIUM",
    baseline: TimeRange | None = None,
    skip_missing: bool = False,
    policy: CachePolicy | None = None,
    watch: Watcher | None = None,
) -> FleetResult[Anomaly]:
    """Findings of each expression on each cluster, worst first. `baseline` is a stretch known as normal;
    `skip_missing` passes over expressions that a bundle did not record."""
    reach = TimeRange(min(window.start, baseline.start), window.end) if baseline else window
    found: list[Anomaly] = []
    merged: FleetResult[tuple[str, Series]] | None = None
    for expr in exprs:
        result = await query_range(members, expr, reach, step, now, policy=policy, watch=watch)
        merged = _merge(merged, result, skip_missing)
        names = [c for c, _ in result.rows]
        findings = detect_series(
            [_tagged(s, i) for i, (_, s) in enumerate(result.rows)],
            sensitivity=sensitivity,
            baseline=baseline,
            window=window,
        )
        for finding in findings:
            index = int(finding.labels[_TAG])
            found.append(_item(names[index], expr, finding))
    found.sort(key=lambda a: (-SEVERITIES.index(a.severity), -a.confidence, a.start, a.cluster, a.id))
    return FleetResult(found, merged.clusters if merged else [])


_TAG = "\0row"


def _tagged(series: Series, index: int) -> Series:
    """Findings carry labels only: the row's number goes with them, so that each finds its cluster."""
    return Series(series.labels | {_TAG: str(index)}, series.timestamps, series.values)


def _item(cluster: str, expr: str, finding: Finding) -> Anomaly:
    labels = renamed({k: v for k, v in finding.labels.items() if k != _TAG})
    key = f"{cluster}\0{expr}\0{sorted(labels.items())}\0{finding.start}"
    return Anomaly(
        hashlib.sha256(key.encode()).hexdigest()[:12],
        cluster,
        labels,
        rfc3339(finding.start),
        rfc3339(finding.end),
        finding.type,
        finding.severity,
        round(finding.confidence, 3),
        finding.expected,
        finding.actual,
        finding.reason,
        expr,
        finding.method,
        finding.deviation,
    )


def _merge(
    before: FleetResult[tuple[str, Series]] | None,
    result: FleetResult[tuple[str, Series]],
    skip_missing: bool,
) -> FleetResult[tuple[str, Series]]:
    """The worst status of each cluster over several expressions."""
    if before is None:
        return result
    statuses = []
    for old, new in zip(before.clusters, result.clusters, strict=True):
        unrecorded = [s for s in (old, new) if s.error is not None and s.error.code == "NOT_RECORDED"]
        if skip_missing and unrecorded and len(unrecorded) < 2:
            statuses.append(new if old in unrecorded else old)
        else:
            statuses.append(new if new.status != "SUCCESS" and old.status == "SUCCESS" else old)
    return FleetResult([], statuses)
