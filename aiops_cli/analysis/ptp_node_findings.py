"""What is, or in the window was, wrong with what the clocks of a node share: processes, clock classes, ports and
satellites."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aiops_cli.analysis import ptp_codes as codes
from aiops_cli.analysis.ptp import Board
from aiops_cli.analysis.ptp_readings import TROUBLE, Run, Track
from aiops_cli.analysis.ptp_verdict import lasting, rfc3339, times
from aiops_cli.models.analysis import Entity
from aiops_cli.models.findings import Finding, FindingSeverity


class About:
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


def began(board: Board, run: Run) -> float | None:
    """When a stretch began, or is first known of; None where nothing but now is."""
    return run.since if run.whole or run.since < board.readings.at else None


def _is(until: float | None) -> str:
    return "is" if until is None else "was"


def _for(board: Board, run: Run, until: float | None) -> str:
    return lasting(run, board.readings.at if until is None else until)


def of_node(board: Board, node: str) -> Iterator[Finding]:
    yield from _processes(board, node)
    yield from _restarts(board, node)
    yield from _classes(board, node)
    yield from _ports(board, node)
    yield from _satellites(board, node)


def _stretches(metric: str, track: Track, at: float) -> Iterator[tuple[Run, float | None]]:
    """Each stretch of one value that is trouble, and until when; None while it lasts."""
    runs = track.runs()
    for i, run in enumerate(runs):
        if run.value is not None and TROUBLE[metric](run.value):
            until = runs[i + 1].since if i + 1 < len(runs) else None if run.last >= at else run.last
            yield run, until


def _processes(board: Board, node: str) -> Iterator[Finding]:
    for (process, config), track in board.readings.track("process_status", node).items():
        say = About(board, "process", f"{node}/{process}")
        for run, until in _stretches("process_status", track, board.readings.at):
            of = f" ({config})" if config else ""
            yield say(
                "PTP_PROCESS_DOWN",
                "warning" if until is not None else "critical",
                f"{process} {_is(until)} down{_for(board, run, until)}{of}",
                action="read the log of linuxptp-daemon-container on that node",
                since=began(board, run),
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
        yield About(board, "process", f"{node}/{process}")(
            "PTP_PROCESS_RESTARTED",
            "warning" if count >= board.rules.flaps else "info",
            f"{process} was started {times(count)} in the window{of}",
            action="read the log of linuxptp-daemon-container on that node",
            since=float(track.times[grown[0]]),
            until=float(track.times[grown[-1]]),
            value=count,
            threshold=board.rules.flaps,
        )


def _calmed(board: Board, track: Track) -> float | None:
    """When the last of many changes was; None if that was just now."""
    last = track.lasting().since
    return last if board.readings.at - last > max(codes.APART, 2.5 * board.step) else None


def _classes(board: Board, node: str) -> Iterator[Finding]:
    for (process, config), track in board.readings.track("clock_class", node).items():
        say = About(board, "clock", f"{node}/{process}" + (f"/{config}" if config else ""))
        runs = track.runs()
        changes = len(runs) - 1
        if changes >= board.rules.flaps:
            yield say(
                "PTP_GRANDMASTER_FLAPPING",
                "warning",
                f"the clock class changed {changes} times in the window",
                action="see whether two grandmasters compete, or one loses its reference",
                since=runs[1].since,
                until=_calmed(board, track),
                value=changes,
                threshold=board.rules.flaps,
            )
        for run, until in _stretches("clock_class", track, board.readings.at):
            if until is not None and changes >= board.rules.flaps:
                continue
            value = run.value or 0
            yield say(
                "PTP_CLOCK_CLASS",
                "warning",
                f"clock class {value}{_for(board, run, until)}: {codes.class_text(value)}",
                action="look at the grandmaster's reference",
                since=began(board, run),
                until=until,
                value=value,
            )


def _ports(board: Board, node: str) -> Iterator[Finding]:
    for (_, port), track in board.readings.track("interface_role", node).items():
        say = About(board, "port", f"{node}/{port}")
        runs = track.runs()
        changes = len(runs) - 1
        if changes >= board.rules.flaps:
            yield say(
                "PTP_PORT_FLAPPING",
                "warning",
                f"the port changed its role {changes} times in the window",
                action="look at link, cable and announce timeouts",
                since=runs[1].since,
                until=_calmed(board, track),
                value=changes,
                threshold=board.rules.flaps,
            )
        for run, until in _stretches("interface_role", track, board.readings.at):
            yield say(
                "PTP_PORT_FAULTY",
                "warning" if until is not None else "critical",
                f"the port {_is(until)} FAULTY{_for(board, run, until)}",
                action="look at the link and at ptp4l's log",
                since=began(board, run),
                until=until,
            )


def _satellites(board: Board, node: str) -> Iterator[Finding]:
    for metric in ("gnss_status", "nmea_status"):
        if metric == "nmea_status" and board.readings.has(node, "gnss_status"):
            continue  # which says more
        for (_, port), track in board.readings.track(metric, node).items():
            say = About(board, "gnss", f"{node}/{port}")
            for run, until in _stretches(metric, track, board.readings.at):
                value = run.value or 0
                fix = codes.GNSS.get(value, "no fix")
                what = f"GNSS has {fix}" if metric == "gnss_status" else "GNSS sends no NMEA sentences"
                what += _for(board, run, until)
                yield say(
                    "PTP_GNSS_LOST",
                    "warning" if until is not None else "critical",
                    what,
                    action="look at antenna, cable and receiver; the clock is in holdover meanwhile",
                    since=began(board, run),
                    until=until,
                    value=value,
                )
