"""Driving the dashboard in process: keys in, text out."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import ModalScreen

from aiops_cli.models.options import Options
from aiops_cli.tui import clock
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import parse
from aiops_cli.tui.widgets.dialogs import Confirm

NARROW, WIDE = (80, 24), (160, 50)
SECONDS = 30.0
Driver = Pilot[Any]


@asynccontextmanager
async def driving(
    place: str | None = "fleet", *, bundle: str | None = None, size: tuple[int, int] = NARROW, **options: Any
) -> AsyncIterator[Driver]:
    """The dashboard opened at `place` (None: where it was left), its session ready:
    `async with driving("logs", bundle="demo") as pilot`."""
    app = Dashboard(Options(bundle=bundle, **options), start=parse(place) if place else None)
    async with app.run_test(size=size, notifications=True) as pilot:
        await asyncio.wait_for(app.ready.wait(), SECONDS)
        yield pilot
        if not app._exit:
            app.exit()  # as one does: timers tick no more while screens are taken apart


def screen_text(pilot: Driver) -> str:
    """What stands on the screen, a line each row."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


_SHOWN = {"enter": "⏎", "ctrl+e": "^e", "slash": "/", "comma": ","}


def shows(pilot: Driver, key: str) -> bool:
    """Whether the screen itself says that this key does something: a dialog's frame does (`enter takes`), or the
    line of screens above, or that of keys below."""
    text, sign = screen_text(pilot), re.escape(_SHOWN.get(key, key))
    if isinstance(pilot.app.screen, ModalScreen):
        return re.search(rf"(^|\W){key} (takes|opens|closes)", text) is not None
    above, *_, below = text.splitlines()
    return re.search(rf"(^| ){sign} ?[A-Z]", above) is not None or (
        re.search(rf"(^| ){sign} [A-Z]", below) is not None
    )


async def step(pilot: Driver, key: str, seen: str | Callable[[], object], seconds: float = SECONDS) -> str:
    """Press a key that the screen shows, and wait for what it leads to; the screen then."""
    assert shows(pilot, key), f"{key} is not on the screen\n{screen_text(pilot)}"
    await pilot.press(key)
    return await until(pilot, seen, seconds)


async def until(pilot: Driver, seen: str | Callable[[], object], seconds: float = SECONDS) -> str:
    """Wait until the screen has this text, or this is true; the screen then."""
    deadline = time.monotonic() + seconds
    while True:
        await pilot.pause(0.02)
        text = screen_text(pilot)
        if seen in text if isinstance(seen, str) else seen():
            return text
        assert time.monotonic() < deadline, f"never seen: {seen}\n{text}"


def in_state(
    state: str, real: Callable[..., Awaitable[Any]], failed: Exception
) -> Callable[..., Awaitable[Any]]:
    """The question `real` as a picture of a state needs it: never answered, failed, or as it is."""

    async def ask(*args: Any) -> Any:
        if state == "loading":
            await asyncio.Event().wait()
        if state == "error":
            raise failed
        return await real(*args)

    return ask


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> float:
    """A clock that stands, for pictures: no age or time of day differs from run to run."""
    at = 1_790_000_000.0
    monkeypatch.setattr(clock, "now", lambda: at)
    return at


@pytest.fixture(autouse=True)
def own_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is saved goes to a folder of the test's own."""
    monkeypatch.chdir(home)
    return home


@pytest.fixture(autouse=True)
def read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests need no time to read a question before they answer it."""
    monkeypatch.setattr(Confirm, "READ_SECONDS", 0.0, raising=False)
