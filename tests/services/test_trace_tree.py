"""Self time, critical path and tree order of traces, with numbers worked out by hand.

Times are milliseconds. `critical` are the stretches in which a span is the critical path: read from the
end, always into the child that finished last before.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aiops_cli.analysis.trace_tree import Skew, build
from aiops_cli.models.signals import Span
from aiops_cli.render.waterfall import span_tree, waterfall
from aiops_cli.services.traces import SpanItem, spans

MS = 1_000_000


def span(
    span_id: str,
    parent: str | None,
    start: int,
    end: int,
    status: str = "ok",
    kind: str = "server",
    follows: bool = False,
) -> Span:
    return Span(
        "t",
        span_id,
        parent,
        f"svc-{span_id}",
        f"op-{span_id}",
        kind,
        start * MS,
        (end - start) * MS,
        status,
        follows=follows,
    )


def tree(rows: list[tuple[str, Span]]) -> list[SpanItem]:
    return spans(build(rows))


def read(*given: Span) -> dict[str, tuple[float, list[tuple[float, float]]]]:
    """Self time and critical stretches by span."""
    return {i.span_id: (i.self_ms, i.critical_sections) for i in tree([("east", s) for s in given])}


# root 0..100; a 10..40; b 30..90 with c 35..60 and d 60..85; e 91..99, a child of nobody we know
KNOWN = [
    ("east", span("root", None, 0, 100)),
    ("east", span("a", "root", 10, 40)),
    ("east", span("b", "root", 30, 90)),
    ("west", span("c", "b", 35, 60)),
    ("west", span("d", "b", 60, 85, "error")),
    ("west", span("e", "lost", 91, 99)),
]


def test_a_child_follows_its_parent_and_an_orphan_is_a_root() -> None:
    assert [(item.span_id, item.depth, item.orphan) for item in tree(KNOWN)] == [
        ("root", 0, False),
        ("a", 1, False),
        ("b", 1, False),
        ("c", 2, False),
        ("d", 2, False),
        ("e", 0, True),
    ]


def test_self_time_is_what_no_child_covers() -> None:
    times = {item.span_id: item.self_ms for item in tree(KNOWN)}
    # a and b overlap: together they cover 10..90, so the root is alone for 20 ms
    assert times == {"root": 20, "a": 30, "b": 10, "c": 25, "d": 25, "e": 8}


def test_the_critical_path_goes_back_from_the_end_over_the_child_that_ended_last() -> None:
    critical = {item.span_id: item.critical_sections for item in tree(KNOWN)}
    # From 100 back to b's end at 90. In b: d, then c, which ended as d began, then b alone from 30 on. Back
    # in the root at 30: a ended at 40, after b had begun, so it held nothing up. Nobody knows what waited for e.
    assert critical == {
        "root": [(0, 30), (90, 100)],
        "a": [],
        "b": [(30, 35), (85, 90)],
        "c": [(35, 60)],
        "d": [(60, 85)],
        "e": [],
    }


def test_one_after_the_other() -> None:
    """|root 0..100|  |a 10..40| |b 50..80|: everything is on the path."""
    assert read(span("root", None, 0, 100), span("a", "root", 10, 40), span("b", "root", 50, 80)) == {
        "root": (40, [(0, 10), (40, 50), (80, 100)]),
        "a": (30, [(10, 40)]),
        "b": (30, [(50, 80)]),
    }


def test_side_by_side_only_the_one_that_ends_last_counts() -> None:
    assert read(
        span("root", None, 0, 100), span("a", "root", 10, 60), span("b", "root", 10, 90), span("c", "root", 5, 9)
    ) == {
        "root": (16, [(0, 5), (9, 10), (90, 100)]),
        "a": (50, []),
        "b": (80, [(10, 90)]),
        "c": (4, [(5, 9)]),
    }  # fmt: skip


def test_overlapping_ones_hand_over_where_the_later_one_begins() -> None:
    """a 10..50 and b 40..80 overlap: b began before a ended, so a held nothing up."""
    found = read(span("root", None, 0, 100), span("a", "root", 10, 50), span("b", "root", 40, 80))
    assert found == {"root": (30, [(0, 40), (80, 100)]), "a": (40, []), "b": (40, [(40, 80)])}


def test_of_two_that_end_together_the_longer_one() -> None:
    found = read(span("root", None, 0, 100), span("a", "root", 50, 90), span("b", "root", 20, 90))
    assert found == {"root": (30, [(0, 20), (90, 100)]), "a": (40, []), "b": (70, [(20, 90)])}


def test_a_child_that_outlives_its_parent_counts_up_to_the_parent_s_end() -> None:
    """late 80..150 below root 0..100, with deep 90..140 below it: clipped to 80..100 and 90..100."""
    found = read(span("root", None, 0, 100), span("late", "root", 80, 150), span("deep", "late", 90, 140))
    assert found == {"root": (80, [(0, 80)]), "late": (20, [(80, 90)]), "deep": (50, [(90, 100)])}


def test_a_child_outside_of_its_parent_is_on_no_path() -> None:
    found = read(span("root", None, 10, 100), span("before", "root", 0, 10), span("after", "root", 100, 120))
    assert found == {"root": (90, [(10, 100)]), "before": (10, []), "after": (20, [])}


def test_what_nobody_waits_for_is_on_no_path_and_takes_no_self_time() -> None:
    """FOLLOWS_FROM, and a consumer below its producer; a consumer below a loop that polls is waited for."""
    found = read(
        span("root", None, 0, 100),
        span("fired", "root", 20, 99, follows=True),
        span("sent", "root", 10, 15, kind="producer"),
        span("got", "sent", 12, 15, kind="consumer"),
        span("polled", "root", 30, 60, kind="consumer"),
    )
    assert found == {
        "root": (65, [(0, 10), (15, 30), (60, 100)]),
        "sent": (5, [(10, 15)]),
        "got": (3, []),
        "fired": (79, []),
        "polled": (30, [(30, 60)]),
    }


def test_without_a_root_each_part_has_a_path_of_its_own() -> None:
    found = build([("east", span("a", "gone", 0, 10)), ("east", span("b", "lost", 20, 50))])
    assert [(n.span.span_id, n.critical_ns / MS) for n in found.nodes] == [("a", 10), ("b", 30)]
    assert (found.rooted, found.missing_parents) == (False, 2)


@st.composite
def traces(draw: st.DrawFn) -> list[Span]:
    """Spans each below an earlier one, anywhere in time."""
    made = [span("0", None, 0, draw(st.integers(0, 50)))]
    for number in range(1, draw(st.integers(1, 25))):
        parent = str(draw(st.integers(0, number - 1)))
        start = draw(st.integers(-10, 60))
        made.append(span(str(number), parent, start, start + draw(st.integers(0, 40))))
    return made


@given(traces())
def test_the_path_covers_the_root_once(made: list[Span]) -> None:
    """Whatever the children do, the stretches of all spans together are the root's time, without overlap."""
    found = build([("east", s) for s in made])
    stretches = sorted(section for node in found.nodes for section in node.sections)
    assert sum(b - a for a, b in stretches) == made[0].duration_ns
    assert all(left[1] <= right[0] for left, right in pairwise(stretches))
    assert all(0 <= node.self_ns <= node.span.duration_ns for node in found.nodes)
    assert all(node.sections == sorted(node.sections) for node in found.nodes)


