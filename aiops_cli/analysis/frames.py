"""Series as matrices: equal numbers of evenly spaced points together, so that tests run over rows at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from aiops_cli.models.signals import Series

    Floats = NDArray[np.float64]

ROWS = 256
"""Rows a batch at most: a batch of 1,440 points is 3 MB, its temporaries ten times that."""
LEAST_POINTS = 10
_MOST_STEPS = 2
"""Steps per point up to which a series is laid on its grid; beyond, points simply follow each other."""
_COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")


@dataclass(frozen=True, slots=True)
class Batch:
    """`rows` index the input; `times` and `values` are (rows, points); `real` is False where a missing
    step was filled in. Counters are rates per second (`rate`)."""

    rows: list[int]
    times: Floats
    values: Floats
    real: NDArray[np.bool_]
    rate: list[bool]


def clean(series: Series) -> tuple[Floats, Floats]:
    """Finite points in ascending time, the last of equal times; empty arrays for unusable input."""
    times = np.asarray(series.timestamps, dtype=np.float64).ravel()
    values = np.asarray(series.values, dtype=np.float64).ravel()
    size = min(times.size, values.size)
    times, values = times[:size], values[:size]
    # Beyond 1e100 powers of differences overflow; no metric means that.
    keep = np.isfinite(times) & np.isfinite(values) & (np.abs(values) < 1e100) & (np.abs(times) < 1e15)
    times, values = times[keep], values[keep]
    if times.size > 1 and not (np.diff(times) > 0).all():
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        last = np.concatenate((np.diff(times) > 0, [True]))
        times, values = times[last], values[last]
    return times, values


def is_counter(series: Series) -> bool:
    """Whether a series is a raw counter, by its metric name's suffix (Prometheus naming conventions)."""
    return str(series.labels.get("__name__", "")).endswith(_COUNTER_SUFFIXES)


def to_rate(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A counter as increase per second, one point fewer; after a reset the new value is the increase."""
    step = np.diff(values)
    step = np.where(step < 0, values[1:], step)
    return times[1:], step / np.maximum(np.diff(times), 1e-9)


def batches(series: Sequence[Series]) -> Iterator[Batch]:
    """Batches over all series with at least 10 numbers, in no particular order of rows."""
    groups: dict[int, list[tuple[int, Floats, Floats, NDArray[np.bool_], bool]]] = defaultdict(list)
    for row, one in enumerate(series):
        times, values = clean(one)
        counter = is_counter(one)
        if counter and times.size > 1:
            times, values = to_rate(times, values)
        if times.size < LEAST_POINTS:
            continue
        grid, filled, real = _on_grid(times, values)
        group = groups[grid.size]
        group.append((row, grid, filled, real, counter))
        if len(group) == ROWS:
            yield _batch(groups.pop(grid.size))
    for size in sorted(groups):
        yield _batch(groups[size])


def _batch(members: list[tuple[int, Floats, Floats, NDArray[np.bool_], bool]]) -> Batch:
    rows, times, values, real, rate = zip(*members, strict=True)
    return Batch(list(rows), np.stack(times), np.stack(values), np.stack(real), list(rate))


def _on_grid(times: Floats, values: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The points on their regular grid, missing steps interpolated and marked."""
    step = float(np.median(np.diff(times)))
    if times[-1] - times[0] > step * _MOST_STEPS * times.size:
        # Far more steps than points: no regular grid, and perhaps one too fine to count.
        return times, values, np.ones(times.size, dtype=bool)
    place = np.rint((times - times[0]) / step).astype(np.int64)
    size = int(place[-1]) + 1
    if size <= times.size or (np.diff(place) <= 0).any():
        return times, values, np.ones(times.size, dtype=bool)
    grid = times[0] + step * np.arange(size)
    grid[place] = times
    real = np.zeros(size, dtype=bool)
    real[place] = True
    return grid, np.interp(grid, times, values), real
