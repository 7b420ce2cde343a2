"""Containers of one cluster whose logs are followed, as they come and go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.sources.base import Labels, LiveLines
from aiops_cli.sources.pod_containers import Container, Unreadable
from aiops_cli.sources.pod_query import PodQuery

if TYPE_CHECKING:
    from aiops_cli.sources.pod_logs import PodLogSource

_LOOK_SECONDS = 5.0  # between two looks at which pods there are
_AGAIN_SECONDS = 1.0
_AGAIN_MOST = 30.0  # where it is refused again and again
_QUEUED = 100
_NONE: Labels = {}


class Following:
    """The followed containers of one cluster, and the look at which there are."""

    def __init__(self, source: PodLogSource, query: PodQuery, since: int) -> None:
        self._source, self._query, self._since = source, query, since
        self._queue: asyncio.Queue[LiveLines | ClusterError] = asyncio.Queue(_QUEUED)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places: dict[str, Place] = {}
        self._now: dict[str, Container] = {}
        self._looked = asyncio.Event()
        self._watch = asyncio.create_task(self._guarded(self._look_on()))

    async def lines(self) -> AsyncIterator[LiveLines]:
        while True:
            found = await self._queue.get()
            if isinstance(found, ClusterError):
                raise found
            yield found

    async def look(self) -> None:
        """See which containers there are now, and follow the new ones."""
        found = await self._source.containers(self._query)
        self._now = {s.name: s for s in found.rows}
        for name, source in self._now.items():
            if name not in self._tasks or self._tasks[name].done():
                self._tasks[name] = asyncio.create_task(self._guarded(self._one(source)))
        for name in self._tasks.keys() - self._now.keys():
            if self._tasks[name].done():
                del self._tasks[name]
                self._places.pop(name, None)
        if found.warnings:
            await self._queue.put(LiveLines([], warnings=found.warnings))
        self._looked.set()

    async def close(self) -> None:
        tasks = [self._watch, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_on(self) -> None:
        pause = _LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = asyncio.get_running_loop().time()
            await self.look()
            pause = max(_LOOK_SECONDS, 10 * (asyncio.get_running_loop().time() - began))

    async def _guarded(self, work: Awaitable[None]) -> None:
        """What cuts us from the API server ends all."""
        try:
            await work
        except ClusterError as error:
            await self._queue.put(error)
        except Exception as error:
            message = f"its pod logs could not be handled: {type(error).__name__}: {error}"
            await self._queue.put(ClusterError(message, hint="report this", code=ErrorCode.INTERNAL))

    async def _one(self, source: Container) -> None:
        """One container until it is gone for good. The stream ends with the container, with a rotated file
        and after hours: then it is opened again, and what was shown of that second is left out."""
        place = self._places.setdefault(source.name, Place(self._since))
        restarts = source.restarts
        told = ""
        pause = _AGAIN_SECONDS
        previous = False
        while True:
            place.again()
            try:
                if previous:
                    await self._show(source, place, previous=True)
                await self._show(source, place, follow=True)
                pause = _AGAIN_SECONDS
            except Unreadable as unreadable:
                if unreadable.status == 404:
                    return
                if not unreadable.expected:
                    pause = min(2 * pause, _AGAIN_MOST)
                    if unreadable.error.message != told:
                        told = unreadable.error.message
                        await self._queue.put(LiveLines([], warnings=[told]))
            await asyncio.sleep(pause)
            while (now := self._now.get(source.name)) and not now.running and now.restarts == restarts:
                self._looked.clear()
                await self._looked.wait()
            if now is None:
                return
            previous = now.restarts > restarts + 1  # one came and went unseen
            restarts = now.restarts

    async def _show(
        self, source: Container, place: Place, *, follow: bool = False, previous: bool = False
    ) -> None:
        lines = self._source.read(source, place.last / 1e9, follow=follow, previous=previous)
        async with aclosing(lines):
            async for ns, line in lines:
                if place.passes(ns, line) and self._query.shows(line):
                    await self._queue.put(LiveLines([(ns, line, source.labels, _NONE)]))


class Place:
    """How far a container's log was read: the time of its last line, and the lines of that second."""

    def __init__(self, since: int) -> None:
        self.last = self._since = since
        self._seen: Counter[tuple[int, str]] = Counter()
        self._left: Counter[tuple[int, str]] = Counter()

    def again(self) -> None:
        """It is read again from the second of the last line."""
        self._left = self._seen.copy()

    def passes(self, ns: int, line: str) -> bool:
        """Whether the line is a new one."""
        if ns < self._since:
            return False
        if self._left.get((ns, line), 0) > 0:
            self._left[ns, line] -= 1
            return False
        if ns // 10**9 > self.last // 10**9:
            self._seen.clear()
        self._seen[ns, line] += 1
        self.last = max(self.last, ns)
        return True
