"""Where questions run: an event loop in a thread of its own, so that no answer, however large, holds a key up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import selectors
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
_SWITCH_SECONDS = 0.001  # of the interpreter: decoding gives way to a key press this often
_HELD = 0.05  # seconds that a key may keep the answers waiting
_COLLECT = (1_000, 10, 600)
"""The thresholds of `gc`: a full collection stops everything for as long as ten paints take, and 20,000 log lines
a second would have one every two seconds. So one comes in a pause between keys (`tui.tidy`), or else after six million
objects more than were freed, not 70,000."""
_PATIENCE = 3.0  # seconds for all that is left to do when the program ends,
_TASKS_PATIENCE = 1.0  # of which these are for what is still asked


class _GivesWay(selectors.DefaultSelector):
    """Lets a key have its effect before the loop goes on: of two threads that compute, each has half the time."""

    def __init__(self, free: threading.Event) -> None:
        super().__init__()
        self._free = free

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        if not self._free.wait(_HELD):
            self._free.set()
        return ready


class Backend:
    """Runs coroutines of services beside the user interface. Clients and their sockets live there alone."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            from aiops_cli.transport.resolver import LookupLoop

            sys.setswitchinterval(_SWITCH_SECONDS)
            gc.freeze()  # what was imported stays: no collection has to look at it
            gc.set_threshold(*_COLLECT)
            self._loop = LookupLoop(_GivesWay(self._free))
            self._thread = threading.Thread(target=self._loop.run_forever, name="backend", daemon=True)
            self._thread.start()
        return self._loop

    def hold(self) -> None:
        """What runs here waits, at most for a paint or two, until `release`."""
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` there; the future may be cancelled from here."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises. Cancelling the wait cancels the work."""
        return await asyncio.wrap_future(self.spawn(work))

    async def compute(self, work: Callable[[], T]) -> T:
        """The same for a function that only computes or reads files."""

        async def run() -> T:
            return work()

        return await self.ask(run())

    async def aside(self, work: Callable[[], T]) -> T:
        """The same for what takes seconds or waits for a disk: questions are answered meanwhile."""
        return await self.ask(asyncio.to_thread(work))

    async def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Cancel what runs, do `last` (close the clients), and end the thread. Never waits for long."""
        if self._loop is None or self._thread is None:
            return
        loop = self._loop

        async def wind_up() -> None:
            others = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
            for task in others:
                task.cancel()
            try:
                await asyncio.wait(others, timeout=_TASKS_PATIENCE) if others else None
            finally:
                await last()

        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(self.spawn(wind_up())), _PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        self._loop = None
