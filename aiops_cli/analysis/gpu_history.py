"""What GPUs did over a window: allocated and idle time, when an XID came, errors and throttling since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aiops_cli.analysis.gpu import LEGACY, Attribution, Key, key_of
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange

if TYPE_CHECKING:
    from aiops_cli.models.signals import Floats

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
METRICS = (_UTILIZATION, _ACTIVE, _XID, *_NVLINK, *_THROTTLES, _UNCORRECTABLE)
METRICS += tuple(old for old, new in LEGACY.items() if new in METRICS)


@dataclass(slots=True)
class Past:
    """One GPU or instance over the window. Times are unix seconds; what was not measured is None.

    `idle_since` is when it was last busy, if it has been idle with the same holder up to the end. A share
    of `throttled` (power, thermal) is of the window. `xids` are (when it was first seen, code), of those
    that came within the window.
    """

    allocated_seconds: float | None = None
    idle_seconds: float | None = None
    idle_since: float | None = None
    utilization: float | None = None
    xids: tuple[tuple[float, int], ...] | None = None
    nvlink_errors: float | None = None
    uncorrectable: float | None = None
    throttled: dict[str, float] | None = None


def past(series: Sequence[Series], window: TimeRange, step: float, idle_below: float) -> dict[Key, Past]:
    """The past of each GPU. `window` is aligned to `step`; `idle_below` in percent."""
    attribution = Attribution(s.labels for s in series)
    count = round(window.seconds / step) + 1
    groups: dict[Key, list[tuple[str, Series]]] = {}
    for one in series:
        key = key_of(one.labels)
        name = one.labels.get("__name__", "")
        if key is not None and len(one.timestamps):
            groups.setdefault(key, []).append((LEGACY.get(name, name), one))
    return {
        key: _one(key, members, attribution, window, step, count, idle_below)
        for key, members in groups.items()
    }


def _one(
    key: Key,
    members: list[tuple[str, Series]],
    attribution: Attribution,
    window: TimeRange,
    step: float,
    count: int,
    idle_below: float,
) -> Past:
    found = Past()
    busy = np.full(count, np.nan)
    held = np.zeros(count, dtype=bool)
    holder = np.zeros(count, dtype=np.int64)
    there = {name for name, _ in members}
    of = _ACTIVE if key[1] or _UTILIZATION not in there else _UTILIZATION
    for name, one in members:
        if name != of:
            continue
        places = np.rint((one.timestamps - window.start) / step).astype(np.int64)
        fits = (places >= 0) & (places < count)
        places, values = places[fits], one.values[fits]
        if of == _ACTIVE:
            values = values * (100.0 if np.nanmax(values, initial=0.0) <= 1 else 1.0)
        busy[places] = np.fmax(busy[places], values)
        if (user := attribution.user(one.labels)) is not None:
            held[places] = True
            holder[places] ^= hash(user)
    if of in there:
        _use(found, busy, held, holder, window, step, idle_below)
    if _XID in there:
        found.xids = _xids([one for name, one in members if name == _XID])
    found.nvlink_errors = _increase(members, _NVLINK)
    found.uncorrectable = _increase(members, (_UNCORRECTABLE,))
    shares = {kind: _increase(members, (name,)) for name, kind in _THROTTLES.items() if name in there}
    if shares:  # nanoseconds
        found.throttled = {
            k: min(v / 1e9 / max(window.seconds, step), 1.0) for k, v in shares.items() if v is not None
        }
    return found


def _use(
    found: Past,
    busy: Floats,
    held: np.ndarray[tuple[int], np.dtype[np.bool_]],
    holder: np.ndarray[tuple[int], np.dtype[np.int64]],
    window: TimeRange,
    step: float,
    idle_below: float,
) -> None:
    known = ~np.isnan(busy)
    idle = held & known & (np.nan_to_num(busy) < idle_below)
    found.allocated_seconds = float(np.count_nonzero(held & known)) * step
    found.idle_seconds = float(np.count_nonzero(idle)) * step
    found.utilization = float(np.mean(busy[known])) if known.any() else None
    points = np.flatnonzero(known)
    if not points.size or not idle[points[-1]]:
        return
    same = idle[points] & (holder[points] == holder[points[-1]])
    broken = np.flatnonzero(~same)
    first = points[broken[-1] + 1] if broken.size else points[0]
    found.idle_since = window.start + float(first) * step


def _xids(series: Sequence[Series]) -> tuple[tuple[float, int], ...]:
    """The gauge keeps its last code: only a change to another one says that an XID came."""
    found: dict[tuple[float, int], None] = {}
    for one in series:
        values = one.values
        changed = np.flatnonzero(values[1:] != values[:-1]) + 1
        for i in changed:
            if values[i] > 0:
                found[float(one.timestamps[i]), int(values[i])] = None
    return tuple(sorted(found))


def _increase(members: list[tuple[str, Series]], names: tuple[str, ...]) -> float | None:
    """How much counters grew, resets (a driver that was loaded anew) left out. Copies of one counter for
    several users are one: the largest."""
    grown: dict[tuple[str, str], float] = {}
    for name, one in members:
        if name not in names:
            continue
        steps = np.diff(one.values)
        more = float(np.sum(steps[steps > 0]))
        which = name, one.labels.get("nvlink", "")
        grown[which] = max(grown.get(which, 0.0), more)
    return sum(grown.values()) if grown else None
