"""What spans say: who calls whom, where time goes, where errors begin, which calls are made no more.

Everything is compared with a reference: each operation with itself in quiet times.
"""

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
    Floats = NDArray[np.float64]

LEAST_SAMPLES = 3
"""Operations seen less often than this on either side are not compared."""
RELATIVE_NOISE = 0.1
"""Calls per request vary by this share from minute to minute with the mix of requests."""


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


@dataclass(frozen=True, slots=True)
class Slowdown:
    """An operation's own time now and before (seconds, median), how clear (sigmas), and the time lost to it
    in all and as a share of the time that all requests took (seconds, ratio). `callee` is set where the time
    is lost between a caller and the other side."""

    entity: Entity
    callee: Entity | None
    operation: str
    now: float
    usual: float
    sigmas: float
    lost: float
    weight: float
    calls: int


@dataclass(frozen=True, slots=True)
class CallChange:
    """Calls per run of `operation` to `child` now and before, how clear the change is (sigmas), and whether
    a call that used to be made always is made hardly ever."""

    entity: Entity
    operation: str
    child: str
    now: float
    usual: float
    sigmas: float
    cut: bool


@dataclass(frozen=True, slots=True)
class ErrorOrigin:
    """Spans of an entity that failed while none of their children did: share now and before."""

    entity: Entity
    operation: str
    now: float
    usual: float
    sigmas: float
    count: int


def slowdowns(table: SpanTable) -> list[Slowdown]:
    """Operations whose own time rose, most lost time first.

    Own times are compared as logarithms (Welch's t with a floor of 5 %), winsorised at the reference's
    1st and 99th percentile from below only: a slow minority counts.
    """
    if not len(table.own):
        return []
    found: list[Slowdown] = []
    took = _time_taken(table)
    for rows_now, rows_ref in _groups(_units(table), table.current):
        now, usual = table.own[rows_now] / 1e9, table.own[rows_ref] / 1e9
        log_now, log_usual = np.log(now + 1e-4), np.log(usual + 1e-4)
        noise = log_now.var() / now.size + log_usual.var() / usual.size + 0.05**2
        sigmas = float((log_now.mean() - log_usual.mean()) / np.sqrt(noise))
        lost = float(now.size * (now.mean() - usual.mean()))
        if sigmas <= 0 or lost <= 0:
            continue
        first = rows_now[0]
        callee = int(table.callee[first])
        owner, name = table.operations[int(table.operation[first])]
        found.append(
            Slowdown(
                table.entities[owner],
                table.entities[callee] if callee >= 0 else None,
                name,
                float(np.median(now)),
                float(np.median(usual)),
                sigmas,
                lost,
                lost / took,
                now.size,
            )
        )
    return sorted(found, key=lambda s: (-s.lost, s.operation))


def _units(table: SpanTable) -> Ints:
    """What is compared with itself: an operation's own time, or all calls from one entity to another."""
    calls = table.entity * len(table.entities) + table.callee
    return np.where(table.callee >= 0, len(table.operations) + calls, table.operation)


def compared_calls(table: SpanTable) -> dict[tuple[int, int], int]:
    """Calls now between (caller, callee) entity indices, of the pairs seen often enough to compare."""
    called = np.flatnonzero(table.callee >= 0)
    units = _units(table)[called]
    pairs = {}
    for rows_now, _ in _groups(units, table.current[called]):
        row = called[rows_now[0]]
        pairs[int(table.entity[row]), int(table.callee[row])] = int(rows_now.size)
    return pairs


def _groups(unit: Ints, current: NDArray[np.bool_]) -> list[tuple[Ints, Ints]]:
    """Rows of each unit now and in the reference, for units with enough of both."""
    order = np.argsort(unit, kind="stable")
    borders = np.flatnonzero(np.diff(unit[order])) + 1
    groups = []
    for rows in np.split(order, borders):
        now = current[rows]
        if np.count_nonzero(now) >= LEAST_SAMPLES and np.count_nonzero(~now) >= LEAST_SAMPLES:
            groups.append((rows[now], rows[~now]))
    return groups


