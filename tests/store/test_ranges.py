"""The range cache as one process sees it: what is served, what is asked again, and what is never kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.store.notices import Notices
from aiops_cli.store.ranges import RangeCache, merge
from tests.store.samples import NOW, STEP, exact, key, series, value_at

OLD = TimeRange(NOW - 7200, NOW - 3600)


def segments(root: Path) -> list[Path]:
    return sorted(root.glob("*/r1_*.parquet"))


def test_an_empty_cache_asks_for_the_whole_aligned_window(tmp_path: Path) -> None:
    hit = RangeCache(tmp_path).lookup(key(), TimeRange(NOW - 61, NOW - 1), NOW)
    assert (hit.series, hit.age_seconds) == ([], 0)
    assert hit.missing == [TimeRange(NOW - 55, NOW - 10)]  # NOW - 10 is a multiple of 15


def test_what_was_added_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    stamps = np.arange(round(OLD.start / STEP) + 1, round(OLD.end / STEP), dtype=np.float64) * STEP
    values = np.resize([np.nan, np.inf, -np.inf, -0.0, 1e-320, 0.1 + 0.2], len(stamps)).astype(np.float64)
    gaps = np.arange(len(stamps)) % 3 != 1
    answer = [
        Series({"__name__": "up", "pod": 'é"\\\n'}, stamps, values),
        Series({"pod": "b"}, stamps[gaps], values[gaps]),
        Series({"pod": "once"}, stamps[-1:], values[-1:]),
    ]
    cache = RangeCache(tmp_path)
    cache.add(key(), OLD, answer, NOW)
    hit = RangeCache(tmp_path).lookup(key(), OLD, NOW + 86400)
    assert hit.missing == []
    assert exact(hit.series) == exact(answer)
    assert hit.age_seconds == 86400


def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path)
    cache.add(key(), OLD, [], NOW)
    assert cache.lookup(key(), OLD, NOW).missing == []


@pytest.mark.parametrize(
    "other",
    [
        {"cluster": "edge-8"},
        {"endpoint": "https://other.example"},
        {"tenant": "t"},
        {"identity": "you"},
        {"expr": "down"},
        {"step": 30.0},
        {"flags": "dedup"},
    ],
)
def test_another_key_never_answers(tmp_path: Path, other: dict[str, Any]) -> None:
    cache = RangeCache(tmp_path)
    cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    assert cache.lookup(key(**other), OLD, NOW).series == []


def test_only_the_missing_ends_and_holes_are_asked_for(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path)
    base = round((NOW - 86400) / STEP) * STEP
    for begin, end in ((10, 20), (30, 40)):
        window = TimeRange(base + begin * STEP, base + end * STEP)
        cache.add(key(), window, series(window.start, window.end), NOW)
    hit = cache.lookup(key(), TimeRange(base + 5 * STEP, base + 35 * STEP), NOW)
    asked = [((m.start - base) / STEP, (m.end - base) / STEP) for m in hit.missing]
    assert asked == [(5, 9), (21, 29)]
    assert [(t - base) / STEP for t in hit.series[0].timestamps] == [*range(10, 21), *range(30, 36)]


def test_the_newest_minutes_are_served_for_a_while_then_asked_again(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path, unsettled=300)
    window = TimeRange(NOW - 1800, NOW)
    cache.add(key(), window, series(window.start, window.end), NOW)
    assert cache.lookup(key(), window, NOW + 60).missing == []
    late = cache.lookup(key(), window, NOW + 61)
    assert [m.start > NOW - 300 and m.end <= NOW for m in late.missing] == [True]
    assert late.series[0].timestamps[-1] <= NOW - 300
    longer = TimeRange(NOW - 3600, NOW)
    assert cache.lookup(key(), longer, NOW + 299).missing[-1].end < window.start
    assert cache.lookup(key(), longer, NOW + 301).missing[-1].end > NOW - 300
    years = cache.lookup(key(), TimeRange(NOW - 1800, NOW - 400), NOW + 5e7)
    assert years.missing == []


def test_steps_after_the_request_are_never_taken_for_gaps(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path)
    window = TimeRange(NOW - 600, NOW + 600)
    cache.add(key(), window, series(NOW - 600, NOW), NOW)
    missing = cache.lookup(key(), window, NOW + 1).missing
    assert len(missing) == 1
    assert NOW < missing[0].start < NOW + STEP + 1


def test_max_age_asks_again_for_what_was_fetched_before(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path)
    cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    assert cache.lookup(key(), OLD, NOW + 30, max_age=30).missing == []
    assert cache.lookup(key(), OLD, NOW + 31, max_age=30).series == []


def test_of_overlapping_answers_the_newer_wins_the_whole_step(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path)
    cache.add(key(), OLD, series(OLD.start, OLD.end, count=3), NOW)
    middle = TimeRange(OLD.start + 600, OLD.end - 600)
    cache.add(key(), middle, series(middle.start, middle.end, count=2, version=1), NOW + 1)
    hit = cache.lookup(key(), OLD, NOW + 2)
    first, gone = hit.series[0], hit.series[2]
    inside = (first.timestamps >= middle.start) & (first.timestamps <= middle.end)
    expected = [value_at(0, t, int(new)) for t, new in zip(first.timestamps, inside, strict=True)]
    assert first.values.tolist() == expected
    assert not np.any((gone.timestamps >= middle.start) & (gone.timestamps <= middle.end))
    assert len(gone.timestamps) > 0


@pytest.mark.parametrize(
    "answer",
    [
        [Series({"a": "b"}, np.array([OLD.start]), np.array([1.0]), ((OLD.start, {"count": "1"}),))],
        [Series({"a": "b"}, np.array([OLD.start + 7.0]), np.array([1.0]))],
        [Series({"a": "b"}, np.array([OLD.start + 5.0]), np.array([1.0]))] * 2,
    ],
    ids=["native histogram", "off the grid", "labels twice"],
)
def test_an_answer_that_steps_cannot_tell_is_not_kept(tmp_path: Path, answer: list[Series]) -> None:
    cache = RangeCache(tmp_path)
    cache.add(key(), OLD, answer, NOW)
    assert len(cache.lookup(key(), OLD, NOW).missing) == 1


def test_a_clock_that_ran_ahead_settles_nothing(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path)
    wrong = NOW + 86400
    cache.add(key(), TimeRange(NOW - 600, wrong), series(NOW - 600, NOW), wrong)
    assert cache.lookup(key(), TimeRange(NOW - 600, NOW), NOW).series == []
    cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    assert cache.lookup(key(), TimeRange(NOW + 3600, NOW + 7200), wrong + 1).missing[0].end > NOW


def test_many_segments_become_few_and_say_the_same(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path)
    base = round((NOW - 90000) / STEP) * STEP
    for n in range(40):
        window = TimeRange(base + n * 10 * STEP, base + (n * 10 + (14 if n != 20 else 5)) * STEP)
        cache.add(key(), window, series(window.start, window.end, version=n), NOW + n)
    whole = TimeRange(base, base + 410 * STEP)
    few = len(segments(tmp_path))
    assert few < 20
    hit = cache.lookup(key(), whole, NOW + 1000)
    asked = [((m.start - base) / STEP, (m.end - base) / STEP) for m in hit.missing]
    assert asked == [(206, 209), (405, 410)]
    newest = {round(t): v for t, v in zip(hit.series[1].timestamps, hit.series[1].values, strict=True)}
    for k in range(405):
        versions = [n for n in range(40) if n * 10 <= k <= n * 10 + (14 if n != 20 else 5)]
        assert newest.get(round(base + k * STEP)) == (
            value_at(1, base + k * STEP, max(versions)) if versions else None
        )


def test_a_dashboard_polling_for_an_hour_asks_once_a_time_and_leaves_few_segments(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path)
    for tick in range(240):
        now = NOW + tick * 15
        window = TimeRange(now - 1800, now)
        hit = cache.lookup(key(), window, now)
        assert len(hit.missing) <= 1
        for gap in hit.missing:
            cache.add(key(), gap, series(gap.start, gap.end), now)
        answer = cache.lookup(key(), window, now)
        aligned = window.aligned(STEP)
        assert exact(answer.series) == exact(series(aligned.start, aligned.end))
    assert len(segments(tmp_path)) < 64


def test_a_damaged_segment_is_set_aside_told_once_and_asked_again(tmp_path: Path) -> None:
    told: list[str] = []
    cache = RangeCache(tmp_path, notices=Notices(told.append))
    cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    (segment,) = segments(tmp_path)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    for _ in range(3):
        hit = cache.lookup(key(), OLD, NOW)
        assert (hit.series, len(hit.missing)) == ([], 1)
    assert len(told) == 1
    assert "set aside" in told[0]
    assert [p.suffix for p in segment.parent.iterdir()] == [".damaged"]
    cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    assert cache.lookup(key(), OLD, NOW).missing == []
    assert cache.info().damaged == 1


@pytest.mark.parametrize("keep", [0, 3, 7, 100, -1])
def test_a_cut_segment_is_damage(tmp_path: Path, keep: int) -> None:
    cache = RangeCache(tmp_path)
    cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes()[:keep])
    assert cache.lookup(key(), OLD, NOW).series == []


def test_a_newer_format_is_left_alone_with_a_message(tmp_path: Path) -> None:
    told: list[str] = []
    cache = RangeCache(tmp_path, notices=Notices(told.append))
    cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    (segment,) = segments(tmp_path)
    newer = segment.with_name("r2_whatever_comes.parquet")
    segment.rename(newer)
    before = newer.read_bytes()
    for _ in range(20):
        assert cache.lookup(key(), OLD, NOW).series == []
        cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
        for one in segments(tmp_path):
            one.unlink()
    assert newer.read_bytes() == before
    assert len(told) == 1
    assert "newer aiops" in told[0]


def test_no_place_for_a_cache_is_told_once_and_commands_go_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    told: list[str] = []
    cache = RangeCache(tmp_path / "file" / "aiops", notices=Notices(told.append))
    for _ in range(3):
        assert len(cache.lookup(key(), OLD, NOW).missing) == 1
        cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    assert len(told) == 1
    assert "going on without it" in told[0]


def test_a_full_disk_leaves_no_half_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes some bytes, then no more, as a full one does."""
    real, told = os.write, list[str]()

    def full(fd: int, data: memoryview) -> int:
        if len(data) <= 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: len(data) - 100])

    cache = RangeCache(tmp_path, notices=Notices(told.append))
    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        cache.add(key(), OLD, series(OLD.start, OLD.end), NOW)
    monkeypatch.undo()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert len(told) == 1
    assert "No space left on device" in told[0]


