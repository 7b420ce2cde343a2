"""What the rows of a cluster's screen are: how well they are, and what they lead to."""

from __future__ import annotations

from aiops_cli.models.cluster_detail import EndpointItem, NamespaceItem, NodeItem
from aiops_cli.models.events import EventItem
from aiops_cli.render.cluster_detail_views import node_state

_SIGNAL_OF = {"prometheus": "metrics", "alertmanager": "alerts", "traces": "traces", "jaeger": "traces",
              "loki": "logs", "dcgm exporter": "gpu", "ptp exporter": "cnf"}  # fmt: skip


def signal_of(endpoint: EndpointItem) -> str | None:
    """The screen of what an endpoint gives; `alertmanager 2` is one of a pair."""
    return _SIGNAL_OF.get(endpoint.part.rstrip(" 0123456789"))


def said_by(row: object) -> dict[str, str]:
    """Where and when a row is, as places have it."""
    if isinstance(row, NodeItem):
        return {"node": row.name}
    if isinstance(row, NamespaceItem):
        return {"ns": row.name}
    if isinstance(row, EventItem):
        where = {"node": row.name} if row.kind == "Node" else {"ns": row.namespace} if row.namespace else {}
        return {**where, "at": row.time}
    return {}


def object_of(row: object) -> tuple[str, str]:
    """The object, as KIND/NAME, and namespace that events are asked of; nothing of what is none."""
    if isinstance(row, NodeItem):
        return f"Node/{row.name}", ""
    if isinstance(row, NamespaceItem):
        return "", row.name
    if isinstance(row, EventItem):
        return f"{row.kind}/{row.name}", row.namespace or ""
    return "", ""


def endpoint_level(endpoint: EndpointItem) -> str:
    """For the filter of faults, as the two below."""
    return "error" if endpoint.state == "DOWN" else "ok"


def node_level(node: NodeItem) -> str:
    state = node_state(node)
    return "error" if state != "ready" else "warning" if node.conditions or node.cordoned else "ok"


def space_level(space: NamespaceItem) -> str:
    full = space.quota_used is not None and space.quota_used >= 0.9
    return "warning" if space.not_ready or full else "ok"