def test_a_trace_of_a_hundred_thousand_spans_below_each_other() -> None:
    count = 100_000
    made = [span("0", None, 0, 2 * count)]
    made += [span(str(i), str(i - 1), i, 2 * count - i) for i in range(1, count)]
    found = build([("east", s) for s in made])
    assert sum(n.critical_ns for n in found.nodes) == 2 * count * MS
    assert found.nodes[-1].depth == count - 1


def test_a_trace_that_two_clusters_hold_is_joined_and_each_span_is_shown_once() -> None:
    doubled = tree([*KNOWN, ("west", span("a", "root", 10, 40))])
    assert [item.span_id for item in doubled].count("a") == 1
    assert {item.cluster for item in doubled} == {"east", "west"}
    assert next(item.clusters for item in doubled if item.span_id == "a") == ["east", "west"]


def test_spans_that_are_each_other_s_parents_are_shown_once() -> None:
    looped = [
        ("east", span("x", "y", 0, 10)),
        ("east", span("y", "x", 0, 10)),
        ("east", span("z", "z", 0, 5)),
    ]
    assert sorted(item.span_id for item in tree(looped)) == ["x", "y", "z"]


def test_clocks_that_cannot_be_right_are_told() -> None:
    """east calls west: west's spans begin 5 and 7 ms before their callers, so west is at least 7 behind."""
    rows = [
        ("east", span("root", None, 0, 100)),
        ("east", span("c1", "root", 10, 30, kind="client")),
        ("west", span("s1", "c1", 5, 20)),
        ("east", span("c2", "root", 40, 60, kind="client")),
        ("west", span("s2", "c2", 33, 50)),
    ]
    assert build(rows).skews == [Skew("west", "east", -7 * MS, 2)]
    ahead = [rows[0], rows[1], ("west", span("s1", "c1", 18, 33))]
    assert build(ahead).skews == [Skew("west", "east", 3 * MS, 1)]
    fits = [rows[0], rows[1], ("west", span("s1", "c1", 12, 29))]
    assert build(fits).skews == []
    # what nobody waits for may well end later
    sent = [
        rows[0],
        ("east", span("p", "root", 1, 2, kind="producer")),
        ("west", span("g", "p", 5, 90, kind="consumer")),
    ]
    assert build(sent).skews == []


