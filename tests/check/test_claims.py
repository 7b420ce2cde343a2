"""What an expression claims: which series have to pass, and how that is asked."""

from __future__ import annotations

import pytest

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.services.claims import claim_of


@pytest.mark.parametrize(
    ("expr", "series", "conditions"),
    [
        ("up == 1", "up", [("==", 1.0)]),
        ("((up == 1))", "up", [("==", 1.0)]),
        ('up{job="a==b", x!="(c}d"} != 1', 'up{job="a==b", x!="(c}d"}', [("!=", 1.0)]),
        ("up # == 0\n== 1", "up", [("==", 1.0)]),
        ("0.5 < rate(x[5m])", "rate(x[5m])", [(">", 0.5)]),
        ("x > 1 < 5", "x", [(">", 1.0), ("<", 5.0)]),
        ("(x > 1) < 5", "(x > 1)", [("<", 5.0)]),
        ("a / b <= 1e-3", "a / b", [("<=", 0.001)]),
        ("a - b >= (-2)", "a - b", [(">=", -2.0)]),
        ("up offset 5m == 1", "up offset 5m", [("==", 1.0)]),
        ("(count(up == 0) or vector(0)) == 0", "(count(up == 0) or vector(0))", [("==", 0.0)]),
        ("newer_function(x) == 1", "newer_function(x)", [("==", 1.0)]),
    ],
)
def test_a_comparison_with_numbers_is_judged_by_the_values(
    expr: str, series: str, conditions: list[tuple[str, float]]
) -> None:
    claim = claim_of(expr)
    assert (claim.kind, claim.series, list(claim.conditions)) == ("conditions", series, conditions)


@pytest.mark.parametrize(
    ("expr", "series", "violators"),
    [
        ("a > on(pod) b", "a", "(a) unless on (pod) (a > on(pod) b)"),
        ("a > ignoring(x) b", "a", "(a) unless ignoring (x) (a > ignoring(x) b)"),
        ("a > on(pod) group_left b", "a", "(a) unless (a > on(pod) group_left b)"),
        ("a > on(pod) group_left(t) b", "a", "(a) unless ignoring (t) (a > on(pod) group_left(t) b)"),
        ("a < on(pod) group_right b", "b", "(b) unless (a < on(pod) group_right b)"),
        ("scalar(a) < b", "b", "(b) unless (scalar(a) < b)"),
        ("a < scalar(b)", "a", "(a) unless (a < scalar(b))"),
        ("up == 1 and on() x", "up", "(up) unless (up == 1 and on() x)"),
        ("(up == 1) or vector(1)", "up", "(up) unless ((up == 1) or vector(1))"),
        ("up == 1 unless down", "up", "(up) unless (up == 1 unless down)"),
        ("a > b < 5", "a", "(a) unless (a > b < 5)"),
    ],
)
def test_other_filters_are_judged_by_what_they_drop(expr: str, series: str, violators: str) -> None:
    claim = claim_of(expr)
    assert (claim.kind, claim.series, claim.violators) == ("survivors", series, violators)


@pytest.mark.parametrize(
    "expr", ["up", "vector(1)", "up == bool 1", "absent(up)", "a and b == 1", "count(up == 0)", "a + on(x) b"]
)
def test_what_filters_nothing_is_judged_as_true_or_false(expr: str) -> None:
    claim = claim_of(expr)
    assert (claim.kind, claim.series) == ("values", expr)


def test_a_threshold_of_its_own_judges_the_whole_expression() -> None:
    claim = claim_of("a > 1", "<", 5)
    assert (claim.series, claim.conditions, claim.expr) == ("a > 1", (("<", 5),), "a > 1 < 5")


@pytest.mark.parametrize("expr", ["", "  ", "sum(up == 1", "up == 1)", "1 < 2"])
def test_invalid_promql_is_refused_before_anything_is_asked(expr: str) -> None:
    with pytest.raises(UsageError) as caught:
        claim_of(expr)
    assert caught.value.code == ErrorCode.INVALID_PROMQL


def test_comparisons_that_match_by_different_labels_are_refused() -> None:
    with pytest.raises(UsageError, match="which series have to pass"):
        claim_of("a > on(x) b > on(y) c")
