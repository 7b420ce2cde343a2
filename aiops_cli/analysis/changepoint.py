"""When a series, or many together, moved to another level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aiops_cli.analysis.robust import MAD_TO_SIGMA, finite, median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aiops_cli.models.signals import Series

    Floats = NDArray[np.float64]

SIGNIFICANT = 5.0
"""Least standardised statistic of a shift: beyond what the largest of a few hundred splits of noise gives."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A level shift: the first point of the new level, its time, both levels and how clear it is (sigmas)."""

    index: int
    at: float
    before: float
    after: float
    statistic: float


def split_statistics(matrix: Floats, min_size: int = 3) -> tuple[NDArray[np.int64], Floats]:
    """For each row of (n, t) without NaN: the best split (first index of the right part) and its statistic.

    The statistic is the standardised difference of means, |left - right| * sqrt(k (t - k) / t) / sigma, of
    values winsorised at 3 robust sigmas around the row's median, sigma from first differences, so that
    neither an outlier nor the shift itself inflates it. Rows shorter than 2 * min_size give statistic 0.
    """
    n, t = matrix.shape
    if t < 2 * min_size:
        return np.zeros(n, dtype=np.int64), np.zeros(n)
    steps = np.diff(matrix, axis=1)
    sigma = MAD_TO_SIGMA * median(np.abs(steps - median(steps)[:, None])) / np.sqrt(2.0)
    center = median(matrix)
    spread = MAD_TO_SIGMA * median(np.abs(matrix - center[:, None]))
    sigma = np.maximum(sigma, 1e-3 * np.maximum(np.abs(center), np.ptp(matrix, axis=1)))
    reach = 3 * np.maximum(spread, sigma)[:, None] + np.abs(matrix[:, -min_size:] - center[:, None]).min(
        axis=1, keepdims=True
    )
    clipped = np.clip(matrix - center[:, None], -reach, reach)
    total = np.cumsum(clipped, axis=1)
    k = np.arange(1, t)
    left = total[:, :-1] / k
    right = (total[:, -1:] - total[:, :-1]) / (t - k)
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.abs(left - right) * np.sqrt(k * (t - k) / t) / sigma[:, None]
    statistic = np.nan_to_num(statistic, nan=0.0, posinf=0.0)
    statistic[:, : min_size - 1] = 0.0
    statistic[:, t - min_size :] = 0.0
    best = np.argmax(statistic, axis=1)
    return best + 1, statistic[np.arange(n), best]


def level_shift(series: Series, *, min_size: int = 3, significant: float = SIGNIFICANT) -> Shift | None:
    """The clearest level shift of one series, or None when there is none worth the name."""
    values = finite(series.values)
    keep = (np.abs(values) < 1e100) & np.isfinite(series.timestamps)  # powers of more overflow
    numbers, times = values[keep], series.timestamps[keep]
    if numbers.size < 2 * min_size:
        return None
    split, statistic = split_statistics(numbers[None, :], min_size)
    at = int(split[0])
    if statistic[0] < significant:
        return None
    before, after = float(np.median(numbers[:at])), float(np.median(numbers[at:]))
    return Shift(at, float(times[at]), before, after, float(statistic[0]))


def run_onset(
    times: Floats, odd: NDArray[np.bool_], near: float, *, gap: int = 1, within: float = np.inf
) -> float | None:
    """Start of the run of odd points that is closest to `near`, runs `gap` normal points apart being one.

    `times` in unix seconds, ascending; None when no run comes `within` seconds of `near`.
    """
    where = np.flatnonzero(odd)
    if where.size == 0:
        return None
    starts = where[np.concatenate(([True], np.diff(where) > gap + 1))]
    ends = where[np.concatenate((np.diff(where) > gap + 1, [True]))]
    distance = np.maximum(times[starts] - near, 0) + np.maximum(near - times[ends], 0)
    closest = int(np.argmin(distance))
    return float(times[starts[closest]]) if distance[closest] <= within else None


def joint_onset(
    onsets: Sequence[float],
    weights: Sequence[float],
    *,
    near: float,
    width: float,
    before: float = 400.0,
    after: float = 120.0,
) -> float | None:
    """The moment around which most of the weight of single onsets lies, the earlier of equals.

    `width` (seconds, about a sampling step) is the kernel's half width; onsets count less the further they
    are from `near`, the trigger: on a scale of `before` seconds where they precede it and `after` where
    they follow, since a cause comes first. None without onsets. Ten series that moved together outweigh one that
    moved more.
    """
    times = np.asarray(onsets, dtype=np.float64)
    mass = np.asarray(weights, dtype=np.float64)
    keep = np.isfinite(times) & np.isfinite(mass) & (mass > 0)
    if not keep.any():
        return None
    times, mass = times[keep], mass[keep]
    late = times - near
    mass = mass * np.exp(np.where(late > 0, -late / (after + width), late / before))
    order = np.argsort(times, kind="stable")
    times, mass = times[order], mass[order]
    kernel = np.maximum(0.0, 1.0 - np.abs(times[:, None] - times[None, :]) / (2 * max(width, 1e-9)))
    support = kernel @ mass
    peak = int(np.flatnonzero(support >= support.max() * 0.999)[0])
    together = np.abs(times - times[peak]) <= width
    center = times[together]
    return float(center[np.searchsorted(np.cumsum(mass[together]), mass[together].sum() * 0.5)])
