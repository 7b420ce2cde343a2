"""Scores for a stream as it comes: each point is judged by what came before it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

THRESHOLD = 3.8
"""Scores from here on are worth an alarm. Fitted on the development part of NAB's real streams."""
QUIET = 300
"""An alarm is new only when its score exceeds all of the so many points before: said once is enough."""
RECENT = 25
"""Points whose mean is compared with all before them: lasting shifts show here, not in single points."""
WARM_UP = 100
_DAY = 86400.0
_DAYS = 7
_DAYS_KNOWN = 2
"""Days from which the time of day tells more than the mean of all."""
_FLOOR = 0.001


def online_scores(times: Floats, values: Floats) -> Floats:
    """One score per point, 0 for nothing to say, about in standard deviations.

    The mean of two views, each in standard deviations of its own past: how far the value is from the
    median of the same time of day on up to 7 earlier days (or, without daily points, from the past mean),
    and how far the mean of the last 25 points is from all before. `times` in unix seconds, ascending, of
    about even steps; values without NaN. Points that don't exceed the 300 before score 0.
    """
    size = min(times.size, values.size)
    values = np.asarray(values[:size], dtype=np.float64)
    if size < 2:
        return np.zeros(size)
    level, spread, known = _past(values, np.arange(size) - RECENT)
    shift = np.where(known < 20, 0.0, np.abs(_recent_mean(values) - level) / spread)
    raw = 0.5 * (np.maximum(_off_day(times[:size], values), 0.0) + shift)
    padded = np.concatenate((np.full(QUIET, -np.inf), raw))
    before = sliding_window_view(padded, QUIET)[:-1].max(axis=1)
    return np.where(raw > before, raw, 0.0)


def _past(values: Floats, until: NDArray[np.int64]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean and standard deviation (with a floor) of values[:until] for each point, and their number."""
    count = np.maximum(until, 0)
    n = np.maximum(count, 1)
    moved = values - values[0]
    total = np.concatenate(([0.0], np.cumsum(moved)))[count]
    squares = np.concatenate(([0.0], np.cumsum(moved * moved)))[count]
    mean = total / n
    spread = np.sqrt(np.maximum(squares / n - mean * mean, 0.0))
    level = mean + values[0]
    return level, spread + _FLOOR * np.abs(level) + 1e-9, count


def _recent_mean(values: Floats) -> Floats:
    ends = np.arange(values.size) + 1
    begins = np.maximum(ends - RECENT, 0)
    total = np.concatenate(([0.0], np.cumsum(values - values[0])))
    mean: Floats = (total[ends] - total[begins]) / (ends - begins) + values[0]
    return mean


def _off_day(times: Floats, values: Floats) -> Floats:
    """How unusual the distance from the same time of earlier days is, in deviations of such distances."""
    size = values.size
    level, spread, known = _past(values, np.arange(size))
    plain = np.where(known < WARM_UP, 0.0, np.abs(values - level) / spread)
    step = float(np.median(np.diff(times[: WARM_UP + 1])))
    lag = round(_DAY / step) if step > 0 else 0
    if not 4 <= lag < size:
        return plain
    days = np.full((_DAYS, size), np.nan)
    for day in range(1, min(_DAYS, (size - 1) // lag) + 1):
        days[day - 1, day * lag :] = values[: -day * lag]
    days.sort(axis=0)
    count = np.count_nonzero(~np.isnan(days), axis=0)
    columns = np.arange(size)
    usual = 0.5 * (days[np.maximum(count - 1, 0) // 2, columns] + days[count // 2, columns])
    distance = np.where(count > 0, np.abs(values - np.nan_to_num(usual)), 0.0)
    level, spread, known = _past(distance, columns)
    return np.where(columns < _DAYS_KNOWN * lag, plain, (distance - level) / spread)
