"""The Numenta Anomaly Benchmark's scoring (Lavin and Ahmad, ICMLA 2015), standard profile.

A detection inside a labelled window earns up to 1, the more the earlier; a window without any costs 1; a
detection outside costs up to 0.11, less right after a window. The first 15 % of a stream (750 rows at most)
are probation and not scored. 0 is doing nothing, 100 is perfect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
FALSE_POSITIVE = 0.11
FALSE_NEGATIVE = 1.0
PROBATION_SHARE = 0.15
PROBATION_MOST = 750


@dataclass(frozen=True, slots=True)
class Stream:
    """A labelled stream: unix seconds, values, and windows as (first, last) row, both inclusive."""

    name: str
    times: Array
    values: Array
    windows: list[tuple[int, int]]


def probation(rows: int) -> int:
    return int(min(PROBATION_SHARE * rows, PROBATION_MOST))


def _scaled_sigmoid(position: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.where(position > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)


def gains(stream: Stream) -> tuple[Array, Array]:
    """What a detection at each row earns, and the number of its window (-1 outside, -2 in probation)."""
    rows = np.arange(stream.values.size)
    gain = np.full(rows.size, -FALSE_POSITIVE)
    window = np.full(rows.size, -1)
    for number, (first, last) in enumerate(stream.windows):
        width = last - first + 1
        after = rows > last
        past = (rows[after] - last) / max(width - 1, 1)
        gain[after] = _scaled_sigmoid(past) * FALSE_POSITIVE
        inside = slice(first, last + 1)
        gain[inside] = _scaled_sigmoid(-(last - rows[inside] + 1) / width) / _scaled_sigmoid(np.array(-1.0))
        window[inside] = number
    window[: probation(rows.size)] = -2
    return gain, window


def score_at(streams: list[Stream], scores: list[Array], threshold: float) -> float:
    """The normalised score of all streams when rows scoring at least `threshold` are detections."""
    return _normalised(streams, sum(_raw(s, a >= threshold) for s, a in zip(streams, scores, strict=True)))


def _raw(stream: Stream, detected: Array) -> float:
    gain, window = gains(stream)
    total = float(gain[detected & (window == -1)].sum())
    for number in range(len(stream.windows)):
        hits = gain[detected & (window == number)]
        total += float(hits.max()) if hits.size else -FALSE_NEGATIVE
    return total


def _normalised(streams: list[Stream], raw: float) -> float:
    windows = sum(len(stream.windows) for stream in streams)
    nothing = -FALSE_NEGATIVE * windows
    return 100 * (raw - nothing) / (windows - nothing) if windows else 0.0


def best_threshold(streams: list[Stream], scores: list[Array]) -> tuple[float, float]:
    """The threshold, one for all streams, that scores best (NAB optimises it per detector), and its score."""
    every = np.concatenate([a[probation(a.size) :] for a in scores])
    steps = np.unique(np.quantile(every, 1 - np.geomspace(1e-5, 0.5, 200)))
    found = [(score_at(streams, scores, float(step)), float(step)) for step in steps]
    value, threshold = max(found)
    return threshold, value
