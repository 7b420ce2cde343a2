"""One row for one alert, from however many Alertmanagers and Prometheis it is known.

Prometheus adds its external labels as it sends an alert, and a HA pair's differ in a replica label
unless relabelling drops it. So an alert of Prometheus and one of Alertmanager are the same when what
the one has more are external labels; and two of Alertmanager are when they differ in a replica label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from aiops_cli.models.signals import AlertItem

Labels = dict[str, str]
Key = frozenset[tuple[str, str]]

REPLICA_LABELS = frozenset(
    ["prometheus_replica", "__replica__", "thanos_replica", "thanos_ruler_replica", "vmalert_replica"]
)
"""What tells one of a HA pair from the other; a plain `replica` does only as an external label."""
_VOTERS = 500
"""Of so many alerts it is told what most of them have more."""
_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, 0xFFFFFFFFFFFFFFFF


def fingerprint(labels: Labels) -> str:
    """Prometheus' fingerprint of labels, which Alertmanager shows: FNV-1a, 64 bits, over each sorted name
    and value with a byte 255 behind it (common/model/signature.go)."""
    state = _OFFSET
    for name, value in sorted(labels.items()):
        for byte in b"%b\xff%b\xff" % (name.encode(errors="replace"), value.encode(errors="replace")):
            state = (state ^ byte) * _PRIME & _MASK
    return f"{state:016x}"


def replicas_of(external: Labels) -> frozenset[str]:
    """The labels that differ within a HA pair, by Prometheus' external labels."""
    return REPLICA_LABELS | {name for name in external if "replica" in name}


def identity(labels: Labels, replicas: frozenset[str] = REPLICA_LABELS) -> Key:
    """What the same alert of both of a HA pair has in common."""
    return frozenset(i for i in labels.items() if i[0] not in replicas)


def merge(
    managed: Iterable[AlertItem], ruled: Iterable[AlertItem], external: Labels | None = None
) -> list[AlertItem]:
    """Alertmanagers' alerts and those of Prometheus' rules, each once, by fingerprint.

    `external` are Prometheus' external labels; where it does not say them (None), they are what most of its
    alerts have more at Alertmanager. What Prometheus alone knows (PENDING, or not sent yet) keeps its source
    and gets the fingerprint that it will have at Alertmanager.
    """
    ruled = list(ruled)
    replicas = replicas_of(external or {})
    folded: dict[Key, AlertItem] = {}
    for alert in managed:
        own = alert if alert.fingerprint else replace(alert, fingerprint=fingerprint(alert.labels))
        key = identity(own.labels, replicas)
        folded[key] = _joined(folded[key], own) if key in folded else own
    if not ruled:
        return sorted(folded.values(), key=lambda a: a.fingerprint)
    if external is None:
        firing = [a.labels for a in ruled if a.state == "FIRING"]
        external = learned([a.labels for a in folded.values()], firing, replicas)
    added = {i for i in external.items() if i[0] not in replicas}

    def core(labels: Labels) -> Key:
        return frozenset(i for i in labels.items() if i[0] not in replicas and i not in added)

    known = {core(a.labels) for a in folded.values()}
    alone: dict[Key, AlertItem] = {}
    for alert in ruled:
        key = core(alert.labels)
        if key not in known and (key not in alone or alone[key].state == "PENDING"):
            labels = external | alert.labels
            alone[key] = replace(alert, labels=labels, fingerprint=fingerprint(labels))
    return sorted([*folded.values(), *alone.values()], key=lambda a: a.fingerprint)


def _joined(one: AlertItem, other: AlertItem) -> AlertItem:
    """The same alert at two Alertmanagers, or of a HA pair, of which the first by name is shown. One that
    notifies outweighs one that is kept quiet."""
    first, second = sorted((one, other), key=lambda a: (sorted(a.labels.items()), a.fingerprint))
    starts = [a.starts_at for a in (first, second) if a.starts_at]
    return replace(
        first,
        state="FIRING" if "FIRING" in (one.state, other.state) else first.state,
        starts_at=min(starts) if starts else None,
        receivers=sorted({*first.receivers, *second.receivers}),
        silenced_by=sorted({*first.silenced_by, *second.silenced_by}),
        inhibited_by=sorted({*first.inhibited_by, *second.inhibited_by}),
    )


def learned(
    managed: Iterable[Labels], firing: Sequence[Labels], replicas: frozenset[str] = REPLICA_LABELS
) -> Labels:
    """External labels that are not told: what most firing alerts of Prometheus have more at Alertmanager;
    the least of equals."""
    by_name: dict[str, list[Key]] = {}
    for labels in managed:
        by_name.setdefault(labels.get("alertname", ""), []).append(frozenset(labels.items()))
    votes: Counter[Key] = Counter()
    for labels in firing[:_VOTERS]:
        own = frozenset(labels.items())
        more = [items - own for items in by_name.get(labels.get("alertname", ""), []) if own <= items]
        if more:
            least = min(more, key=lambda items: (len(items), sorted(items)))
            votes[frozenset(i for i in least if i[0] not in replicas)] += 1
    if not votes:
        return {}
    return dict(min(votes.items(), key=lambda v: (-v[1], len(v[0]), sorted(v[0])))[0])
