"""What the dashboard remembers is written when one pauses, and is not lost at the end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.store.paths import data_dir
from aiops_cli.tui import app, remembered
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


async def test_a_disk_that_hangs_stops_no_key_and_what_waits_for_it_is_written_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free, plain = threading.Event(), remembered.write_whole

    def hanging(path: Path, data: bytes) -> None:
        free.wait(60)
        plain(path, data)

    monkeypatch.setattr(remembered, "write_whole", hanging)
    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("6")
        await until(pilot, "FrontendErrors")
        await pilot.press("4")
        await until(pilot, "Lines")
        assert not (data_dir() / "dashboard.json").exists()
        free.set()
    assert Remembered(bundle=True).text("screen") == "logs"
