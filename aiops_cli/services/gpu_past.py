"""The past of one cluster's GPUs: what they did over the window, when an XID came, and which are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from aiops_cli.analysis import gpu_history, gpu_stretches
from aiops_cli.analysis.gpu import Attribution, Key, key_of
from aiops_cli.analysis.gpu_gone import Gone, gone
from aiops_cli.analysis.gpu_history import Past
from aiops_cli.models.gpu import Gpu, GpuThresholds
from aiops_cli.models.result import Answer
from aiops_cli.models.samples import Sample
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange, default_step
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.gpu_closely import CLOSELY, Lost, edges, lost, xids
from aiops_cli.services.gpu_hours import FINE, Hours, hours
from aiops_cli.services.metrics import CachePolicy, range_answer
from aiops_cli.sources import dcgm

_LATE = 300.0  # seconds before a time that is judged, of which something is known too
Judge = Callable[[Sequence[Series]], dict[Key, Past]]


@dataclass(slots=True)
class Times:
    """When to look at. `at` is the instant that the present is of, `now` the clock's."""

    window: TimeRange
    step: float
    at: float
    now: float
    policy: CachePolicy

    async def ranged(self, member: Member, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        return await range_answer(member, expr, window.aligned(step), step, self.now, self.policy)


@dataclass(slots=True)
class Known:
    """What a cluster's GPUs did, and those that are gone."""

    pasts: dict[Key, Past] = field(default_factory=dict)
    gone: list[Gone] = field(default_factory=list)


async def known(
    member: Member,
    rows: Sequence[Gpu],
    samples: Sequence[Sample],
    exporters: Collection[str],
    times: Times,
    limits: GpuThresholds,
) -> Answer[Known]:
    """The past of these GPUs and of those that are gone; `samples` are what is measured now. Raises
    ClusterError."""
    window, step = times.window.aligned(times.step), times.step
    judge = partial(
        gpu_history.past,
        window=window,
        step=step,
        idle_below=limits.idle_utilization,
        exporters=exporters,
        hot_from=limits.temperature_warning,
    )
    if isinstance(member, LiveMember):
        return await _live(member, rows, samples, times, limits, judge, exporters)
    history = await times.ranged(member, dcgm.EVERYTHING, window, step)
    present = _present(samples, times.at, history.rows, limits.temperature_warning)
    pasts = judge([*history.rows, *present])
    ended = gone([s.labels for s in history.rows if key_of(s.labels)], rows, pasts, member.name)
    return Answer(
        [Known(pasts, ended)], history.source, history.age_seconds, history.warnings, history.partial
    )


async def _live(
    member: LiveMember,
    rows: Sequence[Gpu],
    samples: Sequence[Sample],
    times: Times,
    limits: GpuThresholds,
    judge: partial[dict[Key, Past]],
    exporters: Collection[str],
) -> Answer[Known]:
    source, step = await member.metrics(), times.step
    seconds = max(times.at - times.window.start, step)
    ended = await lost(source, seconds, times.at) if not rows else None
    if not rows and not ended:
        return Answer([Known()])
    wrong = dcgm.crossed(
        gpu_stretches.TEMPERATURE, limits.temperature_warning, gpu_stretches.REASONS, gpu_stretches.FLAGS
    )
    asked = [
        times.ranged(member, dcgm.values(gpu_history.METRICS, more=False), times.window, step),
        times.ranged(member, wrong, times.window, step),
    ]
    idle, idle_step = _idle_window(times, limits), 0.0
    if idle is not None:
        idle_step = default_step(idle.seconds, FINE)
        asked.append(times.ranged(member, dcgm.values(gpu_history.USE, more=False), idle, idle_step))
        judge = partial(judge, earliest=idle.start, idle_step=idle_step)
    history, lost_ones, closely, counted = await asyncio.gather(
        _all(asked),
        lost(source, seconds, times.at) if ended is None else _already(ended),
        xids(source, min(seconds, CLOSELY), times.at),
        _hours(member, rows, samples, exporters, times, limits),
    )
    present = _present(samples, times.at, history.rows, limits.temperature_warning)
    series = [*history.rows, *closely, *present]
    pasts = judge(series)
    if step > FINE:
        history.warnings += await edges(source, series, pasts, judge, times.at, step)
    for key, (allocated, idling) in counted.seconds.items():
        if (one := pasts.get(key)) is not None and one.allocated_seconds is not None:
            one.allocated_seconds, one.idle_seconds = allocated, idling
    history.warnings += counted.notes
    last: dict[str, float] = {}
    for labels, when in lost_ones:
        if (of := key_of(labels)) is not None:
            last[of[0]] = max(when, last.get(of[0], when))
    found = gone([labels for labels, _ in lost_ones], rows, pasts, member.name, last)
    return Answer(
        [Known(pasts, found)], history.source, history.age_seconds, history.warnings, history.partial
    )


async def _already(ended: list[Lost]) -> list[Lost]:
    return ended


async def _all(asked: Sequence[Awaitable[Answer[Series]]]) -> Answer[Series]:
    """As one answer, of the first one's age."""
    answers = await asyncio.gather(*asked)
    first = answers[0]
    notes = list(dict.fromkeys(w for a in answers for w in a.warnings))
    partly = any(a.partial for a in answers)
    return Answer([s for a in answers for s in a.rows], first.source, first.age_seconds, notes, partly)


def _idle_window(times: Times, limits: GpuThresholds) -> TimeRange | None:
    """The time before the end in which a GPU has to be idle to be told, where the window is shorter, or its
    steps too long to say."""
    needed = 60 * limits.idle_minutes + _LATE
    if times.step <= FINE and times.window.seconds >= needed:
        return None
    return TimeRange(times.window.end - needed, times.window.end)


async def _hours(
    member: LiveMember,
    rows: Sequence[Gpu],
    samples: Sequence[Sample],
    exporters: Collection[str],
    times: Times,
    limits: GpuThresholds,
) -> Hours:
    if times.step <= FINE or not rows:
        return Hours()
    held = dcgm.held(Attribution((s.labels for s in samples), exporters).stems)
    ranged = partial(times.ranged, member)
    return await hours(
        await member.metrics(),
        ranged,
        held,
        limits.idle_utilization,
        times.window,
        times.at,
        times.step,
        len(rows),
    )


def _present(samples: Sequence[Sample], at: float, before: Sequence[Series], hot_from: float) -> list[Series]:
    """What is measured now is the last point. Of what can be wrong only where it is, or was in `before`."""
    import numpy as np

    flags = frozenset(gpu_stretches.METRICS)
    wanted = frozenset(gpu_history.METRICS)
    was = {key_of(s.labels) for s in before if s.labels.get("__name__") in flags}
    when = np.array([at])

    def says(name: str, value: float) -> bool:
        return value >= hot_from if name in gpu_stretches.TEMPERATURE else value > 0

    return [
        Series({**labels, "__name__": name}, when, np.array([value]))
        for name, labels, value in samples
        if name in wanted or (name in flags and (says(name, value) or key_of(labels) in was))
    ]
