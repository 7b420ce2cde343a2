"""PromQL and times that can't be: refused in two lines, before a hundred clusters are asked if possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Aiops
from tests.faults.files import write_config
from tests.faults.fixtures import Here
from tests.faults.stub import Stub, dead_address
from tests.servers.fleet import Fleet
from tests.servers.victoriametrics import VictoriaMetrics


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


LOCAL = {
    "sum(rate(up[5m])": ("unclosed left parenthesis", "sum(rate(up[5m])", 3),
    "up)": ("unexpected right parenthesis", "up)", 2),
    "up §": ("unexpected character: '§'", "up §", 3),
    'up{job="a"': ("unexpected end of input", 'up{job="a"', 10),
    "sum(up) by (job": ("unclosed left parenthesis", "sum(up) by (job", 11),
    "up[5m": ("unexpected end of input", "up[5m", 5),
    "up offset": ("unexpected end of input", "up offset", 9),
    "": ("is empty", None, None),
    "up{job=a}": ("unexpected identifier 'a'", "up{job=a}", 7),
    "up{job='a}": ("unterminated quoted string", "up{job='a}", 7),
    "rate(up[5m)": ("unexpected character inside brackets", "rate(up[5m)", 10),
    "rate(up[5 m])": ("unexpected character inside brackets", "rate(up[5 m])", 10),
    "rate(up[])": ("missing unit character", "rate(up[])", 8),
    'up{job="a"}}': ("unexpected right brace", 'up{job="a"}}', 11),
    'up{job=~"("}': ("illegal regex", 'up{job=~"("}', 9),
    'up{job=")"} + (x': ("unclosed left parenthesis", 'up{job=")"} + (x', 14),
    "1 and 1": ("set operator 'and'", "1 and 1", 2),
    "up + sum()": ("no arguments", "up + sum()", 5),
    "topk(up)": ("wrong number of arguments", None, None),
    "sum(up[5m])": ("expected type vector in aggregation expression, got matrix", None, None),
    "up + up[5m]": ("must contain only scalar and instant vector types", None, None),
    "vector(up)": ("expected type scalar in call to function 'vector', got vector", "vector(up)", 0),
    "{}": ("at least one non-empty matcher", None, None),
}


@pytest.mark.parametrize(("expr", "expected"), LOCAL.items(), ids=[repr(e) for e in LOCAL])
def test_a_mistake_that_is_seen_here_costs_no_request(
    aiops: Aiops, home: Path, well: Stub, expr: str, expected: tuple[str, str | None, int | None]
) -> None:
    write_config(home, {"a": {"prometheus": well.url}, "b": {"prometheus": well.url}})
    said, shown, column = expected

    done = aiops("metrics", "query", expr)

    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: ") and "PromQL" in lines[0]
    assert said in lines[0]
    assert lines[1].startswith("hint: ")
    if shown is not None and column is not None:
        assert lines[1] == f"hint: {shown}"
        assert lines[2] == " " * (len("hint: ") + column) + "^"
    assert well.asked == []


def test_a_mistake_in_the_second_line_points_there(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    lines = aiops("metrics", "query", "up\n  + (down").stderr.splitlines()

    assert lines[1] == "hint:   + (down"
    assert lines[2] == "          ^"


@pytest.mark.parametrize(
    ("expr", "said", "column"),
    [
        ("sum(ratee(up[5m]))", 'unknown function with name "ratee"; did you mean rate?', 5),
        ("rate(up)", "expected type range vector in call to function", 6),
        ("up ==", "unexpected end of input", 6),
    ],
)
def test_a_mistake_that_only_the_server_is_sure_of(
    aiops: Aiops, metrics_fleet: Fleet, expr: str, said: str, column: int
) -> None:
    done = aiops("metrics", "query", expr, env=metrics_fleet.env)

    assert done.returncode == 2
    assert done.stdout == ""
    error, hint, caret = done.stderr.splitlines()
    assert error.startswith(f"error: invalid PromQL: {said}")
    assert metrics_fleet.clusters[0].prometheus.url in error
    assert hint == f"hint: {expr}"
    assert caret == " " * (len("hint: ") + column - 1) + "^"


def test_a_function_that_some_servers_know(
    aiops: Aiops, home: Path, metrics_fleet: Fleet, well: Stub
) -> None:
    old = metrics_fleet.clusters[0].prometheus.url
    write_config(home, {"old": {"prometheus": old}, "new": {"prometheus": well.url}})

    done = aiops("metrics", "query", "brand_new_function(up)", "-o", "json")

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["new"]
    assert done.json["clusters"][0]["error"]["code"] == "INVALID_PROMQL"
    (line,) = done.stderr.splitlines()
    assert line.startswith("old: INVALID_PROMQL: ")


def test_a_mistake_that_all_who_answer_see_is_one_though_another_is_away(
    aiops: Aiops, home: Path, metrics_fleet: Fleet
) -> None:
    there = metrics_fleet.clusters[0].prometheus.url
    write_config(home, {"a": {"prometheus": dead_address()}, "b": {"prometheus": there}})

    for expr in ("rate(up)", "foo bar", "histogram_quantil(0.9, up)"):
        done = aiops("metrics", "query", expr)

        assert done.returncode == 2
        error, hint, caret = done.stderr.splitlines()
        assert error.startswith("error: invalid PromQL: ")
        assert hint == f"hint: {expr}"
        assert caret.strip() == "^"


def test_a_range_of_ranges_is_refused_as_a_mistake(aiops: Aiops, metrics_fleet: Fleet) -> None:
    done = aiops("metrics", "range", "up[2m]", env=metrics_fleet.env)

    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: invalid PromQL: invalid expression type")
    assert hint == "hint: ask for one number at each step, such as avg_over_time(up[2m])"


def test_what_victoriametrics_takes_is_left_to_it(
    aiops: Aiops, home: Path, victoriametrics: VictoriaMetrics
) -> None:
    write_config(home, {"vm": {"prometheus": victoriametrics.url}})

    assert aiops("metrics", "query", "rate(up)").returncode == 0


def test_an_unknown_named_query(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    done = aiops("metrics", "query", "@cpu-by-nodes")

    assert done.returncode == 2
    assert done.stderr == "error: unknown named query @cpu-by-nodes\nhint: did you mean @cpu-by-node?\n"


IMPOSSIBLE = {
    "end before start": ("--from now --to now-1h", "ends before it starts", "--from"),
    "no length": ("--from 2026-01-01T00:00:00Z --to 2026-01-01T00:00:00Z", "ends before it starts", "--from"),
    "negative since": ("--since -5m", "'-5m' is no duration", "1h30m"),
    "since without a unit that is": ("--since 5parsecs", "'5parsecs' is no duration", "1h30m"),
    "no since": ("--since 0s", "ends before it starts", "--since"),
    "no time": ("--from yesterday", "time 'yesterday' can't be read", "RFC 3339"),
    "13th month": ("--from 2026-13-01T00:00:00Z", "can't be read", "RFC 3339"),
    "before the epoch": ("--from -100000 --to now", "what can be dated", "--from"),
    "since before the epoch": ("--since 100y", "what can be dated", "--since"),
    "too long ago to count": ("--since 99999999999999999999y", "what can be dated", "--since"),
    "far future": ("--from now --to 99999999999999999999999", "what can be dated", "--to"),
    "offset of nothing": ("--from now-", "can't be read", "RFC 3339"),
    "since and from": ("--since 1h --from now-1h", "twice", "one of them"),
    "step 0": ("--step 0", "--step must be greater than 0", "leave it out"),
    "negative step": ("--step -1m", "is no duration", "1h30m"),
    "step too fine": ("--since 30d --step 1s", "points a series are too many", "raise --step"),
    "step far too fine": ("--since 1h --step 0.000001", "points a series are too many", "raise --step"),
    "step longer than all": ("--since 1h --step 2h", "longer than the window", "--step"),
    "unknown zone": ("--tz Mars/Olympus", "time zone 'Mars/Olympus' is not known", "Europe/Berlin"),
    "zone out of its folder": ("--tz ../../etc/passwd", "is not known", "Europe/Berlin"),
    "timeout 0": ("--timeout 0", "--timeout must lie between", "--timeout 30s"),
    "timeout too long": ("--timeout 1h", "--timeout must lie between", "--timeout 30s"),
    "no timeout": ("--timeout soon", "'soon' is no duration", "1h30m"),
    "no age": ("--max-age old", "'old' is no duration", "1h30m"),
}


@pytest.mark.parametrize(("flags", "said", "advice"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_impossible_time_is_refused(
    aiops: Aiops, home: Path, well: Stub, flags: str, said: str, advice: str
) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    done = aiops("metrics", "range", "up", *flags.split())

    assert done.returncode == 2
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and said in error
    assert hint.startswith("hint: ") and advice in hint
    assert well.asked == []


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-02T03:04:05Z", "1767323045"),
        ("2026-01-02T03:04:05.250Z", "1767323045.25"),
        ("2026-01-02T04:04:05+01:00", "1767323045"),
        ("1767323045", "1767323045"),
        ("1767323045000", "1767323045"),
        ("1767323045000000000", "1767323045"),
    ],
)
def test_a_time_may_be_written_in_many_ways(aiops: Aiops, home: Path, well: Stub, text: str, at: str) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    assert aiops("metrics", "query", "up", "--time", text).returncode == 0
    assert float(well.asked[0].params["time"]) == float(at)


def test_a_time_without_a_zone_is_read_in_the_one_asked_for(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    aiops("metrics", "query", "up", "--time", "2026-07-01 12:00", "--tz", "Europe/Berlin")
    aiops("metrics", "query", "up", "--time", "2026-07-01 12:00", "--tz", "UTC")

    berlin, utc = (float(asked.params["time"]) for asked in well.asked)
    assert utc - berlin == 2 * 3600


def test_a_window_shorter_than_a_scrape_is_not_left(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    done = aiops("metrics", "range", "up", "--from", "1767323041", "--to", "1767323049", "--no-cache")

    assert done.returncode == 0
    asked = well.asked[0].params
    assert 1767323041 <= float(asked["start"]) <= float(asked["end"]) <= 1767323049


def test_steps_are_multiples_so_that_windows_meet(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    aiops(
        "metrics", "range", "up", "--from", "1767323045", "--to", "1767326645", "--step", "1m", "--no-cache"
    )

    asked = well.asked[0].params
    assert (asked["start"], asked["end"], asked["step"]) == ("1767323100", "1767326640", "60")
