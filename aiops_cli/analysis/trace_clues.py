"""Clues from spans: time lost inside an entity, on its calls, errors that begin there, calls not made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiops_cli.analysis.clues import Clue, number, rfc3339
from aiops_cli.analysis.robust import strength
from aiops_cli.analysis.spans import (
    CallChange,
    ErrorOrigin,
    Slowdown,
    call_changes,
    compared_calls,
    error_origins,
    latencies,
    peers_slow,
    slowdowns,
)
from aiops_cli.models.analysis import Evidence

if TYPE_CHECKING:
    from aiops_cli.analysis.span_table import SpanTable
    from aiops_cli.models.analysis import Entity

CLEAR = 5.0
"""Slowdowns of fewer sigmas than this take no part: among hundreds of operations some look slow by chance."""
CONSEQUENCE = 0.05
"""Share of all request time from which a slowdown counts in full."""


def clues(table: SpanTable, onset: float) -> list[Clue]:
    """Every clue of the spans, in no order."""
    slow = [s for s in slowdowns(table) if s.sigmas >= CLEAR]
    strangers = peers_slow(table)
    # Time lost anywhere is one budget: who lost little of it explains little of the slowness.
    lost = sum(s.lost for s in slow) + sum(s.lost for s in strangers) or 1.0
    found = _own_time([s for s in slow if s.callee is None], lost)
    found += _call_time(table, [s for s in slow if s.callee is not None], lost)
    found += _against_peers(strangers, lost)
    found += _answer_time([s for s in latencies(table) if s.sigmas >= CLEAR])
    found += [_error(o, _first_error(table, o, onset)) for o in error_origins(table) if o.sigmas >= 2]
    return found + _patterns([c for c in call_changes(table, 2.0) if c.cut or abs(c.sigmas) >= 4], onset)


def _matters(slow: Slowdown) -> float:
    """How loud a slowdown is: clear, and of consequence for the requests as a whole."""
    return _loud(slow.sigmas) * min(1.0, float(np.sqrt(slow.weight / CONSEQUENCE)))


def _loud(sigmas: float) -> float:
    return float(strength(sigmas, start=3.0, full=40.0))


def _own_time(slow: list[Slowdown], lost: float) -> list[Clue]:
    return [
        Clue(
            s.entity,
            "origin",
            "trace",
            "own_time",
            "own_time",
            # Little of the lost time, however clear, explains little: the square root keeps it in play.
            _matters(s) * float(np.sqrt(s.lost / lost)),
            None,
            Evidence(
                "trace",
                f"{s.operation}: own time went from {number(s.usual * 1e3)} to {number(s.now * 1e3)} ms "
                f"(median of {s.calls} calls)",
                None,
                s.now,
                s.usual,
                "s",
                None,
                s.entity,
                round(_matters(s), 4),
            ),
        )
        for s in slow
    ]


def _answer_time(slow: list[Slowdown]) -> list[Clue]:
    """Who answers more slowly: a symptom, since the time may be lost further down."""
    found = []
    for s in slow:
        loud = 0.9 * _loud(s.sigmas)
        text = (
            f"{s.entity.name} answers in {number(s.now * 1e3)} ms, {number(s.usual * 1e3)} ms before "
            f"(median of {s.calls} calls)"
        )
        evidence = Evidence("trace", text, None, s.now, s.usual, "s", None, s.entity, round(loud, 4))
        found.append(
            Clue(
                s.entity, "symptom", "trace", "answer_time", "latency", loud, None, evidence, s.lost / s.calls
            )
        )
    return found


def _call_time(table: SpanTable, slow: list[Slowdown], lost: float) -> list[Clue]:
    """Time lost between caller and callee belongs to the one whose other calls are slow too."""
    made: dict[Entity, int] = {}
    served: dict[Entity, int] = {}
    for (caller, callee), count in compared_calls(table).items():
        made[table.entities[caller]] = made.get(table.entities[caller], 0) + count
        served[table.entities[callee]] = served.get(table.entities[callee], 0) + count
    mine: dict[Entity, list[Slowdown]] = {}
    for s in slow:
        for end in (s.entity, s.callee):
            if end is not None:
                mine.setdefault(end, []).append(s)
    found = []
    for entity, hits in mine.items():
        out = sum(s.calls for s in hits if s.entity == entity) / max(made.get(entity, 0), 1)
        into = sum(s.calls for s in hits if s.callee == entity) / max(served.get(entity, 0), 1)
        covered = min(max(out, into), 1.0)
        share = sum(s.lost for s in hits) / lost
        # With one edge both ends look alike; the callee is the likelier one, and for certain where it
        # left no span of its own, since then its working time is part of the gap.
        tie = 1.0 if into >= out else 0.85
        worst = max(hits, key=lambda s: (s.lost * _loud(s.sigmas), s.operation))
        loud = _matters(worst) * covered * float(np.sqrt(share)) * tie
        text = (
            f"{len(hits)} kinds of calls at {entity.name} lost time between client and server; "
            f"{worst.operation} from {number(worst.usual * 1e3)} to {number(worst.now * 1e3)} ms "
            f"({covered:.0%} of the calls it {'serves' if into >= out else 'makes'})"
        )
        evidence = Evidence("trace", text, None, worst.now, worst.usual, "s", None, entity, round(loud, 4))
        found.append(Clue(entity, "origin", "trace", "call_time", "call_time", loud, None, evidence))
    return found


def _against_peers(slow: list[Slowdown], lost: float) -> list[Clue]:
    """Calls that the reference does not know are compared with all the others: weaker evidence."""
    found = []
    for s in slow:
        loud = 0.7 * _matters(s) * float(np.sqrt(s.lost / lost))
        text = (
            f"calls to {s.entity.name} spend {number(s.now * 1e3)} ms between client and server, others "
            f"{number(s.usual * 1e3)} ms (no earlier calls to compare with)"
        )
        evidence = Evidence("trace", text, None, s.now, s.usual, "s", None, s.entity, round(loud, 4))
        found.append(Clue(s.entity, "origin", "trace", "call_time", "call_time", loud, None, evidence))
    return found


def _first_error(table: SpanTable, origin: ErrorOrigin, onset: float) -> float | None:
    rows = np.flatnonzero(table.error & table.current & (table.start >= int(onset * 1e9)))
    names = [table.operations[int(i)][1] for i in table.operation[rows]]
    times = [int(table.start[row]) for row, name in zip(rows, names, strict=True) if name == origin.operation]
    return min(times) / 1e9 if times else None


def _error(origin: ErrorOrigin, first: float | None) -> Clue:
    loud = float(strength(origin.sigmas, start=1.0, full=20.0)) * min(1.0, 0.5 + origin.now)
    text = (
        f"{origin.count} spans of {origin.operation} failed without a failing callee "
        f"({origin.now:.1%} of them, {origin.usual:.1%} before)"
    )
    evidence = Evidence(
        "trace", text, rfc3339(first), origin.now, origin.usual, "ratio", None, origin.entity, round(loud, 4)
    )
    return Clue(origin.entity, "origin", "trace", "error_origin", "errors", loud, first, evidence, origin.now)


def _pattern(sigmas: float, new: bool) -> float:
    return float(strength(sigmas, start=3.0, full=20.0)) * (0.8 if new else 0.35)


def _patterns(changes: list[CallChange], onset: float) -> list[Clue]:
    found = []
    for change in changes:
        new = change.usual == 0
        verb = "is no longer called" if change.cut else "is new" if new else "is called at another rate"
        sigmas = abs(change.sigmas)
        loud = float(strength(sigmas, start=1.0, full=8.0)) * 0.9 if change.cut else _pattern(sigmas, new)
        text = (
            f"{change.child} {verb} under {change.operation}: {number(change.now)} a call, "
            f"{number(change.usual)} before"
        )
        evidence = Evidence(
            "trace",
            text,
            rfc3339(onset),
            change.now,
            change.usual,
            "calls",
            None,
            change.entity,
            round(loud, 4),
        )
        found.append(
            Clue(change.entity, "origin", "trace", "call_pattern", "call_pattern", loud, None, evidence)
        )
    return found
