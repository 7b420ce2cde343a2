"""Chat says what it lacks."""

from __future__ import annotations

from typing import Any

import pytest

from aiops_cli.models.options import Options
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import parse
from tests.tui.conftest import NARROW, WIDE, driving, until


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_it_says_that_there_is_no_model_and_what_one_needs(size: tuple[int, int]) -> None:
    async with driving("chat what is wrong?", bundle="demo", size=size) as pilot:
        text = await until(pilot, "What answers today")
        assert "No model is configured" in text
        assert "R what is related to it" in text  # all of it is seen
        assert any("no model" in n.message for n in pilot.app._notifications)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_picture(size: tuple[int, int], snap_compare: Any, still: float) -> None:
    app = Dashboard(Options(bundle="demo"), start=parse("chat"))
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: until(pilot, "to 11-24 23:24"))
