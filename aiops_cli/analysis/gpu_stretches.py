"""Stretches of time in which something was wrong with a GPU: heat, lowered clocks, rows that wait to be remapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from aiops_cli.analysis.gpu import LEGACY
from aiops_cli.analysis.gpu_codes import POWER, SLOWDOWN, THERMAL, throttle_reasons
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange

if TYPE_CHECKING:
    from aiops_cli.models.signals import Floats

Wrong = Literal["hot", "thermal", "power", "hardware", "remap_failed", "remap_pending"]
Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


def both(*names: str) -> tuple[str, ...]:
    """With what exporter 1.x calls them."""
    return names + tuple(old for old, new in LEGACY.items() if new in names)


TEMPERATURE = both("DCGM_FI_DEV_GPU_TEMP")
REASONS = ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS")
_FAILED = ("DCGM_FI_DEV_ROW_REMAP_FAILURE",)
_PENDING = ("DCGM_FI_DEV_ROW_REMAP_PENDING", "DCGM_FI_DEV_RETIRED_PENDING")
FLAGS = both(*_FAILED, *_PENDING)
METRICS = (*TEMPERATURE, *REASONS, *FLAGS)


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `since` to `until`, unix seconds of measurements: None where it began before the window, or goes on.
    `value` is the largest."""

    since: float | None
    until: float | None
    value: float


def stretches(
    metrics: Mapping[str, list[Series]], window: TimeRange, step: float, hot_from: float
) -> dict[Wrong, Stretch]:
    """The last stretch of each kind. Measurements that cross no threshold may be left out, but for the last;
    `hot_from` in °C."""
    found: dict[Wrong, Stretch] = {}

    def add(kind: Wrong, times: Floats, values: Floats, wrong: Mask) -> None:
        if (one := _last(times, values, wrong, window, step)) is not None:
            found[kind] = one

    if members := metrics.get(TEMPERATURE[0]):
        times, values = merged(members)
        add("hot", times, values, values >= hot_from)
    if members := [s for name in REASONS for s in metrics.get(name, ())]:
        times, values = merged(members)
        hot, power, slow = reason_masks(values)
        add("thermal", times, values, hot)
        add("power", times, values, power)
        add("hardware", times, values, slow)
    kinds: tuple[tuple[Wrong, tuple[str, ...]], ...] = (
        ("remap_failed", _FAILED),
        ("remap_pending", _PENDING),
    )
    for kind, names in kinds:
        if members := [s for name in names for s in metrics.get(name, ())]:
            times, values = merged(members)
            add(kind, times, values, values > 0)
    return found


def reason_masks(values: Floats) -> tuple[Mask, Mask, Mask]:
    """Where heat, power, or the hardware for no such reason lowered the clocks."""
    told = [frozenset(throttle_reasons(int(v))) for v in values.tolist()]
    hot = np.array([bool(m & THERMAL) for m in told], dtype=bool)
    power = np.array([bool(m & POWER) for m in told], dtype=bool)
    return hot, power, np.array([SLOWDOWN in m for m in told], dtype=bool) & ~hot & ~power


def _last(times: Floats, values: Floats, wrong: Mask, window: TimeRange, step: float) -> Stretch | None:
    if len(wrong) == 1:  # of most that have any it is only now
        at, only = float(times[0]), window.end - times[0] >= 1.5 * step
        since = None if at - window.start < 1.5 * step else at
        return Stretch(since, at if only else None, float(values[0])) if wrong[0] else None
    there = np.flatnonzero(wrong)
    if not there.size:
        return None
    last = int(there[-1])
    apart = np.diff(times[: last + 1])
    broken = np.flatnonzero(~wrong[:last] | (apart >= 1.5 * step))
    first = int(broken[-1]) + 1 if broken.size else 0
    open_ = not broken.size and times[first] - window.start < 1.5 * step
    ended = last + 1 < times.size or window.end - times[last] >= 1.5 * step
    return Stretch(
        None if open_ else float(times[first]),
        float(times[last]) if ended else None,
        float(np.max(values[first : last + 1])),
    )


def merged(members: Sequence[Series], *, newest: bool = False) -> tuple[Floats, Floats]:
    """Series of one thing as one over time: where several say something, the largest, or with `newest` the
    one that began last."""
    there = [s for s in members if len(s.timestamps)]
    if not there:
        return np.empty(0), np.empty(0)
    if len(there) == 1:
        return there[0].timestamps, there[0].values
    there.sort(key=lambda s: s.timestamps[0])
    times = np.concatenate([s.timestamps for s in there])
    values = np.concatenate([s.values for s in there])
    if all(a.timestamps[-1] < b.timestamps[0] for a, b in pairwise(there)):
        return times, values
    order = np.lexsort((np.repeat(np.arange(len(there)), [len(s.timestamps) for s in there]), times))
    times, values = times[order], values[order]
    firsts = np.flatnonzero(np.append(True, times[1:] != times[:-1]))
    if newest:
        return times[firsts], values[np.append(firsts[1:], len(times)) - 1]
    return times[firsts], np.fmax.reduceat(values, firsts)
