"""What spans say: where time goes, where errors begin, which calls are made no more.

Everything is compared with a reference: each operation with itself in quiet times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aiops_cli.analysis.span_table import SpanTable
    from aiops_cli.models.analysis import Entity

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

LEAST_SAMPLES = 3
"""Operations seen less often than this on either side are not compared."""
RELATIVE_NOISE = 0.1
"""Calls per request vary by this share from minute to minute with the mix of requests."""


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

    Mean logarithms of own times are compared (a z-score with the reference's variance, floor 5 %).
    """
    return _compared(table, table.own, _units(table), table.current)


def latencies(table: SpanTable) -> list[Slowdown]:
    """Entities that answer more slowly than before, whatever the reason: their spans that were called from
    elsewhere, whole. `operation` is one of them."""
    above = np.where(table.parent >= 0, table.entity[table.parent], -1)
    entry = np.flatnonzero(above != table.entity)
    return _compared(table, table.duration, table.entity, table.current, entry)


def _compared(
    table: SpanTable,
    durations: Ints,
    unit: Ints,
    current: NDArray[np.bool_],
    rows: Ints | None = None,
) -> list[Slowdown]:
    """Units whose durations rose, by z-scores of mean logarithms; of `rows` alone where they are given."""
    if not len(durations):
        return []
    chosen = np.arange(durations.size) if rows is None else rows
    found: list[Slowdown] = []
    took = _time_taken(table)
    for in_now, in_ref in _groups(unit[chosen], current[chosen]):
        rows_now, rows_ref = chosen[in_now], chosen[in_ref]
        now, usual = durations[rows_now] / 1e9, durations[rows_ref] / 1e9
        log_now, log_usual = np.log(now + 1e-4), np.log(usual + 1e-4)
        # The spread of usual times on both sides: that some calls are slow now and others are not yet must
        # not hide either.
        noise = (log_usual.var() + 0.1**2) * (1 / now.size + 1 / usual.size) + 0.05**2
        sigmas = float((log_now.mean() - log_usual.mean()) / np.sqrt(noise))
        lost = float(now.size * (now.mean() - usual.mean()))
        if sigmas <= 0 or lost <= 0:
            continue
        first = rows_now[0]
        callee = int(table.callee[first]) if rows is None else -1
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
