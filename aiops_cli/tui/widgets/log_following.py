"""A tail that runs beside the interface and holds what the interface has not taken yet: a bounded number."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from aiops_cli.analysis.merge import Line
from aiops_cli.errors import AiopsError
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.text import one_line
from aiops_cli.services.fanout import failure_of
from aiops_cli.services.fleet import LiveMember
from aiops_cli.tui.backend import Backend
from aiops_cli.tui.widgets.log_buffer import MOST, MOST_SIZE, Held, held


class Following:
    """`start` once, `take` again and again, `stop`."""

    def __init__(
        self,
        backend: Backend,
        members: Sequence[LiveMember],
        expr: str,
        before: TimeRange,
        *,
        most: int = MOST,
        most_size: int = MOST_SIZE,
    ) -> None:
        """`before` is the time whose lines come first, all of them."""
        self.said = ""
        """The newest of what is to be known: who follows, who left."""
        self.error: AiopsError | None = None
        self.lost = 0
        """Lines that nobody took before there was no more room for them."""
        self._backend, self._members, self._expr, self._before = backend, members, expr, before
        self._held: deque[Held] = deque()
        self._most, self._most_size, self._size = most, most_size, 0
        self._lock = threading.Lock()
        self._running: Future[None] | None = None

    def start(self) -> None:
        self._running = self._backend.spawn(self._run())

    def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()

    @property
    def waiting(self) -> int:
        return len(self._held)

    def take(self) -> list[Held]:
        """The lines that came since; they are no longer held here."""
        with self._lock:
            lines = list(self._held)
            self._held.clear()
            self._size = 0
        return lines

    async def _run(self) -> None:
        from aiops_cli.services.tail import Tail, TailQuery

        def told(cluster: str, text: str) -> None:
            self.said = one_line(f"{cluster}: {text}" if cluster else text)

        try:
            async with Tail(self._members, TailQuery(self._expr, self._before), told) as tail:
                async for lines in tail.batches():
                    self._hold(lines)
                failed = [c for c in tail.outcome.failed if c.error is not None]
            self.said = f"no cluster is left to follow{': ' if failed else ''}" + ", ".join(
                f"{c.name}: {c.error.message}" for c in failed[:3] if c.error is not None
            )
        except Exception as error:
            self.error = failure_of("", error)
            self.said = one_line(self.error.message)

    def _hold(self, lines: list[Line]) -> None:
        kept = held(lines)
        with self._lock:
            self._held.extend(kept)
            self._size += sum(len(line.text) for line in kept)
            while len(self._held) > self._most or (self._size > self._most_size and len(self._held) > 1):
                self._size -= len(self._held.popleft().text)
                self.lost += 1
