"""One series out of several replicas' samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiops_cli.analysis.dedup import one_of
from aiops_cli.models.signals import Series

_ONE: dict[str, Any] = {"count": "1", "sum": "1"}


def _floats(times: list[float]) -> Series:
    return Series({}, np.array(times), np.ones(len(times)))


def _histograms(times: list[float]) -> Series:
    return Series({}, np.array([]), np.array([]), tuple((t, _ONE) for t in times))


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0, 15, 30, 45, 60], [7, 22, 37, 52, 67]),
        ([0, 15, 90, 105], [7, 22, 37, 52, 67, 82, 97]),
        ([0, 15, 30], [0, 15, 30]),
        ([], [7, 22]),
    ],
)
def test_native_histograms_are_taken_as_floats_are(
    raw: bool, first: list[float], second: list[float]
) -> None:
    """So two replicas never make them denser than either took them."""
    floats = one_of([_floats(first), _floats(second)], raw=raw)
    histograms = one_of([_histograms(first), _histograms(second)], raw=raw)
    assert [t for t, _ in histograms.histograms] == floats.timestamps.tolist()
