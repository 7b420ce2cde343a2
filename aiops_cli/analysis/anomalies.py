"""The statistical detectors over many series at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from aiops_cli.analysis import seasonality
from aiops_cli.analysis.changepoint import split_statistics
from aiops_cli.analysis.clues import far, number
from aiops_cli.analysis.frames import LEAST_POINTS, Batch, batches
from aiops_cli.analysis.robust import IQR_TO_SIGMA, location_scale, quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aiops_cli.models.analysis import AnomalyType, Severity
    from aiops_cli.models.signals import Labels, Series
    from aiops_cli.models.timerange import TimeRange

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

Sensitivity = Literal["LOW", "MEDIUM", "HIGH", "EXTREME"]
SIGMAS: dict[Sensitivity, float] = {"LOW": 3.0, "MEDIUM": 2.5, "HIGH": 2.0, "EXTREME": 1.5}
"""Robust standard deviations from which a point counts as odd."""
CHANCE: dict[Sensitivity, float] = {"LOW": 0.01, "MEDIUM": 0.03, "HIGH": 0.1, "EXTREME": 0.3}
"""Findings per series that pure normal noise would give, about: what keeps 2 sigmas from flooding."""
PER_SERIES = 10
"""Findings of one series at most: more of them are noise, or one incident."""
GAP = 2
"""Runs of odd points at most so many normal points apart are one finding."""
SHIFT_EFFECT = 1.5
"""A level shift must be this many sigmas larger than an odd point."""
SWING_FLOOR = 0.05
"""Least scale of a series with a cycle, as a share of the cycle's height."""
_BURSTS = 3
"""Separate excursions from which excursions are the habit of a series."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One stretch of one series that is unlike the rest; `start` and `end` in unix seconds, inclusive.

    `deviation` is signed, in robust standard deviations; `confidence` 0 to 1; `method` names the test
    that carried it; `reason` is a plain sentence. For a raw counter the values are rates per second.
    """

    labels: Labels
    start: float
    end: float
    type: AnomalyType
    severity: Severity
    confidence: float
    expected: float | None
    actual: float | None
    deviation: float | None
    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Model:
    """What is usual at each point of a batch: (rows, points) level, (rows,) scale above and below, the
    mean and standard deviation of what remains, its quartiles, period and shift (index or 0) per row."""

    expected: Floats
    up: Floats
    down: Floats
    mean: Floats
    deviation: Floats
    low: Floats
    high: Floats
    period: NDArray[np.int64]
    shift: NDArray[np.int64]


def detect(
    series: Sequence[Series],
    *,
    sensitivity: Sensitivity = "MEDIUM",
    baseline: TimeRange | None = None,
    window: TimeRange | None = None,
    upper: float | None = None,
    lower: float | None = None,
) -> list[Finding]:
    """Findings in `series`, worst first.

    `baseline` is a stretch known to be normal (default: the series itself, robustly). `window` limits
    where a finding may end; earlier points only serve as history. `upper` and `lower` are limits a value
    must not cross (THRESHOLD_BREACH). Series with fewer than 10 numbers are skipped.

    Three tests vote on each point, two of them must agree: the modified z-score (MAD), the z-score, and
    the distance from the quartiles (IQR), all after the usual cycle and a level shift are taken out. A
    single odd point must be as far out as chance hardly ever puts one of so many; a lasting run need not.
    """
    sigmas, chance = SIGMAS[sensitivity], CHANCE[sensitivity]
    found: list[Finding] = []
    for batch in batches(series):
        model = _model(batch, sigmas, baseline)
        scores, votes = _votes(batch, model, sigmas)
        for i, row in enumerate(batch.rows):
            inside = batch.real[i]
            if window is not None:
                inside = inside & (batch.times[i] >= window.start) & (batch.times[i] <= window.end)
            if not inside.any():
                continue
            labels = series[row].labels
            mine = _breaches(batch, i, labels, inside, upper, lower)
            shift = _shift(batch, model, i, labels, inside, sigmas)
            if shift is not None:
                mine.append(shift)
            mine += _runs(batch, model, i, labels, inside, scores[i], votes[i], sigmas, chance)
            mine.sort(key=_worst_first)
            found += mine[:PER_SERIES]
    return sorted(found, key=_worst_first)


def _worst_first(finding: Finding) -> tuple[int, float, float, list[tuple[str, str]]]:
    order = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}[finding.severity]
    return (order, -abs(finding.deviation or 0.0), finding.start, sorted(finding.labels.items()))


