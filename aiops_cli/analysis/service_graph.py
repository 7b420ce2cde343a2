"""Which service calls which, by their spans: calls, failures and latencies of each pair.

A pair is a span whose parent is of another service, or a client's span with the server's below it (a
service may call itself). A client's or producer's span with nothing below it calls what its attributes
name (OpenTelemetry semantic conventions, old and new), as the OpenTelemetry Collector's servicegraph
connector does with its virtual nodes. A consumer that links to its producer is paired with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiops_cli.models.signals import Span

Row = tuple[str, Span]
DATABASE, MESSAGING, VIRTUAL = "database", "messaging_system", "virtual_node"


@dataclass(slots=True)
class Edge:
    """Calls of `client` to `server`; `kind` is empty, or the connector's connection_type. Latencies in
    milliseconds, as the server and as the client saw them."""

    client_cluster: str
    client: str
    server_cluster: str
    server: str
    kind: str = ""
    calls: int = 0
    failed: int = 0
    server_ms: list[float] = field(default_factory=list)
    client_ms: list[float] = field(default_factory=list)


def edges(rows: Sequence[Row]) -> list[Edge]:
    """The pairs among the spans of any number of traces and clusters, by name; a span counts once."""
    found: dict[tuple[str, str, str, str, str], Edge] = {}
    spans: dict[tuple[str, str], Row] = {}
    for row in rows:
        spans.setdefault((row[1].trace_id, row[1].span_id), row)
    answered: set[tuple[str, str]] = set()

    def add(client: Row, server: tuple[str, str], kind: str, failed: bool, callee: Span | None) -> None:
        caller = client[1]
        key = (client[0], caller.service, *server, kind)
        edge = found.setdefault(key, Edge(client[0], caller.service, *server, kind))
        edge.calls += 1
        edge.failed += failed
        if callee is not None:
            edge.server_ms.append(callee.duration_ns / 1e6)
        if caller.kind in ("client", "producer"):
            edge.client_ms.append(caller.duration_ns / 1e6)

    for cluster, span in spans.values():
        above = [(span.trace_id, span.parent_id or "")]
        if span.kind == "consumer":
            above += [(str(link.get("traceId")), str(link.get("spanId"))) for link in span.links]
        for key in dict.fromkeys(above):
            parent = spans.get(key)
            if parent is None or parent[1] is span:
                continue
            caller = parent[1]
            remote = (caller.kind, span.kind) in (("client", "server"), ("producer", "consumer"))
            if caller.service == span.service and not remote:
                continue
            answered.add(key)
            failed = span.status == "error" or (caller.kind == "client" and caller.status == "error")
            kind = MESSAGING if span.kind == "consumer" or caller.kind == "producer" else ""
            add(parent, (cluster, span.service), kind, failed, span)
    for key, (cluster, span) in spans.items():
        if span.kind in ("client", "producer") and key not in answered and (peer := _peer(span)) is not None:
            name, kind = peer
            add((cluster, span), (cluster, name), kind, span.status == "error", None)
    return [found[key] for key in sorted(found)]


def quantile(values: Sequence[float], q: float) -> float | None:
    """Linear between the two nearest; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def orphans(rows: Sequence[Row]) -> dict[str, set[str]]:
    """Traces with a span whose parent is not among them, and the clusters that have these spans."""
    known = {(span.trace_id, span.span_id) for _, span in rows}
    found: dict[str, set[str]] = {}
    for cluster, span in rows:
        if span.parent_id and (span.trace_id, span.parent_id) not in known:
            found.setdefault(span.trace_id, set()).add(cluster)
    return found


def _peer(span: Span) -> tuple[str, str] | None:
    """What a span without an answer calls, and the kind of that."""
    get = span.attributes.get
    named = get("peer.service")
    if system := get("db.system.name") or get("db.system"):
        return str(named or get("db.namespace") or get("db.name") or system), DATABASE
    if system := get("messaging.system"):
        return str(
            named or get("messaging.destination.name") or get("messaging.destination") or system
        ), MESSAGING
    host = named or get("server.address") or get("net.peer.name") or get("http.host")
    return (str(host), VIRTUAL) if host else None
