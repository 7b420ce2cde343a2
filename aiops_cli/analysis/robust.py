"""Robust location and scale, row by row over matrices in which NaN means "no number"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAD_TO_SIGMA = 1.4826  # 1 / Phi^-1(3/4): the MAD of a normal sample times this is its standard deviation
IQR_TO_SIGMA = 1 / 1.349  # the interquartile range of a normal sample in standard deviations, inverted
RELATIVE_FLOOR = 0.01
"""A scale is at least this share of the level: a spread of nothing makes every flicker infinitely odd."""


def finite(matrix: Floats) -> Floats:
    """A copy in which infinities are NaN too."""
    return np.where(np.isfinite(matrix), matrix, np.nan)


def sorted_rows(matrix: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Each row of (n, t) sorted with its NaN at the end, and how many numbers each row has."""
    ordered = np.sort(matrix, axis=1)
    return ordered, np.count_nonzero(~np.isnan(ordered), axis=1)


def quantiles(ordered: Floats, counts: NDArray[np.int64], q: float) -> Floats:
    """The `q` quantile (0 to 1, linear) of each row of `sorted_rows`; NaN for a row without numbers."""
    n, t = ordered.shape
    if t == 0:
        return np.full(n, np.nan)
    position = q * np.maximum(counts - 1, 0)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(counts - 1, 0))
    rows = np.arange(n)
    below, above = ordered[rows, low], ordered[rows, high]
    with np.errstate(invalid="ignore", over="ignore"):
        value = below + (above - below) * (position - low)
    return np.where(counts > 0, value, np.nan)


def median(matrix: Floats) -> Floats:
    """The median of each row, ignoring NaN."""
    ordered, counts = sorted_rows(matrix)
    return quantiles(ordered, counts, 0.5)


def location_scale(matrix: Floats, *, relative_floor: float = RELATIVE_FLOOR) -> tuple[Floats, Floats]:
    """Median and robust standard deviation of each row.

    The scale is the larger of the MAD's and the IQR's estimate and of a floor: a share of the level, and
    of the largest value for rows that rest at zero. A row of zeros has scale 0.
    """
    ordered, counts = sorted_rows(matrix)
    center = quantiles(ordered, counts, 0.5)
    iqr = quantiles(ordered, counts, 0.75) - quantiles(ordered, counts, 0.25)
    mad = median(np.abs(matrix - center[:, None]))
    largest = np.maximum(np.abs(quantiles(ordered, counts, 0.0)), np.abs(quantiles(ordered, counts, 1.0)))
    floor = np.maximum(relative_floor * np.abs(center), relative_floor * 0.5 * largest)
    return center, np.fmax(np.fmax(MAD_TO_SIGMA * mad, IQR_TO_SIGMA * iqr), floor)


def level(values: Floats, *, relative_floor: float = RELATIVE_FLOOR) -> tuple[float, float, Floats]:
    """`location_scale` of one row without NaN, and the row sorted; quicker than a matrix of one row."""
    ordered = np.sort(values)
    center = quantile(ordered, 0.5)
    mad = quantile(np.sort(np.abs(ordered - center)), 0.5)
    iqr = quantile(ordered, 0.75) - quantile(ordered, 0.25)
    largest = max(abs(float(ordered[0])), abs(float(ordered[-1])))
    floor = relative_floor * max(abs(center), 0.5 * largest)
    return center, max(MAD_TO_SIGMA * mad, IQR_TO_SIGMA * iqr, floor), ordered


def quantile(ordered: Floats, q: float) -> float:
    """The `q` quantile (0 to 1, linear) of sorted numbers, of which there is at least one."""
    position = q * (ordered.size - 1)
    low = int(position)
    high = min(low + 1, ordered.size - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (position - low))


def strength(deviation: Floats | float, start: float = 2.0, full: float = 60.0) -> Floats:
    """0 to 1 for a deviation in sigmas: 0 up to `start`, 1 from `full` on, logarithmic between."""
    above = np.maximum(np.nan_to_num(np.asarray(deviation, dtype=np.float64), posinf=full) - start, 0.0)
    share: Floats = np.minimum(np.log1p(above) / np.log1p(full - start), 1.0)
    return share
