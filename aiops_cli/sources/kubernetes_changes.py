"""What changed in a cluster, read from what its objects remember of themselves.

Rollouts come from ReplicaSets and ControllerRevisions (kubectl's `rollout history` reads the same),
edits from `managedFields`, scalings from events.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from aiops_cli.models.signals import Change, Difference, KubeEvent
from aiops_cli.sources.kubernetes_objects import (
    ControllerRevision,
    Deployment,
    Event,
    Meta,
    Object,
    ReplicaSet,
    unix,
)
from aiops_cli.sources.kubernetes_templates import config_references, differences, gives_away, images, said

_REVISION = "deployment.kubernetes.io/revision"
_ARGO_REVISION = "rollout.argoproj.io/revision"
_HISTORY = "deployment.kubernetes.io/revision-history"
_CAUSE = "kubernetes.io/change-cause"
_SERVICE_ACCOUNT = "kubernetes.io/service-account.name"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_SCALED = ("ScalingReplicaSet", "SuccessfulRescale")
_PUBLISHED = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
ROLLOUT_SECONDS = 600.0


def kube_event(event: Event) -> KubeEvent:
    about = event.involved_object
    return KubeEvent(
        at=event.at,
        type=event.type,
        reason=event.reason,
        kind=about.kind,
        name=about.name,
        namespace=about.namespace or event.metadata.namespace,
        message=event.message,
        count=event.seen,
    )


@dataclass(frozen=True, slots=True)
class Revision:
    """A pod template that a workload had from `at` on (unix seconds; None where nothing tells)."""

    kind: str
    name: str
    namespace: str
    number: int
    at: float | None
    template: msgspec.Raw
    cause: str


def rollouts(
    deployments: Iterable[Deployment],
    replica_sets: Iterable[ReplicaSet],
    revisions: Iterable[ControllerRevision],
    since: float = 0.0,
) -> list[Change]:
    """Each known revision as a change, with how its pod template differs from the one before.

    Those of before `since` (unix seconds) are left out: comparing templates is what takes the time.
    """
    changes = []
    for history in _histories(deployments, replica_sets, revisions):
        for before, now in zip([None, *history], history, strict=False):
            if now.at is not None and now.at >= since:
                detail, found = _describe(before, now)
                changes.append(Change(now.at, now.kind, now.name, now.namespace, "rollout", detail, found))
    return changes


def config_users(
    replica_sets: Iterable[ReplicaSet], revisions: Iterable[ControllerRevision]
) -> dict[tuple[str, str, str], list[str]]:
    """Which workloads read a ConfigMap or Secret by their newest template: (kind, namespace, name) to names."""
    users: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for history in _histories((), replica_sets, revisions):
        newest = history[-1]
        for kind, name in config_references(_decoded(newest)):
            users[kind, newest.namespace, name].add(newest.name)
    return {reference: sorted(names) for reference, names in users.items()}


def _histories(
    deployments: Iterable[Deployment],
    replica_sets: Iterable[ReplicaSet],
    revisions: Iterable[ControllerRevision],
) -> list[list[Revision]]:
    """The revisions of each workload, oldest first."""
    grouped: dict[str, list[Revision]] = defaultdict(list)
    by_uid = {d.metadata.uid: d for d in deployments}
    for replica_set in replica_sets:
        meta = replica_set.metadata
        notes, owner = meta.annotations, meta.controller
        number = notes.get(_REVISION) or notes.get(_ARGO_REVISION, "")
        if owner is None or not number.isdecimal():
            continue
        at: float | None = meta.created
        if notes.get(_HISTORY):
            at = _rolled_back_at(by_uid.get(owner.uid), number)
        template = replica_set.spec.template
        grouped[owner.uid].append(
            Revision(owner.kind, owner.name, meta.namespace, int(number), at, template, notes.get(_CAUSE, ""))
        )
    for revision in revisions:
        meta = revision.metadata
        if (owner := meta.controller) is not None:
            # An old revision that comes back is renumbered, which is its last write.
            written = max((unix(w.time) for w in meta.managed_fields), default=0.0)
            at, template = max(written, meta.created), revision.data.spec.template
            grouped[owner.uid].append(
                Revision(owner.kind, owner.name, meta.namespace, revision.revision, at, template, "")
            )
    return [sorted(history, key=lambda r: r.number) for history in grouped.values()]


def scalings(events: Iterable[KubeEvent], rollouts: Iterable[Change]) -> list[Change]:
    """Changes of the number of replicas, but for the steps that a rollout itself is made of.

    Only events tell: `managedFields` has no time for writes of the scale subresource.
    """
    scaled = [e for e in events if e.reason in _SCALED]
    steps: dict[tuple[str, str], list[KubeEvent]] = defaultdict(list)
    for event in scaled:
        if event.reason == "ScalingReplicaSet":
            steps[event.namespace, event.name].append(event)
    rolled: dict[tuple[str, str], list[float]] = defaultdict(list)
    for change in rollouts:
        rolled[change.namespace, change.name].append(change.at)

    def is_step(event: KubeEvent) -> bool:
        owner = event.namespace, event.name
        times = sorted(rolled.get(owner, []))
        return event.reason == "ScalingReplicaSet" and any(
            _is_step(event, at, min(later, at + ROLLOUT_SECONDS), steps[owner])
            for at, later in itertools.pairwise([*times, math.inf])
        )

    return [Change(e.at, e.kind, e.name, e.namespace, "scaling", e.message) for e in scaled if not is_step(e)]


def _is_step(event: KubeEvent, start: float, end: float, steps: list[KubeEvent]) -> bool:
    """Whether an event is of the rollout that began at `start`, the next one at `end` (unix seconds).

    A rollout starts one ReplicaSet from none and moves replicas to it: only that one grows.
    """
    if not start - 5 <= event.at < end:
        return False
    if " from 0 to " in event.message or " from " not in event.message:
        return True
    beside = [e for e in steps if start - 5 <= e.at < end]
    started = [e for e in beside if " from 0 to " in e.message]
    if started and event.message.startswith("Scaled up"):
        # The last to start is this rollout's; one before it may be of a rollout that was seconds ago.
        # Times are whole seconds: of one second, the last that was listed, since events are named by their time.
        new = max(reversed(started), key=lambda e: e.at)
        if _replica_set(new) != _replica_set(event):
            return False
    return any(_replica_set(e) not in ("", _replica_set(event)) for e in beside)


def _replica_set(event: KubeEvent) -> str:
    found = re.search(r"replica set (\S+)", event.message)
    return found[1] if found else ""


def config_edits(
    rows: Iterable[Object],
    kind: str = "ConfigMap",
    users: Mapping[tuple[str, str, str], list[str]] | None = None,
) -> list[Change]:
    """The last write of each ConfigMap or Secret, but for locks of leader elections, published CAs and
    tokens of service accounts. Of `users` see `config_users`."""
    changes = []
    for row in rows:
        meta = row.metadata
        writes = [w for w in meta.managed_fields if w.time is not None]
        if (
            not writes
            or _LEADER in meta.annotations
            or _SERVICE_ACCOUNT in meta.annotations
            or meta.name in _PUBLISHED
        ):
            continue
        last = max(writes, key=lambda w: unix(w.time))
        verb = "created" if unix(last.time) - meta.created < 2 else "edited"
        readers = (users or {}).get((kind, meta.namespace, meta.name), [])
        detail = f"{verb} by {last.manager}{_helm_release(meta)}"
        at = unix(last.time)
        changes.append(Change(at, kind, meta.name, meta.namespace, "config", detail, workloads=readers))
    return changes


def _helm_release(meta: Meta) -> str:
    """What Helm's own Secrets and ConfigMaps say of a release in their labels."""
    labels = meta.labels
    if labels.get("owner") != "helm" or not {"name", "version", "status"} <= labels.keys():
        return ""
    return f": Helm release {labels['name']} revision {labels['version']} {labels['status']}"


