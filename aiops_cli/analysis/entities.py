"""One name for one thing: spans, series, logs and Kubernetes objects speak of the same entity differently."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiops_cli.models.analysis import Entity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiops_cli.models.signals import Workload

_WORKLOAD_KINDS = frozenset(
    {"service", "workload", "deployment", "statefulset", "daemonset", "replicaset", "job", "app", "rollout"}
)
_TEMPLATE_HASH = re.compile(r"-[0-9a-z]{6,10}$")


def owner_name(workload: Workload) -> str:
    """The workload a pod belongs to; a ReplicaSet's name loses the hash its Deployment appended."""
    owner = workload.owner or workload.pod
    if (workload.owner_kind or "").lower() != "replicaset":
        return owner
    hashed = workload.labels.get("pod-template-hash")
    if hashed and owner.endswith(f"-{hashed}"):
        return owner[: -len(hashed) - 1]
    return _TEMPLATE_HASH.sub("", owner)


class Directory:
    """Maps the names that signals use to one entity each.

    A service, a workload and its pods are one entity ("service"), since the fault of one shows in all;
    nodes, databases, links and clusters stay what they are.
    """

    def __init__(self, workloads: Iterable[tuple[str, Workload]], known: Iterable[Entity]) -> None:
        self._owner: dict[tuple[str | None, str], tuple[str, str | None]] = {}
        self.node_of: dict[Entity, dict[str, Entity]] = {}
        self._namespace: dict[tuple[str | None, str], set[str]] = {}
        self._seen: dict[Entity, Entity] = {}
        self._by_name: dict[tuple[str | None, str], Entity] = {}
        placed = [(cluster, workload, owner_name(workload)) for cluster, workload in workloads]
        for cluster, workload, owner in placed:
            self._owner[cluster, workload.pod] = (owner, workload.namespace or None)
            self._note(cluster, owner, workload.namespace or None)
        for entity in known:
            if entity.kind.lower() in _WORKLOAD_KINDS and entity.namespace:
                self._note(entity.cluster, entity.name, entity.namespace)
        for cluster, workload, owner in placed:
            if workload.node:
                service = self.entity(Entity("service", owner, workload.namespace or None, cluster))
                node = Entity("node", workload.node, None, cluster)
                self.node_of.setdefault(service, {})[workload.pod] = node

    def _note(self, cluster: str | None, name: str, namespace: str | None) -> None:
        if namespace:
            self._namespace.setdefault((cluster, name), set()).add(namespace)

    def entity(self, entity: Entity) -> Entity:
        """The one entity that `entity` is another name for; itself when nothing more is known."""
        known = self._seen.get(entity)
        if known is None:
            known = self._seen[entity] = self._resolve(entity)
            self._by_name.setdefault((known.cluster, known.name), known)
        return known

    def _resolve(self, entity: Entity) -> Entity:
        kind, name, namespace = entity.kind.lower(), entity.name, entity.namespace
        if kind in ("pod", "container"):
            owned = self._owner.get((entity.cluster, name))
            if owned is None:
                return entity
            name, namespace = owned
        elif kind not in _WORKLOAD_KINDS:
            return entity
        if namespace is None:
            spaces = self._namespace.get((entity.cluster, name), set())
            namespace = next(iter(spaces)) if len(spaces) == 1 else None
        return Entity("service", name, namespace, entity.cluster)

    def service(self, cluster: str | None, name: str, namespace: str | None = None) -> Entity:
        """The entity a span's service name stands for."""
        return self.entity(Entity("service", name, namespace, cluster))

    def object(self, cluster: str, kind: str, name: str, namespace: str | None) -> Entity:
        """The entity a Kubernetes event or change is about."""
        return self.entity(Entity(kind.lower(), name, namespace or None, cluster))

    def named(self, cluster: str | None, name: str) -> Entity | None:
        """Any entity already met under this name."""
        return self._by_name.get((cluster, name))
