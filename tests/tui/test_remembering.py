"""What the dashboard remembers is written when one pauses, and is not lost at the end."""

from __future__ import annotations

from typing import Any

import pytest

from aiops_cli.tui import app
from aiops_cli.tui.remembered import Remembered
from tests.tui.conftest import driving, until


async def test_a_filter_is_not_written_at_each_letter_and_yet_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "_PAUSE_SECONDS", 600.0)
    written: list[str] = []  # filters of tables
    plain = Remembered.put

    def put(self: Remembered, key: str, name: str, value: Any) -> None:
        if key == "grids" and value["filter"]:
            written.append(value["filter"])
        plain(self, key, name, value)

    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        monkeypatch.setattr(Remembered, "put", put)
        await pilot.press("slash", *"east")
        assert written == []
        await pilot.press("enter", "q")
    assert written == ["east"]
    states = Remembered(bundle=True).mapping("grids") | Remembered().mapping("grids")
    assert "east" in [state["filter"] for state in states.values()]
