"""Nodes and namespaces of a cluster, with their pods and quotas, as the Kubernetes API lists them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import TypeVar

import msgspec

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.cluster_detail import NamespaceItem, NodeItem
from aiops_cli.models.result import Answer
from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.sources.kubernetes_objects import (
    Condition,
    ContainerStatus,
    Meta,
    Pod,
    ResourceQuota,
)
from aiops_cli.sources.kubernetes_states import quantity

T = TypeVar("T")
_ROLE = "node-role.kubernetes.io/"
_GPUS = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe")
_MIG = "nvidia.com/mig-"
_ENDED = ("Succeeded", "Failed")
_REASONS = 3


class Address(msgspec.Struct):
    type: str = ""
    address: str = ""


class NodeInfo(msgspec.Struct, rename="camel"):
    kubelet_version: str = ""
    os_image: str = ""
    kernel_version: str = ""
    container_runtime_version: str = ""


class Taint(msgspec.Struct):
    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(msgspec.Struct):
    unschedulable: bool = False
    taints: list[Taint] = []


class NodeStatus(msgspec.Struct, rename="camel"):
    conditions: list[Condition] = []
    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    addresses: list[Address] = []
    node_info: NodeInfo = msgspec.field(default_factory=NodeInfo)


class Node(msgspec.Struct):
    metadata: Meta
    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class NamespaceStatus(msgspec.Struct):
    phase: str = ""


class Namespace(msgspec.Struct):
    metadata: Meta
    status: NamespaceStatus = msgspec.field(default_factory=NamespaceStatus)


async def nodes(kube: KubernetesSource, cluster: str, pods: Answer[Pod] | ClusterError) -> Answer[NodeItem]:
    """Every node, those that are not well first. `pods` are the cluster's, or why they can't be listed."""
    listed = await kube.items("/api/v1/nodes", Node)
    counts: Counter[str] | None = None
    notes: list[str] = []
    if isinstance(pods, ClusterError):
        notes.append(f"pods of nodes are not counted: {pods.message}")
    elif pods.partial:
        notes += pods.warnings
    else:
        running = (p for p in pods.rows if p.status.phase not in _ENDED and p.spec.node_name)
        counts = Counter(p.spec.node_name or "" for p in running)
    rows = [_node(cluster, n, None if counts is None else counts[n.metadata.name]) for n in listed]
    rows.sort(key=lambda n: (n.ready == "True" and not n.conditions, not n.cordoned, n.name))
    return Answer(rows, warnings=notes, partial=bool(notes))


def _node(cluster: str, node: Node, pods: int | None) -> NodeItem:
    ready = "Unknown"
    wrong: list[str] = []
    for condition in node.status.conditions:
        if condition.type == "Ready":
            ready = condition.status
            if ready != "True":
                wrong.insert(0, _told(condition))
        elif condition.status == "True":
            wrong.append(_told(condition))
    meta, status = node.metadata, node.status
    return NodeItem(
        cluster,
        meta.name,
        ready,
        sorted(k.removeprefix(_ROLE) for k in meta.labels if k.startswith(_ROLE)),
        status.node_info.kubelet_version,
        status.capacity.get("cpu", ""),
        status.capacity.get("memory", ""),
        sum(_gpus(status.allocatable)),
        status.capacity.get("pods", ""),
        pods,
        node.spec.unschedulable,
        wrong,
        [f"{t.key}{f'={t.value}' if t.value else ''}:{t.effect}" for t in node.spec.taints],
        meta.created,
        status.node_info.os_image,
        status.node_info.kernel_version,
        status.node_info.container_runtime_version,
        next((a.address for a in status.addresses if a.type == "InternalIP"), ""),
        meta.labels,
    )


def _told(condition: Condition) -> str:
    """`MemoryPressure`, or with its reason where that says more: `NotReady (KubeletNotReady: runtime is down)`."""
    name = "NotReady" if condition.type == "Ready" else condition.type
    why = ": ".join(p for p in (condition.reason, condition.message) if p)
    return f"{name} ({why})" if why else name


def _gpus(allocatable: dict[str, str]) -> Iterable[int]:
    for name, count in allocatable.items():
        if name in _GPUS or name.startswith(_MIG):
            yield int(quantity(count) or 0)


async def namespaces(
    kube: KubernetesSource, cluster: str, pods: Answer[Pod] | ClusterError
) -> Answer[NamespaceItem]:
    """Every namespace, those with pods that are not ready first, then the fullest quotas. What may not be listed is
    left out with a warning; raises ClusterError if that is all."""
    names, quotas = await asyncio.gather(
        attempt(kube.items("/api/v1/namespaces", Namespace)),
        attempt(kube.everywhere("/api/v1", "resourcequotas", ResourceQuota)),
    )
    if isinstance(names, ClusterError) and isinstance(pods, ClusterError):
        raise names
    notes = [o.message for o in (names, pods, quotas) if isinstance(o, ClusterError)]
    known = {} if isinstance(names, ClusterError) else {n.metadata.name: n for n in names}
    if isinstance(names, ClusterError) and names.code is ErrorCode.FORBIDDEN:
        notes = [f"namespaces without pods are not known: {names.message}", *notes[1:]]
    there: dict[str, list[Pod]] = {}
    if not isinstance(pods, ClusterError):
        notes += pods.warnings
        for pod in pods.rows:
            there.setdefault(pod.metadata.namespace, []).append(pod)
    full: dict[str, tuple[float, str]] = {}
    if not isinstance(quotas, ClusterError):
        notes += quotas.warnings
        for quota in quotas.rows:
            if (found := _fullest(quota)) is not None:
                name = quota.metadata.namespace
                full[name] = max(found, full.get(name, found))
    rows = [_namespace(cluster, n, known.get(n), there.get(n, []), full.get(n)) for n in {**known, **there}]
    rows.sort(key=lambda n: (-n.not_ready, -(n.quota_used or 0), n.name))
    return Answer(rows, warnings=list(dict.fromkeys(notes)), partial=bool(notes))


async def attempt(ask: Awaitable[T]) -> T | ClusterError:
    """What was asked, or why it can't be had."""
    try:
        return await ask
    except ClusterError as error:
        return error


