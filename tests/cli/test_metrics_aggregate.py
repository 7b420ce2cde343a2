"""Aggregates over clusters, and replicas of a Prometheus that are shown as one, on real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aiops, Standalone
from tests.faults.files import write_config
from tests.faults.fixtures import Here, Serve
from tests.faults.stub import relay
from tests.remote_write import STALE, Receiver, write
from tests.servers.thanos import HaPair
from tests.servers.victoriametrics import VictoriaMetrics

NOW = int(time.time()) // 60 * 60 - 600
TIMES = [float(NOW - 600 + 60 * i) for i in range(11)]
RANGE = ("--from", str(NOW - 600), "--to", str(NOW), "--step", "60s")
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


@pytest.fixture(scope="module")
def two(standalone: Standalone) -> Iterator[tuple[Receiver, Receiver]]:
    """Two servers with `aggregated` of jobs a (both) and b (the first alone); of job a the second lacks
    three steps; job n is NaN in the second. And `paired`, of which each lacks other steps."""
    first, second = (Receiver(standalone.home / f"aggregate-{n}", cluster=f"c{n}") for n in (1, 2))
    standalone.start(first, second)
    name = "aggregated"
    write(first, {"__name__": name, "job": "a"}, samples=[(t, 1.0 + i) for i, t in enumerate(TIMES)])
    write(first, {"__name__": name, "job": "b"}, samples=[(t, 5.0) for t in TIMES])
    write(first, {"__name__": name, "job": "n"}, samples=[(t, 5.0) for t in TIMES])
    write(second, {"__name__": name, "job": "n"}, samples=[(t, float("nan")) for t in TIMES])
    write(second, {"__name__": name, "job": "a"}, samples=[(t, 100.0) for t in TIMES[3:]])
    yield first, second


@pytest.fixture
def config(home: Path, two: tuple[Receiver, Receiver]) -> None:
    write_config(home, {"east": {"prometheus": two[0].url}, "west": {"prometheus": two[1].url}})


def by_job(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {i["labels"]["job"]: i for i in items}


@pytest.mark.parametrize(
    ("method", "a", "n"),
    [("sum", 111, None), ("avg", 55.5, None), ("max", 100, 5), ("min", 11, 5)],
)
@pytest.mark.usefixtures("config")
def test_an_instant_aggregate(aiops: Aiops, method: str, a: float, n: float | None) -> None:
    done = aiops("metrics", "query", "aggregated", "--time", str(NOW), "--aggregate", method, "-o", "json")

    items = by_job(done.json["items"])
    assert {j: i["samples"][0][1] for j, i in items.items()} == {"a": a, "b": 5, "n": n}
    assert items["a"]["clusters"] == ["east", "west"]
    assert items["b"]["clusters"] == ["east"]
    assert {i["cluster"] for i in items.values()} == {"*"}


@pytest.mark.usefixtures("config")
def test_a_range_tells_who_lacks_steps(aiops: Aiops) -> None:
    done = aiops("metrics", "range", 'aggregated{job="a"}', *RANGE, "--aggregate", "sum", "-o", "json")

    (item,) = done.json["items"]
    assert item["samples"] == [[t, 1 + i + (100 if i >= 3 else 0)] for i, t in enumerate(TIMES)]
    notes = {c["name"]: c["warnings"] for c in done.json["clusters"]}
    assert notes == {"east": [], "west": ["no sample at 3 of the aggregated steps"]}
    assert "west: warning: no sample at 3 of the aggregated steps" in done.stderr


def test_a_cluster_that_failed_makes_it_partial(
    aiops: Aiops, home: Path, two: tuple[Receiver, Receiver]
) -> None:
    write_config(home, {"east": {"prometheus": two[0].url}, "gone": {"prometheus": NOBODY}})

    done = aiops("metrics", "query", "aggregated", "--time", str(NOW), "--aggregate", "sum", "-o", "json")

    assert done.returncode == 3
    assert done.json["partial"] is True
    assert {tuple(i["clusters"]) for i in done.json["items"]} == {("east",)}
    table = aiops("metrics", "query", "aggregated", "--time", str(NOW), "--aggregate", "sum")
    assert table.stdout.splitlines()[1].split()[0] == "east"


def test_a_server_of_two_clusters_is_counted_once(
    aiops: Aiops, home: Path, two: tuple[Receiver, Receiver], stubs: Serve
) -> None:
    hub = stubs()
    hub.on("/", relay(two[0].url))
    write_config(home, {"east": {"prometheus": hub.url}, "west": {"prometheus": hub.url}})

    done = aiops(
        "metrics", "query", 'aggregated{job="b"}', "--time", str(NOW), "--aggregate", "sum", "-o", "json"
    )

    assert [i["samples"][0][1] for i in done.json["items"]] == [5]
    assert len(hub.asked) == 1
    assert "its Prometheus is that of east: asked once" in done.stderr


@pytest.mark.usefixtures("config")
def test_what_can_not_be_aggregated_is_refused(aiops: Aiops) -> None:
    unknown = aiops("metrics", "query", "aggregated", "--aggregate", "median")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.splitlines()[1] == "hint: one of: merge, sum, avg, max, min"
    samples = aiops("metrics", "query", "aggregated[5m]", "--time", str(NOW), "--aggregate", "sum")
    assert samples.returncode == 2
    assert "range vector" in samples.stderr


@pytest.fixture(scope="module")
def pair(standalone: Standalone) -> tuple[Receiver, Receiver]:
    """Two replicas: the first was down for three minutes in the middle, the second for one at the end."""
    first, second = (Receiver(standalone.home / f"replica-{n}", cluster="ha") for n in "ab")
    standalone.start(first, second)
    labels = {"__name__": "paired", "job": "a"}
    ones = [(t, 1.0) for t in TIMES]
    write(first, labels, samples=[*ones[:4], (TIMES[4], STALE), *ones[7:]])
    write(second, labels, samples=[*((t, 2.0) for t in TIMES[:10]), (TIMES[10], STALE)])
    write(second, {"__name__": "paired", "job": "only-b"}, samples=[(t, 2.0) for t in TIMES])
    return first, second


def replicas(home: Path, *urls: str) -> None:
    path = write_config(home, {})
    listed = ", ".join(f'"{u}"' for u in urls)
    path.write_text(f"[clusters.ha.endpoints]\nprometheus = [{listed}]\n")


def test_what_one_replica_missed_the_other_fills(
    aiops: Aiops, home: Path, pair: tuple[Receiver, Receiver]
) -> None:
    replicas(home, pair[0].url, pair[1].url)

    for source in ("live", "cache"):
        done = aiops("metrics", "range", "paired", *RANGE, "-o", "json")

        items = by_job(done.json["items"])
        # The second one stays after the gap of the first, until it has one itself.
        assert items["a"]["samples"] == [[t, v] for t, v in zip(TIMES, [1] * 4 + [2] * 6 + [1], strict=True)]
        assert len(items["only-b"]["samples"]) == 11
        assert done.json["clusters"][0]["source"] == source
        assert done.returncode == 0


def test_one_replica_is_enough(aiops: Aiops, home: Path, pair: tuple[Receiver, Receiver]) -> None:
    replicas(home, NOBODY, pair[1].url)

    done = aiops("metrics", "query", 'paired{job="only-b"}', "--time", str(NOW), "-o", "json")

    assert done.returncode == 0
    assert [i["samples"] for i in done.json["items"]] == [[[NOW, 2]]]
    assert f"replica {NOBODY} did not answer" in done.json["clusters"][0]["warnings"][0]
    listed = aiops("metrics", "values", "job", "--match", "paired", "--from", str(NOW - 600), "-o", "json")
    assert {i["value"] for i in listed.json["items"]} == {"a", "only-b"}


def test_no_replica_is_not(aiops: Aiops, home: Path) -> None:
    replicas(home, NOBODY, "http://127.0.0.1:19")

    done = aiops("metrics", "query", "up")

    assert done.returncode == 4
    assert "CLUSTER_UNREACHABLE" in done.stderr


def test_a_replica_that_restarts_while_it_is_asked_leaves_no_gap(
    aiops: Aiops, home: Path, ha_pair: HaPair
) -> None:
    """Both scrape; one is stopped for some steps. Its own answer has a gap, theirs together has none."""
    replicas(home, ha_pair.a.url, ha_pair.b.url)
    up = 'up{job="prometheus"}'
    began = time.time()
    for server in (ha_pair.a, ha_pair.b):
        server.wait_for(f"count_over_time({up}[10s]) >= 3")
    ha_pair.a.stop()
    ha_pair.b.wait_for(f"{up} and on () vector(time()) > {time.time() + 6}")
    ha_pair.a.start()
    ha_pair.a.wait_for(f"{up} and on () vector(time()) > {time.time() + 3}")
    end = time.time()
    window = ("--from", str(began), "--to", str(end), "--step", "1s", "-o", "json", "--no-cache")
    expr = "max(timestamp(up)) > time() - 3"  # what was scraped just now

    both = aiops("metrics", "range", expr, *window)
    replicas(home, ha_pair.a.url)
    alone = aiops("metrics", "range", expr, *window)

    (whole,), (gap,) = both.json["items"], alone.json["items"]
    assert len(whole["samples"]) - len(gap["samples"]) >= 2
    times = [t for t, _ in whole["samples"]]
    assert times == list(range(int(times[0]), int(times[-1]) + 1))


def test_series_that_differ_in_the_replica_alone_are_shown_once(
    aiops: Aiops, home: Path, victoriametrics: VictoriaMetrics
) -> None:
    lines = ["# TYPE shown_once gauge"]
    for replica, gap in (("k8s-0", range(4, 7)), ("k8s-1", range(2))):
        lines += [
            f'shown_once{{job="x",prometheus_replica="{replica}"}} {i} {int(t)}'
            for i, t in enumerate(TIMES)
            if i not in gap
        ]
    victoriametrics.import_openmetrics("\n".join([*lines, "# EOF", ""]))
    write_config(home, {"vm": {"prometheus": victoriametrics.url}})
    ask = ("metrics", "range", "last_over_time(shown_once[1m])", *RANGE, "--no-cache", "-o", "json")

    (once,) = aiops(*ask).json["items"]
    each = aiops(*ask, "--no-dedup").json["items"]

    assert once["labels"] == {"__name__": "shown_once", "job": "x"} or once["labels"] == {"job": "x"}
    assert [v for _, v in once["samples"]] == list(range(11))
    assert {i["labels"]["prometheus_replica"] for i in each} == {"k8s-0", "k8s-1"}
    instant = aiops("metrics", "query", "shown_once", "--time", str(NOW), "-o", "json").json["items"]
    assert [i["labels"] for i in instant] == [{"__name__": "shown_once", "job": "x"}]
    write_config(
        home, {"vm": {"prometheus": victoriametrics.url}}, '[defaults]\nreplica_labels = ["other"]\n'
    )
    assert len(aiops(*ask).json["items"]) == 2


def test_thanos_shows_a_pair_once_and_says_when_half_of_it_is_gone(
    aiops: Aiops, home: Path, ha_pair: HaPair
) -> None:
    write_config(home, {"ha": {"prometheus": ha_pair.query.url}})
    ha_pair.a.wait_for("up")
    ha_pair.b.wait_for("up")

    whole = aiops("metrics", "query", 'up{job="prometheus"}', "-o", "json")
    assert whole.returncode == 0
    assert len({i["labels"]["instance"] for i in whole.json["items"]}) == len(whole.json["items"])
    ha_pair.sidecars[0].kill()
    half = aiops("metrics", "query", 'up{job="prometheus"}', "-o", "json")

    assert half.returncode == 3
    assert half.json["clusters"][0]["status"] == "PARTIAL"
    assert half.json["clusters"][0]["warnings"]
