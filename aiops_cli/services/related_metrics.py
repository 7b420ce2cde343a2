"""The named queries of a place: which have data, and how they moved around a moment."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiops_cli.analysis.subjects import Place, literal
from aiops_cli.errors import AiopsError, NotAvailableError
from aiops_cli.models.related import Subject
from aiops_cli.models.signals import Labels, Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import Member
from aiops_cli.services.metrics import CachePolicy, range_answer
from aiops_cli.services.queries import CATALOGUE, NamedQuery
from aiops_cli.services.related_commands import Commands, matcher, one_of, quoted, selector
from aiops_cli.services.related_found import Found, counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOVED = 5
"""Moved series that are told each in an item of its own."""
_STRONG = 3.0  # robust standard deviations
_AFTER = 0.2  # the least share of the window that is compared with what was before
_BEFORE = 0.4  # of the time before the moment: alerts fire long after what they tell of began
_FLOOR = 0.05  # of the largest value: a flicker of a flat line is no move
_TARGETS = ("service", "job", "app", "container")


@dataclass(frozen=True, slots=True)
class Targets:
    """What Prometheus scrapes of a place. `jobs` are its alone; `by_pod` says that series name their pod."""

    jobs: frozenset[str]
    instances: frozenset[str]
    by_pod: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A query for a place: what to send, whose series to keep, and the words that ask it again."""

    name: str
    query: NamedQuery
    expr: str
    ours: Callable[[Labels], bool]
    words: str


@dataclass(frozen=True, slots=True)
class Moved:
    """How a series went: medians before and after, where it crossed half way (unix seconds), how far in
    robust standard deviations. `before` is None for a series that was not there."""

    before: float | None
    after: float
    at: float
    score: float


async def metrics_of(
    member: Member,
    place: Place,
    subject: Subject,
    step: float,
    now: float,
    policy: CachePolicy,
    commands: Commands,
) -> list[Found]:
    """What moved most first, then how many series did not. Raises what the first query raised if none
    was answered."""
    if place.about in ("cluster", "namespace") and not place.namespace:
        return []
    targets = await targets_of(member, place, subject.end)
    asked = queries_for(place, targets, exact=member.origin == "bundle")
    window = TimeRange(subject.start, subject.end).aligned(step)
    failures: list[AiopsError] = []

    async def one(query: Asked) -> list[tuple[Asked, Series]]:
        try:
            answer = await range_answer(member, query.expr, window, step, now, policy)
        except AiopsError as error:
            failures.append(error)
            return []
        return [(query, s) for s in answer.rows if query.ours(s.labels)]

    rows = [row for rows in await asyncio.gather(*(one(q) for q in asked)) for row in rows]
    real = [f for f in failures if not isinstance(f, NotAvailableError)]
    if not rows and failures:
        raise real[0] if real else failures[0]
    return _told(rows, place, targets, subject, commands)


async def targets_of(member: Member, place: Place, at: float) -> Targets:
    """Jobs and instances whose `up` series are of this place. Raises ClusterError."""
    if place.about == "node":
        return Targets(frozenset(), await _node_exporters(member, place.name, at), by_pod=False)
    space = selector("up", [matcher("namespace", place.namespace)] if place.namespace else [])
    listed = await _instant(member, space, at) or (
        await _instant(member, "up", at) if place.namespace else []
    )
    ours: list[Labels] = []
    theirs: set[str] = set()
    for labels in listed:
        pod = labels.get("pod") or labels.get("kubernetes_pod_name")
        named = any(labels.get(k) in place.names for k in _TARGETS)
        if place.has_pod(pod, labels.get("namespace")) if pod else named:
            ours.append(labels)
        else:
            theirs.add(labels.get("job", ""))
    jobs = frozenset(j for labels in ours if (j := labels.get("job")) and j not in theirs)
    return Targets(
        jobs,
        frozenset(i for labels in ours if (i := labels.get("instance"))),
        by_pod=bool(ours) and all("pod" in labels for labels in ours),
    )


