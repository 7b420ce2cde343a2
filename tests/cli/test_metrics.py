"""Metrics of a real fleet: the same numbers as the servers give, and only what is missing is asked again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import Aiops, Finished
from tests.faults.files import write_config
from tests.faults.fixtures import HOUR, Here, Serve, hour
from tests.faults.stub import Stub, answer, in_turn, relay
from tests.servers.binaries import MissingServer
from tests.servers.fleet import Fleet
from tests.servers.prometheus import Prometheus


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


HISTORY_STEPS = 12_500
STEP = 15


@pytest.fixture(scope="module")
def began() -> int:
    """When the history begins: two days and some ago, on a multiple of a minute."""
    return int(time.time()) // 60 * 60 - HISTORY_STEPS * STEP - 3600


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, began: int) -> Iterator[Prometheus]:
    """A Prometheus with a counter of 12,500 samples, 15 s apart, and nothing for a while after."""
    server = Prometheus(tmp_path_factory.mktemp("history") / "prometheus", cluster="history")
    server.home.mkdir(parents=True)
    lines = ["# TYPE jobs counter"]
    lines += [
        f'jobs_total{{queue="{queue}"}} {i * slope} {began + i * STEP}'
        for queue, slope in (("a", 1), ("b", 3))
        for i in range(HISTORY_STEPS)
    ]
    try:
        server.start()
        server.backfill("\n".join([*lines, "# EOF", ""]))
        yield server
    except MissingServer as error:
        pytest.skip(str(error))
    finally:
        server.stop()


@pytest.fixture
def counted(history: Prometheus, home: Path, stubs: Serve) -> Stub:
    """The same server behind a relay that remembers each request; it is cluster `far` of the config."""
    between = stubs()
    between.on("/", relay(history.url))
    write_config(home, {"far": {"prometheus": between.url}})
    return between


def windows(relayed: Stub) -> list[tuple[float, float]]:
    """The range queries that came through, as (start, end)."""
    return [
        (float(asked.params["start"]), float(asked.params["end"]))
        for asked in relayed.asked
        if asked.path == "/api/v1/query_range"
    ]


def from_server(server: Prometheus, expr: str, start: int, end: int, step: int) -> list[dict[str, Any]]:
    """The server's own answer."""
    reply = httpx2.get(
        f"{server.url}/api/v1/query_range",
        params={"query": expr, "start": str(start), "end": str(end), "step": str(step)},
        timeout=60,
        trust_env=False,
    ).raise_for_status()
    found: list[dict[str, Any]] = reply.json()["data"]["result"]
    return found


def points(done: Finished) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
    assert done.returncode == 0, done.stderr
    return [(i["labels"], [(t, v) for t, v in i["samples"]]) for i in done.json["items"]]


def as_points(result: list[dict[str, Any]]) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
    return [(s["metric"], [(t, float(v)) for t, v in s["values"]]) for s in result]


def ask(aiops: Aiops, expr: str, start: int, end: int, step: int = 60, *flags: str) -> Finished:
    return aiops(
        "metrics",
        "range",
        expr,
        "--from",
        str(start),
        "--to",
        str(end),
        "--step",
        str(step),
        "-o",
        "json",
        *flags,
    )


def test_a_range_is_what_the_server_says(
    aiops: Aiops, counted: Stub, history: Prometheus, began: int
) -> None:
    start, end = began + 3600, began + 7200

    done = ask(aiops, "rate(jobs_total[5m])", start, end)

    assert points(done) == as_points(from_server(history, "rate(jobs_total[5m])", start, end, 60))
    assert done.json["clusters"][0]["source"] == "live"


def test_asked_again_it_comes_from_the_cache(aiops: Aiops, counted: Stub, began: int) -> None:
    first = ask(aiops, "jobs_total", began + 3600, began + 7200)
    again = ask(aiops, "jobs_total", began + 3600, began + 7200)

    assert points(again) == points(first)
    assert len(windows(counted)) == 1
    assert again.json["clusters"][0]["source"] == "cache"
    assert first.json["clusters"][0]["source"] == "live"


