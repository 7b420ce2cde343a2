"""What happened in the fleet, on one axis of time: Kubernetes events, changes, states, starts of alerts."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass

from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, UsageError
from aiops_cli.models.alerts import AlertPeriod
from aiops_cli.models.events import CHANGES, TYPES, EventItem
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import AlertItem, Change, KubeEvent, Workload
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.times import rfc3339, unix

KINDS = {
    "po": "Pod",
    "pods": "Pod",
    "deploy": "Deployment",
    "deployments": "Deployment",
    "rs": "ReplicaSet",
    "replicasets": "ReplicaSet",
    "sts": "StatefulSet",
    "statefulsets": "StatefulSet",
    "ds": "DaemonSet",
    "daemonsets": "DaemonSet",
    "no": "Node",
    "nodes": "Node",
    "cm": "ConfigMap",
    "configmaps": "ConfigMap",
    "secrets": "Secret",
    "hpa": "HorizontalPodAutoscaler",
    "quota": "ResourceQuota",
    "resourcequotas": "ResourceQuota",
    "svc": "Service",
    "services": "Service",
    "ing": "Ingress",
    "jobs": "Job",
    "cj": "CronJob",
    "cronjobs": "CronJob",
    "pvc": "PersistentVolumeClaim",
    "pv": "PersistentVolume",
    "ns": "Namespace",
    "alerts": "Alert",
}
"""kubectl's short names and plurals."""
_TYPES_OF_KIND = {
    "node": {"node"},
    "resourcequota": {"quota"},
    "horizontalpodautoscaler": {"autoscaler", "scaling"},
    "configmap": {"config"},
    "secret": {"config"},
    "deployment": {"rollout", "scaling", "condition"},
    "rollout": {"rollout"},
    "statefulset": {"rollout"},
    "daemonset": {"rollout"},
    "pod": {"restart"},
}
"""Which changes and states are about a kind; events and alerts may be about any."""
_CLUSTER_SCOPED = frozenset(
    {"Node", "Namespace", "PersistentVolume", "StorageClass", "ClusterRole", "CSINode"}
)
_ALERT_OBJECTS = (
    ("pod", "Pod"),
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("job_name", "Job"),
    ("node", "Node"),
)
_ALERT_NAMES = ("service", "service_name", "app", "workload", "container", "job")
_SAME_START = 120.0
# The alphabet of generated names: of pods (five letters) and of the hash in a ReplicaSet's name.
_LETTERS = "[bcdfghjklmnpqrstvwxz2456789]"


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show. `kind` compares without case; `name` is an object's, or a workload's with all it made;
    `types` are of TYPES."""

    types: frozenset[str]
    namespace: str | None = None
    kind: str | None = None
    name: str | None = None
    name_kind: str | None = None


def filter_of(
    name: str | None, namespace: str | None, kind: str | None, types: Sequence[str], *, alerts: bool
) -> Filter:
    """From what the user wrote: NAME or KIND/NAME, types alone or separated by commas. Raises UsageError."""
    wanted: set[str] = set()
    for one in (part.strip().lower() for text in types for part in text.split(",")):
        if one in ("change", "changes"):
            wanted |= CHANGES
        elif one in TYPES:
            wanted.add(one)
        else:
            raise UsageError(
                f"unknown type {one!r}", hint=f"one or more of: change (all changes), {', '.join(TYPES)}"
            )
    found = frozenset(wanted or set(TYPES) - {"alert"}) | ({"alert"} if alerts else set())
    name_kind = None
    if name is not None and "/" in name:
        prefix, _, name = name.partition("/")
        name_kind = _kind(prefix)
    if name == "" or name_kind == "":
        raise UsageError("write NAME or KIND/NAME", hint="aiops events deploy/checkout")
    kind = _kind(kind) if kind else None
    if kind:
        possible = {"warning", "normal", "alert"} | _TYPES_OF_KIND.get(kind.lower(), set())
        if not found & possible:
            raise UsageError(
                f"nothing of type {', '.join(sorted(found))} is about a {kind}",
                hint=f"types of this kind: {', '.join(t for t in TYPES if t in possible)}",
            )
        found = found & possible
    return Filter(found, namespace, kind, name, name_kind)


def _kind(text: str) -> str:
    return KINDS.get(text.lower(), text)


async def list_events(
    members: Sequence[Member],
    window: TimeRange,
    wanted: Filter,
    *,
    step: float = 0.0,
    watch: Watcher | None = None,
) -> FleetResult[EventItem]:
    """All that happened in the window and fits, oldest first. `step` is a bundle's, for its alerts."""

    async def ask(member: Member) -> Answer[EventItem]:
        asks: list[Coroutine[None, None, Answer[EventItem]]] = []
        if wanted.types - {"alert"}:
            asks.append(_of_kubernetes(member, window, wanted))
        if "alert" in wanted.types:
            asks.append(_alerts(member, window, wanted, step))
        return _joined(await asyncio.gather(*(_attempt(a) for a in asks)))

    result = await fan_out(members, ask, watch=watch)
    rows = [row for _, row in result.rows]
    # What was done stands before what came of it in the same second.
    rows.sort(
        key=lambda r: (r.time, r.type not in CHANGES, r.cluster, r.namespace or "", r.kind, r.name, r.what)
    )
    return result.with_rows(rows)


