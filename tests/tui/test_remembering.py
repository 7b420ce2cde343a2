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
    written: list[str] = []
    plain = Remembered.put

    def put(self: Remembered, key: str, name: str, value: Any) -> None:
        written.append(key)
        plain(self, key, name, value)

    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        pilot.app._remember_grids()  # type: ignore[attr-defined]
        monkeypatch.setattr(Remembered, "put", put)
        await pilot.press("slash", *"east")
        assert "grids" not in written
        await pilot.press("enter", "q")
    assert written.count("grids") == 1
    states = Remembered(bundle=True).mapping("grids") | Remembered().mapping("grids")
    assert "east" in [state["filter"] for state in states.values()]