def test_drawn_to_scale_with_what_happened() -> None:
    """The bar has 40 cells for 100 ms, so 2.5 ms each."""
    happened = {"ns": 30 * MS, "name": "retry", "attributes": {"n": 2}}
    rows = [("east", span("root", None, 0, 100)), ("east", Span("t", "a", "root", "db", "SELECT", "client", 25 * MS, 50 * MS, "error", {"status.message": "boom"}, {}, (happened,)))]  # fmt: skip
    width = 16 + 2 + 40 + 22
    lines = waterfall(tree(rows), width, events=True).splitlines()
    assert lines == [
        f"SPAN              0{'100ms':>39}   DURATION     SELF",
        f"svc-root op-root  {'━' * 10}{'─' * 20}{'━' * 10}      100ms     50ms",
        f"  db SELECT       {' ' * 10}{'━' * 20}{' ' * 10}       50ms     50ms ✗",
        "    · 30ms retry n=2",
        "    ! boom",
        "critical path 100ms: db SELECT 50ms (50%), svc-root op-root 50ms (50%)",
    ]
    assert "retry" not in waterfall(tree(rows), width)
    assert span_tree(tree(rows), 80).splitlines()[2].split() == [
        "└─",
        "db",
        "SELECT",
        "25ms",
        "50ms",
        "50ms",
        "50ms",
        "✗",
    ]
    assert waterfall([], 80) == span_tree([], 80) == ""


def test_what_failed_is_red_where_colour_is_wanted() -> None:
    rows = tree(KNOWN)
    for draw in (waterfall, span_tree):
        plain, coloured = draw(rows, 100), draw(rows, 100, colour=True)
        assert "\033" not in plain
        red = [line for line in coloured.splitlines() if line.startswith("\033[31m")]
        assert len(red) == 1 and "svc-d" in red[0] and red[0].endswith("✗\033[0m")
        assert coloured.replace("\033[31m", "").replace("\033[0m", "") == plain