async def _attempt(ask: Coroutine[None, None, Answer[EventItem]]) -> Answer[EventItem] | AiopsError:
    try:
        return await ask
    except AiopsError as error:
        return error


def _joined(outcomes: Sequence[Answer[EventItem] | AiopsError]) -> Answer[EventItem]:
    """One cluster's answers as one. What failed beside one that did not makes it partial; raises the first
    error if all failed."""
    answers = [o for o in outcomes if isinstance(o, Answer)]
    errors = [o for o in outcomes if isinstance(o, AiopsError)]
    if not answers:
        raise errors[0]
    notes = [w for a in answers for w in a.warnings] + [e.message for e in errors]
    return Answer(
        [row for a in answers for row in a.rows],
        answers[0].source,
        warnings=[*dict.fromkeys(notes)],
        partial=bool(errors) or any(a.partial for a in answers),
    )


async def _of_kubernetes(member: Member, window: TimeRange, wanted: Filter) -> Answer[EventItem]:
    source = await member.kube()
    answer = await source.timeline(window, wanted.types - {"alert"}, wanted.namespace)
    pods: list[Workload] = []
    if wanted.name is not None:
        # Where pods may not be listed, which the timeline says, names alone tell what made them.
        with contextlib.suppress(ClusterError):
            pods = (await source.workloads()).rows
    family = _Family(wanted.name, wanted.name_kind, pods)
    rows = [item for row in answer.rows if _fits(item := _item(member.name, row), wanted, family)]
    return Answer(rows, answer.source, warnings=answer.warnings, partial=answer.partial)


def _item(cluster: str, row: KubeEvent | Change) -> EventItem:
    namespace = None if row.kind in _CLUSTER_SCOPED else row.namespace or None
    if isinstance(row, KubeEvent):
        what = f"{row.reason}: {row.message}" if row.message else row.reason
        return EventItem(
            cluster,
            rfc3339(row.at),
            row.type.lower(),
            row.kind,
            row.name,
            namespace,
            what,
            row.reason,
            row.count,
        )
    readers = f"; read by {', '.join(row.workloads)}" if row.what == "config" and row.workloads else ""
    return EventItem(
        cluster,
        rfc3339(row.at),
        row.what,
        row.kind,
        row.name,
        namespace,
        row.detail + readers,
        None,
        row.count,
        row.differences,
        row.workloads,
    )


def _fits(row: EventItem, wanted: Filter, family: _Family) -> bool:
    return (
        row.type in wanted.types
        and wanted.namespace in (None, row.namespace)
        and (wanted.kind is None or row.kind.lower() == wanted.kind.lower())
        and (wanted.name is None or family.has(row))
    )


class _Family:
    """A workload and all that it made: by owner, and what is gone by the names that Kubernetes generates."""

    def __init__(self, name: str | None, kind: str | None, pods: Iterable[Workload]) -> None:
        self._name, self._kind = name or "", (kind or "").lower()
        self._owners = {(w.namespace, w.pod): (w.owner_kind or "", w.owner or "") for w in pods}
        self._named = {owner for _, owner in self._owners.values() if owner} | {self._name}

    def has(self, row: EventItem) -> bool:
        if row.name == self._name and (not self._kind or row.kind.lower() == self._kind):
            return True
        if self._kind in ("pod", "node", "configmap", "secret"):
            return False
        if self._name in row.workloads:
            return True
        if row.kind == "Pod":
            owner = self._owners.get((row.namespace or "", row.name))
            if owner is not None:
                return owner[1] == self._name and self._kind in ("", owner[0].lower())
            return self._made(row.name, f"(-{_LETTERS}{{1,10}}|-\\d{{8,}})?-{_LETTERS}{{5}}|-\\d+")
        return row.kind in ("ReplicaSet", "Job") and self._made(row.name, f"-{_LETTERS}{{1,10}}|-\\d{{8,}}")

    def _made(self, name: str, suffix: str) -> bool:
        """Whether a generated name is of this workload, and of none with a longer name."""
        able = [n for n in self._named if n and name.startswith(n) and re.fullmatch(suffix, name[len(n) :])]
        return bool(able) and max(able, key=len) == self._name


