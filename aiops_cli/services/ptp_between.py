"""What PTP metrics did between the steps of a long window.

A step that holds a change of state, or an offset beyond the budget, is read scrape by scrape; of all others the
largest and smallest offset are enough. So a longer window tells no other story than a short one.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from aiops_cli.analysis.ptp import Board
from aiops_cli.analysis.ptp_codes import PREFIX, UNUSABLE_NS
from aiops_cli.analysis.ptp_readings import Readings, node_of
from aiops_cli.analysis.ptp_verdict import span
from aiops_cli.errors import AiopsError
from aiops_cli.models.samples import Sample
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.metrics import CachePolicy, range_answer
from aiops_cli.services.ptp_selectors import OVER_TIME_METRICS, selector

FINE = 15.0  # s: steps up to here are about the scrapes themselves
_STATES = (
    "clock_state",
    "clock_class",
    "interface_role",
    "process_status",
    "process_restart_count",
    "nmea_status",
    "gnss_status",
    "phase_status",
)
_MOVING = ("offset_ns", "frequency_adjustment_ns", "clock_state")
_EXTREMES = {
    "highest": ("max", "offset_ns"),
    "lowest": ("min", "offset_ns"),
    "peak": ("max", "max_offset_ns"),
}
_MOST_SAMPLES = 2_000_000  # that are read in full, at about 40 bytes each
_MOST_EDGES = 100  # queries; other edges are told by the steps
_AT_ONCE = 8
_WHAT = "what"

Step = tuple[float, float]  # from (exclusive) and to, unix seconds


@dataclass(slots=True)
class Between:
    """`series` are scrapes in full; `unread[node]` says what could not be read of which node, "" of all."""

    series: list[Series] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


async def between(
    member: LiveMember,
    board: Board,
    samples: list[Sample],
    series: list[Series],
    step: float,
    now: float,
    policy: CachePolicy,
) -> Between:
    """Look between the steps of `board.window`, whose `series` were read at `step` seconds, and `samples` at its
    end. Writes the extremes of offsets to the board's readings. What the server can't tell is said and fails
    nothing."""
    window = board.window
    expr, grid = _expression(step), window.aligned(step)
    try:
        source = await member.metrics()
        told, last = await asyncio.gather(
            range_answer(member, expr, grid, step, now, policy), source.query(expr, window.end)
        )
    except AiopsError as error:
        note = f"what was between steps of {span(step)} is not known: {error.message}"
        return Between(unread={"": note}, warnings=[note])
    wanted: dict[str, set[float]] = defaultdict(set)
    for node, at in _changed(series, window, step):
        wanted[node].add(at)
    for node, at in _seen([*told.rows, *last.rows], board):
        wanted[node].add(at)
    places, sizes = _places(samples)
    steps, unread = _affordable(wanted, sizes, window, step)
    queries = list(_queries(steps, places))
    if step > board.rules.stuck_after / 5:  # else the steps tell what stands still
        queries.append((f"{selector(_MOVING)}[{math.ceil(board.rules.stuck_after) + 60}s]", window.end))
    found = Between()
    if unread:
        note = f"more happened between steps of {span(step)} than can be read at once: shorten the window"
        found.unread = dict.fromkeys(unread, note)
        found.warnings.append(f"{note} ({len(unread)} nodes)")
    try:
        found.series = await _asked(member, queries)
    except AiopsError as error:
        note = f"what was between steps of {span(step)} is not known: {error.message}"
        return Between(unread={"": note}, warnings=[note])
    return found


async def edges(member: LiveMember, samples: list[Sample], readings: Readings, gap: float) -> list[Series]:
    """The scrapes of the `gap` seconds in which what the window begins with began; none where that can't be had."""
    steps: dict[Step, set[str]] = defaultdict(set)
    for by_node in readings.tracks.values():
        for node, by_key in by_node.items():
            for track in by_key.values():
                if track.began is not None and track.whole:
                    steps[track.began - gap, track.began].add(node)
    queries = list(_queries({step: sorted(nodes) for step, nodes in steps.items()}, _places(samples)[0]))
    try:
        return await _asked(member, queries[:_MOST_EDGES])
    except AiopsError:
        return []


async def _asked(member: LiveMember, queries: list[tuple[str, float]]) -> list[Series]:
    """The series of all queries, each asked at its moment."""
    source, gate = await member.metrics(), asyncio.Semaphore(_AT_ONCE)

    async def ask(query: str, at: float) -> list[Series]:
        async with gate:
            return (await source.query(query, at)).rows

    parts = await asyncio.gather(*(ask(query, at) for query, at in queries))
    return [one for part in parts for one in part if len(one.timestamps)]


