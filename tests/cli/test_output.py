"""The output formats, columns, sorting and fields; hostile text; numbers that are none."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import Aiops, Clusters
from tests.faults.files import write_config
from tests.faults.fixtures import Here
from tests.faults.stub import Stub, answer, vector
from tests.servers.fleet import Fleet
from tests.servers.push import push_logs


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


THREE = vector(
    ({"__name__": "up", "job": "api", "instance": "b:1"}, 1500000),
    ({"__name__": "up", "job": "db", "instance": "a:1"}, 0.25),
    ({"__name__": "up", "job": "web", "instance": "c:1"}, 42),
)


@pytest.fixture
def three(home: Path, stub: Stub) -> Stub:
    """A cluster `edge` with three series."""
    stub.on("/", answer(THREE))
    write_config(home, {"edge": {"prometheus": stub.url}})
    return stub


def query(aiops: Aiops, *flags: str) -> str:
    done = aiops("metrics", "query", "up", *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_table(aiops: Aiops, three: Stub) -> None:
    assert query(aiops) == (
        "CLUSTER  METRIC  INSTANCE  JOB  VALUE\n"
        "edge     up      a:1       db    0.25\n"
        "edge     up      b:1       api   1.5M\n"
        "edge     up      c:1       web     42\n"
    )


def test_no_headers_columns_and_sort(aiops: Aiops, three: Stub) -> None:
    assert query(aiops, "--no-headers", "--columns", "job,value", "--sort=-value") == (
        "api  1.5M\nweb    42\ndb   0.25\n"
    )
    assert query(aiops, "--columns", "job", "--sort", "value") == "JOB\ndb\nweb\napi\n"


def test_wide_shows_what_is_the_same_everywhere(aiops: Aiops, stub: Stub, home: Path) -> None:
    stub.on("/", answer(vector(({"job": "a", "zone": "z"}, 1), ({"job": "b", "zone": "z"}, 1))))
    write_config(home, {"edge": {"prometheus": stub.url}})

    assert "ZONE" not in query(aiops)
    assert "ZONE" in query(aiops, "-o", "wide")


def test_json(aiops: Aiops, three: Stub) -> None:
    document = json.loads(query(aiops, "-o", "json"))

    assert (document["apiVersion"], document["kind"], document["partial"]) == (
        "aiops/v1",
        "MetricList",
        False,
    )
    (cluster,) = document["clusters"]
    assert cluster.pop("durationMs") > 0
    assert cluster.pop("warnings") == []
    assert cluster == {"name": "edge", "status": "SUCCESS", "source": "live", "ageSeconds": 0, "error": None}
    assert document["items"][0] == {
        "cluster": "edge",
        "labels": {"__name__": "up", "job": "db", "instance": "a:1"},
        "samples": [[1.7e9, 0.25]],
    }


def test_fields(aiops: Aiops, three: Stub) -> None:
    document = json.loads(query(aiops, "-o", "json", "--fields", "cluster,labels.job"))

    assert document["items"][0] == {"cluster": "edge", "labels.job": "db"}


def test_ndjson_is_one_item_a_line(aiops: Aiops, three: Stub) -> None:
    items = [json.loads(line) for line in query(aiops, "-o", "ndjson").splitlines()]

    assert [item["labels"]["job"] for item in items] == ["db", "api", "web"]


def test_yaml_says_what_json_says(aiops: Aiops, three: Stub) -> None:
    def timeless(document: dict[str, object]) -> dict[str, object]:
        return document | {"clusters": None}

    assert timeless(yaml.safe_load(query(aiops, "-o", "yaml"))) == timeless(
        json.loads(query(aiops, "-o", "json"))
    )


def test_csv_has_plain_numbers(aiops: Aiops, three: Stub) -> None:
    rows = list(csv.DictReader(io.StringIO(query(aiops, "-o", "csv"))))

    assert [(r["job"], float(r["value"])) for r in rows] == [("db", 0.25), ("api", 1500000), ("web", 42)]
    assert query(aiops, "-o", "csv", "--no-headers").splitlines()[0].startswith("edge,")


def test_markdown(aiops: Aiops, three: Stub, stub: Stub) -> None:
    stub.on("/", answer(vector(({"job": "a|b"}, 1), ({"job": "c"}, 2))))

    assert query(aiops, "-o", "md") == (
        "| cluster | job | value |\n| --- | --- | ---: |\n| edge | a\\|b | 1 |\n| edge | c | 2 |\n"
    )


def test_name(aiops: Aiops, three: Stub) -> None:
    assert query(aiops, "-o", "name").splitlines()[0] == 'edge/up{instance="a:1",job="db"}'


@pytest.mark.parametrize(
    ("flags", "error", "hint"),
    [
        ("-o xml", "unknown output format 'xml'", "table, wide, json, ndjson, yaml, csv, md, name"),
        (
            "--columns zone",
            "unknown column 'zone'",
            "columns here: cluster, metric, instance, job, time, value",
        ),
        ("--sort zone", "can't sort by 'zone'", "columns here: cluster, metric, instance, job, time, value"),
        ("-o json --fields zone", "unknown field 'zone'", "fields here: cluster, labels, samples"),
    ],
)
def test_what_can_not_be_shown(aiops: Aiops, three: Stub, flags: str, error: str, hint: str) -> None:
    done = aiops("metrics", "query", "up", *flags.split())

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {error}\nhint: {hint}\n" or (
        done.stderr.startswith(f"error: {error}\nhint: ") and hint in done.stderr
    )


def test_the_format_may_stand_in_the_config(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", answer(THREE))
    write_config(home, {"edge": {"prometheus": stub.url}}, '[defaults]\noutput = "name"\n')

    assert query(aiops).startswith("edge/up{")
    assert query(aiops, "-o", "csv").startswith("cluster,")


def test_what_is_no_number_is_null(aiops: Aiops, metrics_fleet: Fleet) -> None:
    def values(*flags: str) -> dict[str, object]:
        expr = " or ".join(
            f'label_replace({value}, "is", "{name}", "", "")'
            for name, value in {"nan": "vector(NaN)", "inf": "vector(Inf)", "low": "vector(-Inf)"}.items()
        )
        done = aiops("metrics", "query", expr, "-c", "lab1", *flags, env=metrics_fleet.env)
        assert done.returncode == 0
        if "csv" in flags:
            return {r["is"]: r["value"] for r in csv.DictReader(io.StringIO(done.stdout))}
        # Python's json would take a bare NaN, which nobody else does
        read = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(name))
        return {i["labels"]["is"]: i["samples"][0][1] for i in read["items"]}

    assert values("-o", "json") == {"nan": None, "inf": None, "low": None}
    assert values("-o", "csv") == {"nan": "", "inf": "inf", "low": "-inf"}


def test_a_cluster_label_of_the_server_is_kept_under_another_name(aiops: Aiops, metrics_fleet: Fleet) -> None:
    expr = 'label_replace(vector(1), "cluster", "theirs", "", "")'

    done = aiops("metrics", "query", expr, "-o", "json", env=metrics_fleet.env)

    assert [(i["cluster"], i["labels"]) for i in done.json["items"]] == [
        ("lab1", {"exported_cluster": "theirs"}),
        ("lab2", {"exported_cluster": "theirs"}),
    ]


HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\r\nnext"


@pytest.mark.parametrize("output", ["table", "wide", "csv", "md", "name"])
def test_escapes_in_label_values_do_nothing(aiops: Aiops, home: Path, stub: Stub, output: str) -> None:
    stub.on("/", answer(vector(({"job": HOSTILE, HOSTILE: "x"}, 1), ({"job": "ok"}, 1))))
    write_config(home, {"edge": {"prometheus": stub.url}})

    shown = query(aiops, "-o", output)

    assert not any(c in shown for c in "\x1b\x07\x9b\u202e\r")
    assert "\\x1b[2J" in shown
    assert len(shown.splitlines()) <= 4  # a header, a rule and the two rows


def test_escapes_in_errors_and_warnings_do_nothing(aiops: Aiops, home: Path, stub: Stub, well: Stub) -> None:
    stub.on("/", answer(HOSTILE.encode(), status=500, kind="text/plain"))
    well.on("/", answer(THREE | {"warnings": [HOSTILE]}))
    write_config(home, {"ill": {"prometheus": stub.url}, "well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up")

    assert not any(c in done.stderr for c in "\x1b\x07\x9b\u202e\r")
    assert "\\x1b" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_escapes_in_log_lines_do_nothing(aiops: Aiops, home: Path, clusters: Clusters) -> None:
    loki = clusters("east", {"loki"}).loki
    push_logs(loki, [({"job": "hostile"}, [(time.time(), HOSTILE)])])
    write_config(home, {"edge": {"loki": loki.url}})

    for output in ("table", "wide", "csv", "md"):
        done = aiops("logs", "query", '{job="hostile"}', "--since", "5m", "-o", output)

        assert done.returncode == 0
        assert "next" in done.stdout and "\\x1b[2J" in done.stdout
        assert not any(c in done.stdout for c in "\x1b\x07\x9b\u202e\r")


def test_nothing_found_is_said_and_is_no_error(aiops: Aiops, metrics_fleet: Fleet) -> None:
    done = aiops("metrics", "query", "no_such_metric", env=metrics_fleet.env)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing found\n")
    quiet = aiops("metrics", "query", "no_such_metric", "-q", env=metrics_fleet.env)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_no_colour_and_no_progress_where_there_is_no_terminal(aiops: Aiops, three: Stub) -> None:
    for env in ({}, {"NO_COLOR": "1"}, {"FORCE_COLOR": ""}):
        done = aiops("metrics", "query", "up", env=env)
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("args", [("--help",), ("metrics", "--help"), ("nonsense",), ("metrics", "query")])
def test_no_colour_in_help_and_usage_errors(aiops: Aiops, args: tuple[str, ...]) -> None:
    done = aiops(*args, env={"NO_COLOR": "1"})

    assert done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_plot_and_its_axis(aiops: Aiops, clusters: Clusters, metrics_fleet: Fleet) -> None:
    clusters("lab1", {"prometheus"}).prometheus.wait_for("up")

    done = aiops("metrics", "range", "vector(7)", "--plot", "--since", "10m", env=metrics_fleet.env)

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "vector(7)"
    assert any("┤" in line and any("\u2800" <= c <= "\u28ff" for c in line) for line in lines)
    assert lines[-2].split() == ["a", "lab1", "vector(7)", "last", "7"]
