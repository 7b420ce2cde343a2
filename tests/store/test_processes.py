"""The store under many processes at once, killed, stopped and refused at any moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiops_cli.store.notices import Notices
from aiops_cli.store.ranges import RangeCache
from aiops_cli.store.state import State
from tests.store.actor import KEYS, STEPS, check_range

pytestmark = pytest.mark.timeout(240)
REPO = Path(__file__).parents[2]


@contextmanager
def actor(role: str, root: Path, number: int = 0, count: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.store.actor", role, str(root), str(number), str(count)]
    with subprocess.Popen(
        command,
        cwd=REPO,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run_all(root: Path, *roles: tuple[str, int, int]) -> None:
    """All at once; each must succeed and have nothing to say to the user."""
    managers = [actor(role, root, number, count) for role, number, count in roles]
    processes = [manager.__enter__() for manager in managers]
    try:
        for (role, _, count), process in zip(roles, processes, strict=True):
            out, err = process.communicate()
            assert (role, err, process.returncode) == (role, "", 0)
            assert len(out.splitlines()) == count
    finally:
        for manager in managers:
            manager.__exit__(None, None, None)


def leftovers(root: Path, *patterns: str) -> list[str]:
    return [path.name for pattern in patterns for path in root.rglob(pattern)]


def test_writers_and_readers_of_one_window_never_meet(tmp_path: Path) -> None:
    writers = [("write_ranges", n, 300) for n in range(3)]
    readers = [("read_ranges", n, 300) for n in range(2)]
    run_all(tmp_path, *writers, *readers, ("query", 0, 5))
    cache = RangeCache(tmp_path / "samples")
    assert [check_range(cache, key, 0, time.time()) for key in KEYS] == [0, 0]
    assert leftovers(tmp_path, ".new-*", ".sql-*", "*.damaged") == []
    assert len(leftovers(tmp_path, "r1_*")) < 80


def test_clearing_the_cache_meanwhile_disturbs_nobody(tmp_path: Path) -> None:
    run_all(
        tmp_path,
        ("clear", 0, 200),
        ("write_ranges", 0, 300),
        ("write_ranges", 1, 300),
        ("read_ranges", 2, 300),
        ("write_answers", 3, 200),
        ("write_answers", 4, 200),
    )


def test_no_record_is_lost_among_many_writers(tmp_path: Path) -> None:
    run_all(tmp_path, *(("write_state", n, 100) for n in range(4)), ("read_state", 0, 100))
    state = State(tmp_path)
    assert {e.key for e in state.entries("rca")} == {f"{w}-{n}" for w in range(4) for n in range(100)}
    assert state.latest("labels") == {str(w): {"n": 99} for w in range(4)}


def test_killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_is_torn(tmp_path: Path) -> None:
    """Each round kills three writers after a random number of acknowledgements, in whatever they do then."""
    rng, acknowledged = random.Random(7), set[str]()
    for round_ in range(8):
        with (
            actor("write_state", tmp_path, 2 * round_, 10**6) as one,
            actor("write_state", tmp_path, 2 * round_ + 1, 10**6) as other,
            actor("write_ranges", tmp_path, round_, 10**6) as third,
        ):
            for process in (one, other, third):
                assert process.stdout
                lines = [process.stdout.readline().strip() for _ in range(rng.randrange(1, 80))]
                process.send_signal(signal.SIGKILL)
                lines += process.stdout.read().splitlines()
                acknowledged |= set(lines) if process is not third else set()
    told: list[str] = []
    state = State(tmp_path, notices=Notices(told.append))
    entries = state.entries("rca")
    assert len(acknowledged) > 100
    assert acknowledged <= {e.key for e in entries}
    assert all(len(e.data["text"]) == 5000 for e in entries)
    cache = RangeCache(tmp_path / "samples", notices=Notices(told.append))
    assert all(check_range(cache, key, 0, time.time()) < STEPS for key in KEYS)
    assert told == []
    assert leftovers(tmp_path, "*.damaged") == []


def test_a_stopped_process_holds_nobody_up(tmp_path: Path) -> None:
    """Ctrl-Z in the middle of tidying up: its locks stay taken, and everyone else goes on."""
    run_all(tmp_path, ("write_ranges", 0, 20), ("write_state", 0, 1))
    with actor("hold_locks", tmp_path) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        run_all(tmp_path, ("write_ranges", 1, 100), ("read_ranges", 2, 50), ("write_state", 3, 80))
        assert len(State(tmp_path).entries("rca")) == 81
    run_all(tmp_path, ("write_state", 4, 1))
    assert len(leftovers(tmp_path / "state" / "rca", "j1_*")) < 10


def test_a_full_disk_is_one_warning_and_no_half_file(tmp_path: Path) -> None:
    with actor("limited", tmp_path, 1000, 5) as process:
        out, err = process.communicate()
    assert (process.returncode, len(out.splitlines()), len(err.splitlines())) == (0, 5, 1)
    assert "File too large" in err
    assert "going on without it" in err
    assert leftovers(tmp_path, ".new-*", "r1_*", "j1_*") == []
