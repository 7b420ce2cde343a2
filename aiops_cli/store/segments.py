"""Which segment answers which steps: names, freshness, and the choice among overlapping ones.

Steps are whole numbers k, standing for the time k * step. A segment's name says all that the choice
needs, so that no file is opened to make it:

    r1_<first>_<last>_<oldest>_<newest>_<s|u>_<crc32>_<random>.parquet

`first` and `last` are the steps that were asked (whether or not they had data); `oldest` and
`newest` when the contents were fetched, in unix milliseconds (they differ only after compaction);
`s` says that no step in it may change any more; `crc32` is of the file's bytes. The number after `r`
is the format; a file of a newer format is left alone.
"""

from __future__ import annotations

import math
import re
import secrets
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FORMAT = 1
Steps = tuple[int, int]  # first and last, both inside

_NAME = re.compile(r"r1_(-?\d+)_(-?\d+)_(\d+)_(\d+)_([su])_([0-9a-f]{8})_[0-9a-f]+\.parquet")
_ANY_FORMAT = re.compile(r"r(\d+)_.*\.parquet")
_CLOCK_SLACK = 60.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment's name, read. Times are unix seconds."""

    name: str
    first: int
    last: int
    oldest: float
    newest: float
    settled: bool
    crc: int

    @classmethod
    def parse(cls, name: str) -> Segment | None:
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        first, last, oldest, newest, state, crc = match.groups()
        return cls(
            name, int(first), int(last), int(oldest) / 1e3, int(newest) / 1e3, state == "s", int(crc, 16)
        )

    @classmethod
    def name_for(cls, steps: Steps, oldest: float, newest: float, settled: bool, data: bytes) -> str:
        """A name nobody else has, for a file with these bytes."""
        return (
            f"r{FORMAT}_{steps[0]}_{steps[1]}_{_ms(oldest)}_{_ms(newest)}_{'s' if settled else 'u'}"
            f"_{zlib.crc32(data):08x}_{secrets.token_hex(8)}.parquet"
        )

    def from_the_future(self, now: float) -> bool:
        """Written while a clock ran ahead: what it calls settled is not."""
        return self.newest > now + _CLOCK_SLACK


def _ms(seconds: float) -> int:
    return max(0, math.floor(seconds * 1000))


def newer_format(name: str) -> bool:
    match = _ANY_FORMAT.fullmatch(name)
    return match is not None and int(match[1]) > FORMAT


@dataclass(frozen=True, slots=True)
class Freshness:
    """What may be served at `now`.

    The last `unsettled` seconds before a fetch may still change, and are served for `ttl` seconds
    only; what is older is served for ever, or for `max_age` seconds where the user sets that.
    """

    now: float
    step: float
    unsettled: float
    ttl: float
    max_age: float | None = None

    def usable(self, segment: Segment) -> Steps | None:
        age = self.now - segment.newest
        if segment.from_the_future(self.now):
            return None
        if self.max_age is not None and self.now - segment.oldest > self.max_age:
            return None
        last = segment.last
        if not segment.settled and age > self.ttl:
            last = min(last, last_step(segment.newest - self.unsettled, self.step))
        return (segment.first, last) if last >= segment.first else None


def choose(
    segments: Iterable[Segment], window: Steps, freshness: Freshness
) -> tuple[list[tuple[Steps, Segment]], list[Steps]]:
    """Each step of `window` to the newest segment that may answer it: (parts, missing), both rising.

    A whole step comes from one segment, so that a series which vanished in a newer answer does not
    live on from an older one.
    """
    missing = [window]
    parts: list[tuple[Steps, Segment]] = []
    for segment in sorted(segments, key=lambda s: (s.newest, s.name), reverse=True):
        if not missing:
            break
        steps = freshness.usable(segment)
        if steps is None:
            continue
        parts += [(common, segment) for gap in missing if (common := _common(gap, steps))]
        missing = [rest for gap in missing for rest in _without(gap, steps)]
    return sorted(parts, key=lambda p: p[0]), missing


def in_one(
    parts: list[tuple[Steps, Segment]], missing: list[Steps], tail: int
) -> tuple[list[tuple[Steps, Segment]], list[Steps]]:
    """The same choice, with the holes that reach step `tail` asked for as one.

    The newest steps were fetched piecemeal and go stale piecemeal; one request for all of them is
    cheaper than one for each hole.
    """
    holes = [gap for gap in missing if gap[1] >= tail]
    if len(holes) < 2:
        return parts, missing
    hole = (holes[0][0], holes[-1][1])
    kept = [(rest, segment) for steps, segment in parts for rest in _without(steps, hole)]
    return kept, [*(gap for gap in missing if gap[1] < tail), hole]


def _common(a: Steps, b: Steps) -> Steps | None:
    first, last = max(a[0], b[0]), min(a[1], b[1])
    return (first, last) if first <= last else None


def _without(gap: Steps, taken: Steps) -> Sequence[Steps]:
    rest = ((gap[0], min(gap[1], taken[0] - 1)), (max(gap[0], taken[1] + 1), gap[1]))
    return [r for r in rest if r[0] <= r[1]]


def first_step(at: float, step: float) -> int:
    """The first step at or after `at`; half a millisecond of rounding error is forgiven."""
    return math.ceil((at - 0.0005) / step)


def last_step(at: float, step: float) -> int:
    """The last step at or before `at`, likewise."""
    return math.floor((at + 0.0005) / step)
