"""What a panel says of the age and source of its answer."""

from __future__ import annotations

import pytest

from aiops_cli.models.result import ClusterStatus, FleetResult
from aiops_cli.tui.feed import Reading
from aiops_cli.tui.widgets.panel import Panel

CACHED = FleetResult([1], [ClusterStatus("a", "SUCCESS"), ClusterStatus("b", "SUCCESS", "cache", 600.0)])


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (Reading(CACHED, 1000.0), "10m ago · cache/live"),  # not when it came, but when it was so
        (Reading(CACHED, 400.0, None, True), "from the store · stale · 20m ago"),  # not live any more
    ],
)
def test_an_answer_is_as_old_as_its_oldest_part(reading: Reading[FleetResult[int]], said: str) -> None:
    assert Panel("x")._state(reading, 1000.0) == said
