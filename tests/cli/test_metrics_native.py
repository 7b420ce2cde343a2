"""Native histograms, exemplars and every type of an instant answer, from real servers."""

from __future__ import annotations

import csv
import io
import math
import re
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.analysis.native_histogram import Histogram
from tests.conftest import Aiops, Standalone
from tests.faults.files import write_config
from tests.faults.fixtures import Here
from tests.remote_write import STALE, Mark, Native, OldReceiver, Receiver, write
from tests.servers.prometheus import Prometheus

NOW = int(time.time()) // 60 * 60
LATENCY = Native(3, 42.5, zero=2, positive=[1, 4, 9, 3, 1], offset=2)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


@pytest.fixture(scope="module")
def receiver(standalone: Standalone) -> Receiver:
    """A Prometheus 3.9 with a native histogram, a series that is one and then none, exemplars, and numbers
    of every kind."""
    server = Receiver(standalone.home / "receiver", cluster="r")
    standalone.start(server)
    times = [float(NOW - 600 + 15 * i) for i in range(41)]
    job = {"__name__": "latency_seconds", "job": "shop"}
    write(server, job, histograms=[(t, LATENCY) for t in times])
    both = {"__name__": "latency_seconds", "job": "mixed"}
    write(server, both, samples=[(t, 1.0) for t in times[:20]])
    write(server, both, histograms=[(t, LATENCY) for t in times[20:]])
    for name, value in {
        "nan": math.nan,
        "inf": math.inf,
        "low": -math.inf,
        "tiny": 5e-324,
        "zero": -0.0,
    }.items():
        write(server, {"__name__": "odd", "is": name}, samples=[(t, value) for t in times])
    write(
        server,
        {"__name__": "gone", "job": "shop"},
        samples=[*((t, 1.0) for t in times[:-1]), (times[-1], STALE)],
    )
    write(
        server,
        {"__name__": "requests_total", "job": "shop", "cluster": "inner"},
        samples=[(times[-1], 7.0)],
        exemplars=[Mark({"trace_id": TRACE}, 0.25, times[-1] - 5), Mark({"user": "x"}, 0.5, times[-1] - 1)],
    )
    return server


@pytest.fixture
def asked(aiops: Aiops, home: Path, receiver: Receiver) -> Callable[..., Any]:
    """`asked("metrics", "query", "up")`, at the time of the newest samples."""
    write_config(home, {"r": {"prometheus": receiver.url}})

    def ask(*args: str) -> Any:
        done = aiops(*args)
        assert done.returncode == 0, done.stderr
        return done

    return ask


AT = ("--time", str(NOW))
RANGE = ("--from", str(NOW - 600), "--to", str(NOW), "--step", "60s")


def test_a_native_histogram_is_shown_by_count_sum_and_quantiles(asked: Callable[..., Any]) -> None:
    table = asked("metrics", "query", 'latency_seconds{job="shop"}', *AT).stdout.splitlines()

    assert table[0].split()[-6:] == ["COUNT", "SUM", "AVG", "P50", "P90", "P99"]
    assert "VALUE" not in table[0]
    assert table[1].split()[-6:-3] == ["20", "42.5", "2.125"]


def test_json_keeps_the_histogram(asked: Callable[..., Any]) -> None:
    (item,) = asked("metrics", "query", 'latency_seconds{job="shop"}', *AT, "-o", "json").json["items"]

    assert item["samples"] == []
    ((at, histogram),) = item["histograms"]
    assert (at, histogram["count"], histogram["sum"]) == (NOW, 20, 42.5)
    assert [b[3] for b in histogram["buckets"]] == [2, 1, 4, 9, 3, 1]
    low, high = histogram["buckets"][1][1:3]
    assert math.log2(high / low) == pytest.approx(2**-3)


@pytest.mark.parametrize(
    "histogram",
    [
        LATENCY,
        Native(0, 1.0, positive=[5, 0, 0, 7], offset=-3),
        Native(8, -9.0, negative=[3, 4, 5], offset=1),
        Native(2, 0.5, zero=10, negative=[1, 2], positive=[2, 1]),
        Native(1, 0.5, zero=10, positive=[2, 1]),
        Native(1, -0.5, zero=10, negative=[2, 1]),
        Native(-53, 30.0, positive=[3, 4, 2, 1], custom=[0.5, 1.0, 7.0]),
        Native(-53, 2.5, positive=[10, 5], offset=1, custom=[0.1, 0.2, 0.4]),
        Native(3, 0.0),
    ],
    ids=[
        "positive",
        "holes",
        "negative",
        "both",
        "zero-up",
        "zero-down",
        "custom",
        "custom-doubling",
        "empty",
    ],
)
def test_quantiles_are_those_of_the_server(
    receiver: Receiver, histogram: Native, request: pytest.FixtureRequest
) -> None:
    name = "quantiles_" + request.node.callspec.id.replace("-", "_")
    write(receiver, {"__name__": name}, histograms=[(NOW - 1, histogram)])

    (sent,) = receiver.query(f"{name} @ {NOW}")
    ours = Histogram.parse(sent["histogram"][1])
    for q in (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0):
        (theirs,) = receiver.query(f"histogram_quantile({q}, {name} @ {NOW})")
        assert ours.quantile(q) == pytest.approx(float(theirs["value"][1]), rel=1e-9, nan_ok=True), q
    (average,) = receiver.query(f"histogram_avg({name} @ {NOW})")
    assert ours.average == pytest.approx(float(average["value"][1]), nan_ok=True)


