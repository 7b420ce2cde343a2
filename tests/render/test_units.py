"""Numbers for people have no exponent where a unit says the same."""

from __future__ import annotations

import pytest

from aiops_cli.analysis.cnf_numbers import a_second
from aiops_cli.render.units import quantity


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-0.99996, "-1s"), (0.99949, "999ms"), (0.00099996, "1ms"), (0.0009994, "999µs"), (59.99, "60s")],
)
def test_times_that_round_up_go_to_the_next_unit(seconds: float, said: str) -> None:
    assert quantity(seconds, "seconds") == said


@pytest.mark.parametrize(
    ("rate", "said"), [(0.25, "0.25"), (1234.56, "1235"), (48213.4, "48,213"), (1.5e6, "1,500,000")]
)
def test_rates_have_no_exponent(rate: float, said: str) -> None:
    assert a_second(rate) == said
