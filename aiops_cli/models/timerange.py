"""A window of time in unix seconds, and the step a range query samples it at."""

from __future__ import annotations

import math
from dataclasses import dataclass

TARGET_POINTS = 250
_NICE_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """`start` and `end` in unix seconds, start before end."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def aligned(self, step: float) -> TimeRange:
        """The widest range of multiples of `step` inside this one, so that cached windows meet."""
        start, end = math.ceil(self.start / step) * step, math.floor(self.end / step) * step
        return TimeRange(start, max(end, start))


def default_step(span: float, scrape_interval: float = 15) -> float:
    """The round step, not below the scrape interval, that gives about 250 points over `span` seconds."""
    wanted = max(span / TARGET_POINTS, scrape_interval)
    return next((float(s) for s in _NICE_STEPS if s >= wanted), math.ceil(wanted / 86400) * 86400.0)


def nanoseconds(seconds: float) -> int:
    """Nanoseconds of unix seconds, to the microsecond: a float64 holds no more today."""
    whole = int(seconds // 1)
    return whole * 10**9 + round((seconds - whole) * 1e6) * 1000
