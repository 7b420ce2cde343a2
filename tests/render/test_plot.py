"""Charts of what real servers hardly ever hold."""

from __future__ import annotations

from datetime import UTC

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


def drawn(*rows: list[float], unit: str = "", span: tuple[float, float] | None = None) -> list[str]:
    series = [
        ("east", Series({"n": str(i)}, np.arange(float(len(v))), np.array(v))) for i, v in enumerate(rows)
    ]
    return plot(series, title="x", width=60, height=13, zone=UTC, unit=unit, span=span).splitlines()


def ticks(lines: list[str]) -> list[str]:
    return [line.split("┤")[0].strip() for line in lines if "┤" in line and line.split("┤")[0].strip()]


def test_the_value_axis_has_round_numbers() -> None:
    assert ticks(drawn([0.0, 3.7, 7.3])) == ["8", "6", "4", "2", "0"]
    assert ticks(drawn([-0.013, 0.021], unit="ratio")) == ["3%", "2%", "1%", "0%", "-1%", "-2%"]


def test_what_hardly_changes_is_flat_and_its_ticks_differ() -> None:
    lines = drawn([0.97211, 0.97214, 0.97212, 0.97213], unit="ratio")
    assert len(set(ticks(lines))) == len(ticks(lines)) > 2
    assert len([line for line in lines if any("\u2800" < c <= "\u28ff" for c in line)]) == 1


def test_the_time_axis_is_the_window_that_was_asked_for() -> None:
    axis = next(line for line in drawn([1.0, 2.0], span=(0.0, 3600.0)) if "1970" in line)
    assert axis.split() == ["1970-01-01", "00:00:00", "1970-01-01", "01:00:00"]


def test_of_many_series_the_loudest_are_drawn() -> None:
    lines = drawn(*([float(n), 0.0] for n in range(15)))
    assert lines[-1] == "  … and 3 more series, not drawn"
    assert [line.split()[2] for line in lines if "last" in line] == [f"n={n}" for n in range(3, 15)]


def test_a_single_point_has_its_letter_on_another_ones_line() -> None:
    lines = drawn([1.0] * 10, [np.nan] * 9 + [1.0])
    chart = "".join(line.split("┤")[1] for line in lines if "┤" in line)
    assert "a" in chart and "b" in chart
