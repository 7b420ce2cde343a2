"""Chat says what it lacks."""

from __future__ import annotations

import pytest

from tests.tui.conftest import driving, until


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_it_says_that_there_is_no_model_and_what_one_needs(size: tuple[int, int]) -> None:
    async with driving("chat what is wrong?", bundle="demo", size=size) as pilot:
        text = await until(pilot, "What answers today")
        assert "No model is configured" in text
        assert "R what is related to it" in text  # all of it is seen
        assert any("no model" in n.message for n in pilot.app._notifications)