async def node_at(member: Member, instance: str, at: float) -> str | None:
    """The name of the node that a node exporter at this address reads. Raises ClusterError."""
    found = await _instant(member, selector("node_uname_info", [matcher("instance", instance)]), at)
    return next((labels["nodename"] for labels in found if labels.get("nodename")), None)


async def _node_exporters(member: Member, node: str, at: float) -> frozenset[str]:
    """The instances that tell of a node: by the name that the exporter reads there, by a `node` label, or
    by their address."""
    named, up = await asyncio.gather(
        _instant(member, selector("node_uname_info", [matcher("nodename", node)]), at),
        _instant(member, "up", at),
    )
    here = [t for t in up if t.get("node") == node and "node-exporter" in t.get("job", "")]
    here += [t for t in up if t.get("instance", "").rsplit(":", 1)[0] == node]
    return frozenset(i for labels in [*named, *here] if (i := labels.get("instance")))


async def _instant(member: Member, expr: str, at: float) -> list[Labels]:
    try:
        return [s.labels for s in (await (await member.metrics()).query(expr, at)).rows]
    except NotAvailableError:  # a bundle knows no such series
        return []


def queries_for(place: Place, targets: Targets, *, exact: bool) -> list[Asked]:
    """The catalogue's queries about a place, narrowed to it on the server; `exact` leaves them as they
    are, since a recording answers no other, and keeps what is the place's alone."""
    asked: list[Asked] = []
    pods = place.pod_pattern
    of_pods = [one_of("pod", [pods])] if pods else []
    space = [matcher("namespace", place.namespace)] if place.namespace else []
    jobs = [one_of("job", map(literal, sorted(targets.jobs)))] if targets.jobs else []
    for name, query in CATALOGUE.items():
        label = query.entity
        matchers: list[str] = []
        if label in ("job", "service") and place.about in ("workload", "pod"):
            matchers = [*space, *of_pods] if targets.by_pod and of_pods else jobs
            ours = _one_of(label, targets.jobs) if exact or not targets.by_pod else _any
        elif label == "pod" and place.about in ("workload", "pod"):
            matchers, ours = [*space, *of_pods], _pod_of(place)
        elif label in ("instance", "node") and place.about == "node" and query.kind == "node":
            known = targets.instances if label == "instance" else frozenset({place.name})
            matchers = [one_of(label, map(literal, sorted(known)))] if known else []
            ours = _one_of(label, known)
        elif label == "namespace" and place.about == "namespace":
            matchers, ours = space, _one_of(label, frozenset({place.name}))
        elif place.about == "workload" and label == (place.kind or "workload").lower():
            matchers = [*space, matcher(label, place.name)]
            ours = _one_of(label, frozenset({place.name}))
        if not matchers or (exact and label in ("job", "service") and not targets.jobs):
            continue
        expr = query.expr if exact else narrowed(query.expr, matchers)
        asked.append(Asked(name, query, expr or query.expr, ours, f"@{name}" if exact or not expr else expr))
    return asked


def narrowed(expr: str, matchers: Sequence[str]) -> str | None:
    """The same PromQL with these matchers in every selector; None for what can't be written anew safely.

    The parser prints braces for each selector, and nowhere else but in strings.
    """
    import promql_parser

    try:
        text = str(promql_parser.parse(expr))
    except ValueError:
        return None
    if "\\" in text or "`" in text:  # the parser prints strings without their escapes
        return None
    out: list[str] = []
    inside_string = False
    for character in text:
        if character == '"':
            inside_string = not inside_string
        if character == "}" and not inside_string:
            out.append("" if out[-1] == "{" else ",")
            out.append(",".join(matchers))
        out.append(character)
    written = "".join(out)
    try:
        promql_parser.parse(written)
    except ValueError:
        return None
    return written