def test_the_size_cap_lets_go_of_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path)
    for n in range(10):
        cache.add(key(f"q{n}"), OLD, series(OLD.start, OLD.end), NOW)
        os.utime(tmp_path / key(f"q{n}").digest, (n, n))
    cache.lookup(key("q0"), OLD, NOW)
    used = cache.info().bytes
    cache.prune(used // 2)
    kept = [n for n in range(10) if cache.lookup(key(f"q{n}"), OLD, NOW).series]
    assert kept == [0, 7, 8, 9]
    small = RangeCache(tmp_path, max_bytes=used // 8)
    for n in range(4):
        small.add(key(f"new{n}"), OLD, series(OLD.start, OLD.end), NOW)
    assert small.info().bytes <= used // 4
    cache.clear()
    assert (cache.info().entries, cache.info().bytes) == (0, 0)


def test_files_are_ours_alone_and_hold_no_password(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path / "new")
    cache.add(key(endpoint="https://joe:hunter2@prom.example/x?token=s3cret"), OLD, [], NOW)
    (segment,) = segments(tmp_path / "new")
    assert segment.stat().st_mode & 0o777 == 0o600
    assert segment.parent.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert not any(word in segment.read_bytes() for word in (b"hunter2", b"s3cret"))
    assert b"prom.example/x" in segment.read_bytes()


steps = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (min(p), max(p)))


@settings(max_examples=60, deadline=None)
@given(
    adds=st.lists(
        st.tuples(steps, st.integers(0, 3000), st.sets(st.integers(0, 3))),
        max_size=25,
        unique_by=lambda a: a[1],
    ),
    asked=steps,
    step=st.sampled_from([0.1, 1.0, 15.0, 7.5, 86400.0]),
    wait=st.integers(0, 2000),
)
def test_every_step_is_served_from_its_newest_valid_answer_or_asked(
    tmp_path_factory: pytest.TempPathFactory,
    adds: list[tuple[tuple[int, int], int, set[int]]],
    asked: tuple[int, int],
    step: float,
    wait: int,
) -> None:
    """Against a model that keeps, for each step, every answer and when it was fetched."""
    cache = RangeCache(tmp_path_factory.mktemp("cache"), unsettled=300, ttl_short=60, ttl_long=60)
    begin = round(NOW / step)
    base = round(begin * step, 3)
    fetches = sorted(adds, key=lambda a: a[1])
    model: dict[int, list[tuple[float, int, set[int]]]] = {}
    for version, ((first, last), later, present) in enumerate(fetches):
        at = base + later
        window = TimeRange(round((begin + first) * step, 3), round((begin + last) * step, 3))
        answer = [
            s
            for n, s in enumerate(series(window.start, window.end, count=4, step=step, version=version))
            if n in present
        ]
        cache.add(key(step=step), window, answer, at)
        for k in range(first, last + 1):
            if round((begin + k) * step, 3) <= at:
                model.setdefault(k, []).append((at, version, present))
    now = base + (fetches[-1][1] if fetches else 0) + wait
    window = TimeRange(round((begin + asked[0]) * step, 3), round((begin + asked[1]) * step, 3))
    hit = cache.lookup(key(step=step), window, now)

    expected_missing, expected = set(), set()
    for k in range(asked[0], asked[1] + 1):
        ts = round((begin + k) * step, 3)
        valid = [a for a in model.get(k, []) if ts <= a[0] - 300 or now - a[0] <= 60]
        if not valid:
            expected_missing.add(k)
            continue
        _, version, present = max(valid, key=lambda a: (a[0], a[1]))
        expected |= {(f"p{n}", ts, value_at(n, ts, version)) for n in present}
    reaching = [k for k in expected_missing if round((begin + k) * step, 3) > now - 300]
    if reaching:  # holes that reach into the last five minutes are asked for as one
        first = min(reaching)
        while first - 1 in expected_missing:
            first -= 1
        hole = range(first, max(reaching) + 1)
        expected_missing |= set(hole)
        expected = {e for e in expected if round(e[1] / step) - begin not in hole}
    missing = {
        k for m in hit.missing for k in range(round(m.start / step) - begin, round(m.end / step) - begin + 1)
    }
    served = [
        (s.labels["pod"], t, v) for s in hit.series for t, v in zip(s.timestamps, s.values, strict=True)
    ]
    assert missing == expected_missing
    assert len(served) == len(set(served))
    assert set(served) == expected
    assert all(np.all(np.diff(s.timestamps) > 0) for s in hit.series)


@given(
    cut=st.integers(0, 40),
    overlap=st.integers(0, 10),
    here=st.sets(st.integers(0, 5)),
    there=st.sets(st.integers(0, 5)),
)
def test_merging_leaves_no_seam_and_no_double(
    cut: int, overlap: int, here: set[int], there: set[int]
) -> None:
    all_of = series(0, 40 * STEP, count=6)
    new = series(0, 40 * STEP, count=6, version=1)
    cached = [Series(s.labels, s.timestamps[:cut], s.values[:cut]) for n, s in enumerate(all_of) if n in here]
    begin = max(0, cut - overlap)
    fetched = [
        Series(s.labels, s.timestamps[begin:], s.values[begin:]) for n, s in enumerate(new) if n in there
    ]
    merged = merge(cached, list(reversed(fetched)))
    assert [s.labels["pod"] for s in merged] == [f"p{n}" for n in sorted(here | there)]
    for one in merged:
        n = int(one.labels["pod"][1:])
        expected = {t: value_at(n, t) for t in all_of[0].timestamps[:cut]} if n in here else {}
        if n in there:
            expected |= {t: value_at(n, t, 1) for t in new[0].timestamps[begin:]}
        assert dict(zip(one.timestamps, one.values, strict=True)) == expected
        assert len(one.timestamps) == len(expected)
        assert np.all(np.diff(one.timestamps) > 0)


def test_merging_keeps_native_histograms_in_order() -> None:
    labels, empty = {"a": "b"}, np.array([])
    old = Series(labels, empty, empty, ((1.0, {"count": "1"}), (2.0, {"count": "2"})))
    new = Series(labels, empty, empty, ((2.0, {"count": "9"}), (3.0, {"count": "3"})))
    (one,) = merge([old], [new])
    assert one.histograms == ((1.0, {"count": "1"}), (2.0, {"count": "9"}), (3.0, {"count": "3"}))
