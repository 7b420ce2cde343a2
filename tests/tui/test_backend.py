"""The loop beside the interface."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from aiops_cli.tui import tidy
from aiops_cli.tui.backend import Backend


async def test_clients_are_closed_though_a_question_will_not_end() -> None:
    backend, begun, closed = Backend(), asyncio.Event(), []
    here = asyncio.get_running_loop()

    async def stubborn() -> None:
        here.call_soon_threadsafe(begun.set)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async def last() -> None:
        closed.append("clients")

    backend.spawn(stubborn())
    await begun.wait()
    await backend.close(last)
    assert closed == ["clients"]


async def test_a_file_that_is_written_for_long_holds_no_question_up() -> None:
    backend, gate = Backend(), threading.Event()

    async def question() -> str:
        return "answer"

    async def last() -> None:
        return None

    try:
        writing = asyncio.create_task(backend.aside(lambda: gate.wait(30)))
        await asyncio.sleep(0)
        assert await backend.ask(question()) == "answer"
        assert not writing.done()
    finally:
        gate.set()
    assert await writing
    await backend.close(last)


async def test_answers_wait_for_a_key_that_is_on_its_way_to_the_screen_but_never_for_good() -> None:
    backend, begun = Backend(), threading.Event()

    async def question() -> str:
        begun.set()
        return "answer"

    async def last() -> None:
        return None

    await backend.ask(question())
    begun.clear()
    backend.hold()
    asked = asyncio.create_task(backend.ask(question()))
    await asyncio.sleep(0)
    assert not begun.is_set()
    backend.release()
    assert await asked == "answer"
    backend.hold()  # whose release is lost
    assert await backend.ask(question()) == "answer"
    await backend.close(last)


def test_garbage_is_collected_in_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    full: list[int] = []

    def watch(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            full.append(1)

    counts = (0, 0, 500)
    monkeypatch.setattr(gc, "get_count", lambda: counts)
    gc.callbacks.append(watch)
    try:
        tidy.in_pause(time.monotonic())
        assert full == []
        tidy.in_pause(time.monotonic() - 60)
        assert full == [1]
        counts = (0, 0, 1)
        tidy.in_pause(time.monotonic() - 60)
        assert full == [1]
    finally:
        gc.callbacks.remove(watch)