def call_changes(table: SpanTable, least: float = 3.0) -> list[CallChange]:
    """Calls that an operation makes more or less often than before, per time it ran; clearest first.

    A code fault shows here: a function that returns early or throws makes no further calls. What nearly
    every run of an operation used to call (90 %) and hardly any calls now is judged by that share; other
    changes by their rate, which the mix of requests moves too.
    """
    child = np.flatnonzero(table.parent >= 0)
    count = len(table.operations)
    if child.size == 0:
        return []
    runs_now = np.bincount(table.operation[table.current], minlength=count).astype(float)
    runs_ref = np.bincount(table.operation[~table.current], minlength=count).astype(float)
    pair = table.operation[table.parent[child]] * count + table.operation[child]
    pairs, where = np.unique(pair, return_inverse=True)
    above, below = pairs // count, pairs % count
    # Several children of one operation under one span are one presence.
    once = np.unique(table.parent[child] * pairs.size + where, return_index=True)[1]
    now, ref = _both_sides(where, table.current[child], pairs.size)
    seen_now, seen_ref = _both_sides(where[once], table.current[child[once]], pairs.size)
    enough = (runs_now[above] >= LEAST_SAMPLES) & (runs_ref[above] >= LEAST_SAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(enough, ref / runs_ref[above] * runs_now[above], 0.0)
        noise = expected * (1 + runs_now[above] / runs_ref[above]) + (RELATIVE_NOISE * expected) ** 2
        share = (seen_ref + 1) / (runs_ref[above] + 2)  # Laplace
        present = share * runs_now[above]
        gone = np.clip(1 - seen_now / present, 0.0, 1.0) ** 3
        missed = gone * (present - seen_now) / np.sqrt(present * np.maximum(1 - share, 0.0) + 1.0)
    noise = np.where(enough, noise + np.where(expected > 0, 1.0, now + 1.0), 1.0)
    sigmas = np.where(enough, (now - expected) / np.sqrt(noise), 0.0)
    always = enough & (seen_ref >= 0.9 * runs_ref[above])
    sigmas = np.where(always, np.minimum(-missed, np.where(sigmas < 0, 0.0, sigmas)), sigmas)
    changes = []
    for i in np.flatnonzero(np.abs(sigmas) >= least):
        owner, name = table.operations[int(above[i])]
        child_name = table.operations[int(below[i])][1]
        if sigmas[i] < 0 and "error" in child_name.lower():
            continue  # that an error handler runs no more is good news
        changes.append(
            CallChange(
                table.entities[owner],
                name,
                child_name,
                float(now[i] / runs_now[above[i]]),
                float(ref[i] / runs_ref[above[i]]),
                float(sigmas[i]),
                bool(always[i] and sigmas[i] < 0),
            )
        )
    return sorted(changes, key=lambda c: (-abs(c.sigmas), c.operation, c.child))


def _both_sides(index: Ints, current: NDArray[np.bool_], size: int) -> tuple[Floats, Floats]:
    """How often each index occurs among the current and among the reference's."""
    return (
        np.bincount(index[current], minlength=size).astype(float),
        np.bincount(index[~current], minlength=size).astype(float),
    )


def error_origins(table: SpanTable) -> list[ErrorOrigin]:
    """Where failing spans begin: those without a failing child, per operation, clearest rise first.

    The origin of a failing call whose other side left no span is that other side.
    """
    n = len(table.error)
    if not table.error.any():
        return []
    child_failed = np.zeros(n, bool)
    failing = np.flatnonzero(table.error & (table.parent >= 0))
    child_failed[table.parent[failing]] = True
    origin = table.error & ~child_failed
    count = len(table.operations)
    runs_now = np.bincount(table.operation[table.current], minlength=count).astype(float)
    runs_ref = np.bincount(table.operation[~table.current], minlength=count).astype(float)
    now = np.bincount(table.operation[origin & table.current], minlength=count).astype(float)
    ref = np.bincount(table.operation[origin & ~table.current], minlength=count).astype(float)
    origins = []
    for i in np.flatnonzero(now > 0):
        usual = float(ref[i] / runs_ref[i]) if runs_ref[i] else 0.0
        expected = usual * runs_now[i]
        sigmas = float((now[i] - expected) / np.sqrt(expected + (RELATIVE_NOISE * expected) ** 2 + 1.0))
        if sigmas <= 0:
            continue
        owner, name = table.operations[int(i)]
        rows = np.flatnonzero(origin & table.current & (table.operation == i))
        leaf = np.unique(table.callee[rows])
        whose = int(leaf[0]) if leaf.size == 1 and leaf[0] >= 0 else owner
        origins.append(
            ErrorOrigin(table.entities[whose], name, float(now[i] / runs_now[i]), usual, sigmas, int(now[i]))
        )
    return sorted(origins, key=lambda o: (-o.sigmas, o.operation))


def peers_slow(table: SpanTable) -> list[Slowdown]:
    """Callees whose calls, unknown to the reference, spend far more between client and server than calls
    to others do: time between client and server hardly depends on what is called. `usual` is the median of
    all, sigmas are robust ones of the logarithm."""
    called = np.flatnonzero(table.callee >= 0)
    known = {callee for _, callee in compared_calls(table)}
    medians: list[tuple[int, float, Floats]] = []
    for callee in np.unique(table.callee[called]):
        rows = called[table.callee[called] == callee]
        side = rows[~table.current[rows]] if int(callee) in known else rows[table.current[rows]]
        if side.size >= LEAST_SAMPLES:
            own = table.own[side] / 1e9
            medians.append((int(callee), float(np.median(own)), own))
    if len(medians) < 3:
        return []
    logs = np.log([median + 1e-4 for _, median, _ in medians])
    center = float(np.median(logs))
    spread = max(1.4826 * float(np.median(np.abs(logs - center))), 0.3)
    took = _time_taken(table)
    found = []
    for (callee, median, own), log in zip(medians, logs, strict=True):
        sigmas = float(log - center) / spread
        if callee not in known and sigmas > 4:
            lost = float(own.sum() - own.size * np.exp(center))
            entity = table.entities[callee]
            usual = float(np.exp(center))
            found.append(Slowdown(entity, entity, "", median, usual, 2 * sigmas, lost, lost / took, own.size))
    return found


def _time_taken(table: SpanTable) -> float:
    """Seconds that all requests now took, by their root spans."""
    roots = table.current & (table.parent < 0)
    return max(float(table.duration[roots].sum()) / 1e9, 1e-9)