def test_a_range_of_both_kinds_keeps_both(asked: Callable[..., Any]) -> None:
    (item,) = asked("metrics", "range", 'latency_seconds{job="mixed"}', *RANGE, "-o", "json").json["items"]

    assert [v for _, v in item["samples"]] == [1.0] * 5
    assert [h["count"] for _, h in item["histograms"]] == [20] * 6
    times = [t for t, _ in item["samples"]] + [t for t, _ in item["histograms"]]
    assert times == [NOW - 600 + 60 * i for i in range(11)]
    table = asked("metrics", "range", 'latency_seconds{job="mixed"}', *RANGE).stdout.splitlines()
    assert table[0].split()[-10:] == [
        "TREND",
        "MIN",
        "MAX",
        "LAST",
        "COUNT",
        "SUM",
        "AVG",
        "P50",
        "P90",
        "P99",
    ]
    rows = list(
        csv.DictReader(
            io.StringIO(asked("metrics", "range", 'latency_seconds{job="mixed"}', *RANGE, "-o", "csv").stdout)
        )
    )
    assert [(r["value"], r["count"]) for r in rows] == [("1.0", "")] * 5 + [("", "20")] * 6


def test_an_old_server_with_native_histograms(aiops: Aiops, home: Path, standalone: Standalone) -> None:
    old = OldReceiver(standalone.home / "old-receiver", cluster="old")
    standalone.start(old)
    write(old, {"__name__": "latency_seconds"}, histograms=[(time.time(), LATENCY)])
    write_config(home, {"old": {"prometheus": old.url}})

    (item,) = aiops("metrics", "query", "latency_seconds", "-o", "json").json["items"]

    assert item["histograms"][0][1]["count"] == 20


def test_exemplars_name_their_trace(asked: Callable[..., Any]) -> None:
    items = asked("metrics", "exemplars", "requests_total", *RANGE[:4], "-o", "json").json["items"]

    assert [(i["value"], i["traceId"], i["exemplarLabels"]) for i in items] == [
        (0.5, None, {"user": "x"}),
        (0.25, TRACE, {"trace_id": TRACE}),
    ]
    assert items[0]["labels"]["exported_cluster"] == "inner"
    names = asked("metrics", "exemplars", "requests_total", *RANGE[:4], "-o", "name", "--limit", "2").stdout
    assert TRACE in names.splitlines()
    assert asked("metrics", "exemplars", "1 + 1").stderr == "nothing found\n"


def test_every_type_of_answer(asked: Callable[..., Any]) -> None:
    def items(expr: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = asked("metrics", "query", expr, *AT, "-o", "json").json["items"]
        return found

    assert items("4 + 4") == [{"cluster": "r", "labels": {}, "samples": [[NOW, 8]]}]
    assert items('"text"') == [{"cluster": "r", "labels": {"value": "text"}, "samples": [[NOW, None]]}]
    (matrix,) = items('odd{is="tiny"}[1m]')
    assert [t for t, _ in matrix["samples"]] == [NOW - 45, NOW - 30, NOW - 15, NOW]
    assert {v for _, v in matrix["samples"]} == {5e-324}
    odd = {i["labels"]["is"]: i["samples"][0][1] for i in items("odd")}
    assert odd == {"nan": None, "inf": None, "low": None, "tiny": 5e-324, "zero": 0}
    assert items("gone") == []  # a stale marker ends it, and is never seen itself
    table = asked("metrics", "query", 'odd{is="tiny"}[1m]', *AT).stdout
    assert table.splitlines()[0].split()[-4:] == ["TREND", "MIN", "MAX", "LAST"]


def test_an_info_of_the_server_is_shown_and_lacks_nothing(asked: Callable[..., Any]) -> None:
    done = asked("metrics", "query", "rate(odd[5m])", *AT, "-o", "json")

    (cluster,) = done.json["clusters"]
    assert cluster["status"] == "SUCCESS"
    assert re.search(r"PromQL info: metric might not be a counter", cluster["warnings"][0])
    assert "PromQL info" in done.stderr


def test_long_ranges_of_histograms_meet_without_a_seam(asked: Callable[..., Any], receiver: Receiver) -> None:
    """12,001 steps, more than a server gives at once, of a length that does not divide the window."""
    window = ("--from", f"{NOW - 600 + 0.25}", "--to", f"{NOW + 0.2}", "--step", "50ms")

    (item,) = asked(
        "metrics", "range", 'latency_seconds{job="mixed"}', *window, "-o", "json", "--no-cache"
    ).json["items"]

    times = sorted([t for t, _ in item["samples"]] + [t for t, _ in item["histograms"]])
    steps = [round((b - a) * 1000) for a, b in pairwise(times)]
    assert set(steps) == {50}
    assert len(times) == 12_000
    assert times[0] == pytest.approx(NOW - 599.75)
    assert times[-1] == pytest.approx(NOW + 0.2)


def test_steps_that_do_not_divide_the_window_are_those_of_the_server(
    asked: Callable[..., Any], receiver: Prometheus
) -> None:
    (item,) = asked(
        "metrics", "range", 'latency_seconds{job="mixed"} * 1', "--from", str(NOW - 600), "--to", str(NOW),
        "--step", "37s", "-o", "json",
    ).json["items"]  # fmt: skip

    first = math.ceil((NOW - 600) / 37) * 37
    assert [t for t, _ in item["samples"] + item["histograms"]] == list(range(first, NOW + 1, 37))
