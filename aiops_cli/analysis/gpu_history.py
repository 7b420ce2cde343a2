"""What GPUs did over a window: allocated and idle time, when an XID came, errors and throttling since."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from aiops_cli.analysis.gpu import BLANK_FROM, LEGACY, PERCENT, Attribution, Key, User, blank, key_of
from aiops_cli.analysis.gpu_stretches import Stretch, Wrong, both, merged, stretches
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange

_UTILIZATION = "DCGM_FI_DEV_GPU_UTIL"
_ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
_XID = "DCGM_FI_DEV_XID_ERRORS"
_NVLINK = (
    "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL",
    "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL",
    "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL",
    "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL",
)
_THROTTLES = {"DCGM_FI_DEV_POWER_VIOLATION": "power", "DCGM_FI_DEV_THERMAL_VIOLATION": "thermal"}
_UNCORRECTABLE = "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"


METRICS = both(_UTILIZATION, _ACTIVE, _XID, *_NVLINK, *_THROTTLES, _UNCORRECTABLE)
XIDS = both(_XID)
USE = both(_UTILIZATION, _ACTIVE)
_PART = frozenset({_UTILIZATION, _ACTIVE})  # of an instance; the rest is of the board
_UNSEEN = 300.0
"""Seconds without a measurement, or two steps, after which nobody knows whether it was idle."""


@dataclass(slots=True)
class Past:
    """One GPU or instance over the window. Times are unix seconds; what was not measured is None.

    `idle_since` is when it was last busy, if it has been idle with the same holder up to the end; with
    `idle_before` that is only when the looking began, and it was idle before. `utilization` is the mean of
    the window, `held_utilization` since its present holder has it. `stretches` are the last ones in which
    something was wrong, by what. A share of `throttled` (power, thermal) is of the window. `xids` are (when it was first seen, code), of those
    that came within the window. `seen` is when it was measured last, `holders` are who had it then. XIDs,
    errors and throttling are those of the board, whose instance is "".
    """

    allocated_seconds: float | None = None
    idle_seconds: float | None = None
    idle_since: float | None = None
    idle_before: bool = False
    utilization: float | None = None
    held_utilization: float | None = None
    stretches: dict[Wrong, Stretch] = field(default_factory=dict)
    xids: tuple[tuple[float, int], ...] | None = None
    nvlink_errors: float | None = None
    uncorrectable: float | None = None
    throttled: dict[str, float] | None = None
    seen: float | None = None
    holders: tuple[User, ...] = ()


def past(
    series: Sequence[Series],
    window: TimeRange,
    step: float,
    idle_below: float,
    exporters: Iterable[str] = (),
    *,
    hot_from: float = math.inf,
    earliest: float | None = None,
    idle_step: float = 0.0,
) -> dict[Key, Past]:
    """The past of each GPU. `window` is aligned to `step`; `idle_below` in percent, `hot_from` in °C;
    `exporters` as in `gpu.rows`. Of its use there may be more, from `earliest` on, each `idle_step`, which only says
    since when it is idle.

    A series ends when its GPU changes hands, and another begins: those of one GPU are one over time.
    """
    attribution = Attribution((s.labels for s in series), exporters)
    groups: dict[Key, dict[str, list[Series]]] = {}
    for one in series:
        key, name = key_of(one.labels), one.labels.get("__name__", "")
        if key is None or not len(one.timestamps):
            continue
        known = LEGACY.get(name, name)
        whose = key if known in _PART else (key[0], "")
        groups.setdefault(whose, {}).setdefault(known, []).append(measured(one, name in PERCENT))
    began = window.start if earliest is None else min(earliest, window.start)
    asked = _Asked(attribution, window, step, idle_below, hot_from, began, max(step, idle_step))
    return {key: _one(key, metrics, asked) for key, metrics in groups.items()}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What `past` is asked."""

    attribution: Attribution
    window: TimeRange
    step: float
    idle_below: float
    hot_from: float
    began: float
    slowest: float
    """The longest step."""


def measured(one: Series, percent: bool) -> Series:
    """A series without DCGM's blanks, and percent as a ratio."""
    times, values = one.timestamps, one.values
    if not (values.max() if len(values) > 1 else values[0]) < BLANK_FROM:
        good = np.array([not blank(v) for v in values.tolist()], dtype=bool)
        times, values = times[good], values[good]
    return Series(one.labels, times, values / 100 if percent else values)


