"""Lines merged, and lines that come twice, whatever the order in which they come."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aiops_cli.analysis.merge import Known, Merge, Row


def row(ns: int, line: str = "x") -> Row:
    return (ns, line, {"app": "a"}, {})


ROWS = st.lists(st.builds(row, st.integers(1, 5), st.sampled_from("ab")), max_size=12)


@given(ROWS, st.data())
def test_what_comes_by_the_stream_and_by_reading_is_shown_as_often_as_it_is(
    rows: list[Row], data: st.DataObject
) -> None:
    """A server holds `rows`, some alike. The stream leaves some out, connections break, reads overlap."""
    known = Known(1000)
    shown: list[Row] = []
    rows.sort(key=lambda r: r[0])
    position = 0
    while position < len(rows):
        upto = data.draw(st.integers(position + 1, len(rows)))
        given_live = [r for r in rows[position:upto] if data.draw(st.booleans())]
        if data.draw(st.booleans()):
            shown += known.live(given_live)
        else:  # it broke: what the stream gave was lost on the way
            known.reconnected()
        first = data.draw(st.integers(0, rows[position][0]))
        part = [r for r in rows[:upto] if r[0] >= first]
        cut = data.draw(st.integers(0, len(part)))
        seen: Counter[int] = Counter()
        shown += known.again(part[:cut], seen) + known.again(part[cut:], seen)
        position = upto
    assert Counter(map(repr, shown)) == Counter(map(repr, rows))


def test_a_stream_may_bring_what_was_read_once_for_each_time() -> None:
    known = Known(100)
    assert len(known.again([row(1), row(1)], Counter())) == 2
    assert known.live([row(1)]) == []
    assert known.live([row(1), row(1)]) == [row(1)]


def test_metadata_and_labels_are_one_to_know_a_line_by() -> None:
    known = Known(100)
    known.live([(1, "x", {"app": "a"}, {"pod": "p"})])
    assert known.again([(1, "x", {"app": "a", "pod": "p"}, {})], Counter()) == []


def test_what_was_forgotten_is_not_read_again() -> None:
    known = Known(10)
    known.live([row(i * 10**9) for i in range(50)])
    assert known.floor > 39 * 10**9
    assert known.again([row(i * 10**9) for i in range(50) if i * 10**9 >= known.floor], Counter()) == []


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 50), st.integers(0, 3)), max_size=40))
def test_lines_that_come_within_the_window_come_out_in_order(lines: list[tuple[str, int, int]]) -> None:
    """A line at second s comes in up to three seconds late; the window is four."""
    arriving = sorted((ns + late, ns, source) for source, ns, late in lines)
    merge = Merge(4.0, 10.0, 1000)
    out: list[int] = []
    for now, ns, source in arriving:
        out += [r[0] for _, r in merge.ready(now)]
        merge.add(source, [row(ns)], now)
    out += [r[0] for _, r in merge.ready(float("inf"))]
    assert out == sorted(ns for _, ns, _ in lines)


def test_sources_that_read_what_was_before_are_waited_for_and_only_so_long() -> None:
    merge = Merge(1.0, 5.0, 1000)
    merge.expect("a", 0.0)
    merge.expect("b", 0.0)
    merge.add("a", [row(1), row(9)], 0.0)
    assert merge.ready(2.0) == []
    merge.add("b", [row(2), row(5)], 2.0)
    assert [r[0] for _, r in merge.ready(2.0)] == [1, 2, 5]
    merge.settled("b")
    assert [r[0] for _, r in merge.ready(2.0)] == [9]
    merge.add("b", [row(3)], 3.0)
    merge.add("b", [row(20)], 3.0)
    assert [r[0] for _, r in merge.ready(3.1)] == [3]
    assert [r[0] for _, r in merge.ready(9.0)] == [20]


def test_too_many_do_not_wait() -> None:
    merge = Merge(100.0, 5.0, 10)
    merge.add("a", [row(i + 1) for i in range(25)], 0.0)
    assert [r[0] for _, r in merge.ready(0.0)] == list(range(1, 16))
    assert merge.waiting("a") == 10


def test_a_long_history_of_few_lines_a_second_is_taken_in_quickly() -> None:
    """Minutes, where the oldest lines are looked for among all that are known."""
    known = Known(50_000)
    rows = [row(i * 10**8) for i in range(1, 200_001)]
    assert known.again(rows, Counter()) == rows
    assert known.floor == 150_001 * 10**8
    assert known.again(rows[150_000:], Counter()) == []
