"""What `alerts list` saw, kept in the local store, so that history outlives a Prometheus.

A record is written only when something changed: an alert is new, it fires anew, or it is gone.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.times import rfc3339, unix
from aiops_cli.store.state import State

_KIND = "alerts"


class SeenAlert(Struct, frozen=True, rename="camel"):
    """A record. `endsAt` is when it was first seen to be gone, so that it ended at or before that."""

    cluster: str
    fingerprint: str
    name: str
    severity: str | None
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str | None
    ends_at: str | None
    seen_at: str


def remember(state: State, found: FleetResult[AlertItem], now: float) -> None:
    """Note what fires and what no longer does. `found` is everything that is active, unfiltered, of live
    clusters; one that did not answer fully changes nothing."""
    answered = {c.name for c in found.clusters if c.status == "SUCCESS" and c.source == "live"}
    known = {key: msgspec.convert(data, SeenAlert) for key, data in state.latest(_KIND).items()}
    open_ = {key: seen for key, seen in known.items() if seen.ends_at is None}
    at = rfc3339(now)
    records: list[tuple[str, SeenAlert]] = []
    active = set()
    for a in found.rows:
        if a.cluster not in answered or a.state not in ("FIRING", "SUPPRESSED"):
            continue
        key = f"{a.cluster}/{a.fingerprint}"
        active.add(key)
        before = open_.get(key)
        again = before is not None and _again(a, before)
        if before is not None and again:
            records.append((key, msgspec.structs.replace(before, ends_at=a.starts_at, seen_at=at)))
        if before is None or again:
            records.append((key, _seen(a, at)))
    records += [
        (key, msgspec.structs.replace(seen, ends_at=at, seen_at=at))
        for key, seen in open_.items()
        if seen.cluster in answered and key not in active
    ]
    if records:
        state.append_all(_KIND, records)


def _again(a: AlertItem, before: SeenAlert) -> bool:
    """Whether it began after it was last seen. The two sources differ by the time that it was pending."""
    if a.starts_at == before.starts_at:
        return False
    began, last = unix(a.starts_at), unix(before.seen_at)
    return a.source == "alertmanager" and began is not None and last is not None and began > last


def _seen(a: AlertItem, at: str) -> SeenAlert:
    return SeenAlert(
        a.cluster, a.fingerprint, a.name, a.severity, a.labels, a.annotations, a.starts_at, None, at
    )


def seen(state: State, clusters: Sequence[str]) -> list[SeenAlert]:
    """Each time that an alert of these clusters fired, as far as it was seen: the last record of each."""
    names = set(clusters)
    last: dict[tuple[str, str | None], SeenAlert] = {}
    for entry in state.entries(_KIND):
        record = msgspec.convert(entry.data, SeenAlert)
        if record.cluster in names:
            last[entry.key, record.starts_at] = record
    return list(last.values())