def test_only_missing_steps_are_fetched(aiops: Aiops, counted: Stub, history: Prometheus, began: int) -> None:
    start, end = began + 3600, began + 7200
    ask(aiops, "jobs_total", start, end)

    longer = ask(aiops, "jobs_total", start - 600, end + 600)

    assert windows(counted)[1:] == [(start - 600, start - 60), (end + 60, end + 600)]
    assert points(longer) == as_points(from_server(history, "jobs_total", start - 600, end + 600, 60))
    within = ask(aiops, "jobs_total", start + 120, end - 120)
    assert len(windows(counted)) == 3
    assert points(within) == as_points(from_server(history, "jobs_total", start + 120, end - 120, 60))


def test_the_moving_end_alone_is_fetched_again(aiops: Aiops, counted: Stub, history: Prometheus) -> None:
    now = int(time.time()) // 60 * 60
    ask(aiops, "vector(1)", now - 3600, now)
    ask(aiops, "vector(1)", now - 3600, now + 60)

    (_, (start, end)) = windows(counted)
    assert end >= now
    assert start >= now - 600  # the last minutes may still change; the hour before may not


@pytest.mark.parametrize("flag", ["--no-cache", "--refresh"])
def test_the_cache_is_not_read_when_told_so(aiops: Aiops, counted: Stub, began: int, flag: str) -> None:
    start, end = began + 3600, began + 7200
    ask(aiops, "jobs_total", start, end)

    told = ask(aiops, "jobs_total", start, end, 60, flag)

    assert windows(counted) == [(start, end), (start, end)]
    assert told.json["clusters"][0]["source"] == "live"


def test_no_cache_writes_none_either(aiops: Aiops, counted: Stub, home: Path, began: int) -> None:
    ask(aiops, "jobs_total", began + 3600, began + 7200, 60, "--no-cache")

    assert not (home / "cache").exists()


def test_refresh_writes(aiops: Aiops, counted: Stub, began: int) -> None:
    ask(aiops, "jobs_total", began + 3600, began + 7200, 60, "--refresh")
    ask(aiops, "jobs_total", began + 3600, began + 7200)

    assert len(windows(counted)) == 1


def test_the_config_can_switch_it_off(aiops: Aiops, counted: Stub, home: Path, began: int) -> None:
    write_config(home, {"far": {"prometheus": counted.url}}, "[cache]\nenabled = false\n")

    for _ in range(2):
        ask(aiops, "jobs_total", began + 3600, began + 7200)

    assert len(windows(counted)) == 2


def test_another_step_and_another_tenant_are_other_answers(
    aiops: Aiops, counted: Stub, home: Path, began: int
) -> None:
    start, end = began + 3600, began + 7200
    ask(aiops, "jobs_total", start, end, 60)
    ask(aiops, "jobs_total", start, end, 120)
    write_config(home, {"far": {"prometheus": f'{{ url = "{counted.url}", tenant = "other" }}'}})
    ask(aiops, "jobs_total", start, end, 60)

    assert len(windows(counted)) == 3


def test_another_header_is_another_user(aiops: Aiops, counted: Stub, home: Path, began: int) -> None:
    for user in ("anna", "ben"):
        table = f'{{ url = "{counted.url}", headers = {{ Authorization = "Basic {user}" }} }}'
        write_config(home, {"far": {"prometheus": table}})
        ask(aiops, "jobs_total", began + 3600, began + 7200)

    assert len(windows(counted)) == 2


def test_max_age(aiops: Aiops, counted: Stub, began: int) -> None:
    ask(aiops, "jobs_total", began + 3600, began + 7200)

    ask(aiops, "jobs_total", began + 3600, began + 7200, 60, "--max-age", "1h")
    assert len(windows(counted)) == 1
    ask(aiops, "jobs_total", began + 3600, began + 7200, 60, "--max-age", "0s")
    assert len(windows(counted)) == 2


def test_an_answer_that_lacks_something_is_not_kept(aiops: Aiops, home: Path, stub: Stub) -> None:
    whole = hour()
    stub.on("/", in_turn(answer(whole | {"warnings": ["store gone"]}), answer(whole)))
    write_config(home, {"a": {"prometheus": stub.url}})

    first = aiops("metrics", "range", "up", *HOUR, "-o", "json")
    second = aiops("metrics", "range", "up", *HOUR, "-o", "json")

    assert first.json["clusters"][0]["warnings"] == ["store gone"]
    assert second.json["clusters"][0]["warnings"] == []
    assert len(stub.asked) == 2


