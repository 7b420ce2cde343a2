"""What is, or in the window was, wrong with PTP clocks, their processes, ports and satellites."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aiops_cli.analysis import ptp_codes as codes
from aiops_cli.analysis import ptp_offsets
from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.analysis.ptp import Board, Clock
from aiops_cli.analysis.ptp_node_findings import About, began, of_node
from aiops_cli.analysis.ptp_readings import Run, Track
from aiops_cli.analysis.ptp_verdict import UNSURE, bounds, lasting, ns, span, times
from aiops_cli.models.findings import Finding, FindingSeverity

# Those that are about one clock; the others are about what a node's clocks share.
CLOCK_CODES = frozenset(
    {
        "PTP_FREERUN",
        "PTP_HOLDOVER",
        "PTP_HOLDOVER_EXPIRED",
        "PTP_FLAPPING",
        "PTP_OFFSET",
        "PTP_LEAP",
        "PTP_STUCK_GAUGE",
        "PTP_NO_SAMPLES",
    }
)
_SECOND = 1e9
_NEAR = 5e6  # ns off a whole second that are still that second


def findings(board: Board, clocks: list[Clock]) -> list[Finding]:
    """Of one cluster. Times are when a sample first and last showed it, before the window too where that is
    known; `until` is null while it lasts."""
    return worst_first(
        [
            *(f for clock in clocks for f in _clock(board, clock)),
            *(f for node in board.readings.nodes() for f in of_node(board, node)),
            *_without_metrics(board),
        ]
    )


def _clock(board: Board, clock: Clock) -> Iterator[Finding]:
    row = clock.row
    say = About(board, "clock", f"{row.node}/{row.process}/{row.interface}")
    yield from _lost(board, clock, say)
    yield from _offset(board, clock, say)
    yield from _leap(clock, say)
    if clock.stuck is not None:
        yield say(
            "PTP_STUCK_GAUGE",
            "warning",
            f"offset and frequency have not moved{lasting(clock.stuck, board.readings.at)}",
            action="look whether the process still logs; restart the linuxptp-daemon pod",
            since=clock.stuck.since,
        )
    if clock.silent_since is not None:
        yield say(
            "PTP_NO_SAMPLES",
            "warning",
            "its metrics have ended: its config was removed, or exporter or node are gone",
            action="look at the linuxptp-daemon pod of the node",
            since=clock.silent_since,
        )


def _lost(board: Board, clock: Clock, say: About) -> Iterator[Finding]:
    """Each stretch without lock; of many the last, and that they are many."""
    lost = [i for i, run in enumerate(clock.runs) if run.value in (0, 2)]
    began = [i for i in lost if i and clock.runs[i - 1].value == 1]
    count = max(len(began), clock.losses)
    if count >= board.rules.flaps:
        until = _until(board, clock, lost[-1]) if lost else None
        shown = len(began) + (lost[:1] == [0])
        unseen = count > shown
        hint = f", {shown} of them shown at steps of {span(board.step)}: lower --step" if unseen else ""
        yield say(
            "PTP_FLAPPING",
            "warning",
            f"lost its lock {times(count)} in the window{hint}",
            action="look at the grandmaster, the path to it and packet delay variation",
            since=clock.runs[began[0]].since if began and not unseen else None,
            until=None if unseen else until,
            value=count,
            threshold=board.rules.flaps,
        )
        lost = [i for i in lost if _ongoing(board, clock, clock.runs[i])]
    for i in lost:
        yield _loss(board, clock, i, say)


def _loss(board: Board, clock: Clock, i: int, say: About) -> Finding:
    """One stretch of FREERUN or HOLDOVER."""
    run = clock.runs[i]
    until = _until(board, clock, i)
    ongoing = until is None
    end = board.readings.at if until is None else until
    lasted, during = end - run.since, lasting(run, end)
    allowed = clock.holdover_seconds
    severity: FindingSeverity = "critical" if ongoing else "warning"
    if run.value == 2:
        nearly = lasted >= 0.8 * allowed
        return say(
            "PTP_HOLDOVER",
            "critical" if ongoing and nearly else "warning",
            f"HOLDOVER{during} of {span(allowed)}{_left(run, allowed - lasted) if ongoing else ''}",
            action="find out why it lost its source before the holdover runs out",
            since=began(board, run),
            until=until,
            value=lasted,
            threshold=allowed,
            unit="s",
        )
    if i and clock.runs[i - 1].value == 2:
        return say(
            "PTP_HOLDOVER_EXPIRED",
            severity,
            f"FREERUN{during} after its holdover ran out ({span(allowed)} are allowed)",
            action="bring its source back: grandmaster, link, or GNSS antenna",
            since=began(board, run),
            until=until,
            value=lasted,
            unit="s",
        )
    return say(
        "PTP_FREERUN",
        severity,
        f"FREERUN{during}" if clock.sure else f"not locked{during}: {UNSURE}",
        action="look at the link, the grandmaster and ptp4l's log",
        since=began(board, run),
        until=until,
        value=lasted,
        unit="s",
    )


def _left(run: Run, seconds: float) -> str:
    """What is left of a holdover; of one that is older than is known, it is less."""
    if seconds < 1:
        return ", its time is over"
    return f", {'' if run.whole else 'at most '}{span(seconds)} left"


def _ongoing(board: Board, clock: Clock, run: Run) -> bool:
    return clock.current and run.last >= board.readings.at


def _until(board: Board, clock: Clock, i: int) -> float | None:
    """When a stretch was first seen to be over, or its state was last known; None while it lasts."""
    if _ongoing(board, clock, clock.runs[i]):
        return None
    return clock.runs[i + 1].since if i + 1 < len(clock.runs) else clock.runs[i].last


def _offset(board: Board, clock: Clock, say: About) -> Iterator[Finding]:
    """Offsets over the budget while it could be measured; of summary lines their maximum counts."""
    offsets, budget = clock.peaks or clock.offsets, clock.budget
    if offsets is None or not len(offsets.values):
        return
    kind = clock.row.offset_kind
    beyond = ptp_offsets.beyond(offsets.values, budget, kind)
    over = beyond > 0
    if not over.any():
        return
    hits = np.flatnonzero(over)
    apart = max(codes.APART, 2.5 * board.step)
    parts = np.split(hits, np.flatnonzero(np.diff(offsets.times[hits]) > apart) + 1)
    count = len(parts)
    if count >= board.rules.flaps:
        parts = [hits]
    for part in parts:
        seen = slice(part[0], part[-1] + 1) if len(parts) > 1 else slice(None)
        share = f"{len(part)} of {len(over[seen])} samples"
        if offsets.last_at == offsets.times[0]:
            share = "now"
        elif len(parts) < count:
            share += f", {times(count)}"
        last = int(part[-1])
        now = clock.current and last == len(over) - 1 and offsets.last_at >= board.readings.at
        worst = float(offsets.values[part[beyond[part].argmax()]])
        even = budget.low == -budget.high
        allowed = f"{ns(budget.high) if even else bounds(budget)} are allowed"
        crossed = budget.high if worst > budget.high else -budget.low
        yield say(
            "PTP_OFFSET",
            "critical" if now else "warning",
            f"{ns(abs(worst) if even else worst)} off at the worst, {allowed} ({share})",
            action="look at path delay, asymmetry and load of the node",
            since=_first(offsets, int(part[0])),
            until=None if now else _next(offsets, last),
            value=abs(worst),
            threshold=abs(crossed),
            unit="ns",
        )


def _first(track: Track, i: int) -> float | None:
    """The time of a sample; None where it is the only one."""
    return float(track.times[i]) if len(track.times) > 1 else None


def _next(track: Track, i: int) -> float:
    """The time of the sample after this one; of the last one its own."""
    return float(track.times[min(i + 1, len(track.times) - 1)])


def _leap(clock: Clock, say: About) -> Iterator[Finding]:
    """Whole seconds off: a leap second that one side took and the other did not, or a wrong UTC offset."""
    raw = clock.raw_offsets
    if raw is None or not len(raw.values):
        return
    with np.errstate(invalid="ignore"):
        seconds = np.round(np.abs(raw.values) / _SECOND)
        near = np.abs(np.abs(raw.values) - seconds * _SECOND) < _NEAR
    one = near & (seconds == 1)
    utc = near & (seconds >= 35) & (seconds <= 39)
    for hit, text, action in (
        (one, "one second off: a leap second was taken on one side only", "check leap flags and leapfile"),
        (
            utc,
            "off by the whole difference of TAI and UTC: the UTC offset is not known or not applied",
            "check currentUtcOffset of the grandmaster, leapfile and phc2sys -O",
        ),
    ):
        if hit.any():
            yield say(
                "PTP_LEAP",
                "critical",
                text,
                action=action,
                since=_first(raw, int(np.flatnonzero(hit)[0])),
                until=None if hit[-1] and clock.current else _next(raw, int(np.flatnonzero(hit)[-1])),
                value=float(np.abs(raw.values[hit]).max()),
                unit="ns",
            )


def _without_metrics(board: Board) -> Iterator[Finding]:
    """Nodes that have a PtpConfig and no metrics."""
    seen = set(board.readings.nodes())
    for node, names in sorted(board.setup.nodes.items()):
        if node not in seen:
            yield About(board, "node", node)(
                "PTP_NODE_WITHOUT_METRICS",
                "warning",
                f"profile {', '.join(names)} is applied, and there are no metrics of its clocks",
                action="see whether linuxptp-daemon runs there and its ServiceMonitor is scraped",
            )
