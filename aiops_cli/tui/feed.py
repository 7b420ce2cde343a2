"""What a panel shows, asked again and again while it can be seen, with its age and what went wrong last."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from aiops_cli.errors import AiopsError
from aiops_cli.services.fanout import failure_of
from aiops_cli.tui import clock
from aiops_cli.tui.backend import Backend

T = TypeVar("T")
Ask = Callable[[], Coroutine[Any, Any, T]]
_STALE = 3  # intervals without an answer


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """The newest answer, when it was had (unix seconds; None: never), and why the last try brought none.

    `kept` tells that it was read from the store and nothing newer is known yet.
    """

    value: T | None = None
    at: float | None = None
    error: AiopsError | None = None
    kept: bool = False
    every: float | None = None

    def stale(self, now: float) -> bool:
        """Whether what is shown is older than it should be."""
        late = self.every is not None and self.at is not None and now - self.at > _STALE * self.every + 5
        return self.value is not None and (self.kept or self.error is not None or late)


class Feed(Generic[T]):
    """Asks on the backend and hands each reading to `show`, on the loop of the interface.

    One question at a time: where answers take longer than `every`, they come as fast as they can and none
    queues. `every=None` asks once, and when told to. `recall` gives what the store still knows, first;
    nothing is asked before `ready`.
    """

    def __init__(
        self,
        backend: Backend,
        ask: Ask[T],
        show: Callable[[Reading[T]], None],
        *,
        every: float | None = None,
        recall: Callable[[], tuple[T, float] | None] | None = None,
        keep: Callable[[T], None] | None = None,
        ready: asyncio.Event | None = None,
    ) -> None:
        self.reading: Reading[T] = Reading(every=every)
        self.asking = False
        self._backend, self._ask, self._show = backend, ask, show
        self._every, self._recall, self._keep, self._ready = every, recall, keep, ready
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._next = 0.0
        self._last = False  # what is asked now is the last question

    def start(self) -> None:
        """Go on asking; at once where the last answer is older than `every`."""
        self._last = False
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def pause(self, *, answered: bool = False) -> None:
        """Ask no more; what was read stays. What is asked now is dropped, or with `answered` still waited for."""
        if answered and self.asking:
            self._last = True
        elif self._task is not None:
            self._task.cancel()
            self._task = None

    def refresh(self, *, anew: bool = False) -> None:
        """Ask now. `anew` when the question has changed: what is under way, and what was read, is dropped."""
        self._next = 0.0
        if anew:
            self.reading = Reading(every=self._every)
            if self._task is not None:
                self.pause()
                self.start()
        self._wanted.set()

    async def _run(self) -> None:
        if self._recall is not None and self.reading.at is None:
            with contextlib.suppress(Exception):  # what can't be read is as nothing kept
                if (kept := self._recall()) is not None:
                    self._tell(Reading(kept[0], kept[1], None, True, self._every))
            self._recall = None
        if self._ready is not None:
            await self._ready.wait()
        while True:
            wait = self._next - time.monotonic()
            if wait > 0 or (self._every is None and self._next == float("inf")):
                self._wanted.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), None if wait == float("inf") else wait)
                continue
            await self._once()
            if self._last:
                self._task = None
                return

    async def _once(self) -> None:
        self._next = float("inf") if self._every is None else time.monotonic() + self._every
        self.asking = True
        try:
            value = await self._backend.ask(self._ask())
        except asyncio.CancelledError:
            self._next = 0.0  # not answered: asked again once it goes on
            raise
        except Exception as error:
            self._tell(
                Reading(
                    self.reading.value, self.reading.at, failure_of("", error), self.reading.kept, self._every
                )
            )
        else:
            self._tell(Reading(value, clock.now(), None, False, self._every))
            if self._keep is not None:
                keep = self._keep
                with contextlib.suppress(Exception):  # it is shown: only the next start lacks it
                    await self._backend.compute(lambda: keep(value))
        finally:
            self.asking = False

    def _tell(self, reading: Reading[T]) -> None:
        """An answer that can't be shown is told as one that could not be had: the feed goes on."""
        self.reading = reading
        try:
            self._show(reading)
        except Exception as error:
            self.reading = replace(reading, error=failure_of("", error))
            with contextlib.suppress(Exception):  # the panel reads `reading` itself
                self._show(self.reading)
