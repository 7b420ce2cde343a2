"""Streams of log lines merged in the order of time, and lines that come twice told apart.

Both hold a bounded number of lines or their hashes, whatever comes. Times of arrival are seconds of any
one clock; times of lines are unix nanoseconds.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence

Labels = dict[str, str]
Row = tuple[int, str, Labels, Labels]
"""A log line: unix nanoseconds, text, the stream's labels, structured metadata."""
Line = tuple[str, Row]
"""A source's name, and a line of it."""
_BUCKET = 10**8  # ns: what is forgotten is forgotten by the tenth of a second


class Known:
    """The lines of one source that were shown lately, so that none is shown twice.

    A line is known by its labels (structured metadata included, since a server may send both as one), time
    and text, and counted, since a `line_format` may make several alike. What is read again gives the lines
    that are shown and more: `again` returns what is more. A live stream may yet bring what was read:
    `live` leaves that out, once for each time it was read.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._shown: dict[int, Counter[int]] = {}
        self._oldest: list[int] = []  # a heap of its keys
        self._owed: Counter[int] = Counter()
        self.newest = 0
        """The time of the newest line shown; 0 if there is none."""
        self.floor = 0
        """Lines before this may have been forgotten: reading again from earlier may show some twice."""
        self.crowded = 0
        """Lines before this were forgotten for want of room."""

    def again(self, rows: Sequence[Row], seen: Counter[int]) -> list[Row]:
        """The lines of a complete read of some span of time that were not shown yet; they count as shown.

        A read of several pages passes the same `seen`, empty at first, with each of them in order.
        """
        fresh = []
        for row, key in keyed(rows):
            seen[key] += 1
            shown = self._shown.get(row[0] // _BUCKET)
            if shown is None or seen[key] > shown[key]:
                self._show(row[0], key)
                self._owed[key] += 1
                fresh.append(row)
        if rows and rows[0][0] != rows[-1][0]:  # only those of its edge may go on in the next page
            edge = Counter(key for _, key in keyed([r for r in rows if r[0] == rows[-1][0]]))
            seen.clear()
            seen.update(edge)
        return fresh

    def live(self, rows: Sequence[Row]) -> list[Row]:
        """The lines of the live stream that were not read before; they count as shown."""
        fresh = []
        for row, key in keyed(rows):
            if self._owed.get(key, 0) > 0:
                self._owed[key] -= 1
                if not self._owed[key]:
                    del self._owed[key]
                continue
            self._show(row[0], key)
            fresh.append(row)
        return fresh

    def reconnected(self) -> None:
        """A new live stream begins: it may bring anything that was shown before."""
        self._owed = Counter()
        for bucket in self._shown.values():
            self._owed.update(bucket)

    def forget(self, before: int) -> None:
        """Nobody may read again from before this time."""
        self.floor = max(self.floor, before // _BUCKET * _BUCKET)
        while self._oldest and (self._oldest[0] + 1) * _BUCKET <= before:
            self._drop(self._oldest[0])

    def _show(self, ns: int, key: int) -> None:
        bucket = ns // _BUCKET
        if bucket not in self._shown:
            self._shown[bucket] = Counter()
            heapq.heappush(self._oldest, bucket)
        self._shown[bucket][key] += 1
        self._size += 1
        self.newest = max(self.newest, ns)
        while self._size > self._most:
            oldest = self._oldest[0]
            self.crowded = max(self.crowded, (oldest + 1) * _BUCKET)
            self.floor = max(self.floor, self.crowded)
            self._drop(oldest)

    def _drop(self, oldest: int) -> None:
        heapq.heappop(self._oldest)
        gone = self._shown.pop(oldest)
        self._size -= gone.total()
        for key in gone:
            self._owed.pop(key, None)


def keyed(rows: Sequence[Row]) -> Iterator[tuple[Row, int]]:
    """Each line with a hash of what it is. The labels of a stream are hashed once."""
    hashes: dict[tuple[int, int], int] = {}
    for row in rows:
        ns, line, labels, metadata = row
        at = (id(labels), id(metadata) if metadata else 0)
        if at not in hashes:
            hashes[at] = hash(frozenset((labels | metadata).items()))
        yield row, hash((ns, hashes[at], line))


class Merge:
    """Lines of several sources, given out in the order of time.

    A line waits `window` seconds for older ones of other sources. Sources that still read what was before
    are waited for as far as they have come, but each no longer than `patience` seconds without a line. More
    than `most` lines do not wait: the oldest are given out.
    """

    def __init__(self, window: float, patience: float, most: int) -> None:
        self._window, self._patience, self._most = window, patience, most
        self._heap: list[tuple[int, int, str, Row]] = []
        self._order = 0
        self._arrivals: deque[tuple[float, int]] = deque()
        self._reading: dict[str, tuple[int, float]] = {}
        self._waiting: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._heap)

    def waiting(self, source: str) -> int:
        """How many lines of a source were not given out yet."""
        return self._waiting[source]

    def expect(self, source: str, now: float) -> None:
        """This source will give lines of before, in the order of time."""
        self._reading[source] = (0, now)

    def widen(self, window: float) -> None:
        """Lines wait at least so many seconds from now on."""
        self._window = max(self._window, window)

    def settled(self, source: str) -> None:
        """This source has given all lines of before."""
        self._reading.pop(source, None)

    def add(self, source: str, rows: Iterable[Row], now: float) -> None:
        newest = 0
        for row in rows:
            self._order += 1
            newest = max(newest, row[0])
            heapq.heappush(self._heap, (row[0], self._order, source, row))
            self._waiting[source] += 1
        if newest and source in self._reading:
            self._reading[source] = (newest, now)
        if newest:
            self._arrivals.append((now, newest))

    def ready(self, now: float) -> list[Line]:
        """What need not wait any longer, in order."""
        for source in [s for s, (_, since) in self._reading.items() if now - since >= self._patience]:
            del self._reading[source]
        horizon = 0
        while self._arrivals and self._arrivals[0][0] <= now - self._window:
            horizon = max(horizon, self._arrivals.popleft()[1])
        if self._reading:
            if horizon:  # their turn has come, but for those who are still waited for
                self._arrivals.appendleft((now - self._window, horizon))
            horizon = min(newest for newest, _ in self._reading.values())
        lines = []
        while self._heap and (self._heap[0][0] <= horizon or len(self._heap) > self._most):
            _, _, source, row = heapq.heappop(self._heap)
            self._waiting[source] -= 1
            lines.append((source, row))
        return lines

    def due(self, now: float) -> float | None:
        """In how many seconds `ready` may have something; None if nothing waits."""
        times = [self._arrivals[0][0] + self._window] if self._arrivals and not self._reading else []
        times += [since + self._patience for _, since in self._reading.values()]
        return max(min(times) - now, 0.0) if times and self._heap else None
