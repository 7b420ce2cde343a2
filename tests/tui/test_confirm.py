"""Nothing is done that nobody agreed to: a question is answered by who has read it, where it was asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from textual.widgets import Input

from aiops_cli.models.alerts import SilenceItem, SilenceResult
from aiops_cli.models.result import FleetResult
from aiops_cli.tui.widgets import silence
from aiops_cli.tui.widgets.dialogs import Confirm
from aiops_cli.tui.widgets.silence import Plan, SilenceForm, ask_expiry
from tests.tui.conftest import Driver, driving, until

PLACE = SilenceResult("east", "5e1f", "WOULD EXPIRE", endpoint="http://alertmanager.example")


class Slow:
    """An answer of the backend that comes when the test says so."""

    def __init__(self, pilot: Driver, answer: object) -> None:
        self.asked = asyncio.Event()
        self._pilot, self._answer = pilot, answer
        self._go = asyncio.Event()

    async def __call__(self, *args: Any, **_: Any) -> Any:
        self._pilot.app._loop.call_soon_threadsafe(self.asked.set)  # type: ignore[union-attr]
        self._loop = asyncio.get_running_loop()
        await self._go.wait()
        if self._answer is Plan:
            draft = next(a for a in args if hasattr(a, "comment"))
            return Plan(draft, [], FleetResult([], []), FleetResult([PLACE], []))
        return self._answer

    def come(self) -> None:
        self._loop.call_soon_threadsafe(self._go.set)


async def test_a_yes_typed_before_one_could_read_the_question_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[object] = []
    async with driving(bundle="demo") as pilot:
        monkeypatch.setattr(Confirm, "READ_SECONDS", 600.0)
        await pilot.app.push_screen(Confirm("Really?", "It ends."), answers.append)
        await pilot.press("y")
        assert isinstance(pilot.app.screen, Confirm)
        monkeypatch.setattr(Confirm, "READ_SECONDS", 0.0)
        await pilot.press("y")
        await until(pilot, lambda: answers == [True])


async def test_what_is_typed_while_a_silence_is_previewed_answers_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with driving("alerts", bundle="demo", size=(100, 40)) as pilot:
        slow = Slow(pilot, Plan)
        monkeypatch.setattr(silence, "plan", slow)
        form = SilenceForm("alertname=x", "east", "sre@host")
        await pilot.app.push_screen(form)
        await pilot.press(*"why", "ctrl+s")
        await slow.asked.wait()
        await pilot.press(*" yes", "ctrl+s")
        assert form.query_one("#comment", Input).value == "why"
        slow.come()
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("n", *"!")
        assert form.query_one("#comment", Input).value == "why!"  # typed on where one was


async def test_the_end_of_a_silence_is_not_asked_over_another_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    item = SilenceItem(
        "east", "5e1f", "ACTIVE", [], "2026-11-24T10:00:00Z", "2026-11-25T10:00:00Z", "me", "why"
    )
    async with driving("alerts tab=silences", bundle="demo") as pilot:
        slow = Slow(pilot, FleetResult([PLACE], []))
        monkeypatch.setattr(silence, "expire", slow)
        await until(pilot, "a bundle holds no silences")
        ask_expiry(pilot.app.screen, item, lambda: None)
        await slow.asked.wait()
        await pilot.press("1", "colon", *"tra")
        slow.come()
        await until(pilot, lambda: all(w.is_finished for w in pilot.app.workers if w.group == "expire-ask"))
        assert not any(isinstance(s, Confirm) for s in pilot.app.screen_stack)
        assert pilot.app.screen.query_one(Input).value == "tra"
