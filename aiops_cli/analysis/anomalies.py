"""The statistical detectors over many series at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiops_cli.models.analysis import AnomalyType, Severity
    from aiops_cli.models.signals import Labels, Series
    from aiops_cli.models.timerange import TimeRange

Sensitivity = Literal["LOW", "MEDIUM", "HIGH", "EXTREME"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One stretch of one series that is unlike the rest; `start` and `end` in unix seconds, inclusive.

    `deviation` is signed, in robust standard deviations; `confidence` 0 to 1; `method` names the test
    that carried it; `reason` is a plain sentence.
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
    """
    raise NotImplementedError
