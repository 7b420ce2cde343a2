"""What `aiops events` shows: one thing that happened in a cluster, at its time."""

from __future__ import annotations

from msgspec import Struct

from aiops_cli.models.signals import Difference

TYPES = (
    "warning",
    "normal",
    "rollout",
    "scaling",
    "config",
    "condition",
    "autoscaler",
    "node",
    "quota",
    "restart",
    "alert",
)
"""Kubernetes events of both types; changes; states that objects remember; starts of alerts."""
CHANGES = frozenset({"rollout", "scaling", "config", "autoscaler"})


class EventItem(Struct, frozen=True, rename="camel"):
    """An item of `events`. `time` is RFC 3339, `type` one of TYPES, `reason` the word that Kubernetes has
    for it, `what` all that is said of it; `namespace` is null for what lies in none."""

    cluster: str
    time: str
    type: str
    kind: str
    name: str
    namespace: str | None
    what: str
    reason: str | None = None
    count: int = 1
    differences: list[Difference] = []
    workloads: list[str] = []
