"""The verdict on a clock, its reasons, and how offsets and times are said in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from aiops_cli.analysis import ptp_codes as codes
from aiops_cli.analysis.ptp_offsets import beyond
from aiops_cli.analysis.ptp_readings import Run
from aiops_cli.models.ptp import Budget, PtpClock, Verdict

if TYPE_CHECKING:
    from aiops_cli.analysis.ptp import Clock

UNSURE = "FREERUN or HOLDOVER, the daemon's own metrics do not tell"


def judged(clock: Clock, window_start: float, at: float, whose: str, note: str, unread: str = "") -> PtpClock:
    """The clock's row with verdict, reason and since when its state lasts; `whose` names the budget's owner,
    `note` is a doubt about its process, and over what is `unread` of the window nothing passes."""
    row, budget = clock.row, clock.budget
    bad = list(_failing(clock, at, budget, whose))
    doubts = list(_doubts(clock, window_start, budget, whose))
    if note:
        doubts.append(note)
    unknown = clock.silent_since is not None or clock.stuck is not None
    if row.state is None and row.offset_ns is None and clock.down is None and not bad:
        unknown = True
    verdict: Verdict | None = (
        "FAIL" if bad else None if unknown else "WARN" if doubts else None if unread else "PASS"
    )
    reasons = [*bad, *(_unknowns(clock, at) if unknown else []), *doubts]
    if not reasons:
        far = clock.reach.worst if clock.reach is not None else row.offset_ns
        near = "at most" if _even(budget) else "at the nearest"
        seen = f"{near} {_side(far, budget)} of " if far is not None else "within "
        reasons = [f"{seen}{bounds(budget)} ({whose})"]
    if unread:
        reasons.append(unread)
    since = clock.runs[-1].since if clock.runs and clock.runs[-1].whole and row.state is not None else None
    return msgspec.structs.replace(
        row,
        verdict=verdict,
        reason="; ".join(reasons),
        since=rfc3339(since) if since is not None else None,
    )


def _failing(clock: Clock, at: float, budget: Budget, whose: str) -> Iterator[str]:
    row = clock.row
    if clock.down is not None:
        last = f", its gauges still say {codes.STATES.get(clock.runs[-1].value or 0)}" if clock.runs else ""
        yield f"{row.process} has been down{lasting(clock.down, at)}{last}"
        return
    if row.state == "HOLDOVER":
        yield f"HOLDOVER{lasting(clock.runs[-1], at)} of {span(clock.holdover_seconds)}"
    elif row.state == "FREERUN":
        if clock.sure:
            yield f"FREERUN{lasting(clock.runs[-1], at)}"
        else:
            yield f"not locked{lasting(clock.runs[-1], at)}: {UNSURE}"
    elif clock.sourceless:
        yield "nothing to measure against: its offset is a sentinel"
    if row.offset_ns is not None and beyond(np.array([row.offset_ns]), budget, row.offset_kind)[0] > 0:
        yield f"{ns(row.offset_ns)} off, allowed are {bounds(budget)} ({whose})"
    elif _p99_beyond(clock) and row.p99_offset_ns is not None and clock.reach is not None:
        p99 = f"p99 {ns(row.p99_offset_ns)},"
        if not _even(budget):
            p99 = f"p99 {ns(clock.reach.p99 or 0.0)} beyond,"
        yield f"{p99} allowed are {bounds(budget)} ({whose})"


def _doubts(clock: Clock, window_start: float, budget: Budget, whose: str) -> Iterator[str]:
    row = clock.row
    if row.state == "LOCKED" and (lost := _lost_stretches(clock.runs)):
        seconds = sum(until - max(since, window_start) for since, until in lost)
        times = "" if len(lost) == 1 else f", {len(lost)} times"
        yield f"was not locked for {span(seconds)} in the window{times}"
    if clock.reach is not None and clock.reach.most > 0 and not _p99_beyond(clock):
        yield f"at most {_side(clock.reach.worst, budget)}, allowed are {bounds(budget)} ({whose})"
    if row.clock_class is not None and codes.degraded(row.clock_class):
        yield f"clock class {row.clock_class}: {row.clock_class_text}"
    if clock.raw_offsets is not None and clock.offsets is not None:
        left_out = len(clock.raw_offsets.values) - len(clock.offsets.values)
        if left_out:
            yield f"{left_out} of {len(clock.raw_offsets.values)} offsets are no measurements and left out"


def _p99_beyond(clock: Clock) -> bool:
    return clock.reach is not None and clock.reach.p99 is not None and clock.reach.p99 > 0


def _even(budget: Budget) -> bool:
    return budget.low == -budget.high


def _side(offset: float, budget: Budget) -> str:
    """An offset, with its sign where both sides don't allow the same."""
    return ns(abs(offset) if _even(budget) else offset)


def _lost_stretches(runs: list[Run]) -> list[tuple[float, float]]:
    """From when to when there was no lock, HOLDOVER and what came of it as one, up to the next lock, or to
    where it is not known."""
    found: list[tuple[float, float]] = []
    since: float | None = None
    for run in runs:
        if run.value in (0, 2) and since is None:
            since = run.since
        elif run.value not in (0, 2) and since is not None:
            found.append((since, run.since))
            since = None
    return found


def _unknowns(clock: Clock, at: float) -> Iterator[str]:
    if clock.silent_since is not None:
        yield f"no samples for {span(at - clock.silent_since)}: its config, exporter or node is gone"
    elif clock.stuck is not None:
        yield f"its gauges have not moved{lasting(clock.stuck, at)}: nobody knows"
    else:
        yield "neither its state nor its offset is known"


def bounds(budget: Budget) -> str:
    if _even(budget):
        return f"±{ns(budget.high)}"
    return f"{ns(budget.low)} to {ns(budget.high)}"


def ns(value: float) -> str:
    """12 ns, 1.2 µs, 3.15 ms."""
    for scale, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if abs(value) >= 0.9995 * scale:  # 999.9 µs are 1 ms in three digits
            number = value / scale
            return f"{number:.0f} {unit}" if abs(number) >= 999.5 else f"{number:.3g} {unit}"
    return f"{value:.0f} ns"


def lasting(run: Run, at: float) -> str:
    """How long a run that goes on has lasted, as " for 12 min"; "" where only now is known."""
    seconds = at - run.since
    return f" for {'' if run.whole else 'at least '}{span(seconds)}" if seconds >= 1 else ""


def times(count: float) -> str:
    return "once" if count == 1 else f"{count:.0f} times"


def span(seconds: float) -> str:
    """Rounded: 45 s, 5 min, 1.5 h."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 3570:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def rfc3339(at: float) -> str:
    return str(np.datetime64(int(at * 1000), "ms")) + "Z"
