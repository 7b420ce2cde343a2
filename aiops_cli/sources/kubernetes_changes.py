"""What changed in a cluster, read from what its objects remember of themselves.

Rollouts come from ReplicaSets and ControllerRevisions (kubectl's `rollout history` reads the same),
edits from `managedFields`, scalings from events.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from aiops_cli.models.signals import Change, KubeEvent
from aiops_cli.sources.kubernetes_objects import (
    ControllerRevision,
    Deployment,
    Object,
    ReplicaSet,
    unix,
)

_REVISION = "deployment.kubernetes.io/revision"
_HISTORY = "deployment.kubernetes.io/revision-history"
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_CAUSE = "kubernetes.io/change-cause"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_SCALED = ("ScalingReplicaSet", "SuccessfulRescale")
_PUBLISHED = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
_ROLLOUT_SECONDS = 600.0
_SECRET_NAME = re.compile(r"pass|pwd|secret|token|key|cred|auth|dsn|cert|private|cookie|salt|sign", re.I)
_HARMLESS = re.compile(r"[\w.,:/ +%=-]{0,48}")
_RANDOM = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9+/_-]{20,}")
_NOISE_KEYS = frozenset({"containers", "initContainers", "volumes"})


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
) -> list[Change]:
    """Each known revision as a change, with how its pod template differs from the one before."""
    grouped: dict[str, list[Revision]] = defaultdict(list)
    by_uid = {d.metadata.uid: d for d in deployments}
    for replica_set in replica_sets:
        meta = replica_set.metadata
        owner, number = meta.controller, meta.annotations.get(_REVISION, "")
        if owner is None or not number.isdigit():
            continue
        at: float | None = meta.created
        if meta.annotations.get(_HISTORY):
            at = _rolled_back_at(by_uid.get(owner.uid), number)
        cause = meta.annotations.get(_CAUSE, "")
        grouped[owner.uid].append(
            Revision(
                owner.kind, owner.name, meta.namespace, int(number), at, replica_set.spec.template, cause
            )
        )
    for revision in revisions:
        meta = revision.metadata
        if (owner := meta.controller) is not None:
            template = revision.data.spec.template
            grouped[owner.uid].append(
                Revision(
                    owner.kind, owner.name, meta.namespace, revision.revision, meta.created, template, ""
                )
            )
    changes = []
    for history in grouped.values():
        history.sort(key=lambda r: r.number)
        for before, now in zip([None, *history], history, strict=False):
            if now.at is not None:
                detail = _describe(before, now)
                changes.append(Change(now.at, now.kind, now.name, now.namespace, "rollout", detail))
    return changes


def scalings(events: Iterable[KubeEvent], rollouts: Iterable[Change]) -> list[Change]:
    """Changes of the number of replicas, but for the steps that a rollout itself is made of.

    Only events tell: `managedFields` has no time for writes of the scale subresource.
    """
    scaled = [e for e in events if e.reason in _SCALED]
    rolled: dict[tuple[str, str], list[float]] = defaultdict(list)
    for change in rollouts:
        rolled[change.namespace, change.name].append(change.at)

    def is_step(event: KubeEvent) -> bool:
        """A rollout starts a ReplicaSet from none and moves replicas between two of them."""
        owner = event.namespace, event.name
        for at in rolled.get(owner, []):
            if event.reason != "ScalingReplicaSet" or not at - 5 <= event.at <= at + _ROLLOUT_SECONDS:
                continue
            if " from 0 to " in event.message or " from " not in event.message:
                return True
            if any(
                (other.namespace, other.name) == owner
                and at - 5 <= other.at <= at + _ROLLOUT_SECONDS
                and _replica_set(other) not in ("", _replica_set(event))
                for other in scaled
            ):
                return True
        return False

    return [Change(e.at, e.kind, e.name, e.namespace, "scaling", e.message) for e in scaled if not is_step(e)]


def _replica_set(event: KubeEvent) -> str:
    found = re.search(r"replica set (\S+)", event.message)
    return found[1] if found else ""


def config_edits(config_maps: Iterable[Object]) -> list[Change]:
    """The last write of each ConfigMap, but for locks of leader elections and published CAs."""
    changes = []
    for row in config_maps:
        meta = row.metadata
        writes = [w for w in meta.managed_fields if w.time is not None]
        if not writes or _LEADER in meta.annotations or meta.name in _PUBLISHED:
            continue
        last = max(writes, key=lambda w: unix(w.time))
        verb = "created" if unix(last.time) - meta.created < 2 else "edited"
        changes.append(
            Change(
                unix(last.time),
                "ConfigMap",
                meta.name,
                meta.namespace,
                "config",
                f"{verb} by {last.manager}",
            )
        )
    return changes


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


def template_differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """How two pod templates differ, in words. Values that may be secret are not shown."""
    found: list[str] = []
    notes, old_notes = _annotations(now), _annotations(before)
    if notes.get(_RESTARTED) != old_notes.get(_RESTARTED):
        found.append("restarted")
    for name in sorted(notes.keys() | old_notes.keys()):
        if name != _RESTARTED and notes.get(name) != old_notes.get(name):
            found.append(f"annotation {name} changed")
    spec, old_spec = now.get("spec") or {}, before.get("spec") or {}
    for group in ("initContainers", "containers"):
        found += _container_differences(_named(old_spec.get(group)), _named(spec.get(group)))
    found += _volume_differences(_named(old_spec.get("volumes")), _named(spec.get("volumes")))
    for key in sorted((spec.keys() | old_spec.keys()) - _NOISE_KEYS):
        if spec.get(key) != old_spec.get(key):
            found.append(f"{key} changed")
    return found


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


def _describe(before: Revision | None, now: Revision) -> str:
    template = _decoded(now)
    if before is None:
        images = ", ".join(
            c.get("image", "") for c in _named((template.get("spec") or {}).get("containers")).values()
        )
        start = "created" if now.number == 1 else f"revision {now.number}"
        parts = [f"{start} with image {images}"]
    else:
        parts = template_differences(_decoded(before), template) or ["no visible difference"]
        parts[0] = f"revision {before.number} → {now.number}: {parts[0]}"
    return "; ".join([*parts, *([f"cause: {now.cause}"] if now.cause else [])])


def _decoded(revision: Revision) -> dict[str, Any]:
    decoded = msgspec.json.decode(revision.template)
    return decoded if isinstance(decoded, dict) else {}


def _annotations(template: dict[str, Any]) -> dict[str, str]:
    return (template.get("metadata") or {}).get("annotations") or {}


def _named(rows: Any) -> dict[str, dict[str, Any]]:
    return {str(row.get("name", "")): row for row in rows or [] if isinstance(row, dict)}


def _container_differences(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> list[str]:
    found = [f"container {name} removed" for name in before if name not in now]
    for name, new in now.items():
        old = before.get(name)
        if old is None:
            found.append(f"container {name} added with image {new.get('image', '')}")
            continue
        if old.get("image") != new.get("image"):
            found.append(f"image of {name} {old.get('image')} → {new.get('image')}")
        found += _env_differences(_named(old.get("env")), _named(new.get("env")))
        for key in ("command", "args"):
            found += _argument_differences(key, old.get(key) or [], new.get(key) or [])
        found += _resource_differences(name, old.get("resources") or {}, new.get("resources") or {})
        rest = (old.keys() | new.keys()) - {"name", "image", "env", "command", "args", "resources"}
        found += [f"{key} of {name} changed" for key in sorted(rest) if old.get(key) != new.get(key)]
    return found


def _env_differences(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> list[str]:
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if old is None:
            found.append(f"env {name} added{_with(name, new)}")
        elif new is None:
            found.append(f"env {name} removed")
        else:
            old_text, new_text = _with(name, old), _with(name, new)
            shown = bool(old_text and new_text)
            found.append(f"env {name}{old_text} →{new_text}" if shown else f"env {name} changed")
    return found


def _with(name: str, entry: dict[str, Any] | None) -> str:
    """` value`, or nothing where it comes from elsewhere or may be secret."""
    value = (entry or {}).get("value")
    return f" {value}" if isinstance(value, str) and _may_show(name, value) else ""


def _argument_differences(key: str, before: list[str], now: list[str]) -> list[str]:
    if before == now:
        return []
    gone, fresh = [a for a in before if a not in now], [a for a in now if a not in before]
    if not (gone or fresh) or not all(_may_show(a.partition("=")[0], a) for a in gone + fresh):
        return [f"{key} changed"]
    return [f"{key} {' '.join(gone) or '(none)'} → {' '.join(fresh) or '(none)'}"]


def _resource_differences(name: str, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    found = []
    for kind in ("requests", "limits"):
        old, new = before.get(kind) or {}, now.get(kind) or {}
        for resource in sorted(old.keys() | new.keys()):
            if old.get(resource) != new.get(resource):
                was, becomes = old.get(resource, "none"), new.get(resource, "none")
                found.append(f"{kind.removesuffix('s')} of {name} {resource} {was} → {becomes}")
    return found


def _volume_differences(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> list[str]:
    names = sorted(before.keys() | now.keys())
    return [f"volume {name} changed" for name in names if before.get(name) != now.get(name)]


def _may_show(name: str, value: str) -> bool:
    """Short plain values under harmless names; nothing that looks like a password, a key or a login."""
    return bool(not _SECRET_NAME.search(name) and _HARMLESS.fullmatch(value) and not _RANDOM.search(value))
