"""How far each indicator is from its usual level after the onset, and when it left it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aiops_cli.analysis.changepoint import joint_onset, level_shift, run_onset
from aiops_cli.analysis.clues import Clue, far, number, rfc3339, sortable
from aiops_cli.analysis.indicators import IndicatorKind, classify
from aiops_cli.analysis.robust import finite, level, quantile, strength
from aiops_cli.models.analysis import Evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aiops_cli.analysis.entities import Directory
    from aiops_cli.analysis.observations import BadDirection, Indicator, Observations

    Floats = NDArray[np.float64]

ODD = 4.0
"""Deviations beyond this many robust sigmas take part in finding the onset."""
FAINT = 2.0
"""Deviations below this many sigmas are not mentioned; up to about 4 they weigh next to nothing."""
LEAST_POINTS = 3
_WEIGHT: dict[IndicatorKind, float] = {
    "resource": 1.0,
    "errors": 0.9,
    "latency": 0.9,
    "traffic": 0.45,
    "other": 0.6,
}
_FLOOR: dict[IndicatorKind, float] = {
    "resource": 0.05,
    "errors": 0.002,
    "latency": 0.1,
    "traffic": 0.1,
    "other": 0.05,
}
"""Least scale as a share of the usual level: a change smaller than a few of these is of no consequence."""
_ABSOLUTE_FLOOR: dict[tuple[IndicatorKind, str], float] = {
    ("errors", "ratio"): 0.002,
    ("errors", "percent"): 0.2,
    ("latency", "s"): 0.001,
    ("latency", "ms"): 1.0,
    ("resource", "percent"): 0.5,
    ("resource", "ratio"): 0.005,
}
_ZERO_FLOOR = 0.05
"""Least scale as a share of the largest value, for what rests at zero: 20 sigmas at most."""
_TAIL_POINTS = 20
"""References of at least this many points tell how far the usual excursions go."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One indicator against its usual level; `sigmas` is signed, positive where it hurts."""

    indicator: Indicator
    kind: IndicatorKind
    topic: str
    sigmas: float
    value: float
    usual: float
    onset: float | None


@dataclass(frozen=True, slots=True)
class _Usual:
    """The usual level and the scale of excursions above and below it."""

    center: float
    up: float
    down: float
    from_reference: bool

    def sigmas(self, values: Floats, bad: BadDirection, level: float | None = None) -> Floats:
        """Deviations of `values` from `level` (default: the usual one), positive where it hurts."""
        off = values - (self.center if level is None else level)
        if bad == "up":
            return off / self.up
        if bad == "down":
            return -off / self.down
        both: Floats = np.maximum(off / self.up, -off / self.down)
        return both


def clean(indicator: Indicator) -> tuple[Floats, Floats]:
    times = np.asarray(indicator.series.timestamps, dtype=np.float64)
    values = finite(np.asarray(indicator.series.values, dtype=np.float64))
    values = np.where(np.abs(values) < 1e100, values, np.nan)  # powers of more overflow
    size = min(times.size, values.size)
    keep = np.isfinite(values[:size]) & np.isfinite(times[:size])
    return times[:size][keep], values[:size][keep]


def step_of(times: Floats) -> float:
    return float(np.median(np.diff(times))) if times.size > 1 else 60.0


def _usual(values: Floats, now: Floats, indicator: Indicator, from_reference: bool) -> _Usual | None:
    """The usual level from `values`, or None for too few; `now` only tells the size of what rests at 0."""
    if values.size < LEAST_POINTS:
        return None
    kind, _ = classify(indicator.name)
    center, scale, ordered = level(values, relative_floor=_FLOOR[kind])
    floor = _ABSOLUTE_FLOOR.get((kind, indicator.unit), 0.0)
    if not floor and not center:
        floor = _ZERO_FLOOR * float(np.abs(now).max(initial=0.0))
    scale = max(scale, floor, 1e-12)
    if not from_reference or values.size < _TAIL_POINTS:
        return _Usual(center, scale, scale, from_reference)
    # A normal sample's 95th percentile is 1.645 standard deviations out; what bursts goes further.
    up = (quantile(ordered, 0.95) - center) / 1.645
    down = (center - quantile(ordered, 0.05)) / 1.645
    return _Usual(center, max(scale, up), max(scale, down), from_reference)


def by_name(indicators: list[Indicator]) -> dict[object, Floats]:
    return {(i.entity, i.name): clean(i)[1] for i in indicators}