def failed_conditions(deployments: Iterable[Deployment]) -> list[Change]:
    """When a Deployment became unavailable, stopped progressing, or could not make its pods."""
    changes = []
    for deployment in deployments:
        meta = deployment.metadata
        for condition in deployment.status.conditions:
            if condition.status == ("True" if condition.type == "ReplicaFailure" else "False"):
                detail = f"{condition.type}={condition.status} {condition.reason}: {condition.message}"
                at = unix(condition.last_transition_time)
                changes.append(Change(at, "Deployment", meta.name, meta.namespace, "condition", detail))
    return changes


def _rolled_back_at(deployment: Deployment | None, number: str) -> float | None:
    """When an old ReplicaSet became current again: the controller then wrote the new revision number."""
    if deployment is None or deployment.metadata.annotations.get(_REVISION) != number:
        return None
    writes = [w for w in deployment.metadata.managed_fields if w.time is not None and not w.subresource]
    by_controller = [w for w in writes if w.manager == "kube-controller-manager"]
    times = [unix(w.time) for w in by_controller or writes]
    if not times:
        times = [unix(c.last_update_time) for c in deployment.status.conditions if c.type == "Progressing"]
    return max(times, default=None)


def _describe(before: Revision | None, now: Revision) -> tuple[str, list[Difference]]:
    template = _decoded(now)
    found: list[Difference] = []
    if before is None:
        start = "created" if now.number == 1 else f"revision {now.number}"
        parts = [f"{start} with image {', '.join(images(template))}"]
    else:
        found = differences(_decoded(before), template)
        parts = [said(d) for d in found] or ["no visible difference"]
        parts[0] = f"revision {before.number} → {now.number}: {parts[0]}"
    if now.cause:  # `kubectl set env … --record` writes the whole command there
        parts.append("cause: (left out)" if gives_away(now.cause) else f"cause: {now.cause}")
    return "; ".join(parts), found


def _decoded(revision: Revision) -> dict[str, Any]:
    decoded = msgspec.json.decode(revision.template)
    return decoded if isinstance(decoded, dict) else {}