def _expression(step: float) -> str:
    """One query for all: functions drop the metric's name, so each part is given a label of its own."""
    over = f"[{math.ceil(step)}s]"
    parts = [f"changes({PREFIX}{metric}{over}) > 0" for metric in _STATES]
    parts += [f"{which}_over_time({PREFIX}{metric}{over})" for which, metric in _EXTREMES.values()]
    names = [*_STATES, *_EXTREMES]
    return " or ".join(
        f'label_replace({part}, "{_WHAT}", "{name}", "", "")' for part, name in zip(parts, names, strict=True)
    )


def _changed(series: list[Series], window: TimeRange, step: float) -> Iterator[tuple[str, float]]:
    """Steps whose ends differ, and the one in which a series ended."""
    for one in series:
        if one.labels.get("__name__", "").removeprefix(PREFIX) in _STATES:
            for i in np.flatnonzero(np.diff(one.values)) + 1:
                yield node_of(one.labels), float(one.timestamps[i])
            if one.timestamps[-1] + step < window.end:
                yield node_of(one.labels), float(one.timestamps[-1]) + step


def _seen(rows: list[Series], board: Board) -> Iterator[tuple[str, float]]:
    """Steps in which a state changed, or an offset left what it may be, or was no measurement for a while."""
    pairs: dict[tuple[tuple[str, str], ...], dict[str, Series]] = defaultdict(dict)
    limits = {node: board.limits(node) for node in board.readings.nodes()}
    for one in rows:
        what = one.labels.get(_WHAT, "")
        if what in _STATES:
            yield from ((node_of(one.labels), float(t)) for t in one.timestamps)
            continue
        identity = tuple(sorted(p for p in one.labels.items() if p[0] != _WHAT))
        grid = "now" if len(one.timestamps) == 1 and one.timestamps[0] == board.window.end else "grid"
        pairs[(("", grid), *identity)][what] = one
    for found in pairs.values():
        some = next(iter(found.values()))
        node = node_of(some.labels)
        low, high = limits.get(node, (-math.inf, math.inf))
        if (peak := found.get("peak")) is not None:
            over = (peak.values > high) & (np.diff(peak.values, prepend=math.nan) != 0)
            board.readings.reached("max_offset_ns", peak.labels, peak.values)
            yield from ((node, float(t)) for t in peak.timestamps[over])
        top, bottom = found.get("highest"), found.get("lowest")
        if top is None or bottom is None or len(top.values) != len(bottom.values):
            continue
        board.readings.reached("offset_ns", top.labels, np.concatenate([top.values, bottom.values]))
        over = (top.values > high) | (bottom.values < low)
        throughout = (bottom.values > high) | (top.values < low)
        strange = np.maximum(np.abs(top.values), np.abs(bottom.values)) >= UNUSABLE_NS
        mixed = (over & ~throughout) | (strange & (top.values != bottom.values))
        yield from ((node, float(t)) for t in top.timestamps[mixed])


def _places(samples: list[Sample]) -> tuple[dict[str, str], dict[str, int]]:
    """By which label each node is named, and how many series it has."""
    places: dict[str, str] = {}
    sizes: dict[str, int] = defaultdict(int)
    for one in samples:
        node = node_of(one.labels)
        places[node] = next((n for n in ("exported_node", "node") if one.labels.get(n)), "instance")
        sizes[node] += 1
    return places, sizes


def _affordable(
    wanted: dict[str, set[float]], sizes: dict[str, int], window: TimeRange, step: float
) -> tuple[dict[Step, list[str]], list[str]]:
    """Nodes by the stretches that are to be read of them, and the nodes for which that is too much. Who had
    little happen comes first."""
    steps: dict[Step, list[str]] = defaultdict(list)
    unread, left = [], float(_MOST_SAMPLES)
    for node, ends in sorted(wanted.items(), key=lambda pair: (len(pair[1]), pair[0])):
        left -= len(ends) * step / FINE * sizes.get(node, 1)
        if left < 0:
            unread.append(node)
            continue
        for stretch in _stretches(sorted(ends), window, step):
            steps[stretch].append(node)
    return steps, unread


def _stretches(ends: list[float], window: TimeRange, step: float) -> Iterator[Step]:
    """Steps as (from, to), those that meet as one."""
    since, until = ends[0] - step, ends[0]
    for end in ends[1:]:
        if end - step > until + 1e-6:
            yield max(since, window.start - 0.001), until
            since = end - step
        until = end
    yield max(since, window.start - 0.001), until


def _queries(steps: dict[Step, list[str]], places: dict[str, str]) -> Iterator[tuple[str, float]]:
    """A range selector asked at a moment gives scrapes as they are."""
    for (since, until), nodes in steps.items():
        by_label: dict[str, list[str]] = defaultdict(list)
        for node in nodes:
            by_label[places.get(node, "node")].append(node)
        for label, names in by_label.items():
            choice = "|".join(re.escape(n) + ("(:.*)?" if label == "instance" else "") for n in sorted(names))
            text = choice.replace("\\", "\\\\").replace('"', '\\"')
            only = selector(OVER_TIME_METRICS, f'{label}=~"{text}"')
            yield f"{only}[{max(1, round((until - since) * 1000))}ms]", until
