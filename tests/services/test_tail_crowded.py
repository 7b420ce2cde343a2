"""A tail of more lines than it can keep in mind, which would take servers longer than a test should."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aiops_cli.errors import ClusterError
from aiops_cli.models.result import Answer
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services import tail
from aiops_cli.sources.base import LiveLines, LogRow


class _Member:
    """Its Loki keeps nothing, and its first live stream brings `count` lines of the last second and breaks."""

    name = "east"
    leaves_out = True
    silent = False

    def __init__(self, count: int) -> None:
        self._count = count
        self.followed = asyncio.Event()

    async def log_lines(self) -> _Member:
        return self

    async def log_tail(self) -> _Member:
        return self

    async def pages(self, *args: object, **more: object) -> AsyncGenerator[Answer[LogRow], None]:
        yield Answer([])

    @asynccontextmanager
    async def follow(self, expr: str, delay_for: int, since: int) -> AsyncIterator[AsyncIterator[LiveLines]]:
        yield self._lines()

    async def _lines(self) -> AsyncIterator[LiveLines]:
        if self._count:
            now = time.time_ns()
            step = 10**9 // self._count
            yield LiveLines([(now - 10**9 + i * step, f"{i}", {}, {}) for i in range(self._count)])
            self._count = 0
            raise ClusterError("it broke")
        self.followed.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(("count", "told"), [(2_000, True), (400, False)])
async def test_lines_that_crowd_out_others_are_told_of(
    monkeypatch: pytest.MonkeyPatch, count: int, told: bool
) -> None:
    monkeypatch.setattr(tail, "_KNOWN", 500)
    said: list[str] = []
    member = _Member(count)
    now = time.time()
    query = tail.TailQuery("{}", TimeRange(now - 60, now))
    async with (
        asyncio.timeout(20),
        tail.Tail([member], query, lambda cluster, text: said.append(text)) as following,  # type: ignore[list-item]
    ):
        shown = 0
        async for lines in following.batches():
            shown += len(lines)
            if shown == count:
                break
        await member.followed.wait()
    assert any("kept in mind" in text for text in said) is told
