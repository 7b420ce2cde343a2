"""The range cache: series by aligned step, of which only the missing steps are fetched again.

A key has a directory of immutable segments (`segments.py` has their names, `parquet.py` their
contents). Nobody waits for anybody: a writer writes aside and renames, a reader that finds a segment
gone lists again, and tidying up is done by whoever finds its lock free.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from aiops_cli.models.signals import Labels, Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.store import parquet
from aiops_cli.store.files import lock_if_free, remove_abandoned, set_aside, write_whole
from aiops_cli.store.notices import Notices
from aiops_cli.store.segments import (
    Freshness,
    Segment,
    Steps,
    choose,
    first_step,
    in_one,
    last_step,
    newer_format,
)
from aiops_cli.store.upkeep import Upkeep, Usage

if TYPE_CHECKING:
    from aiops_cli.models.signals import Floats

Contents = list[tuple[Labels, "Floats", "Floats"]]  # labels, timestamps, values

_COMPACT_FROM = 16  # segments of one key
_COMPACT_BYTES = 16 * 2**20  # larger ones stay as they are
_GRID_TOLERANCE = 0.0015  # servers print milliseconds
_TOUCH_SECONDS = 60.0
_RETRY_DISK_SECONDS = 60.0
_MAX_LISTINGS = 50  # each one is somebody else's compaction finished meanwhile


@dataclass(frozen=True, slots=True)
class RangeKey:
    """Everything that changes the answer of a range query, besides its window.

    `identity` is a hash of who asks (never a secret itself), `flags` names dedup, partial response
    and the like; `step` is in seconds.
    """

    cluster: str
    endpoint: str
    tenant: str
    identity: str
    expr: str
    step: float
    flags: str = ""

    @property
    def digest(self) -> str:
        return hashlib.sha256(msgspec.json.encode(asdict(self))).hexdigest()

    def described(self) -> dict[str, str | float]:
        """What a segment says of itself: the key, less what may hold a password."""
        url = urlsplit(self.endpoint)
        shown = url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()
        return {"cluster": self.cluster, "endpoint": shown, "expr": self.expr, "step": self.step}


@dataclass(frozen=True, slots=True)
class Hit:
    """What the cache has of a window.

    `missing` are the aligned ranges to fetch, both ends asked for. `age_seconds` is how long ago the
    oldest part that is served was fetched; 0 when nothing is.
    """

    series: list[Series] = field(default_factory=list)
    missing: list[TimeRange] = field(default_factory=list)
    age_seconds: float = 0


class RangeCache:
    """Cached range answers under `root`, shared with every other process without a lock.

    Steps in the last `unsettled` seconds before their fetch may still change; they are served for
    `ttl_short` seconds (windows under an hour) or `ttl_long`, then fetched again. Threads may share
    one object.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int = 2 * 2**30,
        unsettled: float = 300.0,
        ttl_short: float = 60.0,
        ttl_long: float = 300.0,
        notices: Notices | None = None,
    ) -> None:
        self.root = root
        self._unsettled = unsettled
        self._ttl_short, self._ttl_long = ttl_short, ttl_long
        self._notices = notices or Notices()
        self._upkeep = Upkeep(root, max_bytes)
        self._no_writes_until = 0.0
        self._unreadable: set[str] = set()

    def lookup(self, key: RangeKey, window: TimeRange, now: float, max_age: float | None = None) -> Hit:
        """The cached steps of `window`, cut to multiples of the step, and the ranges to fetch.

        At most one of them lies in the unsettled end. With `max_age` (seconds) nothing fetched longer ago is served, settled or not.
        """
        folder, asked = self._folder(key), _steps(window, key.step)
        ttl = self._ttl_short if window.seconds < 3600 else self._ttl_long
        freshness = Freshness(now, key.step, self._unsettled, ttl, max_age)
        tail = last_step(now - self._unsettled, key.step) + 1
        read: dict[str, Contents] = {}
        for _ in range(_MAX_LISTINGS):
            parts, missing = in_one(*choose(self._list(folder), asked, freshness), tail)
            if all(self._read(folder, segment, read) for _, segment in parts):
                break
        else:
            return Hit(missing=[_times(asked, key.step)])
        if parts:
            _touch(folder)
        oldest = min((segment.oldest for _, segment in parts), default=now)
        return Hit(
            _join([(steps, segment, read[segment.name]) for steps, segment in parts], key.step),
            [_times(steps, key.step) for steps in missing],
            max(0.0, now - oldest),
        )

    def add(self, key: RangeKey, window: TimeRange, series: Sequence[Series], now: float) -> None:
        """Keep a complete answer for `window`, asked at `now` (before the request was sent).

        Not kept: steps after `now`, and answers with native histograms, with samples off the step's
        grid or with the same labels twice. Never raises on disk trouble: it says so once, and the
        command goes on without a cache.
        """
        if time.monotonic() < self._no_writes_until:
            return
        first, last = _steps(window, key.step)
        last = min(last, last_step(now, key.step))
        if last < first:
            return
        kept = _storable(series, (first, last), key.step)
        if kept is None:
            return
        settled = last <= last_step(now - self._unsettled, key.step)
        folder = self._folder(key)
        try:
            size = self._write(folder, key, (first, last), kept, (now, now, settled))
            self._compact(folder, key, now)
            self._upkeep.wrote(size)
        except OSError as error:
            self._no_writes_until = time.monotonic() + _RETRY_DISK_SECONDS
            self._notices.disk(self.root, error)

    def info(self) -> Usage:
        return self._upkeep.usage()

    def prune(self, max_bytes: int) -> int:
        """Remove the keys used longest ago until `max_bytes` is met; bytes freed."""
        return self._upkeep.trim(max_bytes)

    def clear(self) -> int:
        """Remove everything; bytes freed."""
        return self._upkeep.clear()

    def _folder(self, key: RangeKey) -> Path:
        return self._upkeep.folder / key.digest

    def _list(self, folder: Path) -> list[Segment]:
        try:
            names = [path.name for path in folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._notices.disk(self.root, error)
            return []
        if any(newer_format(name) for name in names):
            self._notices.say(
                f"files of a newer aiops in {self.root} are left alone; what they hold is fetched again"
            )
        return [s for n in names if n not in self._unreadable and (s := Segment.parse(n))]

    def _read(self, folder: Path, segment: Segment, into: dict[str, Contents]) -> bool:
        """False when the segment can't be had, and the caller has to list and choose again."""
        if segment.name in into:
            return True
        path = folder / segment.name
        try:
            data = path.read_bytes()
            if zlib.crc32(data) == segment.crc:
                into[segment.name] = list(parquet.decode(data))
                return True
        except FileNotFoundError:
            return False
        except OSError as error:
            self._notices.disk(self.root, error)
            self._unreadable.add(segment.name)
            return False
        except ValueError:  # the sum is right and the contents are not: nothing we wrote
            pass
        self._unreadable.add(segment.name)
        aside = set_aside(path)
        if aside:
            self._notices.say(f"damaged cache file set aside as {aside}; what it held is fetched again")
        return False

    def _write(
        self,
        folder: Path,
        key: RangeKey,
        steps: Steps,
        series: Sequence[Series],
        fetched: tuple[float, float, bool],
    ) -> int:
        """`fetched` is (oldest, newest, settled) of the segment's name; bytes written."""
        data = parquet.encode(key.described(), series)
        write_whole(folder / Segment.name_for(steps, *fetched, data), data)
        return len(data)

    def _compact(self, folder: Path, key: RangeKey, now: float) -> None:
        """Join what will not change any more, if there are many segments and nobody else is at it.

        The joined segments are in place before the old ones go. What is still unsettled in a segment
        old enough to be joined is past its time to live, and is left out.
        """
        listed = self._list(folder)
        for segment in listed:
            if segment.from_the_future(now):
                (folder / segment.name).unlink(missing_ok=True)
        if len(listed) < _COMPACT_FROM:
            return
        with lock_if_free(folder / ".lock") as locked:
            if not locked:
                return
            remove_abandoned(folder)
            segments = self._list(folder)
            old = [s for s in segments if self._joinable(folder, s, now)]
            if len(old) < _COMPACT_FROM:
                return
            whole = (min(s.first for s in segments), max(s.last for s in segments))
            freshness = Freshness(now, key.step, self._unsettled, self._ttl_long)
            parts = [p for p in choose(segments, whole, freshness)[0] if p[1] in old]
            read: dict[str, Contents] = {}
            if not all(self._read(folder, segment, read) for _, segment in parts):
                return
            for run in _runs(parts):
                series = _join([(steps, s, read[s.name]) for steps, s in run], key.step)
                oldest, newest = min(s.oldest for _, s in run), max(s.newest for _, s in run)
                self._write(folder, key, (run[0][0][0], run[-1][0][1]), series, (oldest, newest, True))
            for segment in old:
                (folder / segment.name).unlink(missing_ok=True)

    def _joinable(self, folder: Path, segment: Segment, now: float) -> bool:
        if not segment.settled and now - segment.newest <= self._ttl_long:
            return False
        try:
            return (folder / segment.name).stat().st_size < _COMPACT_BYTES
        except OSError:
            return False


def merge(cached: Sequence[Series], fetched: Sequence[Series]) -> list[Series]:
    """Both by labels, each time once, `fetched` winning; in Prometheus's order of labels."""
    joined = {_identity(s.labels): s for s in cached}
    for new in fetched:
        identity = _identity(new.labels)
        old = joined.get(identity)
        joined[identity] = new if old is None else _merged(old, new)
    return [joined[identity] for identity in sorted(joined)]


def _merged(old: Series, new: Series) -> Series:
    import numpy as np

    stamps = np.concatenate((old.timestamps, new.timestamps))
    values = np.concatenate((old.values, new.values))
    order = np.argsort(stamps, kind="stable")
    millis = np.rint(stamps[order] * 1000)
    # of equal times the last is kept, which the stable order makes the fetched one
    keep = order[np.append(millis[1:] != millis[:-1], True)] if len(order) else order
    histograms = dict(old.histograms) | dict(new.histograms)
    return Series(
        new.labels, stamps[keep], values[keep], tuple(sorted(histograms.items(), key=lambda h: h[0]))
    )


def _identity(labels: Labels) -> tuple[tuple[str, str], ...]:
    """Labels as something that sorts as Prometheus sorts a matrix."""
    return tuple(sorted(labels.items()))


def _steps(window: TimeRange, step: float) -> Steps:
    """As `TimeRange.aligned`, which gives at least one step."""
    first = first_step(window.start, step)
    return first, max(first, last_step(window.end, step))


def _times(steps: Steps, step: float) -> TimeRange:
    """Whole milliseconds, as servers read and print times."""
    return TimeRange(round(steps[0] * step, 3), round(steps[1] * step, 3))


def _storable(series: Sequence[Series], steps: Steps, step: float) -> list[Series] | None:
    """The points inside `steps`, or None where the answer can't be told by steps."""
    import numpy as np

    kept, seen = [], set()
    for one in series:
        identity = _identity(one.labels)
        ticks = np.rint(one.timestamps / step)
        if one.histograms or identity in seen or len(one.timestamps) > parquet.MAX_POINTS:
            return None
        if np.any(np.abs(ticks * step - one.timestamps) > _GRID_TOLERANCE) or np.any(np.diff(ticks) <= 0):
            return None
        seen.add(identity)
        begin, end = np.searchsorted(ticks, (steps[0], steps[1] + 1))
        if end > begin:
            kept.append(Series(one.labels, one.timestamps[begin:end], one.values[begin:end]))
    return kept if sum(len(s.timestamps) for s in kept) <= parquet.MAX_POINTS else None


def _join(parts: Iterable[tuple[Steps, Segment, Contents]], step: float) -> list[Series]:
    """The series of parts that follow each other in time, each part cut to its steps."""
    import numpy as np

    pieces: dict[tuple[tuple[str, str], ...], tuple[Labels, list[Floats], list[Floats]]] = {}
    for (first, last), segment, contents in parts:
        whole = (first, last) == (segment.first, segment.last)
        bounds = ((first - 0.5) * step, (last + 0.5) * step)
        for labels, stamps, values in contents:
            if not whole:
                begin, end = np.searchsorted(stamps, bounds)
                stamps, values = stamps[begin:end], values[begin:end]
            if len(stamps):
                piece = pieces.setdefault(_identity(labels), (labels, [], []))
                piece[1].append(stamps)
                piece[2].append(values)
    joined = []
    for identity in sorted(pieces):
        labels, stamps_of, values_of = pieces[identity]
        if len(stamps_of) == 1:
            joined.append(Series(labels, stamps_of[0], values_of[0]))
        else:
            joined.append(Series(labels, np.concatenate(stamps_of), np.concatenate(values_of)))
    return joined


def _runs(parts: Sequence[tuple[Steps, Segment]]) -> list[list[tuple[Steps, Segment]]]:
    """Parts in groups that have no gap inside."""
    runs: list[list[tuple[Steps, Segment]]] = []
    for part in parts:
        if runs and runs[-1][-1][0][1] + 1 == part[0][0]:
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _touch(folder: Path) -> None:
    """Remember that the key was used, for the size cap."""
    with suppress(OSError):
        if time.time() - folder.stat().st_mtime > _TOUCH_SECONDS:
            os.utime(folder)
