"""Lines of every chosen cluster as they come in, merged in the order of time, none lost and none twice.

Each cluster has a follower (`services.tail_follower`). Lines that it finds only by reading again come late,
after newer ones; none is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiops_cli.analysis.merge import Line, Merge
from aiops_cli.errors import UsageError
from aiops_cli.models.result import Answer, ClusterStatus, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import status_of
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.tail_follower import Follower
from aiops_cli.sources.base import LogRow

Tell = Callable[[str, str], None]
"""Called with a cluster's name ("" for all of them) and what is to be known of it, on one line."""

_LINES = 50_000  # that wait to be shown, over all clusters
_KNOWN = 200_000  # hashes of lines, over all clusters
_LEAST = 500  # of both, for each cluster
_REORDER = 1.0  # seconds
_PATIENCE = 5.0  # for a cluster that still reads what was before


@dataclass(frozen=True, slots=True)
class TailQuery:
    """What to follow: `expr` is LogQL without metric functions. `before` is the window of history that is
    shown first, all of it or the `last` lines a cluster; lines wait `reorder` seconds for older ones (None:
    as long as the clusters need), and `delay_for` seconds at the server."""

    expr: str
    before: TimeRange
    last: int | None = None
    reorder: float | None = None
    delay_for: int = 0


class Tail:
    """`async with Tail(…) as tail: async for lines in tail.batches(): …`

    `outcome` has the clusters that were left for good once `batches` ends.
    """

    def __init__(self, members: Sequence[LiveMember], query: TailQuery, tell: Tell) -> None:
        self.query = query
        self.tell = tell
        share = max(len(members), 1)
        self.room = max(_LEAST, _LINES // share)
        self.merge = Merge(
            _REORDER if query.reorder is None else query.reorder, _PATIENCE, most=2 * self.room * share
        )
        self._news = asyncio.Event()
        self._space = asyncio.Event()
        self._followers = [Follower(m, self, max(_LEAST, _KNOWN // share)) for m in members]
        self._tasks: list[asyncio.Task[None]] = []
        self._told_start = False

    async def __aenter__(self) -> Self:
        for follower in self._followers:
            self.merge.expect(follower.name, _now())
        self._tasks = [asyncio.create_task(f.run()) for f in self._followers]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def batches(self) -> AsyncIterator[list[Line]]:
        """(cluster, line) in order, as soon as may be, until no cluster is left to follow.

        Raises UsageError if every cluster refuses the query itself.
        """
        while True:
            self._news.clear()
            over = all(task.done() for task in self._tasks)
            lines = self.merge.ready(float("inf") if over else _now())
            self._space.set()
            if lines:
                yield lines
            elif over:
                break
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.merge.due(_now())):
                        await self._news.wait()
        refusals = [f.left for f in self._followers if isinstance(f.left, UsageError)]
        if refusals and len(refusals) == len(self._followers):
            raise refusals[0]

    @property
    def outcome(self) -> FleetResult[LogRow]:
        statuses: list[ClusterStatus] = [
            status_of(f.name, f.left or Answer[LogRow]([]), 0) for f in self._followers
        ]
        return FleetResult([], statuses)

    async def space(self, cluster: str) -> None:
        """Wait while too many lines of this cluster have not been shown."""
        while self.merge.waiting(cluster) >= self.room:
            self._space.clear()
            await self._space.wait()

    def put(self, cluster: str, rows: Sequence[LogRow]) -> None:
        """Hand lines over. Does not wait: what is known as shown must not be lost by a task's end."""
        if rows:
            self.merge.add(cluster, rows, _now())
            self._news.set()

    def polled(self, every: float) -> bool:
        """A cluster's lines come only every so many seconds: wait for them, unless it was said how long."""
        if self.query.reorder is not None:
            return False
        self.merge.widen(every + _REORDER)
        return True

    def settled(self, cluster: str) -> None:
        """The lines of before of this cluster are all handed over, or it can't give them now."""
        self.merge.settled(cluster)
        self._news.set()

    def changed(self) -> None:
        """A follower goes on, waits or has left: say once how many do what, and who refused the query."""
        going = [f for f in self._followers if f.following]
        if going:
            for follower in self._followers:
                follower.tell_refusal()
        if not self._told_start and all(f.following or f.failure or f.left for f in self._followers):
            self._told_start = True
            if going:
                names = f" {going[0].name}" if len(self._followers) == 1 else ""
                count = "" if names else f" {len(going)} of {len(self._followers)} clusters"
                self.tell("", f"following{names}{count}")


def _now() -> float:
    return time.monotonic()
