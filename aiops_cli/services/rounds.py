"""Asking a fleet again and again without waiting for its slowest cluster: each has its own interval, and what it
said last stays until it says something else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from aiops_cli.models.result import ClusterStatus, FleetResult
from aiops_cli.services.fanout import failure_of, status_of

if TYPE_CHECKING:
    from aiops_cli.services.fleet import Member

T = TypeVar("T")
_PATIENCE = 0.3  # seconds that a round waits for the quick ones
_TELLING = 0.5  # seconds between two words of later answers
_AT_ONCE, _PAUSE = (
    10,
    0.02,
)  # so many questions are begun at a time, and seconds between: others use this thread too


@dataclass(slots=True)
class Round(Generic[T]):
    """What is known of a fleet. `at` says when each cluster answered last, `asked_at` since when one is asked
    that has not answered yet (unix seconds). Clusters that never answered have no status in `result`."""

    result: FleetResult[T]
    at: dict[str, float] = field(default_factory=dict)
    asked_at: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Known(Generic[T]):
    rows: list[T]
    status: ClusterStatus
    at: float


class Rounds(Generic[T]):
    """`ask` puts one question to one cluster; `every(cluster, its answer)` is how long (seconds) that answer is
    good. `told` is called, on the loop that asks, when more answers have come."""

    def __init__(
        self,
        ask: Callable[[Member], Awaitable[FleetResult[T]]],
        every: Callable[[Member, FleetResult[T]], float],
        told: Callable[[], None] | None = None,
    ) -> None:
        self._ask, self._every, self._told = ask, every, told
        self._known: dict[str, _Known[T]] = {}
        self._next: dict[str, float] = {}
        self._running: dict[str, tuple[asyncio.Task[None], float]] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._queue: deque[Member] = deque()
        self._starting: asyncio.Task[None] | None = None
        self._all_answered = asyncio.Event()

    def expire(self) -> None:
        """No answer is good any more: the next round asks every cluster."""
        self._next.clear()

    async def round(self, members: Sequence[Member]) -> Round[T]:
        """Start to ask the clusters that are due; what is known a moment later. Never fails for a cluster."""
        now = time.monotonic()
        asked = {*self._running, *(m.name for m in self._queue)}
        due = [m for m in members if m.name not in asked and self._next.get(m.name, 0.0) <= now]
        if due:
            self._queue += due
            self._all_answered.clear()
            if self._starting is None or self._starting.done():
                self._starting = asyncio.create_task(self._start())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_answered.wait(), _PATIENCE)
        known = [(m.name, self._known[m.name]) for m in members if m.name in self._known]
        return Round(
            FleetResult([row for _, k in known for row in k.rows], [k.status for _, k in known]),
            {name: k.at for name, k in known},
            {m.name: self._running[m.name][1] for m in members if m.name in self._running},
        )

    async def _start(self) -> None:
        while self._queue:
            for _ in range(min(_AT_ONCE, len(self._queue))):
                member = self._queue.popleft()
                self._running[member.name] = (asyncio.create_task(self._one(member)), time.time())
            await asyncio.sleep(_PAUSE)

    async def _one(self, member: Member) -> None:
        began = time.perf_counter()
        try:
            result = await self._ask(member)
        except Exception as error:  # as in fan_out: whatever one cluster makes of us, the others are asked on
            elapsed = (time.perf_counter() - began) * 1000
            status = status_of(member.name, failure_of(member.name, error), elapsed)
            result = FleetResult([], [status])
        finally:
            self._running.pop(member.name, None)
        status = result.clusters[0]
        earlier = self._known.get(member.name)
        if status.error is not None and not result.rows and earlier is not None and earlier.rows:
            # What it said last is still the best that is known of it, and is marked with its age.
            aged = msgspec.structs.replace(status, age_seconds=round(time.time() - earlier.at, 1))
            self._known[member.name] = _Known(earlier.rows, aged, earlier.at)
        else:
            self._known[member.name] = _Known(result.rows, status, time.time())
        self._next[member.name] = time.monotonic() + self._every(member, result)
        if not self._running and not self._queue:
            self._all_answered.set()
        self._tell()

    def _tell(self) -> None:
        if self._told is None or self._telling is not None:
            return

        def tell() -> None:
            self._telling = None
            if self._told is not None:
                self._told()

        self._telling = asyncio.get_running_loop().call_later(_TELLING, tell)
