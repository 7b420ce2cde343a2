"""Named queries, metadata, lists with a limit, and the forms in which ranges are shown."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from aiops_cli.services.catalogue import MORE
from aiops_cli.services.queries import CATALOGUE
from tests.conftest import Aiops
from tests.faults.files import write_config
from tests.faults.fixtures import HOUR, Here, hour
from tests.faults.stub import Stub, answer, vector
from tests.servers.cluster import Cluster
from tests.servers.fleet import Fleet
from tests.servers.prometheus import Prometheus3

AREAS = {
    "cluster",
    "node",
    "namespace",
    "workload",
    "etcd",
    "apiserver",
    "ingress",
    "gpu",
    "ptp",
    "sriov",
    "vllm",
}
UNITS = {"", "ratio", "%", "seconds", "bytes", "B/s", "1/s", "cores", "W", "°C"}


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


def test_the_catalogue_has_every_area_with_meaning_and_unit() -> None:
    assert {q.kind for q in MORE.values()} == AREAS
    assert all(q.meaning for q in (CATALOGUE | MORE).values())
    assert {q.unit for q in (CATALOGUE | MORE).values()} <= UNITS
    assert not CATALOGUE.keys() & MORE.keys()


@pytest.mark.parametrize("name", [*CATALOGUE, *MORE])
def test_each_named_query_is_promql_that_a_server_runs(name: str, prometheus3: Prometheus3) -> None:
    expr = (CATALOGUE | MORE)[name].expr
    promql_parser.parse(expr)
    prometheus3.query(expr)


def test_named_queries_are_listed_with_ones_own(aiops: Aiops, home: Path) -> None:
    own = '[queries]\nmine = "up"\n[queries.rich]\nexpr = "vector(0.25)"\nunit = "ratio"\nmeaning = "a quarter"\n'
    write_config(home, {}, own)

    items = {i["name"]: i for i in aiops("metrics", "queries", "-o", "json").json["items"]}
    assert items["rich"] == {
        "name": "rich", "about": "own", "unit": "ratio", "meaning": "a quarter", "expr": "vector(0.25)",
    }  # fmt: skip
    assert items["mine"]["expr"] == "up"
    assert items["gpu-power"]["unit"] == "W"
    assert "@etcd-size" in aiops("metrics", "queries", "-o", "name").stdout.splitlines()


def test_a_unit_is_shown_to_people_and_not_to_machines(
    aiops: Aiops, home: Path, metrics_fleet: Fleet
) -> None:
    own = '[queries.quarter]\nexpr = "vector(0.25)"\nunit = "ratio"\nmeaning = "a quarter"\n'
    write_config(home, {"a": {"prometheus": metrics_fleet.clusters[0].prometheus.url}}, own)

    assert aiops("metrics", "query", "@quarter").stdout.splitlines()[1].split() == ["a", "25%"]
    at = ("--time", "2026-01-02T03:04:05Z", "-o", "csv")
    assert aiops("metrics", "query", "@quarter", *at).stdout == (
        "cluster,time,value\na,2026-01-02T03:04:05Z,0.25\n"
    )
    chart = aiops("metrics", "range", "@quarter", "--plot", "--since", "5m").stdout.splitlines()
    assert chart[0] == "a quarter [ratio]"
    assert chart[-1].split() == ["a", "a", "quarter", "last", "25%"]


def test_wide_has_all_digits_and_the_time(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", answer(vector(({"job": "a"}, 123456789), ({"job": "b"}, 1.23e-7))))
    write_config(home, {"edge": {"prometheus": stub.url}})

    head, *rows = aiops("metrics", "query", "x", "-o", "wide", "--tz", "UTC").stdout.splitlines()

    assert head.split() == ["CLUSTER", "JOB", "TIME", "VALUE"]
    assert [row.split()[-1] for row in rows] == ["123456789", "1.23e-07"]


def test_a_label_called_as_a_column_has_another_title(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", answer(vector(({"value": "x", "job": "a"}, 1), ({"value": "y", "job": "a"}, 2))))
    write_config(home, {"edge": {"prometheus": stub.url}})

    head = aiops("metrics", "query", "x").stdout.splitlines()[0]

    assert head.split() == ["CLUSTER", "EXPORTED_VALUE", "VALUE"]


def test_a_string_is_one_value(aiops: Aiops, metrics_fleet: Fleet) -> None:
    lines = aiops("metrics", "query", '"hi"', env=metrics_fleet.env).stdout.splitlines()

    assert [line.split() for line in lines] == [["CLUSTER", "VALUE"], ["lab1", "hi"], ["lab2", "hi"]]


def test_a_plot_is_for_terminals(aiops: Aiops, home: Path, stub: Stub) -> None:
    write_config(home, {"edge": {"prometheus": stub.url}})

    done = aiops("metrics", "range", "up", "--plot", "-o", "md")

    assert done.returncode == 2
    assert "--plot draws in a terminal, -o md does not" in done.stderr
    assert stub.asked == []


def test_a_time_outside_of_a_recording_is_refused(aiops: Aiops) -> None:
    done = aiops("metrics", "query", "up", "--time", "2026-11-20T00:00:00Z", "--bundle", "demo")

    assert done.returncode == 2
    assert "error: the time lies outside of what bundle" in done.stderr
    assert "leave out --time" in done.stderr


def test_metadata_of_a_metric(aiops: Aiops, metrics_fleet: Fleet) -> None:
    for cluster in metrics_fleet.clusters:
        cluster.prometheus.wait_for('up{job="node-exporter"} == 1')

    items = aiops("metrics", "metadata", "node_load1", "-o", "json", env=metrics_fleet.env).json["items"]

    assert items == [
        {"cluster": c, "metric": "node_load1", "type": "gauge", "help": "1m load average.", "unit": "", "differs": False}
        for c in ("lab1", "lab2")
    ]  # fmt: skip
    some = aiops("metrics", "metadata", "--limit", "3", "-c", "lab1", "-o", "json", env=metrics_fleet.env)
    assert len(some.json["items"]) >= 3
    assert len({i["metric"] for i in some.json["items"]}) == 3


def test_servers_that_disagree_on_a_metric(aiops: Aiops, home: Path, stub: Stub, well: Stub) -> None:
    for server, kind in ((stub, "counter"), (well, "gauge")):
        data = {"depth": [{"type": kind, "help": "how deep", "unit": ""}]}
        server.on("/", answer({"status": "success", "data": data}))
    write_config(home, {"a": {"prometheus": stub.url}, "b": {"prometheus": well.url}})

    lines = aiops("metrics", "metadata").stdout.splitlines()

    assert [line.split()[:5] for line in lines[1:]] == [
        ["a", "depth", "counter", "-", "yes"],
        ["b", "depth", "gauge", "-", "yes"],
    ]


@pytest.mark.parametrize("args", [("labels",), ("values", "__name__"), ("series", '{__name__=~".+"}')])
def test_a_limit_holds_for_servers_that_know_none(
    aiops: Aiops, metrics_fleet: Fleet, args: tuple[str, ...]
) -> None:
    done = aiops("metrics", *args, "--limit", "2", "-c", "lab1", "-o", "json", env=metrics_fleet.env)

    assert done.returncode == 0
    assert len(done.json["items"]) == 2
    assert "--limit" in done.json["clusters"][0]["warnings"][0]


def test_a_label_name_that_older_servers_could_not_hold(
    aiops: Aiops, home: Path, prometheus3: Prometheus3
) -> None:
    write_config(home, {"new": {"prometheus": prometheus3.url}})

    done = aiops("metrics", "values", "http.status_code", "-o", "json")

    assert done.returncode == 0, done.stderr
    assert aiops("metrics", "values", "job", "-o", "json").json["items"] != []


@pytest.fixture
def hours(home: Path, stub: Stub) -> Stub:
    stub.on("/", answer(hour(2.5)))
    write_config(home, {"edge": {"prometheus": stub.url}})
    return stub


@pytest.mark.usefixtures("hours")
def test_csv_of_a_range_has_its_samples(aiops: Aiops) -> None:
    done = aiops("metrics", "range", "up", *HOUR, "-o", "csv")

    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 61
    assert rows[0] == {"cluster": "edge", "metric": "up", "time": "2026-01-02T03:00:00Z", "value": "2.5"}
    assert rows[-1]["time"] == "2026-01-02T04:00:00Z"
    some = aiops("metrics", "range", "up", *HOUR, "-o", "csv", "--columns", "time,value", "--no-headers")
    assert some.stdout.splitlines()[0] == "2026-01-02T03:00:00Z,2.5"
    bad = aiops("metrics", "range", "up", *HOUR, "-o", "csv", "--columns", "nonsense")
    assert (bad.returncode, bad.stdout) == (2, "")


@pytest.mark.usefixtures("hours")
def test_json_of_a_range_says_the_same_in_each_form(aiops: Aiops) -> None:
    document = aiops("metrics", "range", "up", *HOUR, "-o", "json").json
    (line,) = aiops("metrics", "range", "up", *HOUR, "-o", "ndjson").stdout.splitlines()

    (item,) = document["items"]
    assert item == json.loads(line)
    assert item["samples"][:2] == [[1767322800, 2.5], [1767322860, 2.5]]
    picked = aiops("metrics", "range", "up", *HOUR, "-o", "json", "--fields", "labels.__name__").json["items"]
    assert picked == [{"labels.__name__": "up"}]


@pytest.mark.usefixtures("hours")
def test_fields_choose_the_columns_of_a_table(aiops: Aiops) -> None:
    by_fields = aiops("metrics", "range", "up", *HOUR, "--fields", "cluster,last")

    assert by_fields.stdout == aiops("metrics", "range", "up", *HOUR, "--columns", "cluster,last").stdout
    assert by_fields.stdout.splitlines()[0].split() == ["CLUSTER", "LAST"]
    bad = aiops("metrics", "range", "up", *HOUR, "--fields", "nonsense")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "unknown column 'nonsense'" in bad.stderr


MANY: Any = [
    ({"__name__": "http_requests_total", "namespace": f"team-{i}-production", "pod": f"checkout-{i}-x7k2p",
      "method": "GET" if i % 2 else "POST", "code": str(200 + i), "handler": f"/api/v1/orders/{i}"}, 1e6 * i)
    for i in range(15)
]  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80])
def test_nothing_wraps_on_a_narrow_terminal(
    aiops: Aiops, home: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    from aiops_cli.cli.runtime import Session
    from aiops_cli.render.output import Style

    stub.on("/", answer(vector(*MANY)))
    write_config(home, {"a-cluster-with-a-long-name": {"prometheus": stub.url}})
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(Session, "style", lambda self: Style("table", width))

    lines = aiops("metrics", "query", "up").stdout.splitlines()

    assert len(lines) == 16
    assert all(len(line) <= width for line in lines)
    assert lines[0].split()[-1] == "VALUE"
    assert lines[-1].split()[-1] == "14M"


@pytest.mark.parametrize("width", [40, 80])
def test_a_plot_of_several_series_fits_and_tells_them_apart(
    aiops: Aiops, east: Cluster, home: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    write_config(home, {"east": {"prometheus": east.prometheus.url}})
    monkeypatch.setenv("COLUMNS", str(width))
    expr = 'label_replace(vector(1), "is", "low", "", "") or label_replace(vector(5), "is", "high", "", "")'

    lines = aiops("metrics", "range", expr, "--plot", "--since", "10m").stdout.splitlines()

    assert all(len(line) <= width for line in lines)
    chart = [line.partition("┤")[2] for line in lines if "┤" in line]
    names = {line.split()[0]: line for line in lines[-2:]}
    assert {"is=high" in names["a"], "is=low" in names["b"]} == {True}
    assert "a" in chart[0] and "b" not in chart[0]
    assert "b" in chart[-1] and "a" not in chart[-1]
    assert "\x1b" not in "".join(lines)
