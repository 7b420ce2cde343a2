"""Periods found in the data, and what is left of a series without its usual cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiops_cli.analysis.robust import location_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHORTEST = 6
CYCLES = 3
"""A period must be seen at least this often: fewer are no habit."""
_MANY_CYCLES = 30
CORRELATED = 0.5
"""Least autocorrelation at the period."""


def periods(matrix: Floats) -> NDArray[np.int64]:
    """The period in points of each row of (n, t) without NaN, 0 for none.

    The first high peak of the autocorrelation (by FFT, of values winsorised at 3 robust sigmas), with a
    clear dip before it: a slow trend correlates with itself too, but has no dip.
    """
    n, t = matrix.shape
    longest = t // CYCLES
    found = np.zeros(n, dtype=np.int64)
    if longest <= SHORTEST:
        return found
    center, scale = location_scale(matrix)
    reach = (3 * scale)[:, None]
    flat = np.clip(matrix - center[:, None], -reach, reach)
    flat -= flat.mean(axis=1, keepdims=True)
    size = 1 << (2 * t - 1).bit_length()
    spectrum = np.fft.rfft(flat, size, axis=1)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size, axis=1)[:, : longest + 2]
    energy = correlation[:, :1]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = correlation / energy * (t / (t - np.arange(longest + 2)))
    correlation = np.nan_to_num(correlation)
    inner = correlation[:, 1:-1]
    peak = (inner >= correlation[:, :-2]) & (inner > correlation[:, 2:]) & (inner >= CORRELATED)
    lowest = np.minimum.accumulate(inner, axis=1)
    peak &= lowest < 0.5 * inner
    peak[:, : SHORTEST - 1] = False
    height = np.where(peak, inner, 0.0)
    best = height.max(axis=1)
    usable = best > 0
    found[usable] = np.argmax(height[usable] >= 0.9 * best[usable, None], axis=1) + 1
    return found


def cycle(row: Floats, period: int) -> Floats:
    """The usual value at each point of a row: the median of its phase over the other cycles.

    Its own cycle is left out (of up to 30), so that what remains is as wide as it is for a new point.
    """
    t = row.size
    cycles = -(-t // period)
    whole = np.full(cycles * period, np.nan)
    whole[:t] = row
    folded = whole.reshape(cycles, period)
    if cycles > _MANY_CYCLES:
        return np.tile(_column_medians(folded), cycles)[:t]
    usual = [_column_medians(np.delete(folded, own, axis=0)) for own in range(cycles)]
    return np.concatenate(usual)[:t]


def _column_medians(folded: Floats) -> Floats:
    ordered = np.sort(folded, axis=0)
    count = np.count_nonzero(~np.isnan(ordered), axis=0)
    columns = np.arange(folded.shape[1])
    medians: Floats = 0.5 * (ordered[(count - 1) // 2, columns] + ordered[count // 2, columns])
    return medians
