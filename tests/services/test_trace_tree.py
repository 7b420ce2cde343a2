"""Self time, critical path and tree order of a trace, checked by hand on a known one."""

from __future__ import annotations

from aiops_cli.models.signals import Span
from aiops_cli.services.traces import tree

MS = 1_000_000


def span(span_id: str, parent: str | None, start: int, end: int, status: str = "ok") -> Span:
    return Span(
        "t",
        span_id,
        parent,
        f"svc-{span_id}",
        f"op-{span_id}",
        "server",
        start * MS,
        (end - start) * MS,
        status,
    )


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
    assert [(item.span_id, item.depth) for item in tree(KNOWN)] == [
        ("root", 0),
        ("a", 1),
        ("b", 1),
        ("c", 2),
        ("d", 2),
        ("e", 0),
    ]


def test_self_time_is_what_no_child_covers() -> None:
    times = {item.span_id: item.self_ms for item in tree(KNOWN)}
    # a and b overlap: together they cover 10..90, so the root is alone for 20 ms
    assert times == {"root": 20, "a": 30, "b": 10, "c": 25, "d": 25, "e": 8}


def test_the_critical_path_goes_back_from_the_end_over_the_child_that_ended_last() -> None:
    critical = {item.span_id for item in tree(KNOWN) if item.critical}
    # from 100 back to b's end at 90; a ends at 40, after b began at 30, so it held nothing up
    assert critical == {"root", "b", "c", "d", "e"}


def test_a_trace_that_two_clusters_hold_is_joined_and_each_span_is_shown_once() -> None:
    doubled = tree([*KNOWN, ("west", span("a", "root", 10, 40))])
    assert [item.span_id for item in doubled].count("a") == 1
    assert {item.cluster for item in doubled} == {"east", "west"}


def test_spans_that_are_each_other_s_parents_are_shown_once() -> None:
    looped = [
        ("east", span("x", "y", 0, 10)),
        ("east", span("y", "x", 0, 10)),
        ("east", span("z", "z", 0, 5)),
    ]
    assert sorted(item.span_id for item in tree(looped)) == ["x", "y", "z"]
