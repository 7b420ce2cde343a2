"""Log lines as patterns: what is masked, what is one pattern, what level a line has, and bounded memory."""

from __future__ import annotations

import sys

import pytest

from aiops_cli.analysis.patterns import Patterns


def _patterns(*lines: str) -> list[tuple[str, int]]:
    found = Patterns()
    for i, line in enumerate(lines):
        found.add(line, i + 1)
    return [(p.text, p.counts.now) for p in found.rows]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["took 12 ms", "took 7 ms", "took 1.5e3 ms"], "took <*> ms"),
        (["retry in 250ms", "retry in 3s"], "retry in <*>"),
        (["from 10.0.0.1:5432 ok", "from 192.168.7.9:80 ok"], "from <*> ok"),
        (["at 0xdeadbeef up", "at 0x1f up"], "at <*> up"),
        (["peer fe80::1 up", "peer ::1 up", "peer 2001:db8:0:0:1:0:0:1 up"], "peer <*> up"),
        (["port 0a:1b:2c:3d:4e:5f up", "port ff-ee-dd-cc-bb-aa up"], "port <*> up"),
        (
            ["id 6f1c2a9e-0b7d-4e57-9d0a-2f6b8c1d3e4f gone", "id 00000000-0000-0000-0000-000000000001 gone"],
            "id <*> gone",
        ),
        (["at 2026-11-24T10:00:00.123Z start", "at 2025-01-02 03:04:05,6 start"], "at <*> start"),
        (["at Fri Jun 17 07:07:00 2005 start", "at Jul 2 start"], "at <*> start"),
        (["digest 9f86d081884c7d65 ok", "digest 60303ae22b998861 ok"], "digest <*> ok"),
        (['GET "/a b" done', 'GET "/c" done'], "GET <*> done"),
        (["open /var/log/x.log failed", "open /etc/y failed"], "open <*> failed"),
        (["dial db.shop.svc.cluster.local refused", "dial a.b.c.d refused"], "dial <*> refused"),
        (["login by user bob at night", "login by user eve42 at night"], "login by user <*> at night"),
        (["uid=0 rc=12 done", "uid=7 rc=3 done"], "uid=<*> rc=<*> done"),
        (["closed, 10 bytes sent", "closed, 10 bytes (1.2 KB) sent"], "closed, <*> bytes <*> sent"),
    ],
)
def test_what_varies_is_masked(lines: list[str], expected: str) -> None:
    assert _patterns(*lines) == [(expected, len(lines))]


def test_words_that_differ_rarely_become_a_wildcard_and_different_texts_stay_apart() -> None:
    same = "the cart of a shop could not be saved to the {} store today"
    assert _patterns(*(same.format(w) for w in ("red", "blue", "green"))) == [
        ("the cart of a shop could not be saved to the <*> store today", 3)
    ]
    assert len(_patterns("connection opened", "connection closed", "disk full")) == 3


@pytest.mark.parametrize(
    ("line", "text", "level"),
    [
        ('{"level":"error","msg":"order 12 failed","err":"dial 10.0.0.1:80 refused"}', "order <*> failed: dial <*> refused", "error"),
        ('{"severity":"WARN","message":"slow"}', "slow", "warn"),
        ('{"log":"ERROR cart is empty\\n","stream":"stderr"}', "ERROR cart is empty", "error"),
        ('{"a":1,"b":"x"}', "a=<*> b=<*>", ""),
        ('level=warn ts=2026-01-01T00:00:00Z msg="queue is \\"full\\" now" size=10', 'queue is <*> now', "warn"),
        ("E1124 10:00:00.123456       1 leader.go:32] lost the lease", "<*> lost the lease", "error"),
        ("2026-01-01 00:00:00 INFO ready", "<*> INFO ready", "info"),
        ("Traceback (most recent call last):\n  File x\nValueError: no", "Traceback (most recent call last):", ""),
        ("an information desk", "an information desk", ""),
        ("{not json", "{not json", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_lines_of_each_kind(line: str, text: str, level: str) -> None:
    found = Patterns()
    found.add(line, 1)
    assert [(p.text, p.level, p.example) for p in found.rows] == [(text, level, line)]


def test_a_level_of_the_labels_comes_first() -> None:
    found = Patterns()
    found.add("INFO saved", 1, level="err")
    found.add("INFO saved", 2)
    assert [(row.text, row.level) for row in found.rows] == [("INFO saved", "error"), ("INFO saved", "info")]


def test_counts_times_and_example_of_both_windows() -> None:
    found = Patterns()
    found.add("saved 1", 10, before=True)
    found.add("saved 2", 50)
    found.add("saved 3", 40)
    (row,) = found.rows
    assert (row.counts.before, row.counts.now, row.counts.first_ns, row.counts.last_ns) == (1, 2, 40, 50)
    assert row.example == "saved 2"


def test_patterns_of_clusters_are_merged() -> None:
    one, two, fleet = Patterns(), Patterns(), Patterns()
    one.add("saved 1 by bob", 10, before=True)
    two.add("saved 2 by bob", 20)
    two.add("other text here", 30)
    places = [fleet.merge(p) for source in (one, two) for p in source.rows]
    assert places == [0, 0, 1]
    assert (fleet.rows[0].counts.before, fleet.rows[0].counts.now) == (1, 1)
    assert fleet.rows[0].example == "saved 2 by bob"


def _word(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def test_memory_does_not_grow_with_different_lines() -> None:
    """No two of these lines are alike; what is over the bound is counted, not kept."""
    found = Patterns(most=50)
    for i in range(5000):
        found.add(" ".join(_word(i * 7 + j) for j in range(i % 9 + 1)), i + 1)
    assert len(found.rows) <= 50
    assert sum(p.counts.now for p in found.rows) + found.others.now == 5000
    wide = Patterns()
    for i in range(30_000):
        wide.add(f"first second {_word(i)} {_word(i * 3)}", 1)
    assert len(wide.rows) <= 100
    assert sys.getsizeof(wide._known) < 4_000_000


def test_lines_beyond_the_bound_leave_nothing_behind() -> None:
    found = Patterns(most=50)
    for i in range(5000):
        found.add(f"{_word(i)} {_word(i * 3)} saved", 1)
    assert len(found._leaves) <= 50


def test_like_lines_of_two_levels_are_two_patterns_in_one_cluster_and_over_the_fleet() -> None:
    """The level stands in quotes, which are masked."""
    found, fleet = Patterns(), Patterns()
    for level in ("info", "error", "error"):
        found.add(f'level="{level}" component=cart retry failed', 1)
    for row in found.rows * 2:
        fleet.merge(row)
    assert [(p.level, p.counts.now) for p in found.rows] == [("info", 1), ("error", 2)]
    assert [(p.level, p.counts.now) for p in fleet.rows] == [("info", 2), ("error", 4)]


@pytest.mark.parametrize(
    "line",
    [
        "[error] worker died",
        "2026/01/01 10:00:00 [error] 12#0: upstream is gone",
        "error: worker died",
        '{"level":50,"msg":"no"}',
        '{"severity_text":"ERROR","msg":"no"}',
        "loglevel=error no",
        '{"msg":"set level=debug","level":"error"}',
    ],
)
def test_levels_are_those_of_the_log_views(line: str) -> None:
    found = Patterns()
    found.add(line, 1)
    assert found.rows[0].level == "error"