def find_onset(obs: Observations) -> float:
    """When it really began: the moment near `obs.at` at which most indicators left their usual level.

    Against the reference where there is one, else by each series' own level shift. `obs.at` when nothing
    moved.
    """
    reference = by_name(obs.reference)
    onsets, weights, steps = [], [], []
    for indicator in obs.indicators:
        times, values = clean(indicator)
        if times.size < LEAST_POINTS:
            continue
        kind, _ = classify(indicator.name)
        known = reference.get((indicator.entity, indicator.name))
        if known is None and obs.baseline is not None:
            known = values[(times >= obs.baseline.start) & (times <= obs.baseline.end)]
        usual = _usual(known, values, indicator, True) if known is not None else None
        if usual is None:
            shift = level_shift(indicator.series)
            onset = shift.at if shift else None
            weight = min(shift.statistic, 20.0) if shift else 0.0
        else:
            sigmas = usual.sigmas(values, indicator.bad)
            # A run that was over before the trigger is another incident's.
            onset = run_onset(times, sigmas > ODD, obs.at, within=max(2 * step_of(times), 120.0))
            # What was odd from the first sample on began before the window: that moment is unknown.
            onset = None if onset is not None and onset <= times[0] else onset
            weight = float(np.clip(sigmas.max(initial=0.0), 0.0, 20.0))
        if onset is not None:
            onsets.append(onset)
            weights.append(weight * _WEIGHT[kind])
            steps.append(step_of(times))
    width = float(np.median(steps)) if steps else 60.0
    found = joint_onset(onsets, weights, near=obs.at, width=width)
    # The trigger follows the onset by minutes; a moment far from it is another incident's.
    if found is None or not obs.at - 1800 <= found <= obs.at + 2 * width:
        return obs.at
    # Samples tell the onset to a step; within that the trigger's own time is as good, and spans and logs
    # are cut by it more finely.
    if abs(found - obs.at) <= width:
        return obs.at
    return found


def deviations(obs: Observations, onset: float) -> list[Deviation]:
    """All indicators with enough points on both sides of `onset`, largest deviation first.

    A deviation must be both unlike the reference and new: with a reference and points before the onset,
    the smaller of the two distances counts, so that a level which was already odd before is not blamed.
    """
    reference = by_name(obs.reference)
    found = []
    for indicator in obs.indicators:
        times, values = clean(indicator)
        kind, topic = classify(indicator.name)
        step = step_of(times)
        # A sample may stand for the step before or after its time: the one around the onset is in doubt,
        # and counted as after, since what is compared is not the first of them.
        after = (times > onset - step) & (times <= obs.window.end)
        before = times <= onset - step
        now = values[after]
        known = reference.get((indicator.entity, indicator.name))
        if known is None and obs.baseline is not None:
            known = values[(times >= obs.baseline.start) & (times <= obs.baseline.end) & before]
        usual = _usual(known, now, indicator, True) if known is not None else None
        usual = usual or _usual(values[before], now, indicator, False)
        if usual is None or not after.any() or (kind == "traffic" and not usual.center):
            continue
        everywhere = usual.sigmas(values, indicator.bad)
        if usual.from_reference and before.any():
            level_before = float(np.median(values[before]))
            everywhere = np.minimum(everywhere, usual.sigmas(values, indicator.bad, level_before))
        odd = everywhere[after]
        # Sustained rather than highest: a third of the points, two at least, are that far off.
        ordered = np.sort(odd)[::-1]
        sigmas = float(ordered[min(max(1, -(-now.size // 3) - 1), now.size - 1)])
        began = run_onset(times, everywhere > min(ODD, max(sigmas, 2.0)), onset)
        value = float(now[int(np.argmax(odd))])
        found.append(Deviation(indicator, kind, topic, sigmas, value, usual.center, began))
    return sorted(found, key=lambda d: (-d.sigmas, sortable(d.indicator.entity), d.indicator.name))


def clues(found: list[Deviation], directory: Directory) -> list[Clue]:
    """The deviations worth mentioning, as clues."""
    result = []
    for deviation in found:
        if deviation.sigmas < FAINT:
            continue
        indicator = deviation.indicator
        entity = directory.entity(indicator.entity)
        change = deviation.value - deviation.usual
        unit = indicator.unit
        loud = float(strength(deviation.sigmas, start=FAINT)) * _WEIGHT[deviation.kind]
        whose = "" if entity.name == indicator.entity.name else f" of {indicator.entity.name}"
        result.append(
            Clue(
                entity,
                "origin" if deviation.kind == "resource" else "symptom",
                "metric",
                indicator.name,
                deviation.topic,
                loud,
                deviation.onset,
                Evidence(
                    "metric",
                    f"{indicator.name}{whose} went from {number(deviation.usual)} to "
                    f"{number(deviation.value)}{' ' + unit if unit else ''} "
                    f"({far(deviation.sigmas)} robust sigmas)",
                    rfc3339(deviation.onset),
                    deviation.value,
                    deviation.usual,
                    unit or None,
                    indicator.query or None,
                    indicator.entity,
                    round(loud, 4),
                ),
                abs(change) if deviation.kind in ("latency", "errors") else None,
            )
        )
    return result