def move(
    times: NDArray[np.float64], values: NDArray[np.float64], at: float, window: TimeRange
) -> Moved | None:
    """How a series went around `at` (unix seconds); None where it has no numbers after it."""
    import numpy as np

    from aiops_cli.analysis.robust import location_scale

    split = min(at, window.end - _AFTER * window.seconds)
    split = max(split, window.start + _AFTER * window.seconds)
    known = np.isfinite(values)
    times, values = times[known], values[known]
    before = values[times < window.start + _BEFORE * (split - window.start)]
    after = values[times >= split]
    if not len(after):
        return None
    high = float(np.median(after))
    if not len(before):
        return Moved(None, high, float(times[0]), math.inf if high else 0.0)
    center, scale = location_scale(before[None, :])
    low = float(center[0])
    floor = max(float(scale[0]), _FLOOR * float(np.max(np.abs(values))))
    score = abs(high - low) / floor if floor else 0.0
    past = (values - low) / (high - low) >= 0.5 if high != low else np.ones(len(values), bool)
    return Moved(low, high, float(times[_longest_run(past)]), score)


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Where the longest run of True begins."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    return int(starts[int(np.argmax(ends - starts))]) if len(starts) else 0


def _told(
    rows: list[tuple[Asked, Series]], place: Place, targets: Targets, subject: Subject, commands: Commands
) -> list[Found]:
    # What there is of the window: a place, or a Prometheus, may be younger, and steps end before it does.
    some = [s.timestamps for _, s in rows if len(s.timestamps)]
    begin = min((float(t[0]) for t in some), default=subject.start)
    window = TimeRange(begin, max((float(t[-1]) for t in some), default=subject.end))
    moves = [
        (m, asked, s)
        for asked, s in rows
        if len(s.timestamps) and (m := move(s.timestamps, s.values, subject.at, window)) is not None
    ]
    moves.sort(key=lambda r: (-r[0].score, r[1].name, sorted(r[2].labels.items())))
    told = [r for r in moves if r[0].score >= _STRONG][:MOVED]
    found = [
        Found(
            1,
            m.at,
            f"{_title(asked, s)} {_number(m.before)} → {_number(m.after)}{_unit(asked)} ({asked.query.meaning})",
            commands.timed("metrics", "range", asked.words),
        )
        for m, asked, s in told
    ]
    rest = moves[len(told) :]
    if rest:
        names = ", ".join(dict.fromkeys(f"@{asked.name}" for _, asked, _ in rest))
        also = "more " if told else ""
        summary = f"{counted(len(rest), f'{also}series').replace('seriess', 'series')} of {names}"
        summary += " moved less" if any(m.score >= _STRONG for m, _, _ in rest) else " as before"
        found.append(
            Found(len(rest), None, summary, commands.timed("metrics", "series", _selector(place, targets)))
        )
    return found


def _selector(place: Place, targets: Targets) -> str:
    """A selector of all series of a place, for `metrics series`."""
    if place.about == "node" and targets.instances:
        return selector("", [one_of("instance", map(literal, sorted(targets.instances)))])
    if targets.jobs and not targets.by_pod:
        return selector("", [one_of("job", map(literal, sorted(targets.jobs)))])
    space = [matcher("namespace", place.namespace)] if place.namespace else []
    return selector("", [*space, *([one_of("pod", [place.pod_pattern])] if place.pod_pattern else [])])


def _title(asked: Asked, series: Series) -> str:
    """`@pool-in-use{pool="ledger-db"}`: the labels that tell series of one thing apart."""
    apart = {
        k: v
        for k, v in sorted(series.labels.items())
        if k not in (asked.query.entity, "namespace", "__name__", "job", "instance")
    }
    inside = ",".join(f"{k}={quoted(v)}" for k, v in apart.items())
    return f"@{asked.name}" + (f"{{{inside}}}" if inside else "")


def _number(value: float | None) -> str:
    if value is None:
        return "(none)"
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _unit(asked: Asked) -> str:
    return f" {asked.query.unit}" if asked.query.unit else ""


def _one_of(label: str, values: frozenset[str]) -> Callable[[Mapping[str, str]], bool]:
    return lambda labels: labels.get(label) in values


def _pod_of(place: Place) -> Callable[[Mapping[str, str]], bool]:
    return lambda labels: place.has_pod(labels.get("pod", ""), labels.get("namespace"))


def _any(labels: Mapping[str, str]) -> bool:
    return True
