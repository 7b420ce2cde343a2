"""What a rule reads, taken out of its expression."""

from __future__ import annotations

import pytest

from aiops_cli.services.alert_detail import selectors


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ("vector(1)", []),
        ("up == 0", ["up"]),
        ('rate(a{code=~"5..",x!="q\\"q"}[5m]) / ignoring(code) rate(a[5m] offset 1h) > 0.1', ['a{code=~"5..",x!="q\\"q"}', "a"]),
        ('absent({__name__="b", job="x"}) or topk(3, -c)', ['{__name__="b",job="x"}', "c"]),
        ("max_over_time((sum by (x) (d) > bool 1)[1h:1m] @ 0)", ["d"]),
        ("this is no PromQL", []),
    ],
)  # fmt: skip
def test_selectors_of_an_expression(expr: str, found: list[str]) -> None:
    assert selectors(expr) == found


def test_a_selector_is_narrowed_to_what_the_alert_is_about() -> None:
    (narrowed,) = selectors('up{job="a"} == 0', {"job": "other", "instance": 'h.1:9"\\'})
    assert narrowed == 'up{job="a",instance=~"|h\\\\.1:9\\"\\\\\\\\"}'


def test_a_label_name_that_needs_quotes_narrows_nothing() -> None:
    assert selectors("up == 0", {"service.name": "cart", "job": "a"}) == ['up{job=~"|a"}']
