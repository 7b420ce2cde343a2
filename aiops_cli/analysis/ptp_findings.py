"""What is, or in the window was, wrong with PTP clocks, their processes, ports and satellites."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from aiops_cli.analysis import ptp_codes as codes
from aiops_cli.analysis.ptp import Board, Clock, ns, rfc3339, span
from aiops_cli.analysis.ptp_readings import Run, Track
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
_RANK = {"critical": 0, "warning": 1, "info": 2}
_SECOND = 1e9
_NEAR = 5e6  # ns off a whole second that are still that second


def findings(board: Board, clocks: list[Clock]) -> list[Finding]:
    """Worst first, then by time. Times are when a sample first and last showed it; `until` is null while
    it lasts."""
    found = [
        *(f for clock in clocks for f in _clock(board, clock)),
        *(f for node in board.readings.nodes() for f in _node(board, node)),
        *_without_metrics(board),
    ]
    return sorted(found, key=lambda f: (_RANK[f.severity], f.since or "", f.entity, f.code))


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
    if clock.stuck_since is not None:
        yield say(
            "PTP_STUCK_GAUGE",
            "warning",
            f"offset and frequency have not moved for {span(board.readings.at - clock.stuck_since)}",
            action="look whether the process still logs; restart the linuxptp-daemon pod",
            since=clock.stuck_since,
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
    lost = [i for i, run in enumerate(clock.runs) if run[0] in (0, 2)]
    began = [i for i in lost if i and clock.runs[i - 1][0] == 1]
    if len(began) >= board.rules.flaps:
        last = clock.runs[lost[-1]]
        yield say(
            "PTP_FLAPPING",
            "warning",
            f"lost its lock {len(began)} times in the window",
            action="look at the grandmaster, the path to it and packet delay variation",
            since=clock.runs[began[0]][1],
            until=None if _ongoing(board, clock, last) else last[2],
            value=len(began),
            threshold=board.rules.flaps,
        )
        lost = [i for i in lost if _ongoing(board, clock, clock.runs[i])]
    for i in lost:
        yield _loss(board, clock, i, say)


def _loss(board: Board, clock: Clock, i: int, say: _About) -> Finding:
    """One stretch of FREERUN or HOLDOVER."""
    state, since, last = clock.runs[i]
    ongoing = _ongoing(board, clock, clock.runs[i])
    until = None if ongoing else clock.runs[i + 1][1] if i + 1 < len(clock.runs) else last
    lasted = (board.readings.at if until is None else until) - since
    allowed = clock.holdover_seconds
    severity: FindingSeverity = "critical" if ongoing else "warning"
    if state == 2:
        nearly = lasted >= 0.8 * allowed
        rest = f", {span(max(allowed - lasted, 0))} are left" if ongoing else ""
        return say(
            "PTP_HOLDOVER",
            "critical" if ongoing and nearly else "warning",
            f"HOLDOVER for {span(lasted)} of {span(allowed)}{rest}",
            action="find out why it lost its source before the holdover runs out",
            since=since,
            until=until,
            value=lasted,
            threshold=allowed,
            unit="s",
        )
    if i and clock.runs[i - 1][0] == 2:
        return say(
            "PTP_HOLDOVER_EXPIRED",
            severity,
            f"FREERUN for {span(lasted)} after its holdover ran out ({span(allowed)} are allowed)",
            action="bring its source back: grandmaster, link, or GNSS antenna",
            since=since,
            until=until,
            value=lasted,
            unit="s",
        )
    sure = clock.tells_holdover or clock.row.process in codes.GRANDMASTER_PROCESSES
    what = "FREERUN" if sure else "not locked"
    doubt = "" if sure else ": FREERUN or HOLDOVER, the daemon's own metrics do not tell"
    return say(
        "PTP_FREERUN",
        severity,
        f"{what} for {span(lasted)}{doubt}",
        action="look at the link, the grandmaster and ptp4l's log",
        since=since,
        until=until,
        value=lasted,
        unit="s",
    )


def _ongoing(board: Board, clock: Clock, run: Run) -> bool:
    return clock.current and run[2] >= board.readings.at


def _offset(board: Board, clock: Clock, say: _About) -> Iterator[Finding]:
    """Offsets over the budget while it could be measured; of summary lines their maximum counts."""
    offsets, budget = clock.peaks or clock.offsets, clock.budget
    if offsets is None or not len(offsets.values):
        return
    over = (offsets.values > budget.high) | (offsets.values < budget.low)
    if not over.any():
        return
    limit = budget.high
    times = offsets.times[over]
    now = clock.current and bool(over[-1]) and offsets.last_at >= board.readings.at
    worst = float(np.abs(offsets.values[over]).max())
    share = f"{int(over.sum())} of {len(over)} samples"
    if offsets.last_at == offsets.times[0]:
        share = "now"
    yield say(
        "PTP_OFFSET",
        "critical" if now else "warning",
        f"{ns(worst)} off at the worst, {ns(limit)} are allowed ({share})",
        action="look at path delay, asymmetry and load of the node",
        since=float(times[0]),
        until=None if now else float(times[-1]),
        value=worst,
        threshold=limit,
        unit="ns",
    )


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
            times = raw.times[hit]
            yield say(
                "PTP_LEAP",
                "critical",
                text,
                action=action,
                since=float(times[0]),
                until=None if hit[-1] and clock.current else float(times[-1]),
                value=float(np.abs(raw.values[hit]).max()),
                unit="ns",
            )


def _node(board: Board, node: str) -> Iterator[Finding]:
    yield from _processes(board, node)
    yield from _restarts(board, node)
    yield from _classes(board, node)
    yield from _ports(board, node)
    yield from _satellites(board, node)


def _stretches(
    track: Track, wrong: Callable[[int], bool], at: float
) -> Iterator[tuple[int, float, float | None]]:
    """(value, since, until) of each stretch of one wrong value; until is None while it lasts."""
    runs = track.runs()
    for i, (value, since, last) in enumerate(runs):
        if value is not None and wrong(value):
            until = runs[i + 1][1] if i + 1 < len(runs) else None if last >= at else last
            yield value, since, until


def _processes(board: Board, node: str) -> Iterator[Finding]:
    for (process, config), track in board.readings.track("process_status", node).items():
        say = _About(board, "process", f"{node}/{process}")
        for _, since, until in _stretches(track, lambda v: v == 0, board.readings.at):
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
            f"{process} was started {count:.0f} times in the window{of}",
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
                since=track.runs()[1][1],
                value=changes,
                threshold=board.rules.flaps,
            )
        for value, since, until in _stretches(track, codes.degraded, board.readings.at):
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
                since=track.runs()[1][1],
                value=changes,
                threshold=board.rules.flaps,
            )
        for _, since, until in _stretches(track, lambda v: v == codes.FAULTY, board.readings.at):
            yield say(
                "PTP_PORT_FAULTY",
                "warning" if until is not None else "critical",
                "the port was FAULTY" if until is not None else "the port is FAULTY",
                action="look at the link and at ptp4l's log",
                since=since,
                until=until,
            )


def _satellites(board: Board, node: str) -> Iterator[Finding]:
    for metric, wrong in (
        ("gnss_status", lambda v: v < codes.GNSS_FIX),
        ("nmea_status", lambda v: v == 0),
    ):
        if metric == "nmea_status" and board.readings.has(node, "gnss_status"):
            continue  # which says more
        for (_, port), track in board.readings.track(metric, node).items():
            say = _About(board, "gnss", f"{node}/{port}")
            for value, since, until in _stretches(track, wrong, board.readings.at):
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