async def _alerts(member: Member, window: TimeRange, wanted: Filter, step: float) -> Answer[EventItem]:
    """Alerts that began in the window: those that are active, and those that have ended, as far as
    Prometheus wrote them down. Raises the first's error if both can't be read."""
    from aiops_cli.services import alert_history, alerts

    active = await alerts.active([member])
    past = await alert_history.history([member], window, step=step)
    statuses = [*active.clusters, *past.clusters]
    if active.failed and past.failed:
        error = active.clusters[0].error
        assert error is not None
        raise ClusterError(
            error.message, hint=error.hint, code=ErrorCode(error.code), endpoint=error.endpoint
        )
    began: list[tuple[float, EventItem]] = []
    firing = [
        (at, alert)
        for alert in active.rows
        if alert.state != "PENDING" and (at := unix(alert.starts_at)) is not None
    ]
    for at, period in without_active([p for p in past.rows if not p.started_before], firing):
        ended = f"until {period.ends_at}" if period.ends_at else "still firing"
        began.append((at, _alert(member.name, at, period.labels, period.name, period.severity, ended)))
    for at, alert in firing:
        about = alert.annotations.get("summary") or alert.annotations.get("description")
        told = alert.state.lower() + (f": {about}" if about else "")
        began.append((at, _alert(member.name, at, alert.labels, alert.name, alert.severity, told)))
    family = _Family(wanted.name, wanted.name_kind, [])
    rows = [row for at, row in began if window.start <= at <= window.end and _fits(row, wanted, family)]
    warnings = [w for s in statuses for w in [*s.warnings, *([s.error.message] if s.error else [])]]
    return Answer(
        rows,
        statuses[0].source,
        warnings=[f"alerts: {w}" for w in dict.fromkeys(warnings)],
        partial=any(s.status != "SUCCESS" for s in statuses),
    )


def without_active(
    periods: Sequence[AlertPeriod], firing: Sequence[tuple[float, AlertItem]]
) -> list[tuple[float, AlertPeriod]]:
    """When periods began, without those that Alertmanager tells too: relabelling may add labels and take some
    away. Each is looked up by the pair of its labels that fewest have, so that a storm costs no square."""
    dated = [(at, period) for period in periods if (at := unix(period.starts_at)) is not None]
    often = Counter(pair for _, period in dated for pair in period.labels.items())
    by_pair: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, (_, period) in enumerate(dated):
        by_pair[min(period.labels.items(), key=often.__getitem__, default=("", ""))].append(i)
    told: set[int] = set()
    for at, alert in firing:
        for pair in alert.labels.items():
            for i in by_pair.get(pair, ()):
                began, period = dated[i]
                if abs(began - at) <= _SAME_START and period.labels.items() <= alert.labels.items():
                    told.add(i)
    return [one for i, one in enumerate(dated) if i not in told]


def _alert(
    cluster: str, at: float, labels: dict[str, str], name: str, severity: str | None, told: str
) -> EventItem:
    """An alert as what its labels say it is about, else as itself."""
    kind, about = next(((k, labels[n]) for n, k in _ALERT_OBJECTS if labels.get(n)), ("Alert", name))
    words = [name] if kind != "Alert" else []
    what = " ".join([*words, *([severity] if severity else []), told])
    workloads = [v for n in _ALERT_NAMES if (v := labels.get(n)) and v != about]
    namespace = None if kind in _CLUSTER_SCOPED else labels.get("namespace")
    return EventItem(
        cluster,
        rfc3339(at),
        "alert",
        kind,
        about,
        namespace,
        what,
        name,
        workloads=[*dict.fromkeys(workloads)],
    )
