"""What is, or in the window was, wrong with PTP clocks, their processes, ports and satellites."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aiops_cli.analysis import ptp_codes as codes
from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.analysis.ptp import Board, Clock
from aiops_cli.analysis.ptp_readings import TROUBLE, Run, Track
from aiops_cli.analysis.ptp_verdict import UNSURE, lasting, ns, rfc3339, span, times
from aiops_cli.models.analysis import Entity
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
_APART = 600.0  # s between two offsets over the budget, from which on they are two findings


def findings(board: Board, clocks: list[Clock]) -> list[Finding]:
    """Of one cluster. Times are when a sample first and last showed it, before the window too where that is
    known; `until` is null while it lasts."""
    return worst_first(
        [
            *(f for clock in clocks for f in _clock(board, clock)),
            *(f for node in board.readings.nodes() for f in _node(board, node)),
            *_without_metrics(board),
        ]
    )


class _About:
    """Makes findings about one thing of a cluster."""

    def __init__(self, board: Board, kind: str, name: str) -> None:
        self.board, self.entity = board, Entity(kind, name, None, board.cluster)

    def __call__(
        self,
        code: str,
        severity: FindingSeverity,
        text: str,
        *,
        action: str = "",
        since: float | None = None,
        until: float | None = None,
        value: float | None = None,
        threshold: float | None = None,
        unit: str = "",
    ) -> Finding:
        return Finding(
            self.board.cluster,
            code,
            severity,
            self.entity,
            text,
            action,
            rfc3339(since) if since is not None else None,
            rfc3339(until) if until is not None else None,
            value,
            threshold,
            unit,
            self.board.source,
        )


def _clock(board: Board, clock: Clock) -> Iterator[Finding]:
    row = clock.row
    say = _About(board, "clock", f"{row.node}/{row.process}/{row.interface}")
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


def _lost(board: Board, clock: Clock, say: _About) -> Iterator[Finding]:
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


def _loss(board: Board, clock: Clock, i: int, say: _About) -> Finding:
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
            since=run.since,
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
            since=run.since,
            until=until,
            value=lasted,
            unit="s",
        )
    return say(
        "PTP_FREERUN",
        severity,
        f"FREERUN{during}" if clock.sure else f"not locked{during}: {UNSURE}",
        action="look at the link, the grandmaster and ptp4l's log",
        since=run.since,
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


def _offset(board: Board, clock: Clock, say: _About) -> Iterator[Finding]:
    """Offsets over the budget while it could be measured; of summary lines their maximum counts."""
    offsets, budget = clock.peaks or clock.offsets, clock.budget
    if offsets is None or not len(offsets.values):
        return
    over = (offsets.values > budget.high) | (offsets.values < budget.low)
    if not over.any():
        return
    hits = np.flatnonzero(over)
    apart = max(_APART, 2.5 * board.step)
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
        worst = float(np.abs(offsets.values[part]).max())
        yield say(
            "PTP_OFFSET",
            "critical" if now else "warning",
            f"{ns(worst)} off at the worst, {ns(budget.high)} are allowed ({share})",
            action="look at path delay, asymmetry and load of the node",
            since=float(offsets.times[part[0]]),
            until=None if now else _next(offsets, last),
            value=worst,
            threshold=budget.high,
            unit="ns",
        )


def _next(track: Track, i: int) -> float:
    """The time of the sample after this one; of the last one its own."""
    return float(track.times[min(i + 1, len(track.times) - 1)])


def _leap(clock: Clock, say: _About) -> Iterator[Finding]:
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
            seen = raw.times[hit]
            yield say(
                "PTP_LEAP",
                "critical",
                text,
                action=action,
                since=float(seen[0]),
                until=None if hit[-1] and clock.current else _next(raw, int(np.flatnonzero(hit)[-1])),
                value=float(np.abs(raw.values[hit]).max()),
                unit="ns",
            )


def _node(board: Board, node: str) -> Iterator[Finding]:
    yield from _processes(board, node)
    yield from _restarts(board, node)
    yield from _classes(board, node)
    yield from _ports(board, node)
    yield from _satellites(board, node)


def _stretches(metric: str, track: Track, at: float) -> Iterator[tuple[int, float, float | None]]:
    """(value, since, until) of each stretch of one value that is trouble; until is None while it lasts."""
    runs = track.runs()
    for i, run in enumerate(runs):
        if run.value is not None and TROUBLE[metric](run.value):
            until = runs[i + 1].since if i + 1 < len(runs) else None if run.last >= at else run.last
            yield run.value, run.since, until


def _processes(board: Board, node: str) -> Iterator[Finding]:
    for (process, config), track in board.readings.track("process_status", node).items():
        say = _About(board, "process", f"{node}/{process}")
        for _, since, until in _stretches("process_status", track, board.readings.at):
            of = f" ({config})" if config else ""
            yield say(
                "PTP_PROCESS_DOWN",
                "warning" if until is not None else "critical",
                f"{process} was down{of}" if until is not None else f"{process} is down{of}",
                action="read the log of linuxptp-daemon-container on that node",
                since=since,
                until=until,
            )


def _restarts(board: Board, node: str) -> Iterator[Finding]:
    """Restarts that fall between two scrapes: a new config is one, more are a process that dies."""
    for (process, config), track in board.readings.track("process_restart_count", node).items():
        grown = np.flatnonzero(np.diff(track.values) > 0) + 1
        if not len(grown):
            continue
        count = float(np.maximum(np.diff(track.values), 0).sum())
        of = f" ({config})" if config else ""
        yield _About(board, "process", f"{node}/{process}")(
            "PTP_PROCESS_RESTARTED",
            "warning" if count >= board.rules.flaps else "info",
            f"{process} was started {times(count)} in the window{of}",
            action="read the log of linuxptp-daemon-container on that node",
            since=float(track.times[grown[0]]),
            until=float(track.times[grown[-1]]),
            value=count,
            threshold=board.rules.flaps,
        )


def _classes(board: Board, node: str) -> Iterator[Finding]:
    for (process, config), track in board.readings.track("clock_class", node).items():
        say = _About(board, "clock", f"{node}/{process}" + (f"/{config}" if config else ""))
        changes = len(track.runs()) - 1
        if changes >= board.rules.flaps:
            yield say(
                "PTP_GRANDMASTER_FLAPPING",
                "warning",
                f"the clock class changed {changes} times in the window",
                action="see whether two grandmasters compete, or one loses its reference",
                since=track.runs()[1].since,
                value=changes,
                threshold=board.rules.flaps,
            )
        for value, since, until in _stretches("clock_class", track, board.readings.at):
            if until is not None and changes >= board.rules.flaps:
                continue
            yield say(
                "PTP_CLOCK_CLASS",
                "warning",
                f"clock class {value}: {codes.class_text(value)}",
                action="look at the grandmaster's reference",
                since=since,
                until=until,
                value=value,
            )


def _ports(board: Board, node: str) -> Iterator[Finding]:
    for (_, port), track in board.readings.track("interface_role", node).items():
        say = _About(board, "port", f"{node}/{port}")
        changes = len(track.runs()) - 1
        if changes >= board.rules.flaps:
            yield say(
                "PTP_PORT_FLAPPING",
                "warning",
                f"the port changed its role {changes} times in the window",
                action="look at link, cable and announce timeouts",
                since=track.runs()[1].since,
                value=changes,
                threshold=board.rules.flaps,
            )
        for _, since, until in _stretches("interface_role", track, board.readings.at):
            yield say(
                "PTP_PORT_FAULTY",
                "warning" if until is not None else "critical",
                "the port was FAULTY" if until is not None else "the port is FAULTY",
                action="look at the link and at ptp4l's log",
                since=since,
                until=until,
            )


def _satellites(board: Board, node: str) -> Iterator[Finding]:
    for metric in ("gnss_status", "nmea_status"):
        if metric == "nmea_status" and board.readings.has(node, "gnss_status"):
            continue  # which says more
        for (_, port), track in board.readings.track(metric, node).items():
            say = _About(board, "gnss", f"{node}/{port}")
            for value, since, until in _stretches(metric, track, board.readings.at):
                fix = codes.GNSS.get(value, "no fix")
                what = f"GNSS has {fix}" if metric == "gnss_status" else "GNSS sends no NMEA sentences"
                yield say(
                    "PTP_GNSS_LOST",
                    "warning" if until is not None else "critical",
                    what,
                    action="look at antenna, cable and receiver; the clock is in holdover meanwhile",
                    since=since,
                    until=until,
                    value=value,
                )


def _without_metrics(board: Board) -> Iterator[Finding]:
    """Nodes that have a PtpConfig and no metrics."""
    seen = set(board.readings.nodes())
    for node, names in sorted(board.setup.nodes.items()):
        if node not in seen:
            yield _About(board, "node", node)(
                "PTP_NODE_WITHOUT_METRICS",
                "warning",
                f"profile {', '.join(names)} is applied, and there are no metrics of its clocks",
                action="see whether linuxptp-daemon runs there and its ServiceMonitor is scraped",
            )
