"""One cluster of a tail: its live stream, what came before it, and what it left out.

The live stream is opened first, and what came before it is read, by the source's range query, after that:
so nothing falls between them, and what comes by both is shown once. The same is done after each loss of the
connection, from a little before the last that is sure, and every few seconds for what the live stream left
out, since a Loki under load drops lines of a tail without a word (`sources.loki_tail`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiops_cli.analysis.merge import Known
from aiops_cli.errors import AiopsError, AuthError, ClusterError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import LiveMember
from aiops_cli.sources.base import LiveLines, LogRow, PagedLines

if TYPE_CHECKING:
    from aiops_cli.services.tail import Tail

_PAGE = 5_000
_ALL = 10**12  # lines: there is no limit
_CHECK_SECONDS = 5.0
_CHECK_SHARE = 10  # a check that took a second is not made again for so many,
_CHECK_SHARE_DOUBT = 1  # or for so many if the server said that it dropped lines
_SETTLING = 2.0  # seconds that a line may take through the live stream
_LATE = 5.0  # seconds by which the times of lines may lie behind their coming in
_MAX_LAG = 600.0
_POLL_SECONDS = 2.0  # where there is no live stream
_POLLS, _POLLED_LATE = 15, 60.0  # each 15th time from so many seconds back
_AHEAD = 600.0  # by which writers' clocks may be ahead of ours
_BACKOFF = (0.3, 15.0)
_STEADY = 10.0  # after so many seconds a stream was a good one: it is opened again at once
_TELL_SECONDS = 30.0
_CROWDED = (
    "more lines come than can be kept in mind: some that the live stream leaves out may be missing; "
    "narrow the selector, or follow fewer clusters"
)


@dataclass(slots=True)
class _Told:
    """A count that is told at once, and then no more often than every half minute."""

    count: int = 0
    at: float = -_TELL_SECONDS

    def add(self, count: int) -> int:
        """The number to be told now, or 0."""
        self.count += count
        if not self.count or _now() - self.at < _TELL_SECONDS:
            return 0
        told, self.count, self.at = self.count, 0, _now()
        return told


@dataclass(slots=True)
class _Lag:
    """How far the times of lines lie behind their coming in, in seconds, of this check and the last."""

    now: float = 0.0
    before: float = 0.0

    def saw(self, rows: Sequence[LogRow]) -> None:
        if rows:
            oldest = min(row[0] for row in rows) / 1e9
            self.now = max(self.now, min(time.time() - oldest, _MAX_LAG))

    def turn(self) -> None:
        self.before, self.now = self.now, 0.0

    @property
    def worst(self) -> float:
        return max(self.now, self.before)


@dataclass(slots=True)
class Follower:
    """One cluster's lines. `left` says why it is not followed any more, `failure` why not now."""

    member: LiveMember
    tail: Tail
    most: int
    left: AiopsError | None = None
    failure: AiopsError | None = None
    following: bool = False
    _known: Known = field(init=False)
    _begun: bool = False
    _leaves_out: bool = False
    _steady_at: float = 0.0
    _refusal_told: bool = False
    _sure: int = 0  # ns; what came in before this was read
    _lag: _Lag = field(default_factory=_Lag)
    _dropped: _Told = field(default_factory=_Told)
    _late: _Told = field(default_factory=_Told)
    _doubt: asyncio.Event = field(default_factory=asyncio.Event)
    _warned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._known = Known(self.most)

    @property
    def name(self) -> str:
        return self.member.name

    async def run(self) -> None:
        """Follow until it makes no sense to go on; then `left` says why."""
        attempt = 0
        while self.left is None:
            try:
                await self._follow()
            except UsageError as error:
                self._leave(error)
            except ClusterError as error:
                if isinstance(error, (AuthError, NotAvailableError)) and not self._begun:
                    self._leave(error)
                    break
                attempt = 0 if _now() - self._steady_at > _STEADY and self.following else attempt + 1
                await self._down(error)
                await asyncio.sleep(_pause(attempt))
            except AiopsError as error:
                self._leave(error)
            except Exception as error:  # whatever one cluster makes of us, the others are still followed
                self._leave(
                    ClusterError(
                        f"its lines could not be handled: {type(error).__name__}: {error}",
                        hint=f"leave it out with -c '!{self.name}', and report this",
                        code=ErrorCode.INTERNAL,
                    )
                )
        self.tail.settled(self.name)

    def tell_refusal(self) -> None:
        """That this server refuses the query is told once others are seen to take it."""
        if isinstance(self.left, UsageError) and not self._refusal_told:
            self._refusal_told = True
            self.tail.tell(self.name, f"{self.left.code}: {self.left.message}")

    async def _follow(self) -> None:
        """Open the live stream, close the gap before it, and go on; ends by an error only."""
        source = await self.member.log_lines()
        stream = await self.member.log_tail()
        query = self.tail.query
        if self._begun and stream.leaves_out != self._leaves_out:
            raise NotAvailableError(
                "its Loki is not found now",
                hint="it is asked again by itself",
                code=ErrorCode.LOKI_NOT_AVAILABLE,
            )
        self._leaves_out = stream.leaves_out
        async with stream.follow(query.expr, query.delay_for, self._again_from()) as live:
            self._known.reconnected()
            joined = not self._begun
            waits = stream.silent and self.tail.polled(_POLL_SECONDS)
            missed = await self._catch_up(source)
            self._up(missed, joined)
            if stream.silent:
                said = "" if waits else ", so its lines may come after newer ones"
                self._warn(
                    [f"no live stream passes the service proxy: it is asked every {_POLL_SECONDS:g} s{said}"]
                )
                await self._poll(source)
            checking = asyncio.create_task(self._check(source)) if stream.leaves_out else None
            opening = True
            try:
                async for lines in live:
                    if opening and lines.rows:
                        opening = False
                        if lines.rows[0][0] < self._begin:  # the tail's own line of history
                            del lines.rows[0]
                    await self._take(lines)
            finally:
                if checking is not None:
                    checking.cancel()
                    await asyncio.gather(checking, return_exceptions=True)
        raise ClusterError("the live stream ended", hint="it is asked again by itself")

    async def _take(self, lines: LiveLines) -> None:
        self._lag.saw(lines.rows)
        self._warn(lines.warnings)
        if lines.dropped:
            self._doubt.set()
        if told := self._dropped.add(lines.dropped):
            self.tail.tell(
                self.name, f"{told} lines were dropped on the way by the server; reading them again"
            )
        await self.tail.space(self.name)
        self.tail.put(self.name, self._known.live(lines.rows))

    async def _catch_up(self, source: PagedLines) -> int:
        """Hand over what came before the live stream, and say how many lines that were."""
        query = self.tail.query
        began = time.time_ns()
        if not self._begun and query.last is not None:
            await self._last(source, query.last)
        count = await self._read(source, self._again_from(), began + round(_AHEAD * 1e9))
        self._settle(began)
        self._begun = True
        self.tail.settled(self.name)
        return count

    async def _last(self, source: PagedLines, count: int) -> None:
        if count:
            rows: list[LogRow] = []
            pages = source.pages(self.tail.query.expr, self.tail.query.before, count, "backward", most=_PAGE)
            async with aclosing(pages):
                async for page in pages:
                    self._warn(page.warnings)
                    rows += page.rows
            self.tail.put(self.name, self._known.again(rows[::-1], Counter()))

    async def _read(self, source: PagedLines, start: int, end: int) -> int:
        """Hand over what is not known of [start, end) ns, in order; how many lines that were."""
        if start >= end:
            return 0
        # A float holds microseconds: a little earlier does no harm, since lines are known.
        window = TimeRange((start // 1000 - 1) / 1e6, end / 1e9)
        most = min(_PAGE, self.tail.room)
        seen: Counter[int] = Counter()
        count = 0
        pages = source.pages(self.tail.query.expr, window, _ALL, "forward", most=most, lanes=1)
        async with aclosing(pages):
            async for page in pages:
                self._warn(page.warnings)
                await self.tail.space(self.name)
                fresh = self._known.again(page.rows, seen)
                count += len(fresh)
                self.tail.put(self.name, fresh)
        return count

    async def _check(self, source: PagedLines) -> None:
        """Read again what the live stream should have given by now."""
        took = 0.0
        told = ""
        while True:
            await asyncio.sleep(max(_SETTLING, _CHECK_SHARE_DOUBT * took))
            with suppress(TimeoutError):
                async with asyncio.timeout(max(_CHECK_SECONDS - _SETTLING, _CHECK_SHARE * took)):
                    await self._doubt.wait()
                await asyncio.sleep(_SETTLING + self.tail.query.delay_for)
            self._doubt.clear()
            began, clock = time.time_ns(), _now()
            settled = began - round((_SETTLING + self.tail.query.delay_for) * 1e9)
            try:
                found = await self._read(source, self._again_from(), settled)
            except AiopsError as error:
                if error.message != told:
                    self.tail.tell(self.name, f"lines can't be checked now: {error.code}: {error.message}")
                told = error.message
            else:
                told = ""
                self._settle(settled)
                if late := self._late.add(found):
                    self.tail.tell(
                        self.name,
                        f"{late} lines that the live stream left out were read again; they come late",
                    )
            took = _now() - clock

    async def _poll(self, source: PagedLines) -> None:
        """Ask again and again for what has come; now and then further back, for lines that came late."""
        turn, took = 0, 0.0
        while True:
            await asyncio.sleep(max(_POLL_SECONDS, took))
            turn += 1
            began, clock = time.time_ns(), _now()
            margin = _POLLED_LATE if turn % _POLLS == 0 else _LATE
            await self._read(source, self._again_from(margin), began + round(_AHEAD * 1e9))
            self._settle(began)
            took = _now() - clock

    def _again_from(self, margin: float = _LATE) -> int:
        """From when on there may be lines that were not shown, in ns; tells where too many came to read that
        far back."""
        doubtful = max(self._begin, self._sure - round((margin + self._lag.worst) * 1e9))
        if self._known.crowded > doubtful:
            self._warn([_CROWDED])
        return max(doubtful, self._known.floor)

    @property
    def _begin(self) -> int:
        """Nothing older is read but the last lines that were asked for, in ns."""
        before = self.tail.query.before
        return round((before.start if self.tail.query.last is None else before.end) * 1e9)

    def _settle(self, until: int) -> None:
        """All that came in by then, in ns, has been read."""
        self._sure = max(self._sure, until)
        self._lag.turn()
        self._known.forget(until - round((_LATE + _MAX_LAG) * 1e9))

    def _up(self, missed: int, joined: bool) -> None:
        again = self.failure is not None
        self.following, self.failure, self._steady_at = True, None, _now()
        if again:
            self.tail.tell(
                self.name, "following" if joined else f"following again, {missed} lines from meanwhile"
            )
        self.tail.changed()

    async def _down(self, error: ClusterError) -> None:
        before, self.failure, self.following = self.failure, error, False
        if before is None or (before.code, before.message) != (error.code, error.message):
            at = f" [{error.endpoint}]" if error.endpoint else ""
            self.tail.tell(self.name, f"{error.code}: {error.message}{at}; trying again")
        self.tail.settled(self.name)
        self.tail.changed()
        if not self._begun:
            await self.member.start_over(error)

    def _leave(self, error: AiopsError) -> None:
        self.left, self.following = error, False
        if not isinstance(error, UsageError):
            at = f" [{error.endpoint}]" if error.endpoint else ""
            self.tail.tell(self.name, f"{error.code}: {error.message}{at}; {error.hint}")
        self.tail.changed()

    def _warn(self, warnings: Sequence[str]) -> None:
        for warning in warnings:
            if warning not in self._warned and len(self._warned) < 100:
                self._warned.add(warning)
                self.tail.tell(self.name, f"warning: {warning}")


def _pause(attempt: int) -> float:
    """Seconds before the next try, with jitter so that clients of one server don't come back as one."""
    first, most = _BACKOFF
    return min(first * 2.0**attempt, most) * (0.5 + random.random() / 2)  # noqa: S311 - jitter


def _now() -> float:
    return time.monotonic()
