"""What one cluster is made of: its parts and endpoints, nodes and namespaces."""

from __future__ import annotations

from msgspec import Struct


class EndpointItem(Struct, frozen=True, rename="camel"):
    """One part of a cluster that is asked. `state` is OK, DOWN, or null where there is none or it is not known;
    `latencyMs` how long its answer took, `via` and `evidence` how its URL is known, `learnedAt` since when (unix
    seconds; null for config). `why` is what it failed with."""

    cluster: str
    part: str
    state: str | None
    latency_ms: float | None = None
    via: str | None = None
    url: str | None = None
    evidence: str | None = None
    learned_at: float | None = None
    why: str | None = None


class NodeItem(Struct, frozen=True, rename="camel"):
    """A node. `ready` is True, False or Unknown as its condition says; `conditions` are those that are not well, each
    with its reason. Capacities are as Kubernetes writes them, `gpus` those of any vendor's device plugin.
    `pods` counts those that run there, null where pods may not be listed."""

    cluster: str
    name: str
    ready: str
    roles: list[str]
    version: str
    cpu: str
    memory: str
    gpus: int
    pods_capacity: str
    pods: int | None
    cordoned: bool
    conditions: list[str]
    taints: list[str]
    created: float
    os_image: str = ""
    kernel: str = ""
    runtime: str = ""
    address: str = ""
    labels: dict[str, str] = {}


class NamespaceItem(Struct, frozen=True, rename="camel"):
    """A namespace. `pods` have not ended; `notReady` of them do not serve, and `reasons` says why, the most frequent
    first. `restarts` are of its containers since they were made. `quota` is its fullest resource as
    `cpu 900m of 1 (90%)`, `quotaUsed` that share. `ready` is not known of pods in a bundle: those that do not run
    are counted. `phase` is null where namespaces may not be listed."""

    cluster: str
    name: str
    phase: str | None
    pods: int
    not_ready: int
    reasons: list[str]
    restarts: int
    quota: str | None = None
    quota_used: float | None = None
    created: float | None = None
    labels: dict[str, str] = {}
