"""All that happened in a cluster as far as its API server knows, for one axis of time.

Only the lists that the wanted types need are read, and only of one namespace where one is named. What the
user may not list is left out, and said in one line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Change, KubeEvent
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources import kubernetes_changes as changes
from aiops_cli.sources import kubernetes_objects as k8s
from aiops_cli.sources import kubernetes_states as states

if TYPE_CHECKING:
    from aiops_cli.sources.kubernetes import KubernetesSource

_LISTS: dict[str, tuple[str, Any, bool]] = {
    "events": ("/api/v1", k8s.Event, False),
    "pods": ("/api/v1", k8s.Pod, False),
    "nodes": ("/api/v1", k8s.Node, False),
    "resourcequotas": ("/api/v1", k8s.ResourceQuota, False),
    "configmaps": ("/api/v1", k8s.Object, True),
    "secrets": ("/api/v1", k8s.Object, True),
    "deployments": ("/apis/apps/v1", k8s.Deployment, False),
    "replicasets": ("/apis/apps/v1", k8s.ReplicaSet, False),
    "controllerrevisions": ("/apis/apps/v1", k8s.ControllerRevision, False),
    "jobs": ("/apis/batch/v1", k8s.Object, True),
    "horizontalpodautoscalers": ("/apis/autoscaling/v2", k8s.Autoscaler, False),
}
"""Each list's API, what of its items is decoded, and whether it is asked for by metadata alone."""
_REVISIONS = ("deployments", "replicasets", "controllerrevisions")
_NEEDS: dict[str, tuple[str, ...]] = {
    "warning": ("events",),
    "normal": ("events",),
    "rollout": _REVISIONS,
    "scaling": ("events", *_REVISIONS),
    "config": ("configmaps", "secrets"),
    "condition": ("deployments",),
    "autoscaler": ("horizontalpodautoscalers",),
    "node": ("nodes",),
    "quota": ("resourcequotas",),
    "restart": ("pods",),
}
_HELPS: dict[str, tuple[str, ...]] = {
    "config": _REVISIONS[1:],
    "autoscaler": ("events",),
    "restart": ("replicasets", "jobs"),
}
"""Lists without which a type has all its rows, though less is said of them: nobody need allow them."""
KUBERNETES_TYPES = frozenset(_NEEDS)


class _Lists:
    """The lists of one cluster, and what is missing of them."""

    def __init__(self, source: KubernetesSource, namespace: str | None) -> None:
        self._source, self._namespace = source, namespace
        self._rows: dict[str, list[Any]] = {}
        self._own_only: list[str] = []
        self._failed: dict[str, ClusterError] = {}

    async def read(self, needed: set[str], helpful: set[str]) -> None:
        """Raises ClusterError if nothing that is needed can be read."""
        if self._namespace is not None:  # nodes lie in none
            needed = needed - {"nodes"}
        await asyncio.gather(*(self._one(name) for name in sorted(needed | helpful)))
        for name in helpful - needed:
            self._failed.pop(name, None)
        self._own_only = [name for name in self._own_only if name in needed]
        if needed and needed <= self._failed.keys():
            raise next(iter(self._failed.values()))

    async def _one(self, name: str) -> None:
        api, kind, metadata_only = _LISTS[name]
        try:
            if self._namespace is not None:
                path = f"{api}/namespaces/{self._namespace}/{name}"
                self._rows[name] = await self._source.items(path, kind, metadata_only=metadata_only)
            elif name == "nodes":
                self._rows[name] = await self._source.items(f"{api}/{name}", kind)
            else:
                answer = await self._source.everywhere(api, name, kind, metadata_only=metadata_only)
                self._rows[name] = answer.rows
                if answer.partial:
                    self._own_only.append(name)
        except ClusterError as error:
            self._failed[name] = error

    def __getitem__(self, name: str) -> list[Any]:
        return self._rows.get(name, [])

    @property
    def notes(self) -> list[str]:
        """What is missing, one line a reason. An API that a server does not have lacks nothing."""
        notes = []
        if self._own_only:
            names = ", ".join(sorted(self._own_only))
            notes.append(f"only namespace {self._source.namespace} of {names}: others may not be listed")
        forbidden = sorted(n for n, e in self._failed.items() if e.code is ErrorCode.FORBIDDEN)
        if forbidden:
            notes.append(f"without {', '.join(forbidden)}: they may not be listed")
        for name, error in self._failed.items():
            if error.code not in (ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND):
                notes.append(f"without {name}: {error.message}")
        return notes


async def timeline(
    source: KubernetesSource, window: TimeRange, types: Collection[str], namespace: str | None
) -> Answer[KubeEvent | Change]:
    """Events, changes and states of those types in the window, in no order.

    Scalings are told as changes and not as events too. Raises ClusterError if nothing can be read.
    """
    wanted = KUBERNETES_TYPES.intersection(types)
    lists = _Lists(source, namespace)
    await lists.read(
        {name for kind in wanted for name in _NEEDS[kind]},
        {name for kind in wanted for name in _HELPS.get(kind, ())},
    )
    seen = [changes.kube_event(e) for e in lists["events"] if window.start <= e.at <= window.end]
    revisions = lists["deployments"], lists["replicasets"], lists["controllerrevisions"]
    rolled = changes.rollouts(*revisions, since=window.start - changes.ROLLOUT_SECONDS)
    scaled = changes.scalings(seen, rolled)
    found: list[Change] = []
    now = time.time()
    if "rollout" in wanted:
        found += rolled
    if "scaling" in wanted:
        found += scaled
    if "config" in wanted:
        users = changes.config_users(*revisions[1:])
        found += changes.config_edits(lists["configmaps"], "ConfigMap", users)
        found += changes.config_edits(lists["secrets"], "Secret", users)
    if "condition" in wanted:
        found += changes.failed_conditions(lists["deployments"])
    if "autoscaler" in wanted:
        found += _without_rescalings(states.autoscaler_states(lists["horizontalpodautoscalers"]), scaled)
    if "node" in wanted:
        found += states.node_states(lists["nodes"], window, now)
    if "quota" in wanted:
        found += states.quota_states(lists["resourcequotas"], window, now)
    if "restart" in wanted:
        above = k8s.owners([*lists["replicasets"], *lists["jobs"]])
        found += states.ended_containers((pod, k8s.top_owner(pod, above)[1]) for pod in lists["pods"])
    rows: list[KubeEvent | Change] = [c for c in found if window.start <= c.at <= window.end]
    told = {(c.at, c.kind, c.namespace, c.name, c.detail) for c in scaled}
    rows += [
        e
        for e in seen
        if e.type.lower() in wanted and (e.at, e.kind, e.namespace, e.name, e.message) not in told
    ]
    notes = lists.notes
    return Answer(rows, warnings=notes, partial=bool(notes))


def _without_rescalings(found: list[Change], scaled: list[Change]) -> list[Change]:
    """Without the last scaling of an autoscaler of which there still is the event."""
    told = [(c.namespace, c.name, c.at) for c in scaled if c.kind == states.AUTOSCALER]
    return [
        c
        for c in found
        if not c.detail.startswith(states.RESCALED)
        or not any((c.namespace, c.name) == (ns, name) and abs(c.at - at) < 5 for ns, name, at in told)
    ]
