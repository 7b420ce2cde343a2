"""Named queries narrowed to a workload, and how a series moved."""

from __future__ import annotations

import math

import numpy as np
import promql_parser
import pytest

from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.queries import CATALOGUE
from aiops_cli.services.related_metrics import Moved, move, narrowed

MATCHERS = ['namespace="shop"', 'pod=~"checkout-[a-z0-9]{5,10}-[a-z0-9]{5}"']
WINDOW = TimeRange(1000.0, 1600.0)
TIMES = np.arange(1000.0, 1601.0, 10.0)


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_named_query_is_narrowed_in_every_selector(name: str) -> None:
    expr = CATALOGUE[name].expr
    written = narrowed(expr, MATCHERS)
    assert written is not None
    selectors = str(promql_parser.parse(expr)).replace('{"', "").count("{")
    assert written.count(",".join(MATCHERS)) == selectors > 0
    again = written.replace(f",{','.join(MATCHERS)}", "").replace(",".join(MATCHERS), "")
    assert promql_parser.parse(again).prettify() == promql_parser.parse(expr).prettify()


@pytest.mark.parametrize("expr", [r'up{path=~"\\d+"}', "up{", ""])
def test_what_can_not_be_written_anew_safely_is_not_narrowed(expr: str) -> None:
    assert narrowed(expr, MATCHERS) is None


def moved(
    values: list[float] | np.ndarray[tuple[int], np.dtype[np.float64]], at: float = 1300.0
) -> Moved | None:
    values = np.asarray(values, np.float64)
    return move(TIMES[-len(values) :], values, at, WINDOW)


def test_a_step_is_told_with_both_levels_and_its_time() -> None:
    values = np.where(TIMES < 1250, 2.0, 9.0) + 0.01 * np.sin(TIMES)
    found = moved(values)
    assert found is not None and found.before is not None
    assert found.before == pytest.approx(2.0, abs=0.02)
    assert found.after == pytest.approx(9.0, abs=0.02)
    assert found.at == 1250.0
    assert found.score > 3


def test_an_alert_that_waited_long_is_compared_with_what_was_before_its_wait() -> None:
    """The fault is older than the moment by more than half of the time before it."""
    found = moved(np.where(TIMES < 1130, 1.0, 5.0), at=1300.0)
    assert found is not None
    assert (found.before, found.after, found.at) == (1.0, 5.0, 1130.0)


def test_noise_and_a_flat_line_have_not_moved() -> None:
    noise = np.random.default_rng(1).normal(100.0, 5.0, len(TIMES))
    for values in (noise, np.zeros(len(TIMES)), np.full(len(TIMES), 7.0)):
        found = moved(values)
        assert found is not None and found.score < 3


def test_a_series_that_was_not_there_has_appeared() -> None:
    found = moved(np.full(25, 0.5))
    assert found == Moved(None, 0.5, float(TIMES[-25]), math.inf)


def test_a_series_that_ended_before_tells_nothing() -> None:
    assert move(TIMES[:20], np.ones(20), 1300.0, WINDOW) is None
    assert moved(np.full(len(TIMES), np.nan)) is None


def test_of_a_few_samples_the_newest_are_compared_with_the_first() -> None:
    found = move(np.array([0.0, 15.0, 30.0]), np.array([1.0, 1.0, 4.0]), 29.0, TimeRange(0.0, 30.0))
    assert found is not None
    assert (found.before, found.after, found.at) == (1.0, 4.0, 30.0)
    alone = move(np.array([0.0]), np.array([4.0]), 29.0, TimeRange(0.0, 0.0))
    assert alone == Moved(None, 4.0, 0.0, math.inf)
