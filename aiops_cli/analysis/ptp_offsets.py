"""What the offsets of a clock say over a window: signed or RMS, the farthest, the 99th percentile."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from aiops_cli.analysis import ptp_codes as codes
from aiops_cli.analysis.ptp_readings import Floats, Track
from aiops_cli.models.ptp import Budget


def kind(offsets: Track | None, peaks: Track | None) -> Literal["signed", "rms"] | None:
    """Whether offsets are RMS values of a summary line (never negative, below the interval's maximum) or
    single samples with a sign. None where they don't tell."""
    if offsets is None or not len(offsets.values):
        return None
    if (offsets.values < 0).any():
        return "signed"
    if peaks is None or not len(peaks.values):
        return None
    n = min(len(offsets.values), len(peaks.values))
    low, high = offsets.values[-n:], peaks.values[-n:]
    if (high < low).any():
        return "signed"
    if n >= 5 and (high == high[0]).all():
        return None  # the sidecar's maximum since it started
    return "rms" if (high > low).any() else None


def most(
    offsets: Track | None,
    peaks: Track | None,
    kind: str | None,
    between: tuple[float | None, float | None] = (None, None),
) -> float | None:
    """The farthest off in the window. The maximum of summary lines is theirs; beside single samples the
    exporter's maximum may be older than the window, and counts only where nothing else is known. `between` is
    what offsets and those maxima came to between the samples here."""
    own, summary = between
    if kind == "rms" and peaks is not None and len(peaks.values):
        return max(float(np.abs(peaks.values).max()), summary or 0.0)
    values = np.abs(offsets.values) if offsets is not None else np.empty(0)
    if len(values) <= 1 and own is None:
        if peaks is None or not len(peaks.values):
            return None  # one sample is no maximum
        values = np.append(values, abs(peaks.values[-1]))
    return max(float(values.max()), own or 0.0) if len(values) else None


class Reach(NamedTuple):
    """How far (ns) a clock went beyond its budget; negative within. `worst` is the offset that was farthest
    beyond, with its sign where that is known; `p99` is of samples, as the percentile."""

    most: float
    worst: float
    p99: float | None


def beyond(values: Floats, budget: Budget, kind: str | None) -> Floats:
    """How far (ns) offsets are beyond the budget, each on its own side. RMS values have no sign: the nearer
    bound counts."""
    if kind == "rms":
        return np.abs(values) - min(budget.high, -budget.low)
    return np.maximum(values - budget.high, budget.low - values)


def reach(
    offsets: Track | None,
    peaks: Track | None,
    most: float | None,
    budget: Budget,
    kind: str | None,
    longest: float,
) -> Reach | None:
    """`peaks` go before offsets where they are summaries' maxima; `most` is the farthest off, of a side that is
    not known. None where nothing was measured."""
    track = offsets if peaks is None else peaks
    found: Reach | None = None
    if track is not None and len(track.values):
        over = beyond(track.values, budget, kind)
        i = int(over.argmax())
        found = Reach(float(over[i]), float(track.values[i]), None)
    bound = (min if kind == "rms" else max)(budget.high, -budget.low)
    if most is not None and (found is None or most - bound > found.most):
        found = Reach(most - bound, most, None)
    if found is None or offsets is None or len(offsets.values) < 2:
        return found
    return found._replace(p99=_percentile(offsets.times, beyond(offsets.values, budget, kind), longest))


def p99(offsets: Track | None, longest: float) -> float | None:
    """Linear between the two nearest, as NumPy's percentile. A sample counts for the time up to the next one,
    `longest` seconds at most: there are more of them where something happened."""
    if offsets is None or len(offsets.values) < 2:
        return None
    return _percentile(offsets.times, np.abs(offsets.values), longest)


def _percentile(times: Floats, sizes: Floats, longest: float) -> float:
    gaps = np.diff(times)
    weights = np.minimum(np.append(gaps, min(float(np.median(gaps)), longest)), longest)
    order = np.argsort(sizes)
    until = np.cumsum(weights[order])
    since = until - weights[order]
    return round(float(np.interp(0.99 * since[-1], since, sizes[order])), 1)


def measured(offset: Track) -> float | None:
    value = offset.last
    return value if np.isfinite(value) and value not in codes.SENTINELS else None
