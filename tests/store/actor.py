"""A process that shares the store with others: `python -m tests.store.actor ROLE ROOT NUMBER COUNT`.

It prints a line for each thing done, and what the store told the user on stderr. It fails when it
reads anything that no writer wrote.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from pathlib import Path

from aiops_cli.models.timerange import TimeRange
from aiops_cli.store.answers import AnswerCache
from aiops_cli.store.files import lock_if_free
from aiops_cli.store.notices import Notices
from aiops_cli.store.ranges import RangeCache, RangeKey
from aiops_cli.store.sql import run_sql
from aiops_cli.store.state import State
from tests.store.samples import NOW, STEP, exact, key, series

KEYS = [key(f"q{n}") for n in range(2)]
BASE = round((NOW - 86400) / STEP)
STEPS = 400
NOTICES = Notices(lambda line: print(line, file=sys.stderr, flush=True))


def say(text: str) -> None:
    print(text, flush=True)


def window_of(first: int, last: int) -> TimeRange:
    return TimeRange((BASE + first) * STEP, (BASE + last) * STEP)


def write_ranges(root: Path, number: int, count: int) -> None:
    """Every number follows from its time, so whichever writer wins, the right answer is one."""
    cache, rng = RangeCache(root / "samples", notices=NOTICES), random.Random(number)
    for _ in range(count):
        first = rng.randrange(STEPS)
        window = window_of(first, min(STEPS, first + rng.randrange(40)))
        cache.add(rng.choice(KEYS), window, series(window.start, window.end), time.time())
        say(f"{window.start} {window.end}")


def read_ranges(root: Path, number: int, count: int) -> None:
    cache, rng = RangeCache(root / "samples", notices=NOTICES), random.Random(number)
    for _ in range(count):
        check_range(cache, rng.choice(KEYS), rng.randrange(STEPS), time.time())
        say("read")


def check_range(cache: RangeCache, of: RangeKey, first: int, now: float) -> int:
    """Steps missing; fails unless every other one is served, once, right."""
    window = window_of(first, STEPS)
    hit = cache.lookup(of, window, now)
    missing = {k for m in hit.missing for k in range(round(m.start / STEP), round(m.end / STEP) + 1)}
    whole = series(window.start, window.end)
    expected = [
        type(s)(s.labels, s.timestamps[keep], s.values[keep])
        for s in whole
        if any(keep := [round(t / STEP) not in missing for t in s.timestamps])
    ]
    assert exact(hit.series) == exact(expected)
    return len(missing)


def write_answers(root: Path, number: int, count: int) -> None:
    cache = AnswerCache(root / "answers", notices=NOTICES)
    for n in range(count):
        cache.put("k", bytes([number]) * 50_000, NOW + n)
        kept = cache.get("k", 1e9, NOW + 1e6)
        assert kept
        assert len(kept.payload) == 50_000
        assert len(set(kept.payload)) == 1
        say("put")


def clear(root: Path, number: int, count: int) -> None:
    for _ in range(count):
        RangeCache(root / "samples", notices=NOTICES).clear()
        say("cleared")


def write_state(root: Path, number: int, count: int) -> None:
    state = State(root, notices=NOTICES)
    for n in range(count):
        state.append("rca", f"{number}-{n}", {"n": n, "text": "x" * 5000})
        state.append("labels", f"{number}", {"n": n})
        say(f"{number}-{n}")


def read_state(root: Path, number: int, count: int) -> None:
    """What was once read is never missing again."""
    state, known = State(root, notices=NOTICES), set[str]()
    for _ in range(count):
        found = {e.key for e in state.entries("rca")}
        assert known <= found
        known = found
        say("read")


def query(root: Path, number: int, count: int) -> None:
    for _ in range(count):
        table = run_sql(
            "select count(*) - count(distinct (expr, labels, ts)) from samples",
            root / "samples",
            State(root),
            NOTICES,
        )
        assert table.rows == [(0,)]
        say("queried")


def limited(root: Path, number: int, count: int) -> None:
    """As on a disk with room for `number` bytes: the kernel takes that much of a file, then refuses."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
    write_ranges(root, 1, count)
    State(root, notices=NOTICES).append("learned", "k", {"text": "x" * number})


def hold_locks(root: Path, number: int, count: int) -> None:
    folders = [root / "samples" / k.digest for k in KEYS] + [root / "state" / k for k in ("rca", "labels")]
    held = [lock_if_free(folder / ".lock") for folder in folders]
    assert all(lock.__enter__() for lock in held)
    say("held")
    sys.stdin.read()


ROLES = {
    role.__name__: role
    for role in (
        write_ranges,
        read_ranges,
        write_answers,
        clear,
        write_state,
        read_state,
        query,
        limited,
        hold_locks,
    )
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
