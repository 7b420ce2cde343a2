"""Lines that are held: a bounded number of them, each with a number of its own, and which of them are shown.

Numbers only grow: lines that come later get higher ones, an older page lower ones (they may be negative).
So a cursor stays on its line whatever comes or goes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from aiops_cli.analysis.merge import Labels, Line

MOST = 50_000
MOST_SIZE = 100_000_000  # characters of all lines: 2,000 of each, where there are as many lines as can be


class Held(msgspec.Struct, frozen=True, gc=False):
    """A line as it is kept: one object that the garbage collector needs not look at, for tens of thousands that
    come and go would have it stop everything for a tenth of a second, again and again."""

    cluster: str
    ns: int
    text: str
    labels: Labels
    metadata: Labels

    @property
    def line(self) -> Line:
        return self.cluster, (self.ns, self.text, self.labels, self.metadata)


def fitting(lines: Sequence[Held], most: int, size: int) -> int:
    """How many of the last lines are within so many lines and characters; one at least, where one may be."""
    count = 0
    for line in reversed(lines[max(len(lines) - most, 0) :]):
        size -= len(line.text)
        if size < 0 and count:
            break
        count += 1
    return count


def held(lines: Iterable[Line]) -> list[Held]:
    return [Held(cluster, *row) for cluster, row in lines]


_CHUNK = 2_000  # lines that are looked at in one go, beside the interface
Keep = Callable[[Line], bool]
Compute = Callable[[Callable[[], list[int]]], Awaitable[list[int]]]


class Buffer:
    """`shown` are the numbers of the lines that the filter keeps: all of them without one.

    A filter is applied by `sift`, the newest lines first, while the interface goes on.
    """

    def __init__(self, most: int = MOST, most_size: int = MOST_SIZE) -> None:
        self.most = most
        self._most_size, self._size = most_size, 0
        self._full = False  # older lines found no room: what is older still would leave a hole
        self.dropped = 0
        """Lines that left at the top since the last `clear`."""
        self.version = 0
        """Grows with each change of what is shown."""
        self._lines: list[Held] = []
        self._first = 0
        self._keep: Keep | None = None
        self._kept: list[int] = []
        self._low = self._high = 0  # what the filter has seen: [low, high)
        self._generation = 0

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: int) -> Line:
        return self._lines[number - self._first].line

    @property
    def first(self) -> int:
        return self._first

    @property
    def end(self) -> int:
        """One more than the last line's number."""
        return self._first + len(self._lines)

    @property
    def shown(self) -> Sequence[int]:
        return range(self._first, self.end) if self._keep is None else self._kept

    @property
    def filtered(self) -> bool:
        return self._keep is not None

    @property
    def unseen(self) -> int:
        """Lines that the filter has yet to look at."""
        return 0 if self._keep is None else len(self._lines) - (self._high - self._low)

    def clear(self) -> None:
        self._lines, self._size, self._full = [], 0, False
        self._first = self.end
        self.dropped = 0
        self._anew()

    def append(self, lines: Sequence[Held]) -> None:
        """Newer lines; the oldest leave where there is no more room."""
        self._lines += lines
        self._size += sum(len(line.text) for line in lines)
        over = max(len(self._lines) - self.most, 0)
        if over or self._size > self._most_size:
            over = len(self._lines) - fitting(self._lines, self.most, self._most_size)
        if over:
            self._size -= sum(len(line.text) for line in self._lines[:over])
            del self._lines[:over]
            self._first += over
            self.dropped += over
            self._low, self._high = max(self._low, self._first), max(self._high, self._first)
            del self._kept[: bisect_left(self._kept, self._first)]
        self.version += 1

    def prepend(self, lines: Sequence[Held]) -> None:
        """Older lines, as far as there is room."""
        older = lines[len(lines) - fitting(lines, self.room, self._most_size - self._size) :]
        self._lines[:0] = older
        self._size += sum(len(line.text) for line in older)
        self._first -= len(older)
        self._full = len(older) < len(lines)
        self.version += 1

    @property
    def room(self) -> int:
        """Older lines that can be taken in; none once the oldest have left."""
        return 0 if self.dropped or self._full else max(self.most - len(self._lines), 0)

    def cut(self, ns: int) -> None:
        """Forget the lines from this time (unix nanoseconds) on: they are read again."""
        self._lines = [line for line in self._lines if line.ns < ns]
        self._size = sum(len(line.text) for line in self._lines)
        self._anew()

    def set_filter(self, keep: Keep | None) -> None:
        """What `sift` keeps from now on; None for all."""
        self._keep = keep
        self._anew()

    def _anew(self) -> None:
        self._kept = []
        self._low = self._high = self.end
        self._generation += 1
        self.version += 1

    async def sift(self, compute: Compute) -> bool:
        """Let the filter look at a few more lines by `compute`; False if it has seen all.

        New lines go first, then older ones from the newest back.
        """
        keep, generation = self._keep, self._generation
        if keep is None or not self.unseen:
            return False
        newer = self._high < self.end
        start = self._high if newer else max(self._low - _CHUNK, self._first)
        end = min(self._high + _CHUNK, self.end) if newer else self._low
        chunk = self._lines[start - self._first : end - self._first]
        found = await compute(lambda: [start + i for i, line in enumerate(chunk) if keep(line.line)])
        if generation != self._generation:
            return True
        found = found[bisect_left(found, self._first) :]  # some may have left meanwhile
        if newer:
            self._kept += found
            self._high = max(end, self._high)
        else:
            self._kept[:0] = found
            self._low = min(max(start, self._first), self._low)
        if found:
            self.version += 1
        return True
