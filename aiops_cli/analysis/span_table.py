"""Spans as columns: parents, own times and who calls whom, worked out for all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aiops_cli.models.analysis import Entity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aiops_cli.analysis.entities import Directory
    from aiops_cli.models.signals import Span

    Ints = NDArray[np.int64]


@dataclass(slots=True)
class SpanTable:
    """Spans as columns, one row a span, in nanoseconds; `current` is False for those of the reference.

    `entity` and `operation` index the lists `entities` and `operations` ((entity index, span name));
    `parent` is a row or -1; `callee` is an entity index where the span is the client side of a call to
    another entity, else -1; `own` is the time of a span that none of its children covers.
    """

    entities: list[Entity]
    operations: list[tuple[int, str]]
    entity: Ints
    operation: Ints
    parent: Ints
    callee: Ints
    start: Ints
    duration: Ints
    own: Ints
    error: NDArray[np.bool_]
    current: NDArray[np.bool_]
    edges: dict[tuple[int, int], int] = field(default_factory=dict)


def _peer(cluster: str, attributes: dict[str, Any], directory: Directory) -> Entity | None:
    """The other side of a client span by its attributes (OpenTelemetry semantic conventions, old and new)."""
    get = attributes.get
    system = get("db.system") or get("db.system.name") or get("messaging.system")
    host = get("peer.service") or get("server.address") or get("net.peer.name") or get("http.host")
    if not system and not host:
        return None
    if host:
        short = str(host).split(":")[0]
        known = directory.named(cluster, short) or directory.named(cluster, short.split(".")[0])
        if known is not None:
            return known
    if system:
        return Entity("database", str(host or get("db.name") or get("db.namespace") or system), None, cluster)
    return Entity("external", str(host), None, cluster)


def tabulate(
    spans: Sequence[tuple[str, Span]], current: NDArray[np.bool_], directory: Directory
) -> SpanTable:
    """The columns of `spans` ((cluster, span) pairs); `current` marks those of the incident."""
    rows: dict[tuple[str, str], int] = {}
    entity_ids: dict[Entity, int] = {}
    services: dict[tuple[str, str, Any], int] = {}
    operation_ids: dict[tuple[int, str], int] = {}
    n = len(spans)
    entity, operation = np.zeros(n, np.int64), np.zeros(n, np.int64)
    start, duration = np.zeros(n, np.int64), np.zeros(n, np.int64)
    error, parent, callee = np.zeros(n, bool), np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    for row, (cluster, span) in enumerate(spans):
        space = span.resource.get("k8s.namespace.name") if span.resource else None
        named = (cluster, span.service, space)
        owner = services.get(named)
        if owner is None:
            whose = directory.service(cluster, span.service, space)
            owner = services[named] = entity_ids.setdefault(whose, len(entity_ids))
        entity[row] = owner
        operation[row] = operation_ids.setdefault((owner, span.name), len(operation_ids))
        start[row], duration[row] = span.start_ns, max(span.duration_ns, 0)
        error[row] = span.status == "error"
        rows[span.trace_id, span.span_id] = row
    for row, (_, span) in enumerate(spans):
        if span.parent_id:
            parent[row] = rows.get((span.trace_id, span.parent_id), -1)
    parent[parent == np.arange(n)] = -1
    has_child = np.zeros(n, bool)
    has_child[parent[parent >= 0]] = True
    for row, (cluster, span) in enumerate(spans):
        if span.attributes and not has_child[row] and span.kind.lower() in ("client", "producer"):
            peer = _peer(cluster, span.attributes, directory)
            if peer is not None:
                callee[row] = entity_ids.setdefault(peer, len(entity_ids))
    _mark_clients(entity, parent, callee)
    table = SpanTable(
        list(entity_ids),
        list(operation_ids),
        entity,
        operation,
        parent,
        callee,
        start,
        duration,
        own_time(start, duration, parent),
        error,
        current,
    )
    called = callee >= 0
    remote = np.flatnonzero(parent >= 0)
    remote = remote[entity[remote] != entity[parent[remote]]]
    pairs = np.concatenate(
        (
            np.stack((entity[called], callee[called]), axis=1),
            np.stack((entity[parent[remote]], entity[remote]), axis=1),
        )
    )
    for (caller, answerer), count in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True):
        if caller != answerer:
            table.edges[int(caller), int(answerer)] = int(count)
    return table


def _mark_clients(entity: Ints, parent: Ints, callee: Ints) -> None:
    """A span all of whose children belong to one other entity is the client side of that call."""
    child = np.flatnonzero(parent >= 0)
    if child.size == 0:
        return
    above = parent[child]
    low = np.full(entity.size, np.iinfo(np.int64).max)
    high = np.full(entity.size, -1, np.int64)
    np.minimum.at(low, above, entity[child])
    np.maximum.at(high, above, entity[child])
    client = (high >= 0) & (low == high) & (high != entity)
    callee[client] = high[client]


def own_time(start: Ints, duration: Ints, parent: Ints) -> Ints:
    """Of each span, the nanoseconds not covered by the union of its children (clipped to the span)."""
    own = duration.copy()
    child = np.flatnonzero(parent >= 0)
    if child.size == 0:
        return own
    above = parent[child]
    begin = np.clip(start[child] - start[above], 0, duration[above])
    end = np.clip(start[child] + duration[child] - start[above], 0, duration[above])
    order = np.lexsort((begin, above))
    above, begin, end = above[order], begin[order], end[order]
    group = np.concatenate(([0], np.cumsum(np.diff(above) != 0)))
    stride = int(end.max()) + 1
    if stride * (int(group[-1]) + 1) >= np.iinfo(np.int64).max:
        return own
    reached = np.maximum.accumulate(end + group * stride) - group * stride
    before = np.concatenate(([0], reached[:-1]))
    before[np.concatenate(([True], np.diff(group) != 0))] = 0
    np.subtract.at(own, above, np.maximum(0, end - np.maximum(begin, before)))
    return np.maximum(own, 0)
