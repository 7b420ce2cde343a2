"""From values to a verdict and its words."""

from __future__ import annotations

import math

import numpy as np

from aiops_cli.models.result import Answer
from aiops_cli.models.signals import AlertItem, Series
from aiops_cli.services.claims import claim_of
from aiops_cli.services.verdicts import Outcome, Steps, judge, judge_alerts

NAN = math.nan


def series(instance: str, *values: float, start: float = 0.0) -> Series:
    times = start + np.arange(len(values), dtype=np.float64) * 10
    return Series({"__name__": "up", "instance": instance}, times, np.array(values, np.float64))


def verdict(expr: str, *rows: Series, steps: Steps | None = None, allow_empty: bool = False) -> Outcome:
    return judge(claim_of(expr), Answer(list(rows)), None, steps or Steps(), allow_empty)


def test_one_series_that_is_not_as_claimed_fails_the_check_and_is_named() -> None:
    found = verdict("up == 1", series("a", 1), series("b", 0))
    assert (found.verdict, found.value) == ("FAIL", 0.0)
    assert found.message == '1 of 2 series does not hold: up{instance="b"} is 0'
    assert [(o.labels["instance"], o.value, o.steps) for o in found.offenders] == [("b", 0.0, 1)]


def test_every_series_as_claimed_passes() -> None:
    found = verdict("up == 1", series("a", 1), series("b", 1))
    assert (found.verdict, found.message, found.value) == ("PASS", "holds for 2 series", None)


def test_the_only_value_is_told() -> None:
    assert verdict("up > 1", series("a", 42)).value == 42.0


def test_no_data_fails_unless_allowed() -> None:
    assert (verdict("up == 1").verdict, verdict("up == 1").message[:7]) == ("FAIL", "no data")
    assert verdict("up == 1", allow_empty=True).verdict == "PASS"


def test_a_value_is_true_unless_it_is_zero_or_not_a_number() -> None:
    assert verdict("up", series("a", 7)).verdict == "PASS"
    assert verdict("up", series("a", -1)).verdict == "PASS"
    assert verdict("up", series("a", 0)).verdict == "FAIL"
    unknown = verdict("up", series("a", NAN))
    assert (unknown.verdict, unknown.value, unknown.offenders[0].value) == ("FAIL", None, None)
    assert "is NaN" in unknown.message


def test_not_a_number_satisfies_no_order() -> None:
    assert verdict("up < 1", series("a", NAN)).verdict == "FAIL"


def test_all_conditions_of_a_chain_must_hold() -> None:
    found = verdict("up > 1 < 5", series("a", 3), series("b", 0), series("c", 9))
    assert [o.labels["instance"] for o in found.offenders] == ["b", "c"]


def test_one_bad_step_in_the_window_fails_and_is_dated() -> None:
    found = verdict("up == 1", series("a", 1, 0, 0, 1), steps=Steps(4, 0.0, 10.0))
    assert found.verdict == "FAIL"
    assert "is 0 (2 of 4 steps, first at 1970-01-01T00:00:10.000Z)" in found.message
    assert (found.offenders[0].at, found.offenders[0].steps) == ("1970-01-01T00:00:10.000Z", 2)


def test_a_step_without_any_data_fails_and_is_dated() -> None:
    late = series("a", 1, 1, start=20.0)
    found = verdict("up == 1", late, steps=Steps(4, 0.0, 10.0))
    assert (found.verdict, found.message) == (
        "FAIL",
        "no data at 2 of 4 steps, first at 1970-01-01T00:00:00.000Z",
    )
    assert verdict("up == 1", late, steps=Steps(4, 0.0, 10.0), allow_empty=True).verdict == "PASS"


def test_a_series_that_began_later_is_judged_from_then_on() -> None:
    found = verdict("up == 1", series("old", 1, 1, 1, 1), series("new", 1, start=30.0), steps=Steps(4, 0, 10))
    assert (found.verdict, found.message) == ("PASS", "holds for 2 series at 4 steps")


def test_what_a_filter_drops_fails() -> None:
    claim = claim_of("up == on(instance) wanted")
    found = judge(
        claim, Answer([series("a", 1), series("b", NAN)]), Answer([series("b", NAN)]), Steps(), False
    )
    assert (found.verdict, found.offenders[0].labels["instance"]) == ("FAIL", "b")


def test_a_pass_on_an_answer_that_lacks_something_is_an_error() -> None:
    partial = Answer([series("a", 1)], warnings=["store eu is down"], partial=True)
    found = judge(claim_of("up == 1"), partial, None, Steps(), False)
    assert found.verdict == "ERROR"
    assert found.error is not None and found.error.code == "PARTIAL_RESULTS"
    assert "store eu is down" in found.message
    assert judge(claim_of("up == 0"), partial, None, Steps(), False).verdict == "FAIL"


def test_native_histograms_have_no_value_to_compare() -> None:
    empty = np.array([], np.float64)
    histogram = Series({"__name__": "latency"}, empty, empty, ((1.0, {"count": "3"}),))
    found = verdict("latency > 1", histogram)
    assert found.verdict == "FAIL" and "native histograms" in found.message


def test_a_label_called_cluster_gives_way_to_ours() -> None:
    own = Series({"cluster": "theirs"}, np.array([0.0]), np.array([0.0]))
    assert verdict("up == 1", own).offenders[0].labels == {"exported_cluster": "theirs"}


def test_many_offenders_are_counted_and_few_are_spelled_out() -> None:
    found = verdict("up == 1", *(series(f"i{n}", 0) for n in range(9)))
    assert found.message.endswith("; … 6 more") and len(found.offenders) == 9


def test_alerts_are_named_with_their_start() -> None:
    fire = AlertItem(
        "", "f1", "Down", "FIRING", "critical", {"alertname": "Down"}, {}, "2026-11-24T14:00:00Z"
    )
    found = judge_alerts([fire], Answer([fire]))
    assert (found.verdict, found.value) == ("FAIL", 1.0)
    assert found.message == "1 matching alert fires: Down since 2026-11-24T14:00:00Z"
    assert judge_alerts([], Answer([fire])).verdict == "PASS"
    assert judge_alerts([], Answer([], partial=True)).verdict == "ERROR"