def test_cache_info_and_clear(aiops: Aiops, counted: Stub, home: Path, began: int) -> None:
    ask(aiops, "jobs_total", began + 3600, began + 7200)

    info = aiops("cache", "info", "-o", "json").json
    assert info["usage"]["ranges"]["entries"] == 1
    assert info["usage"]["ranges"]["bytes"] > 0
    assert info["path"] == str(home / "cache" / "aiops")
    cleared = aiops("cache", "clear")
    assert cleared.returncode == 0
    assert aiops("cache", "info", "-o", "json").json["usage"]["ranges"]["entries"] == 0


def test_more_points_than_a_server_gives_at_once_meet_without_a_seam(
    aiops: Aiops, counted: Stub, history: Prometheus, began: int
) -> None:
    """11,000 points a series is what Prometheus answers at most."""
    start, end = began, began + (HISTORY_STEPS - 1) * STEP

    done = ask(aiops, "jobs_total", start, end, STEP)

    whole = points(done)
    assert [len(samples) for _, samples in whole] == [HISTORY_STEPS, HISTORY_STEPS]
    middle = start + 11_000 * STEP
    parts = [
        as_points(from_server(history, "jobs_total", a, b, STEP))
        for a, b in ((start, middle - STEP), (middle, end))
    ]
    assert whole == [
        (labels, first + second) for (labels, first), (_, second) in zip(parts[0], parts[1], strict=True)
    ]
    assert len(windows(counted)) == 2
    assert points(ask(aiops, "jobs_total", start, end, STEP)) == whole
    assert len(windows(counted)) == 2


def test_anchors_are_never_joined_from_parts(aiops: Aiops, counted: Stub, began: int) -> None:
    """`@ end()` depends on the window that was asked."""
    expr = "jobs_total @ end()"
    ask(aiops, expr, began + 3600, began + 7200)
    ask(aiops, expr, began + 3600, began + 7800)

    assert windows(counted) == [(began + 3600, began + 7200), (began + 3600, began + 7800)]


def test_both_clusters_in_one_answer(aiops: Aiops, metrics_fleet: Fleet) -> None:
    for cluster in metrics_fleet.clusters:
        cluster.prometheus.wait_for('up{job="node-exporter"} == 1')

    done = aiops("metrics", "query", 'up{job="node-exporter"}', "-o", "json", env=metrics_fleet.env)

    assert done.returncode == 0
    assert [(i["cluster"], i["labels"]["job"], i["samples"][0][1]) for i in done.json["items"]] == [
        ("lab1", "node-exporter", 1),
        ("lab2", "node-exporter", 1),
    ]


def test_series_labels_and_values(aiops: Aiops, metrics_fleet: Fleet) -> None:
    metrics_fleet.clusters[0].prometheus.wait_for('up{job="node-exporter"}')

    def rows(*args: str) -> list[dict[str, Any]]:
        done = aiops("metrics", *args, "-c", "lab1", "-o", "json", env=metrics_fleet.env)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = done.json["items"]
        return found

    (series,) = rows("series", 'up{job="node-exporter"}')
    assert (series["cluster"], series["labels"]["job"]) == ("lab1", "node-exporter")
    assert {"job", "instance", "__name__"} <= {row["value"] for row in rows("labels")}
    assert {"prometheus", "node-exporter"} <= {row["value"] for row in rows("values", "job")}
    node_exporters = rows("values", "job", "--match", 'node_load1{job="node-exporter"}')
    assert [row["value"] for row in node_exporters] == ["node-exporter"]


def test_a_long_query_is_sent_by_post(aiops: Aiops, counted: Stub, began: int) -> None:
    expr = "jobs_total" + " or jobs_total" * 500

    done = aiops("metrics", "query", expr, "--time", str(began + 3600), "-o", "json")

    assert done.returncode == 0
    assert len(done.json["items"]) == 2
    assert [asked.method for asked in counted.asked] == ["POST"]