def _model(batch: Batch, sigmas: float, baseline: TimeRange | None) -> _Model:
    values = batch.values
    n, t = values.shape
    expected = np.zeros((n, t))
    period = seasonality.periods(values)
    for i in np.flatnonzero(period):
        expected[i] = seasonality.cycle(values[i], int(period[i]))
    rest = values - expected
    known = np.zeros((n, t), dtype=bool)
    if baseline is not None:
        known = (batch.times >= baseline.start) & (batch.times <= baseline.end) & batch.real
    with_baseline = np.count_nonzero(known, axis=1) >= LEAST_POINTS
    shift = _level_shifts(rest, sigmas)
    shift[with_baseline] = 0
    for i in np.flatnonzero(shift):
        at = int(shift[i])
        for part in (slice(0, at), slice(at, t)):
            expected[i, part] += np.median(rest[i, part])
    usual = np.where(with_baseline[:, None] & ~known, np.nan, values - expected)
    usual = np.where(batch.real, usual, np.nan)
    center, _ = location_scale(usual)
    expected += center[:, None]
    usual -= center[:, None]
    # The floor of a scale is a share of the level, which the residuals no longer have.
    _, scale = location_scale(usual)
    scale = np.maximum(scale, 0.01 * np.abs(np.median(expected, axis=1)))
    # What swings widely also wavers where it swings, and by some share of the swing.
    swing = np.where(period > 0, np.ptp(expected, axis=1), 0.0)
    scale = np.maximum(scale, SWING_FLOOR * swing)
    up, down = _tails(usual, scale)
    ordered = np.sort(usual, axis=1)
    counts = np.count_nonzero(~np.isnan(ordered), axis=1)
    low, high = quantiles(ordered, counts, 0.25), quantiles(ordered, counts, 0.75)
    mean = np.nansum(usual, axis=1) / np.maximum(counts, 1)
    spread = np.sqrt(np.nansum((usual - mean[:, None]) ** 2, axis=1) / np.maximum(counts, 1))
    return _Model(expected, up, down, mean, spread, low, high, period, shift)


