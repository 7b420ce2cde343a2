"""Scores of a stream as it comes, and the scorer that judges them."""

from __future__ import annotations

import numpy as np
import pytest

from aiops_cli.analysis.online import QUIET, THRESHOLD, online_scores
from benchmarks.nab import Stream, score_at

STEP = 300.0
DAY = 288


def daily(days: int = 12) -> tuple[np.ndarray, np.ndarray]:
    times = STEP * np.arange(days * DAY)
    rng = np.random.default_rng(0)
    return times, 50 + 20 * np.sin(times * 2 * np.pi / 86400) + rng.normal(0, 1, times.size)


def test_a_point_is_judged_by_its_past_alone() -> None:
    times, values = daily()
    values[2000] += 60
    whole = online_scores(times, values)
    for cut in (700, 2001, 2500):
        assert np.allclose(online_scores(times[:cut], values[:cut]), whole[:cut])


def test_spike_scores_above_the_threshold_and_is_said_once() -> None:
    times, values = daily()
    values[2000:2040] += 40
    alarms = np.flatnonzero(online_scores(times, values) >= THRESHOLD)
    near = alarms[(alarms >= 2000) & (alarms < 2000 + QUIET)]
    assert near.size >= 1 and near[0] <= 2002
    assert near.size <= 5


def test_usual_days_raise_hardly_any_alarm() -> None:
    times, values = daily()
    assert np.count_nonzero(online_scores(times, values) >= THRESHOLD) <= 1


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 500])
def test_short_and_constant_streams_score_nothing(values: list[float]) -> None:
    stream = np.array(values)
    assert not online_scores(STEP * np.arange(stream.size), stream).any()


def nab_stream() -> Stream:
    return Stream("s", np.arange(1000.0), np.zeros(1000), [(400, 449), (700, 749)])


def test_nab_score_of_nothing_is_0_and_of_each_window_at_its_first_row_100() -> None:
    stream = nab_stream()
    perfect = np.zeros(1000)
    perfect[[400, 700]] = 1
    assert score_at([stream], [np.zeros(1000)], 0.5) == pytest.approx(0)
    assert score_at([stream], [perfect], 0.5) == pytest.approx(100)


def test_nab_score_prefers_early_hits_and_charges_false_alarms() -> None:
    stream = nab_stream()

    def score(*rows: int) -> float:
        detected = np.zeros(1000)
        detected[list(rows)] = 1
        return score_at([stream], [detected], 0.5)

    assert score(405, 700) > score(445, 700) > score(700)
    assert score(400, 700, 300) < score(400, 700)
    assert score(400, 700, 452) > score(400, 700, 300)  # right after a window a hit is only late
    assert score(10) == pytest.approx(0)  # probation
