"""The loop beside the interface."""

from __future__ import annotations

import asyncio

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
