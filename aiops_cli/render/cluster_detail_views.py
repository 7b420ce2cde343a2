"""How one cluster's parts, facts, nodes and namespaces look in tables."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from aiops_cli.models.cluster_detail import EndpointItem, NamespaceItem, NodeItem
from aiops_cli.models.fleet import Fact
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import age, clock, duration, si
from aiops_cli.sources.kubernetes_states import quantity


def endpoints_view(now: float) -> View[EndpointItem]:
    return View(
        "EndpointStatusList",
        [
            Column("part", lambda e: e.part, keep=True),
            Column("state", lambda e: e.state, keep=True),
            Column(
                "latency",
                lambda e: None if e.latency_ms is None else duration(e.latency_ms),
                right=True,
                plain=lambda e: e.latency_ms,
            ),
            Column("via", lambda e: e.via),
            Column("why", lambda e: e.why, keep=True),
            Column("url", lambda e: e.url),
            Column("evidence", lambda e: e.evidence),
            Column(
                "found",
                lambda e: None if e.learned_at is None else f"{age(now - e.learned_at)} ago",
                plain=lambda e: e.learned_at,
                wide=True,
            ),
        ],
        lambda e: f"{e.cluster}/{e.part}",
    )


def facts_view(zone: tzinfo | None) -> View[Fact]:
    return View(
        "FactList",
        [
            Column("fact", lambda f: f.key, keep=True),
            Column("value", lambda f: f.value),
            Column("evidence", lambda f: f.evidence),
            Column("seen", lambda f: clock(f.seen_at, zone), plain=lambda f: f.seen_at, wide=True),
        ],
        lambda f: f.key,
    )


_READY = {"True": "ready", "False": "NotReady", "Unknown": "Unknown"}


def node_state(node: NodeItem) -> str:
    """`ready`, or what is worse than that."""
    return _READY.get(node.ready, node.ready)


def node_view(now: float) -> View[NodeItem]:
    return View(
        "NodeList",
        [
            Column("node", lambda n: n.name, keep=True),
            Column("ready", lambda n: node_state(n) + (" cordoned" if n.cordoned else ""), keep=True),
            Column("roles", lambda n: ",".join(n.roles)),
            Column("version", lambda n: n.version),
            Column("cpu", lambda n: n.cpu, right=True, plain=lambda n: quantity(n.cpu)),
            Column("memory", lambda n: _bytes(n.memory), right=True, plain=lambda n: quantity(n.memory)),
            Column(
                "pods",
                lambda n: f"{'?' if n.pods is None else n.pods}/{n.pods_capacity or '?'}",
                right=True,
                plain=lambda n: n.pods,
            ),
            Column("gpus", lambda n: str(n.gpus) if n.gpus else None, right=True, plain=lambda n: n.gpus),
            Column("conditions", lambda n: ",".join(c.partition(" (")[0] for c in n.conditions), keep=True),
            Column("why", lambda n: "; ".join(n.conditions)),
            Column("taints", lambda n: ",".join(n.taints), wide=True),
            _age(now),
            Column("address", lambda n: n.address, wide=True),
            Column("os", lambda n: n.os_image, wide=True),
            Column("kernel", lambda n: n.kernel, wide=True),
            Column("runtime", lambda n: n.runtime, wide=True),
        ],
        lambda n: n.name,
    )


def namespace_view(now: float) -> View[NamespaceItem]:
    return View(
        "NamespaceList",
        [
            Column("namespace", lambda n: n.name, keep=True),
            Column("pods", lambda n: str(n.pods), right=True, plain=lambda n: n.pods),
            Column("not ready", lambda n: str(n.not_ready), right=True, plain=lambda n: n.not_ready),
            Column("why", lambda n: ", ".join(n.reasons), keep=True),
            Column("restarts", lambda n: str(n.restarts), right=True, plain=lambda n: n.restarts),
            Column("quota", _quota, keep=True, plain=lambda n: n.quota_used),
            Column("phase", lambda n: n.phase, wide=True),
            _age(now),
        ],
        lambda n: n.name,
    )


def _quota(space: NamespaceItem) -> str | None:
    """The fullest resource, such as `cpu 95%`; the numbers are in the detail."""
    if space.quota is None or space.quota_used is None:
        return None
    return f"{space.quota.partition(' ')[0]} {space.quota_used:.0%}"


def _bytes(text: str) -> str | None:
    """`16Gi`, whatever unit it was written in."""
    value = quantity(text)
    if value is None:
        return text or None
    return f"{value / 2**30:.0f}Gi" if value >= 2**30 else f"{si(value)}B"


def _age(now: float) -> Column[Any]:
    return Column(
        "age",
        lambda n: age(now - n.created) if n.created else None,
        right=True,
        plain=lambda n: now - n.created if n.created else None,
    )
