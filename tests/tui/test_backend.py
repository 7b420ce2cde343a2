"""The loop beside the interface."""

from __future__ import annotations

import asyncio
import threading

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
