"""Charts of what real servers hardly ever hold."""

from __future__ import annotations

import numpy as np
import pytest

from aiops_cli.models.signals import Series
from aiops_cli.render.plot import plot


@pytest.mark.parametrize("values", [[1.7e308, 1.7e308], [-1.7e308, 1.7e308], [1.7e308, np.inf, -np.inf, 0.0]])
def test_values_near_the_largest_float_are_drawn(values: list[float]) -> None:
    series = Series({}, np.arange(float(len(values))), np.array(values))
    chart = plot([("east", series)], title="x", width=60, height=6, zone=None)
    assert any("\u2800" < c <= "\u28ff" for c in chart)
    assert "NaN" not in chart and "nan" not in chart
