"""`aiops logs` on real Lokis: lines as they come, fields, neighbours, levels, metric queries, what is there."""

from __future__ import annotations

import csv
import io
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.cli.test_flags import on_a_terminal
from tests.conftest import Aiops, Clusters
from tests.faults.files import write_config
from tests.faults.fixtures import Here
from tests.faults.stub import Stub, answer, in_turn
from tests.servers.loki import Loki
from tests.servers.push import push_logs

_unique = itertools.count()
RANGE = "/loki/api/v1/query_range"
SECOND = 10**9
# A window's end and its lines must not move while a test runs.
NOW = int(time.time()) - 60
OBEYED = "\x1b\x07\x9b\u202e\r\x00"
HOSTILE = "a\x1b[2Jb\x07c\x9b31md\u202ee\rf\x00g"
MEASURED = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "aiops_cli", *sys.argv[1:]], stdout=sys.stdout)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(done.returncode)
"""


@pytest.fixture
def pair(clusters: Clusters, home: Path) -> dict[str, Loki]:
    """Two Lokis, in the config as `logs1` and `logs2`."""
    found = {c.name: c.loki for c in clusters.together(["logs1", "logs2"], {"loki"})}
    write_config(home, {name: {"loki": loki.url} for name, loki in found.items()})
    return found


@pytest.fixture
def one(clusters: Clusters, home: Path) -> Loki:
    """A Loki, in the config as `logs1`."""
    loki = clusters("logs1", {"loki"}).loki
    write_config(home, {"logs1": {"loki": loki.url}})
    return loki


@pytest.fixture
def app() -> str:
    """A value of the label `app` that no other test uses."""
    return f"logs{next(_unique)}"


def window(seconds: int = 3600) -> tuple[str, ...]:
    return ("--from", str(NOW - seconds), "--to", str(NOW))


def items(aiops: Aiops, *args: str) -> list[dict[str, object]]:
    done = aiops("logs", "query", *args, "-o", "ndjson")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_200000_lines_come_complete_once_and_in_flat_memory(home: Path, one: Loki, app: str) -> None:
    """8,000 of them, of eight streams, have one timestamp, which is more than a page of 5,000."""
    base = (NOW - 3000) * SECOND
    burst = range(90_000, 98_000)
    lines = [
        (base + (burst.start if i in burst else i) * 12_000_000, f"line {i} of many") for i in range(200_000)
    ]
    push_logs(one, [({"app": app, "pod": str(p)}, lines[p::8]) for p in range(8)])

    def measured(limit: str) -> tuple[list[str], int]:
        args = ["logs", "query", f'{{app="{app}"}}', *window(), "--limit", limit, "--forward", "-o", "csv"]
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *args], capture_output=True, text=True, cwd=home, check=True
        )
        return done.stdout.splitlines()[1:], int(done.stderr)

    few, small = measured("10000")
    many, large = measured("0")

    assert len(few) == 10_000
    assert Counter(row.rpartition(",")[2] for row in many) == Counter(line for _, line in lines)
    stamps = [row.split(",")[1] for row in many]
    assert stamps == sorted(stamps)
    assert large < small * 1.4, "memory grew with the answer"


def test_the_lines_of_two_clusters_are_merged_in_time_order(
    aiops: Aiops, pair: dict[str, Loki], app: str
) -> None:
    """Several pages each, and lines of both at the same nanosecond."""
    base = (NOW - 1000) * SECOND
    pushed: Counter[tuple[str, str]] = Counter()
    for n, (name, loki) in enumerate(pair.items()):
        lines = [(base + i * (1 + n) * 10_000_000, f"{name} {i}") for i in range(12_000)]
        push_logs(loki, [({"app": app, "cluster": "west"}, lines)])
        pushed.update((name, line) for _, line in lines)

    for flags in ([], ["--forward"]):
        found = items(aiops, f'{{app="{app}"}}', *window(), "--limit", "0", *flags)
        assert Counter((str(i["cluster"]), str(i["line"])) for i in found) == pushed
        stamps = [str(i["timestamp"]) for i in found]
        assert stamps == sorted(stamps, reverse=not flags)
        assert found[0]["labels"] == {"app": app, "exported_cluster": "west"}


def test_every_format_tells_the_same_lines(here: Here, one: Loki, app: str) -> None:
    push_logs(one, [({"app": app, "pod": "p"}, [((NOW - i) * SECOND, f"l{i}, |x|") for i in range(5)])])
    wanted = [f"l{i}, |x|" for i in range(1, 5)]

    def out(form: str, *flags: str) -> str:
        done = here("logs", "query", f'{{app="{app}"}}', *window(), "-o", form, *flags)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    document = json.loads(out("json"))
    assert (document["kind"], document["partial"]) == ("LogList", False)
    assert [c["status"] for c in document["clusters"]] == ["SUCCESS"]
    assert document["items"] == yaml.safe_load(out("yaml"))["items"]
    assert document["items"] == [json.loads(line) for line in out("ndjson").splitlines()]
    assert [i["line"] for i in document["items"]] == wanted
    assert [r["line"] for r in csv.DictReader(io.StringIO(out("csv")))] == wanted
    assert out("raw").splitlines() == wanted
    assert out("name").splitlines() == [f"logs1/{i['timestamp']}" for i in document["items"]]
    assert [line.partition("p       ")[2] for line in out("table").splitlines()[1:]] == wanted
    assert "\\|x\\|" in out("md")
    assert out("table", "--columns", "line", "--no-headers").splitlines() == wanted
    assert "SOURCE" not in out("table", "--no-labels")
    assert out("csv", "--columns", "line", "--sort", "line").splitlines()[1] == '"l1, |x|"'


def test_a_cluster_that_fails_in_the_middle_is_partial_and_its_lines_stay(
    here: Here, home: Path, one: Loki, app: str, stub: Stub
) -> None:
    push_logs(one, [({"app": app}, [((NOW - 5) * SECOND, "well")])])
    first = [[str((NOW - 10) * SECOND - i), f"line {i}"] for i in range(5000)]
    page = {
        "status": "success",
        "data": {"resultType": "streams", "result": [{"stream": {}, "values": first}]},
    }
    stub.on(RANGE, in_turn(answer(page), answer("disk on fire", status=500, kind="text/plain")))
    write_config(home, {"logs1": {"loki": one.url}, "ill": {"loki": stub.url}})

    done = here("logs", "query", f'{{app="{app}"}}', *window(), "--limit", "0", "-o", "json")

    assert done.returncode == 3
    document = json.loads(done.stdout)
    assert (len(document["items"]), document["partial"]) == (5001, True)
    ill = next(c for c in document["clusters"] if c["name"] == "ill")
    assert (ill["status"], ill["error"]["code"]) == ("PARTIAL", "SERVER_ERROR")
    assert "end after the first 5000" in ill["warnings"][0]
    assert "disk on fire" in done.stderr


def test_a_cluster_that_is_away_costs_its_own_lines_alone(
    here: Here, home: Path, one: Loki, app: str
) -> None:
    push_logs(one, [({"app": app}, [((NOW - 5) * SECOND, "well")])])
    write_config(home, {"logs1": {"loki": one.url}, "away": {"loki": "http://127.0.0.1:9"}})

    done = here("logs", "query", f'{{app="{app}"}}', *window(), "-o", "raw")

    assert (done.returncode, done.stdout) == (3, "well\n")
    assert done.stderr.startswith("away: CLUSTER_UNREACHABLE")


def test_the_reader_may_go_away_in_the_middle(home: Path, one: Loki, app: str) -> None:
    push_logs(one, [({"app": app}, [((NOW - 100) * SECOND + i, f"line {i}") for i in range(20_000)])])
    command = [
        sys.executable,
        "-m",
        "aiops_cli",
        "logs",
        "query",
        f'{{app="{app}"}}',
        *window(),
        "--limit",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=home) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline().startswith(b"CLUSTER")
        process.stdout.close()
        told = process.stderr.read()
        assert (process.wait(30), told) == (0, b"")


def test_a_metric_query_gives_numbers(here: Here, one: Loki, app: str) -> None:
    lines = [
        ((NOW - 600 + i) * SECOND, f"level={'error' if i % 4 == 0 else 'info'} i={i}") for i in range(600)
    ]
    push_logs(one, [({"app": app}, lines)])
    expr = f'sum by (level) (count_over_time({{app="{app}"}} | logfmt [10m]))'

    now = here("logs", "query", expr, "--instant", "--to", str(NOW), "-o", "json").json
    over = here("logs", "query", expr, *window(1200), "--step", "1m", "-o", "json").json
    table = here("logs", "query", expr, *window(1200), "--step", "1m").stdout

    assert now["kind"] == over["kind"] == "MetricList"
    counts = {i["labels"]["level"]: i["samples"][-1][1] for i in now["items"]}
    # A range's start is excluded and its end is not: one line, an error, is at the very start.
    assert counts == {"error": 149, "info": 450}
    assert {i["cluster"] for i in over["items"]} == {"logs1"}
    assert all(t % 60 == 0 for i in over["items"] for t, _ in i["samples"])
    assert table.split("\n")[0].split() == ["CLUSTER", "LEVEL", "TREND", "MIN", "MAX", "LAST"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--instant",), "--instant is for metric queries"),
        (("--unsafe",), "--unsafe is for -o raw alone"),
        (("--limit", "-1"), "--limit must not be negative"),
        (("--level", "loud"), "'loud' is no level"),
        (("-C", "2", "--limit", "0"), "at most 5000 matches"),
        (("--columns", "nope"), "unknown column 'nope'"),
        (("-o", "xml"), "unknown output format 'xml'"),
    ],
)
def test_flags_that_say_nothing_together(here: Here, one: Loki, args: tuple[str, ...], said: str) -> None:
    done = here("logs", "query", '{app="x"}', *args)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.parametrize(
    ("expr", "said", "column"),
    [
        ('{app="x"', "'{' is never closed", 0),
        ('{app="x"} |= "y', "quote is never closed", 13),
        ('sum(rate({app="x"}[5m])', "'(' is never closed", 3),
        ('{app="x"}) |= "y"', "unexpected ')'", 9),
        ('{app=~"a{2}"} |= `b"` # "c', "", None),
    ],
)
def test_what_can_be_seen_here_costs_no_request(
    here: Here, home: Path, stub: Stub, expr: str, said: str, column: int | None
) -> None:
    stub.on(RANGE, answer({"status": "success", "data": {"resultType": "streams", "result": []}}))
    write_config(home, {"edge": {"loki": stub.url}})

    done = here("logs", "query", expr)

    assert len(stub.asked) == (column is None)
    if column is not None:
        assert done.returncode == 2
        assert said in done.stderr
        source, caret = done.stderr.splitlines()[1:3]
        assert source.removeprefix("hint: ") == expr
        assert len(caret) - len("hint: ^") == column


def test_fields_of_lines_are_columns(here: Here, one: Loki, app: str) -> None:
    nested = {"level": "error", "msg": "no", "http": {"status": 500, "tags": ["a", "b"]}, "k.v": True}
    lines = [
        json.dumps(nested),
        'level=warn msg="two words" http.status=404 pod=inside',
        "E1125 00:26:22.123456   12 main.go:34] klog",
        "plain text",
    ]
    at = (NOW - 50) * SECOND
    push_logs(one, [({"app": app, "pod": "outside"}, [(at + i, line) for i, line in enumerate(lines)])])
    fields = "level,msg,http.status,http.tags.1,k.v,pod,labels.pod,line"

    found = items(here, f'{{app="{app}"}}', *window(), "--forward", "--fields", fields)
    table = here("logs", "query", f'{{app="{app}"}}', *window(), "--forward", "--fields", "level,http.status")

    assert [list(i.values())[:-1] for i in found] == [
        ["error", "no", 500, "b", True, "outside", "outside"],
        ["warn", "two words", "404", None, None, "inside", "outside"],
        ["error", None, None, None, None, "outside", "outside"],
        [None, None, None, None, None, "outside", "outside"],
    ]
    assert [i["line"] for i in found] == lines
    header, *rows = table.stdout.splitlines()
    assert header.split() == ["CLUSTER", "TIME", "LEVEL", "HTTP.STATUS"]
    assert [row.split()[3:] for row in rows] == [
        ["error", "500"],
        ["warn", "404"],
        ["error", "-"],
        ["-", "-"],
    ]


def test_levels_are_told_apart(here: Here, one: Loki, app: str) -> None:
    lines = {
        '{"severity":"WARNING","m":"level=error"}': "warn",
        "2026-01-01 ERROR no": "error",
        '{"level":50,"msg":"pino"}': "error",
        "lvl=dbg x": "debug",
        "[crit] nginx": "fatal",
        "an error is only a word here": None,
        "I0101 10:00:00.000001 1 a.go:1] error": "info",
    }
    at = (NOW - 50) * SECOND
    push_logs(one, [({"app": app}, [(at + i, line) for i, line in enumerate(lines)])])

    found = items(here, f'{{app="{app}"}}', *window(), "--forward", "--fields", "line")
    wide = here(
        "logs", "query", f'{{app="{app}"}}', *window(), "--forward", "--columns", "level", "--no-headers"
    )
    some = here(
        "logs", "query", f'{{app="{app}"}}', *window(), "--level", "err,warning", "-o", "raw", "--forward"
    )

    assert [i["line"] for i in found] == list(lines)
    assert wide.stdout.split() == [level or "-" for level in lines.values()]
    assert some.stdout.splitlines() == list(lines)[:3]
    assert some.stderr == ""


def test_the_limit_counts_lines_of_the_level_and_how_far_was_looked_is_told(
    here: Here, pair: dict[str, Loki], app: str
) -> None:
    """One line of 600 is an error; in the first cluster there are more lines than are looked at."""
    base = (NOW - 3000) * SECOND
    lines = [(base + i * 10**7, f"level={'info' if i % 600 else 'error'} n={i}") for i in range(52_000)]
    push_logs(pair["logs1"], [({"app": app}, lines)])
    push_logs(pair["logs2"], [({"app": app}, lines[:1201])])
    ask = ("logs", "query", f'{{app="{app}"}}', *window(), "--level", "error", "-o", "raw")

    some = here(*ask, "--limit", "4", "-c", "logs1")
    default = here(*ask)
    every = here(*ask, "--limit", "0", "-c", "logs1")

    errors = [f"level=error n={i}" for i in range(0, 52_000, 600)]
    assert (some.returncode, some.stdout.splitlines(), some.stderr) == (0, errors[:-5:-1], "")
    # 50,000 lines back from the last: down to number 2,000.
    assert default.stdout.splitlines() == [
        e for e in errors[::-1] if int(e[14:]) >= 2000 or int(e[14:]) <= 1200
    ]
    assert default.stderr == (
        "logs1: warning: 83 of the newest 50000 lines are of these levels, and no more were looked at; filter in "
        "the query, shorten the window, or look at all of them with --limit 0\n"
    )
    assert (every.stdout.splitlines(), every.stderr) == (errors[::-1], "")


def test_lines_beyond_the_default_limit_are_told_once_for_all_clusters(
    here: Here, pair: dict[str, Loki], app: str
) -> None:
    for loki in pair.values():
        push_logs(loki, [({"app": app}, [((NOW - 200 + i) * SECOND, f"l{i}") for i in range(101)])])
    ask = ("logs", "query", f'{{app="{app}"}}', *window())

    default, first = here(*ask, "-o", "raw"), here(*ask, "-o", "json", "--forward")

    told = "lines are shown; --limit shows more, --limit 0 all"
    assert default.stdout.splitlines() == [f"l{i}" for i in range(100, 0, -1) for _ in pair]
    assert default.stderr == f"logs1, logs2: warning: only the newest 100 {told}\n"
    assert (default.returncode, first.returncode) == (0, 0)
    assert [c["warnings"] for c in json.loads(first.stdout)["clusters"]] == [
        [f"only the first 100 {told}"]
    ] * 2
    for flags in (("--limit", "100"), ("--limit", "0"), ("--from", str(NOW - 199), "-q")):
        assert here(*ask, *flags).stderr == ""


def test_an_empty_line_is_empty_and_sorted_lines_keep_their_milliseconds(
    here: Here, one: Loki, app: str
) -> None:
    at = (NOW - 50) * SECOND
    push_logs(one, [({"app": app}, [(at + 123_456_789, "level=info x"), (at + 200_000_000, " ")])])
    ask = ("logs", "query", f'{{app="{app}"}}', *window(), "--no-headers", "--columns", "time,line")

    for flags in ([], ["--sort", "time"]):
        shown = here(*ask, *flags)
        assert sorted(row.split()[1][8:] for row in shown.stdout.splitlines()) == [".123", ".200"]
        assert not any(row.endswith("-") for row in shown.stdout.splitlines())


def test_columns_where_there_are_none_are_told(here: Here, one: Loki, app: str) -> None:
    push_logs(one, [({"app": app}, [((NOW - 5) * SECOND, "x")])])

    told = here("logs", "query", f'{{app="{app}"}}', *window(), "-o", "json", "--columns", "line")

    assert (told.returncode, len(json.loads(told.stdout)["items"])) == (0, 1)
    assert told.stderr == "note: --columns is for tables, CSV and Markdown; -o json goes without it\n"


def test_what_a_recording_left_out_is_a_warning(here: Here) -> None:
    done = here("logs", "query", '{job=~".+"}', "--bundle", "demo", "--limit", "1")

    assert done.returncode == 0
    assert "warning: more lines were there than the recording kept" in done.stderr


def test_levels_have_colour_on_a_terminal_unless_it_is_switched_off(
    here: Here, one: Loki, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = (NOW - 50) * SECOND
    lines = [(at, "level=info fine"), (at + 1, "level=warn hm"), (at + 2, "level=error " + "long " * 40)]
    push_logs(one, [({"app": app}, lines)])
    ask = ["logs", "query", f'{{app="{app}"}}', *window(), "--forward"]

    def shown() -> list[str]:
        text = on_a_terminal([sys.executable, "-m", "aiops_cli", *ask], columns=80)
        return text.replace("\r\x1b[K", "").splitlines()[1:]

    fine, warn, error = shown()
    assert "\x1b" not in fine
    assert warn.startswith("\x1b[33m") and warn.endswith("\x1b[0m")
    assert error.startswith("\x1b[31m") and error.endswith("…\x1b[0m")
    assert len(error) == 80 + len("\x1b[31m\x1b[0m")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not any("\x1b" in line for line in shown())
    assert "\x1b" not in here(*ask).stdout


def test_neighbours_of_matches_come_from_the_same_stream_and_overlaps_are_one_group(
    here: Here, one: Loki, app: str
) -> None:
    at = (NOW - 500) * SECOND
    numbers = [f"n{i:02d}" + (" here" if i in (5, 7, 20) else "") for i in range(30)]
    push_logs(one, [({"app": app, "pod": "a"}, [(at + i * SECOND, line) for i, line in enumerate(numbers)])])
    push_logs(one, [({"app": app, "pod": "b"}, [(at + i * SECOND, f"other {i}") for i in range(30)])])
    ask = ("logs", "query", f'{{app="{app}"}} |= "here"', *window(), "-C", "2")

    forward = here(*ask, "--forward", "-o", "raw").stdout
    backward = here(*ask, "-o", "raw").stdout
    table = here(*ask, "--forward", "--columns", "line", "--no-headers").stdout
    marked = items(here, *ask[2:], "--forward")
    rows = list(csv.DictReader(io.StringIO(here(*ask, "--forward", "-o", "csv").stdout)))

    first, second = [x[:3] for x in numbers[3:10]], [x[:3] for x in numbers[18:23]]
    groups = [[line[:3] for line in g.splitlines()] for g in forward.split("--\n")]
    assert groups == [first, second]
    assert [[line[:3] for line in g.splitlines()] for g in backward.split("--\n")] == [second, first]
    assert [line for line in table.splitlines() if line.startswith(">")] == [
        "> n05 here",
        "> n07 here",
        "> n20 here",
    ]
    assert [i["line"] for i in marked if i["match"]] == ["n05 here", "n07 here", "n20 here"]
    assert [r["line"] for r in rows if r["match"] == "true"] == ["n05 here", "n07 here", "n20 here"]
    assert len(marked) == len(rows) == 12


def test_neighbours_of_what_a_parser_found_and_of_lines_of_one_timestamp(
    here: Here, one: Loki, app: str
) -> None:
    at = (NOW - 500) * SECOND
    lines = [(at, f"i={i} level={'error' if i == 60 else 'info'}") for i in range(120)]
    push_logs(one, [({"app": app}, lines)])
    expr = f'{{app="{app}"}} | logfmt | level="error" | label_format other=level'

    shown = here("logs", "query", expr, *window(), "-C", "1", "-o", "raw")

    assert shown.returncode == 0, shown.stderr
    assert len(shown.stdout.splitlines()) == 3
    assert shown.stdout.splitlines()[1] == "i=60 level=error"


def test_labels_values_and_series(here: Here, pair: dict[str, Loki], app: str) -> None:
    for n, loki in enumerate(pair.values()):
        streams = [({"app": app, f"own_{app}": f"v{n}{p}"}, [((NOW - 5) * SECOND, "x")]) for p in range(2)]
        push_logs(loki, streams)

    names = here("logs", "labels", *window(), "-o", "csv").stdout.splitlines()
    values = here("logs", "labels", f"own_{app}", *window(), "-o", "csv").stdout.splitlines()
    series = here("logs", "series", f'{{app="{app}"}}', *window(), "-o", "json").json

    assert {f"logs1,own_{app}", f"logs2,own_{app}"} <= set(names)
    assert values[1:] == ["logs1,v00", "logs1,v01", "logs2,v10", "logs2,v11"]
    assert [(i["cluster"], i["labels"][f"own_{app}"]) for i in series["items"]] == [
        ("logs1", "v00"),
        ("logs1", "v01"),
        ("logs2", "v10"),
        ("logs2", "v11"),
    ]


def test_stats_are_counted_where_the_server_keeps_none(here: Here, one: Loki, app: str) -> None:
    for pod in range(3):
        lines = [((NOW - 100 + i) * SECOND, f"{pod} " + "x" * 8) for i in range(50)]
        push_logs(one, [({"app": app, "pod": str(pod)}, lines)])

    done = here("logs", "stats", f'{{app="{app}"}}', *window(), "-o", "json")

    assert done.json["items"] == [
        {"cluster": "logs1", "streams": 3, "chunks": None, "entries": 150, "bytes": 1500, "method": "counted"}
    ]
    assert "so it counted the lines" in done.stderr


def test_stats_of_the_index(here: Here, home: Path, stub: Stub) -> None:
    """The documented answer, which has no envelope (Loki 2.8 and later)."""
    stub.on("/loki/api/v1/index/stats", answer({"streams": 2, "chunks": 7, "entries": 9, "bytes": 5_242_880}))
    write_config(home, {"edge": {"loki": stub.url}})

    done = here("logs", "stats", '{app="x"}')

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split() == ["edge", "2", "7", "9", "5.0", "MiB", "index"]
    assert stub.asked[0].params["query"] == '{app="x"}'


@pytest.mark.parametrize("expr", ['{app="x"} |= "y"', 'rate({app="x"}[5m])', '{app="x"', "app"])
def test_stats_and_series_take_a_selector_alone(here: Here, home: Path, stub: Stub, expr: str) -> None:
    write_config(home, {"edge": {"loki": stub.url}})

    for command in ("stats", "series"):
        done = here("logs", command, expr)
        assert done.returncode == 2
        assert "LogQL" in done.stderr or "stream selector" in done.stderr
    assert stub.asked == []


def test_stages_that_fail_are_counted(here: Here, one: Loki, app: str) -> None:
    at = (NOW - 50) * SECOND
    push_logs(one, [({"app": app}, [(at, '{"a":1}'), (at + 1, "no json"), (at + 2, "none")])])

    done = here("logs", "query", f'{{app="{app}"}} | json', *window(), "-o", "ndjson")

    assert len(done.stdout.splitlines()) == 3
    assert '"__error__":"JSONParserErr"' in done.stdout
    assert "a stage of the query failed on 2 lines (JSONParserErr)" in done.stderr


def test_limits_of_the_server_name_what_helps(here: Here, home: Path, one: Loki, app: str) -> None:
    lines = [((NOW - 50) * SECOND + i, f"id={i}") for i in range(600)]
    push_logs(one, [({"app": app}, lines)])

    done = here("logs", "query", f'sum by (id) (rate({{app="{app}"}} | logfmt [5m]))', *window())

    assert done.returncode == 4
    assert "maximum of series (500)" in done.stderr
    assert "group by fewer labels" in done.stderr


FORMS = ("table", "wide", "json", "ndjson", "yaml", "csv", "md", "name", "raw")


@pytest.mark.parametrize("form", FORMS)
def test_no_terminal_obeys_a_line_or_a_label(here: Here, one: Loki, form: str) -> None:
    push_logs(one, [({"app": "evil", "pod": HOSTILE}, [((NOW - 5) * SECOND, HOSTILE)])])
    ask = ("logs", "query", '{app="evil"}', *window(), "-o", form)

    for flags in ([], ["--fields", "pod,line"], ["-C", "1"]):
        done = here(*ask, *flags)
        assert done.returncode == 0, done.stderr
        assert not set(OBEYED) & set(done.stdout)
        assert form == "name" or "b" in done.stdout
    if form == "ndjson":
        told = json.loads(here(*ask).stdout)
        assert (told["line"], told["labels"]["pod"]) == (HOSTILE, HOSTILE)


def test_no_terminal_obeys_structured_metadata(here: Here, home: Path, stub: Stub) -> None:
    """The documented answer of Loki 3 with categorised labels."""
    more = {"structuredMetadata": {"trace_id": HOSTILE}, "parsed": {"user": HOSTILE}}
    entry = [str((NOW - 5) * SECOND), HOSTILE, more]
    body = {"resultType": "streams", "encodingFlags": ["categorize-labels"]}
    stub.on(
        RANGE, answer({"status": "success", "data": body | {"result": [{"stream": {}, "values": [entry]}]}})
    )
    write_config(home, {"edge": {"loki": stub.url}})

    for form in FORMS:
        for flags in ([], ["--fields", "trace_id,user"]):
            done = here("logs", "query", '{app="x"}', *window(), "-o", form, *flags)
            assert done.returncode == 0, done.stderr
            assert not set(OBEYED) & set(done.stdout)
    picked = here("logs", "query", '{app="x"}', *window(), "-o", "ndjson", "--fields", "trace_id,user").stdout
    assert json.loads(picked) == {"trace_id": HOSTILE, "user": HOSTILE}


def test_unsafe_raw_is_the_very_bytes(home: Path, one: Loki) -> None:
    lines = ["\x1b[31mred\x1b[0m\ttab", "two\nlines", "é\u202e"]
    at = (NOW - 5) * SECOND
    push_logs(one, [({"app": "bytes"}, [(at + i, line) for i, line in enumerate(lines)])])
    ask = [
        sys.executable,
        "-m",
        "aiops_cli",
        "logs",
        "query",
        '{app="bytes"}',
        *window(),
        "--forward",
        "-o",
        "raw",
    ]

    safe = subprocess.run(ask, capture_output=True, cwd=home, check=True).stdout
    unsafe = subprocess.run([*ask, "--unsafe"], capture_output=True, cwd=home, check=True).stdout

    assert unsafe.decode() == "".join(f"{line}\n" for line in lines)
    assert safe.decode() == "\\x1b[31mred\\x1b[0m\ttab\ntwo\nlines\né\\u202e\n"


def test_a_bundle_answers_lines_fields_levels_and_neighbours(here: Here) -> None:
    ask = ("logs", "query", '{job=~".+"} |= "failed"', "--bundle", "demo", "--limit", "3", "-q")

    fields = here(*ask, "--fields", "level,msg", "-o", "csv", "-c", "west")
    levels = here(*ask, "--level", "warn", "--columns", "level", "--no-headers", "-c", "west")
    beside = here(*ask, "-C", "1", "-o", "raw", "-c", "west")
    numbers = here("logs", "query", 'rate({job="x"}[5m])', "--bundle", "demo")
    stats = here("logs", "stats", '{job=~".+"}', "--bundle", "demo", "-o", "json", "-q")

    assert fields.stdout.splitlines()[0] == "cluster,time,level,msg"
    assert all("failed" in row for row in fields.stdout.splitlines()[1:])
    assert set(levels.stdout.split()) == {"warn"}
    assert len(beside.stdout.splitlines()) > 3
    assert (numbers.returncode, numbers.stdout) == (4, "")
    assert numbers.stderr.startswith("error: this bundle does not hold a metric query over logs")
    assert {i["method"] for i in stats.json["items"]} == {"recorded"}