def _fullest(quota: ResourceQuota) -> tuple[float, str] | None:
    found = []
    for resource, limit in quota.status.hard.items():
        used = quota.status.used.get(resource, "0")
        hard, taken = quantity(limit), quantity(used)
        if hard is None or taken is None:
            continue
        share = taken / hard if hard else float(taken > 0)
        found.append((share, f"{resource} {used} of {limit} ({share:.0%})"))
    return max(found, default=None)


def _namespace(
    cluster: str, name: str, namespace: Namespace | None, pods: list[Pod], quota: tuple[float, str] | None
) -> NamespaceItem:
    current = [p for p in pods if p.status.phase not in _ENDED]
    waiting = [p for p in current if not is_ready(p)]
    reasons = Counter(reason(p) for p in waiting)
    statuses = [c for p in current for c in p.status.container_statuses]
    return NamespaceItem(
        cluster,
        name,
        namespace.status.phase or None if namespace is not None else None,
        len(current),
        len(waiting),
        [f"{r} {n}" if n > 1 else r for r, n in reasons.most_common(_REASONS)],
        sum(c.restart_count for c in statuses),
        quota[1] if quota else None,
        quota[0] if quota else None,
        namespace.metadata.created or None if namespace is not None else None,
        namespace.metadata.labels if namespace is not None else {},
    )


def is_ready(pod: Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)


def reason(pod: Pod) -> str:
    """As kubectl's STATUS: what a container waits for or ended with, else the pod's own reason, else its phase."""
    for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        if said := _of_container(container):
            return said
    unscheduled = next(
        (c.reason for c in pod.status.conditions if c.type == "PodScheduled" and c.status == "False"), ""
    )
    if pod.status.reason or unscheduled:
        return pod.status.reason or unscheduled
    return pod.status.phase if pod.status.phase != "Running" else "not ready"


def _of_container(container: ContainerStatus) -> str:
    state = container.state
    if state.waiting is not None and state.waiting.reason:
        return state.waiting.reason
    if state.terminated is not None and state.terminated.exit_code:
        return state.terminated.reason or f"exit {state.terminated.exit_code}"
    return ""


async def pods(kube: KubernetesSource) -> Answer[Pod]:
    """All pods, or those of the context's namespace."""
    return await kube.everywhere("/api/v1", "pods", Pod)