def _level_shifts(rest: Floats, sigmas: float) -> NDArray[np.int64]:
    """The index of a lasting level shift per row, 0 for none: both levels must hold for a tenth of the
    points, and differ by more than either wavers."""
    t = rest.shape[1]
    least = max(5, t // 10)
    index, statistic = split_statistics(rest, least)
    index[statistic < 8.0] = 0
    for i in np.flatnonzero(index):
        left, right = rest[i, : index[i]], rest[i, index[i] :]
        levels, scales = location_scale(np.stack((_padded(left, t), _padded(right, t))))
        if abs(levels[1] - levels[0]) < (sigmas + SHIFT_EFFECT) * max(float(scales.max()), 1e-12):
            index[i] = 0
    return index


def _padded(part: Floats, size: int) -> Floats:
    return np.concatenate((part, np.full(size - part.size, np.nan)))


def _tails(usual: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Scales above and below the level: where excursions are a habit they widen the scale of their side."""
    ordered = np.sort(usual, axis=1)
    counts = np.count_nonzero(~np.isnan(ordered), axis=1)
    sides = []
    for sign, q in ((1.0, 0.97), (-1.0, 0.03)):
        far = np.nan_to_num(sign * usual) > 3 * scale[:, None]
        starts = far & ~np.concatenate((np.zeros((far.shape[0], 1), bool), far[:, :-1]), axis=1)
        habit = np.count_nonzero(starts, axis=1) >= _BURSTS
        reach = sign * quantiles(ordered, counts, q) / 1.88  # a normal sample's 97th percentile
        sides.append(np.where(habit, np.fmax(scale, reach), scale))
    return sides[0], sides[1]


def _votes(batch: Batch, model: _Model, sigmas: float) -> tuple[Floats, NDArray[np.int64]]:
    """The signed modified z-score of each point, and how many of the three tests call it odd."""
    rest = batch.values - model.expected
    with np.errstate(divide="ignore", invalid="ignore"):
        modified = np.where(rest >= 0, rest / model.up[:, None], rest / model.down[:, None])
        plain = np.abs(rest - model.mean[:, None]) / model.deviation[:, None]
    modified = np.nan_to_num(modified, nan=0.0, posinf=1e6, neginf=-1e6)
    plain = np.nan_to_num(plain, nan=0.0, posinf=1e6)
    # t sigmas from the center of a normal sample, told as a distance from its quartiles.
    iqr = np.maximum(model.high - model.low, 1e-12)[:, None]
    fence = (sigmas - 1 / (2 * IQR_TO_SIGMA)) * IQR_TO_SIGMA * iqr
    outside = np.maximum(rest - model.high[:, None], model.low[:, None] - rest)
    odd = np.abs(modified) >= sigmas
    votes = odd.astype(np.int64) + (plain >= sigmas) + (outside >= fence)
    return np.where(odd, modified, 0.0), np.where(odd, votes, 0)


def surprise(scores: Floats) -> float:
    """How unlikely a run of odd points is as normal noise, as -log10 of a probability.

    The mean over the points times the root of their number: neighbours are correlated, so that a run of n
    is not worth n times a point. The tail of the normal distribution by its asymptotic form.
    """
    z = np.maximum(np.abs(scores), 1.0)
    points = z * z / (2 * np.log(10)) + np.log10(z * np.sqrt(2 * np.pi)) - np.log10(2)
    return float(points.mean() * np.sqrt(points.size))


def _runs(
    batch: Batch,
    model: _Model,
    i: int,
    labels: Labels,
    inside: Flags,
    scores: Floats,
    votes: NDArray[np.int64],
    sigmas: float,
    chance: float,
) -> list[Finding]:
    where = np.flatnonzero((votes >= 2) & inside)
    if where.size == 0:
        return []
    breaks = np.flatnonzero((np.diff(where) > GAP + 1) | (np.diff(np.sign(scores[where])) != 0)) + 1
    needed = float(np.log10(scores.size / chance))
    usual_low, usual_high = np.quantile(batch.values[i], (0.02, 0.98))
    found = []
    for run in np.split(where, breaks):
        top = int(run[np.argmax(np.abs(scores[run]))])
        peak = float(scores[top])
        odds = surprise(scores[run])
        if odds < needed:
            continue
        expected, actual = float(model.expected[i, top]), float(batch.values[i, top])
        kind: AnomalyType = "SPIKE" if peak > 0 else "DROP"
        if model.period[i] and usual_low <= actual <= usual_high:
            kind = "PATTERN_BREAK"
        found.append(
            Finding(
                labels,
                float(batch.times[i, run[0]]),
                float(batch.times[i, run[-1]]),
                kind,
                _severity(peak, run.size, sigmas, expected, actual),
                _confidence(float(np.sqrt(odds / needed)), int(votes[run].max()), scores.size),
                expected,
                actual,
                round(peak, 2),
                "modified z-score, z-score and IQR" if votes[top] == 3 else "modified z-score and one other",
                _reason(kind, actual, expected, peak, run.size, int(model.period[i]), batch.rate[i]),
            )
        )
    return found


def _severity(peak: float, length: int, sigmas: float, expected: float, actual: float) -> Severity:
    """By how far and how long; what hardly changes in amount is not severe, however quiet it was before,
    nor is one odd point unless it is out of all proportion."""
    weight = abs(peak) / sigmas * min(length, 16) ** 0.25
    times = abs(actual - expected) / max(abs(expected), 1e-12)
    if times < 0.5 or (length == 1 and times < 3):
        weight = min(weight, 4.9)
    return "HIGH" if weight >= 5 else "MEDIUM" if weight >= 2.5 else "LOW"


def _confidence(beyond: float, votes: int, points: int) -> float:
    """How sure: by how far beyond what was needed (a ratio), how many tests agree, how much was seen."""
    return round(float((1 - np.exp(-0.7 * beyond)) * (0.7 + 0.1 * votes) * points / (points + 5)), 3)


def _reason(
    kind: AnomalyType, actual: float, expected: float, peak: float, length: int, period: int, rate: bool
) -> str:
    unit = " per second" if rate else ""
    where = "above" if peak > 0 else "below"
    span = f"for {length} points" if length > 1 else "for one point"
    text = f"{number(actual)}{unit} is {far(peak)} robust sigmas {where} the usual {number(expected)}{unit} {span}"
    if kind == "PATTERN_BREAK":
        return f"{text}: a usual value at an unusual time of its cycle of {period} points"
    return text


def _shift(
    batch: Batch, model: _Model, i: int, labels: Labels, inside: Flags, sigmas: float
) -> Finding | None:
    at = int(model.shift[i])
    if not at or not inside[at]:
        return None
    before, after = float(model.expected[i, at - 1]), float(model.expected[i, at])
    scale = float(model.up[i] if after > before else model.down[i])
    size = (after - before) / max(scale, 1e-12)
    ends = np.flatnonzero(inside)
    return Finding(
        labels,
        float(batch.times[i, at]),
        float(batch.times[i, ends[-1]]),
        "TREND_CHANGE",
        _severity(size, 4, sigmas, before, after),
        _confidence(abs(size) / (sigmas + SHIFT_EFFECT), 3, batch.values.shape[1]),
        before,
        after,
        round(size, 2),
        "level shift",
        f"the level moved from {number(before)} to {number(after)} and stayed there",
    )


def _breaches(
    batch: Batch, i: int, labels: Labels, inside: Flags, upper: float | None, lower: float | None
) -> list[Finding]:
    found = []
    for limit, sign, word in ((upper, 1.0, "above"), (lower, -1.0, "below")):
        if limit is None:
            continue
        where = np.flatnonzero((sign * (batch.values[i] - limit) > 0) & inside)
        if where.size == 0:
            continue
        for run in np.split(where, np.flatnonzero(np.diff(where) > GAP + 1) + 1):
            worst = float(sign * (sign * batch.values[i, run]).max())
            found.append(
                Finding(
                    labels,
                    float(batch.times[i, run[0]]),
                    float(batch.times[i, run[-1]]),
                    "THRESHOLD_BREACH",
                    "HIGH" if run.size >= 3 else "MEDIUM",
                    1.0,
                    limit,
                    worst,
                    None,
                    "threshold",
                    f"{number(worst)} is {word} the limit of {number(limit)} for {run.size} points",
                )
            )
    return found
