"""Native histograms as Prometheus sends them, and quantiles estimated as its histogram_quantile() does.

Source: prometheus/prometheus promql/quantile.go (HistogramQuantile) and docs/querying/functions.md:
within an exponential bucket the estimate is on a logarithmic scale; in the zero bucket and in buckets
of custom bounds it is linear; a zero bucket with observations on one side alone ends at 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

Bucket = tuple[float, float, float]  # lower bound, upper bound, observations
_FINEST, _COARSEST = 8, -4  # the standard schemas: bounds grow by 2 ** (2 ** -schema)


@dataclass(frozen=True, slots=True)
class Histogram:
    """`count` observations and their `sum`; populated buckets, ascending."""

    count: float
    sum: float
    buckets: tuple[Bucket, ...]

    @classmethod
    def parse(cls, sent: dict[str, Any]) -> Histogram:
        """The server's object: numbers as text, a bucket as [rule, low, high, count]; without buckets
        when nothing was observed. Raises ValueError if it is none."""
        buckets = [(float(low), float(high), float(n)) for _, low, high, n in sent.get("buckets", [])]
        return cls(float(sent.get("count", "nan")), float(sent.get("sum", "nan")), tuple(sorted(buckets)))

    @property
    def average(self) -> float:
        return self.sum / self.count if self.count else math.nan

    def quantile(self, q: float) -> float:
        """The estimated value below which a share `q`, 0 to 1, of the observations lies; NaN for none."""
        populated = [b for b in self.buckets if b[2] > 0]
        if not self.count or not populated or math.isnan(q):
            return math.nan
        # From the nearer end, so that rounding costs least; NaN observations lie beyond the last bucket.
        forward = q < 0.5 or math.isnan(self.sum)
        rank = (q if forward else 1 - q) * self.count
        seen = 0.0
        bucket = populated[-1 if forward else 0]
        for bucket in populated if forward else reversed(populated):
            seen += bucket[2]
            if seen >= rank:
                break
        if seen < rank:
            return math.nan
        low, high, n = self._bounds(bucket)
        share = (rank - (seen - n) if forward else seen - rank) / n
        if math.isinf(low):
            return high
        if math.isinf(high):
            return low
        if low <= 0 <= high or self._custom:
            return low + (high - low) * share
        if low > 0:
            return float(low * (high / low) ** share)
        return float(high * (low / high) ** (1 - share))

    def _bounds(self, bucket: Bucket) -> Bucket:
        """A zero bucket with observations on one side alone ends at 0, and so does a first one without
        a bound."""
        low, high, n = bucket
        if math.isinf(low) and high > 0:
            low = 0.0
        if low < 0 < high and not self._custom:
            if not any(b[0] < low for b in self.buckets):
                low = 0.0 if any(b[1] > high for b in self.buckets) else low
            elif not any(b[1] > high for b in self.buckets):
                high = 0.0
        return low, high, n

    @property
    def _custom(self) -> bool:
        """Whether the bounds are of no standard schema."""
        return not all(_standard(low, high) for low, high, _ in self.buckets)


def _standard(low: float, high: float) -> bool:
    """Bounds of an exponential bucket, or of a zero bucket."""
    if low <= 0 <= high:
        return low == -high
    inner, outer = (low, high) if low > 0 else (-high, -low)
    ratio = outer / inner
    if not 1 < ratio < math.inf:
        return False
    schema = -math.log2(math.log2(ratio))
    if not _COARSEST - 1e-6 <= schema <= _FINEST + 1e-6:
        return False
    place = math.log2(outer) * 2.0 ** round(schema)  # bounds are whole powers of the base
    return abs(schema - round(schema)) < 1e-6 and abs(place - round(place)) < 1e-3