def _one(key: Key, metrics: dict[str, list[Series]], asked: _Asked) -> Past:
    window, step = asked.window, asked.step
    found = Past()
    of = _ACTIVE if key[1] or _UTILIZATION not in metrics else _UTILIZATION
    if of in metrics:
        _use(found, metrics[of], 100.0 if of == _ACTIVE else 1.0, asked)
    if _XID in metrics:
        found.xids = _board_xids(metrics[_XID])
    found.nvlink_errors = _increase(metrics, _NVLINK)
    found.uncorrectable = _increase(metrics, (_UNCORRECTABLE,))
    shares = {kind: _increase(metrics, (name,)) for name, kind in _THROTTLES.items() if name in metrics}
    if shares:  # nanoseconds
        found.throttled = {
            k: min(v / 1e9 / max(window.seconds, step), 1.0) for k, v in shares.items() if v is not None
        }
    ends = [s.timestamps[-1] for members in metrics.values() for s in members if len(s.timestamps)]
    found.seen = float(max(ends)) if ends else None
    found.stretches = stretches(metrics, window, step, asked.hot_from)
    return found


def _use(found: Past, members: list[Series], scale: float, asked: _Asked) -> None:
    """Time counts from a measurement to the next one, where none is missing between them."""
    times, values = merged(members)
    if not times.size:
        return
    busy = values * scale
    having: dict[User, np.ndarray[tuple[int], np.dtype[np.bool_]]] = {}
    for one in members:
        if (user := asked.attribution.user(one.labels)) is not None:
            mask = having.setdefault(user, np.zeros(times.size, dtype=bool))
            mask[np.searchsorted(times, one.timestamps)] = True
    window, step = asked.window, asked.step
    held = np.zeros(times.size, dtype=bool)
    holder = np.zeros(times.size, dtype=np.int64)
    for user, mask in having.items():
        held |= mask
        holder[mask] ^= hash(user)
    idle = held & (busy < asked.idle_below)
    apart = np.diff(times)
    within = times >= window.start
    counted = np.where((apart < 1.5 * step) & within[:-1], apart, 0.0)
    found.allocated_seconds = float(np.sum(counted[held[:-1]]))
    found.idle_seconds = float(np.sum(counted[idle[:-1]]))
    if within.any():
        found.utilization = float(np.mean(busy[within]))
    others = np.flatnonzero((holder != holder[-1]) | ~within)
    mine = busy[int(others[-1]) + 1 if others.size else 0 :]
    found.held_utilization = float(np.mean(mine)) if mine.size else None
    found.holders = tuple(user for user, mask in having.items() if mask[-1])
    unseen = max(_UNSEEN, 2 * asked.slowest)
    if not idle[-1] or window.end - times[-1] > unseen:
        return
    broken = np.flatnonzero(
        ~(idle[:-1] & (holder[:-1] == holder[-1]) & (apart <= unseen))
    )  # between this measurement and the next
    found.idle_since = float(times[broken[-1] + 1] if broken.size else times[0])
    found.idle_before = not broken.size and bool(times[0] - asked.began < 1.5 * asked.slowest)


def _board_xids(members: Sequence[Series]) -> tuple[tuple[float, int], ...] | None:
    """Each instance has a gauge of its own, which goes on from that of the GPU before it was divided."""
    gauges: dict[str, list[Series]] = {"": []}
    for one in members:
        gauges.setdefault(one.labels.get("GPU_I_ID", ""), []).append(one)
    whole = gauges.pop("")
    told = [_xids([*whole, *own]) for own in gauges.values()] or [_xids(whole)]
    known = [xids for xids in told if xids is not None]
    return tuple(sorted({one for xids in known for one in xids})) if known else None


def _xids(members: Sequence[Series]) -> tuple[tuple[float, int], ...] | None:
    """The gauge keeps its last code: only a change to another one says that an XID came. One measurement
    alone says nothing of before."""
    times, values = merged(members, newest=True)
    if len(times) < 2:
        return None
    changed = np.flatnonzero(values[1:] != values[:-1]) + 1
    return tuple((float(times[i]), int(values[i])) for i in changed if values[i] > 0)


def _increase(metrics: dict[str, list[Series]], names: Iterable[str]) -> float | None:
    """How much counters grew, resets (a driver that was loaded anew) left out."""
    grown: list[float] = []
    for name in names:
        links: dict[str, list[Series]] = {}
        for one in metrics.get(name, ()):
            links.setdefault(one.labels.get("nvlink", ""), []).append(one)
        for members in links.values():
            values = merged(members)[1]
            steps = values[1:] - values[:-1]
            grown.append(float(steps[steps > 0].sum()) if len(steps) else 0.0)
    return sum(grown) if grown else None
