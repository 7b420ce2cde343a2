"""What the offsets of a clock say over a window: signed or RMS, the farthest, the 99th percentile."""

from __future__ import annotations

from typing import Literal

import numpy as np

from aiops_cli.analysis import ptp_codes as codes
from aiops_cli.analysis.ptp_readings import Track


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
    if len(values) <= 1 and peaks is not None and len(peaks.values):
        values = np.append(values, abs(peaks.values[-1]))
    return max(float(values.max()), own or 0.0) if len(values) else None


def p99(offsets: Track | None, longest: float) -> float | None:
    """Linear between the two nearest, as NumPy's percentile. A sample counts for the time up to the next one,
    `longest` seconds at most: there are more of them where something happened."""
    if offsets is None or len(offsets.values) < 2:
        return None
    sizes, gaps = np.abs(offsets.values), np.diff(offsets.times)
    weights = np.minimum(np.append(gaps, min(float(np.median(gaps)), longest)), longest)
    order = np.argsort(sizes)
    until = np.cumsum(weights[order])
    since = until - weights[order]
    return round(float(np.interp(0.99 * since[-1], since, sizes[order])), 1)


def measured(offset: Track) -> float | None:
    value = offset.last
    return value if np.isfinite(value) and value not in codes.SENTINELS else None
