"""What the statistical detectors find, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from aiops_cli.analysis.anomalies import SIGMAS, detect
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from tests.analysis.incidents import START, STEP, series


def noise(points: int = 240, seed: int = 0, level: float = 100, spread: float = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, spread, points)


def at(index: int) -> float:
    return START + STEP * index


def test_spike_is_an_interval_with_expected_and_actual_value() -> None:
    values = noise()
    values[100:106] += 80
    (found,) = detect([series(values, app="web")])
    assert (found.type, found.labels) == ("SPIKE", {"app": "web"})
    assert (found.start, found.end) == (at(100), at(105))
    assert found.expected == pytest.approx(100, abs=3)
    assert found.actual is not None and found.actual > 170
    assert found.severity == "HIGH" and found.confidence > 0.8
    assert "above" in found.reason


def test_drop_is_told_from_a_spike() -> None:
    values = noise()
    values[100:106] -= 80
    (found,) = detect([series(values)])
    assert found.type == "DROP" and (found.deviation or 0) < -3


def test_lasting_shift_is_one_trend_change_not_many_spikes() -> None:
    values = noise()
    values[150:] += 60
    (found,) = detect([series(values)])
    assert found.type == "TREND_CHANGE"
    assert abs(found.start - at(150)) <= 2 * STEP
    assert found.expected == pytest.approx(100, abs=3) and found.actual == pytest.approx(160, abs=3)


def test_spike_after_a_shift_is_still_seen() -> None:
    values = noise()
    values[120:] += 60
    values[200:203] += 60
    kinds = {f.type: f for f in detect([series(values)])}
    assert set(kinds) == {"TREND_CHANGE", "SPIKE"}
    assert kinds["SPIKE"].start == at(200)


def test_plain_noise_gives_next_to_nothing_at_any_sensitivity() -> None:
    many = [series(noise(1440, seed)) for seed in range(60)]
    for word, most in (("LOW", 3), ("MEDIUM", 6), ("HIGH", 15), ("EXTREME", 40)):
        assert len(detect(many, sensitivity=word)) <= most, word  # type: ignore[arg-type]


def test_sensitivities_are_ordered() -> None:
    rng = np.random.default_rng(5)
    many = []
    for i in range(40):
        values = noise(300, i)
        values[rng.integers(20, 280)] += rng.uniform(10, 35)
        many.append(series(values))
    counts = [len(detect(many, sensitivity=word)) for word in SIGMAS]
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_constant_series_is_quiet_and_one_other_value_is_found() -> None:
    flat = np.full(100, 3.0)
    assert detect([series(flat)]) == []
    flat[50] = 9
    (found,) = detect([series(flat)])
    assert (found.start, found.actual, found.expected) == (at(50), 9.0, 3.0)


def test_counter_reset_is_no_anomaly_but_a_change_of_rate_is() -> None:
    rng = np.random.default_rng(2)
    steps = rng.poisson(50, 300).astype(float)
    total = np.cumsum(steps)
    total[150:] -= total[149]
    assert detect([series(total, __name__="http_requests_total")]) == []
    steps[200:206] += 600
    total = np.cumsum(steps)
    total[150:] -= total[149]
    (found,) = detect([series(total, __name__="http_requests_total")])
    assert found.type == "SPIKE" and "per second" in found.reason
    assert at(199) <= found.start <= at(201)


def test_daily_cycle_is_usual_and_a_missing_peak_breaks_the_pattern() -> None:
    day, days = 96, 7
    values = 100 + 40 * np.sin(np.arange(day * days) * 2 * np.pi / day) + noise(day * days, 3, 0, 1.5)
    assert detect([series(values, step=900)]) == []
    peak = 5 * day + day // 4
    values[peak - 6 : peak + 6] = 100 + noise(12, 4, 0, 1.5)
    found = detect([series(values, step=900)])
    assert [f.type for f in found] == ["PATTERN_BREAK"]
    assert found[0].start == pytest.approx(START + 900 * (peak - 6), abs=1800)


def test_bursts_that_are_a_habit_are_not_reported_one_by_one() -> None:
    values = np.zeros(600)
    values[::25] = 50 + noise(24, 6, 0, 3)
    assert detect([series(values)]) == []


def test_gap_neither_raises_an_alarm_nor_hides_one() -> None:
    values = noise(300)
    values[200:204] += 90
    full = series(values)
    keep = np.ones(300, bool)
    keep[80:140] = False
    holed = Series({}, full.timestamps[keep], full.values[keep])
    (found,) = detect([holed])
    assert (found.start, found.end) == (at(200), at(203))


def test_baseline_makes_the_rest_odd_however_long_it_lasts() -> None:
    values = noise(300)
    values[100:] += 60
    found = detect([series(values)], baseline=TimeRange(at(0), at(99)))
    assert [f.type for f in found] == ["SPIKE"]
    assert found[0].start == at(100) and found[0].end == at(299)


def test_window_limits_where_findings_may_lie() -> None:
    values = noise(300)
    values[50] += 100
    values[250] += 100
    (found,) = detect([series(values)], window=TimeRange(at(200), at(299)))
    assert found.start == at(250)


def test_limits_are_breached_whatever_is_usual() -> None:
    values = np.full(60, 95.0)
    values[30:34] = 99
    found = [f for f in detect([series(values)], upper=98) if f.type == "THRESHOLD_BREACH"]
    assert [(f.start, f.end, f.expected, f.actual) for f in found] == [(at(30), at(33), 98.0, 99.0)]
    assert all(f.type != "THRESHOLD_BREACH" for f in detect([series(values)], lower=90))


def test_nine_points_are_too_few_and_ten_enough() -> None:
    values = np.full(10, 1.0)
    values[5] = 100
    assert len(detect([series(values)])) == 1
    assert detect([series(values[:9])]) == []


def test_not_a_number_and_infinity_are_skipped() -> None:
    values = noise(200)
    values[10:20] = np.nan
    values[30] = np.inf
    values[150:153] += 90
    (found,) = detect([series(values)])
    assert found.start == at(150)


def test_rows_do_not_influence_each_other() -> None:
    spiked = noise(240)
    spiked[100:104] += 70
    alone = detect([series(spiked, app="x")])
    crowd = [series(noise(240, s) * 1000, app=str(s)) for s in range(300)]
    together = [f for f in detect([*crowd, series(spiked, app="x")]) if f.labels == {"app": "x"}]
    assert together == alone
