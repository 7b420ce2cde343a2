"""`aiops gpu` on exporter pages that a real Prometheus scrapes, and that are read directly.

The pages are written by hand in the documented format (tests/gpu/pages.py): no machine with a GPU was there.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest

from tests.conftest import Aiops, Clusters
from tests.gpu.exporter import Exporter
from tests.gpu.pages import BUSY, IDLE, NOBODY, holder, labels, page, uuid_of
from tests.servers.prometheus import Prometheus
from tests.servers.thanos import HaPair
from tests.servers.victoriametrics import VictoriaMetrics

Endpoints = Callable[[Mapping[str, Mapping[str, Any]]], dict[str, str]]
CONTRACT = {
    "cluster", "node", "index", "uuid", "model", "migProfile", "utilization", "memoryUsedMiB", "memoryTotalMiB",
    "temperatureC", "powerW", "xid", "namespace", "pod", "source",
}  # fmt: skip
OPERATOR = {"pod": "nvidia-dcgm-exporter-x2x4z", "namespace": "nvidia-gpu-operator", "container": "exporter"}


@pytest.fixture
def exporter() -> Iterator[Callable[[str], Exporter]]:
    """Serves a page until the test ends."""
    with ExitStack() as stack:
        yield lambda text: stack.enter_context(Exporter(text).running())


@pytest.fixture
def scraped(clusters: Clusters, exporter: Callable[[str], Exporter]) -> Iterator[Callable[..., Prometheus]]:
    """A real Prometheus that has scraped a page, under the labels of the GPU operator's targets. Each test
    has nodes of its own: the server is shared."""
    server = clusters("gpu", {"prometheus"}).prometheus
    jobs: list[str] = []

    def scrape(text: str, wait: str, targets: Mapping[str, str] = OPERATOR) -> Prometheus:
        job = f"dcgm-{time.time_ns()}"
        jobs.append(job)
        server.add_targets(job, [exporter(text).address], targets)
        server.wait_for(wait)
        return server

    yield scrape
    for job in jobs:
        server.remove_targets(job)
    deadline = time.monotonic() + 20
    while jobs and server.query('{__name__=~"DCGM_.+|dcgm_.+|vllm:.+"}') and time.monotonic() < deadline:
        time.sleep(0.2)  # until the series have ended


def test_nodes_by_a_real_prometheus_whose_target_labels_win(
    aiops: Aiops, scraped: Callable[..., Prometheus], endpoints: Endpoints
) -> None:
    text = page(
        (labels("node-a", 0) | holder("train-0"), BUSY),
        (labels("node-a", 1) | NOBODY, IDLE),
    )
    server = scraped(text, 'DCGM_FI_DEV_FB_USED{Hostname="node-a"}')
    env = endpoints({"ai": {"prometheus": server.url}})

    done = aiops("gpu", "nodes", "-o", "json", env=env)

    assert done.returncode == 0, done.stderr
    busy, idle = done.json["items"]
    assert set(busy) >= CONTRACT
    assert {k: busy[k] for k in sorted(CONTRACT)} == {
        "cluster": "ai",
        "node": "node-a",
        "index": 0,
        "uuid": uuid_of("node-a", 0),
        "model": "NVIDIA H100 80GB HBM3",
        "migProfile": None,
        "utilization": 97,
        "memoryUsedMiB": 40_000,
        "memoryTotalMiB": 81_559,
        "temperatureC": 64,
        "powerW": 612.5,
        "xid": 0,
        "namespace": "ml",
        "pod": "train-0",
        "source": "prometheus",
    }
    assert (idle["pod"], idle["namespace"], idle["utilization"]) == (None, None, 0)
    assert (busy["driver"], busy["tensorActive"], busy["smActive"]) == ("550.90.07", 0.55, None)


def test_an_exporter_is_read_directly_where_there_is_no_prometheus(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    text = page((labels("node-a", 0, host="hostname") | holder("train-0"), BUSY))
    env = endpoints({"edge": {"dcgm": [exporter(text).url]}})

    done = aiops("gpu", "nodes", "-o", "json", env=env)

    (gpu,) = done.json["items"]
    assert (gpu["source"], gpu["node"], gpu["pod"], gpu["memoryTotalMiB"]) == (
        "dcgm",
        "node-a",
        "train-0",
        81_559,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_prometheus_and_the_page_tell_the_same_of_everything(
    aiops: Aiops,
    scraped: Callable[..., Prometheus],
    exporter: Callable[[str], Exporter],
    endpoints: Endpoints,
) -> None:
    """MIG, time-slicing, links, XID counts, health checks: no label that matters is lost on the way."""
    part = {"DCGM_FI_PROF_GR_ENGINE_ACTIVE": 0.5, "DCGM_FI_DEV_FB_USED": 10.0, "DCGM_FI_DEV_FB_FREE": 90.0}
    text = page(
        (labels("node-m", 0) | holder("a"), BUSY),
        (labels("node-m", 0) | holder("b"), BUSY),
        (labels("node-m", 1), {"DCGM_FI_DEV_GPU_TEMP": 55.0, "DCGM_FI_DEV_POWER_USAGE": 300.0}),
        (labels("node-m", 1, GPU_I_ID="7", GPU_I_PROFILE="1g.10gb") | holder("c"), part),
        (labels("node-m", 1, GPU_I_ID="9", GPU_I_PROFILE="2g.20gb") | NOBODY, part),
        (
            labels("node-m", 2) | NOBODY,
            {"DCGM_FI_DEV_CLOCKS_EVENT_REASONS": 72.0, "DCGM_FI_DEV_GPU_UTIL": 1.0},
        ),
    )
    uuid = uuid_of("node-m", 2)
    for link in range(3):
        text += f'DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL{{nvlink="{link}",gpu_uuid="{uuid}"}} 1\n'
    text += f'DCGM_EXP_XID_ERRORS_COUNT{{UUID="{uuid}",xid="31"}} 2\nDCGM_EXP_XID_ERRORS_COUNT{{UUID="{uuid}",xid="48"}} 1\n'
    text += f'DCGM_EXP_GPU_HEALTH_STATUS{{UUID="{uuid}",health_watch="MEM",health_error_code="X"}} 20\n'
    server = scraped(text, 'DCGM_FI_DEV_GPU_UTIL{Hostname="node-m"}')
    direct = exporter(text)

    def told(urls: Mapping[str, Any]) -> list[dict[str, Any]]:
        items = aiops("gpu", "nodes", "-o", "json", env=endpoints({"x": urls})).json["items"]
        return [{k: v for k, v in gpu.items() if k not in ("source", "at")} for gpu in items]

    by_prometheus, by_page = told({"prometheus": server.url}), told({"dcgm": [direct.url]})
    assert by_prometheus == by_page
    assert [(g["index"], g["migInstance"], g["pod"]) for g in by_page] == [
        (0, None, "a"), (1, "7", "c"), (1, "9", None), (2, None, None),
    ]  # fmt: skip
    assert (by_page[3]["xidCounts"], by_page[3]["nvlinkErrors"], by_page[3]["health"]) == (
        {"31": 2, "48": 1}, 3, {"MEM": "FAIL X"},
    )  # fmt: skip


def test_a_prometheus_that_scrapes_no_exporter_leaves_it_to_the_page(
    aiops: Aiops, clusters: Clusters, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    server = clusters("lab1", {"prometheus", "node"}).prometheus
    text = page((labels("node-a", 0), BUSY))
    env = endpoints({"edge": {"prometheus": server.url, "dcgm": [exporter(text).url]}})
    done = aiops("gpu", "nodes", "-o", "json", env=env)
    assert [g["source"] for g in done.json["items"]] == ["dcgm"]


def test_some_exporters_that_fail_are_told_and_all_are_an_error(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    good, bad = exporter(page((labels("node-a", 0), BUSY))), exporter("")
    bad.status = 500
    page_of_html = exporter("<html>sign in</html>")

    some = aiops("gpu", "nodes", "-o", "json", env=endpoints({"e": {"dcgm": [good.url, bad.url]}}))
    none = aiops("gpu", "nodes", env=endpoints({"e": {"dcgm": [bad.url]}}))
    html = aiops("gpu", "nodes", env=endpoints({"e": {"dcgm": [page_of_html.url]}}))

    assert (some.returncode, len(some.json["items"])) == (3, 1)
    assert bad.url in some.stderr
    assert none.returncode == 4
    assert "DCGM exporter answered 500" in none.stderr
    assert "no metrics page" in html.stderr


def test_clusters_without_gpus_say_so_and_are_no_failure(
    aiops: Aiops, clusters: Clusters, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    server = clusters("lab1", {"prometheus", "node"}).prometheus
    text = page((labels("node-a", 0), BUSY))
    env = endpoints({"plain": {"prometheus": server.url}, "ai": {"dcgm": [exporter(text).url]}})

    table = aiops("gpu", "nodes", env=env)
    machine = aiops("gpu", "nodes", "-o", "json", env=env)
    needed = aiops("gpu", "nodes", "-c", "plain", "--require-data", env=env)

    assert table.returncode == machine.returncode == 0
    assert "plain: warning: NO_GPU_NODES: " in table.stderr
    assert "node-a" in table.stdout
    by_name = {c["name"]: c for c in machine.json["clusters"]}
    assert by_name["plain"]["status"] == "SUCCESS"
    assert by_name["plain"]["warnings"][0].startswith("NO_GPU_NODES")
    assert needed.returncode == 6
    for command in ("nodes", "summary"):
        mistyped = aiops("gpu", command, "--node", "node-z*", "--fail-on", "critical", env=env)
        assert (mistyped.returncode, mistyped.stdout) == (4, "")
        assert "nothing in the chosen clusters matches --node node-z*" in mistyped.stderr


def test_a_table_of_80_columns_has_no_wrapped_row_and_hostile_text_does_nothing(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    held = holder("a-very-long-name-of-a-training-job-worker-\x1b[2J-0")
    text = page(
        *((labels(f"gpu-worker-{n}.example.com", i) | held, BUSY) for n in range(3) for i in range(2))
    )
    env = endpoints({"production-europe": {"dcgm": [exporter(text).url]}})

    shown = _on_terminal(aiops, ["gpu", "nodes"], env, columns=80)

    lines = shown.split("\n\n")[0].splitlines()
    assert len(lines) == 7
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in shown
    for unit in ("97%", "GiB", "64°C", "612W"):
        assert unit in lines[1], lines[1]


HOUR = 3600


def _history(now: float, node: str) -> str:
    """An hour to `now`, a sample each 30 s: GPU 0 idle but held, 1 busy and then XID 79, 2 to 5 one job of
    which the last is slow, 6 never held."""
    jobs = {0: "notebook-0", 1: "solo", 2: "fit-0", 3: "fit-1", 4: "fit-2", 5: "fit-3", 6: None}
    busy = {0: 0, 1: 80, 2: 95, 3: 96, 4: 94, 5: 40, 6: 0}
    lines: dict[str, list[str]] = {}
    for i, pod in jobs.items():
        named = labels(node, i) | (holder(pod) if pod else {})
        inner = ",".join(f'{k}="{v}"' for k, v in named.items())
        for t in range(int(now) - HOUR, int(now) + 1, 30):
            values = {
                "DCGM_FI_DEV_GPU_UTIL": busy[i],
                "DCGM_FI_DEV_XID_ERRORS": 79 if i == 1 and t > now - 1200 else 31 if i == 3 else 0,
                "DCGM_FI_DEV_FB_USED": 100,
                "DCGM_FI_DEV_FB_FREE": 900 if i else 2,
            }
            for name, value in values.items():
                lines.setdefault(name, [f"# TYPE {name} gauge"]).append(f"{name}{{{inner}}} {value} {t}")
    return "\n".join(line for found in lines.values() for line in found) + "\n# EOF\n"


@pytest.fixture(scope="module")
def past(clusters: Clusters) -> Prometheus:
    """A real Prometheus with an hour of GPUs behind it."""
    server = clusters("gpupast", {"prometheus"}).prometheus
    server.backfill(_history(time.time(), "node-h"))
    server.wait_for("DCGM_FI_DEV_GPU_UTIL")
    return server


def test_findings_of_the_window_with_their_times(
    aiops: Aiops, past: Prometheus, endpoints: Endpoints
) -> None:
    env = endpoints({"ai": {"prometheus": past.url}})

    done = aiops("gpu", "nodes", "-o", "json", env=env)
    failing = aiops("gpu", "nodes", "--findings", "--fail-on", "critical", env=env)

    found = {(f["code"], f["entity"]["name"]): f for f in done.json["findings"]}
    idle = found["GPU_IDLE_ALLOCATED", "node-h/0"]
    assert idle["value"] >= 55
    assert "ml/notebook-0" in idle["text"]
    assert ("GPU_IDLE_ALLOCATED", "node-h/6") not in found
    full = found["GPU_MEMORY_FULL", "node-h/0"]
    assert full["value"] == pytest.approx(98.04, abs=0.1)
    fallen = found["GPU_XID", "node-h/1"]
    assert (fallen["severity"], fallen["value"]) == ("critical", 79)
    assert "fallen off the bus" in fallen["text"]
    since = time.mktime(time.strptime(fallen["since"], "%Y-%m-%dT%H:%M:%SZ"))
    assert time.time() - since == pytest.approx(1200, abs=200)
    old = found["GPU_XID", "node-h/3"]  # the gauge is sticky: nothing came within the window
    assert (old["severity"], old["since"]) == ("info", None)
    slow = found["GPU_STRAGGLER", "node-h/5"]
    assert slow["value"] == pytest.approx(40)
    assert [key for key in found if key[0] == "GPU_STRAGGLER"] == [("GPU_STRAGGLER", "node-h/5")]
    assert failing.returncode == 1
    assert "GPU_XID" in failing.stdout
    assert done.returncode == 0


def test_thresholds_come_from_the_config(aiops: Aiops, past: Prometheus, endpoints: Endpoints) -> None:
    env = endpoints({"ai": {"prometheus": past.url}})
    with open(env["AIOPS_CONFIG"], "a") as file:  # noqa: PTH123
        file.write("[gpu]\nidle_minutes = 90\nmemory_full = 99\nstraggler = 500\n")
    done = aiops("gpu", "nodes", "-o", "json", env=env)
    codes = {f["code"] for f in done.json["findings"]}
    assert codes == {"GPU_XID"}
    with open(env["AIOPS_CONFIG"], "a") as file:  # noqa: PTH123
        file.write("idle_minute = 9\n")
    wrong = aiops("gpu", "nodes", env=env)
    assert wrong.returncode == 2
    assert "idle_minutes" in wrong.stderr


@pytest.mark.parametrize(
    "crossed", ["temperature_warning = 95", "temperature_critical = 50", "memory_full = nan"]
)
def test_thresholds_that_would_hide_something_are_refused(
    aiops: Aiops, endpoints: Endpoints, crossed: str
) -> None:
    env = endpoints({"ai": {"prometheus": "http://127.0.0.1:9"}})
    with open(env["AIOPS_CONFIG"], "a") as file:  # noqa: PTH123
        file.write(f"[gpu]\n{crossed}\n")
    done = aiops("gpu", "nodes", env=env)
    assert done.returncode == 2
    both = "temperature_warning" in done.stderr and "temperature_critical" in done.stderr
    assert both or "memory_full" in done.stderr


def test_a_victoriametrics_answers_the_same(
    aiops: Aiops, victoriametrics: VictoriaMetrics, endpoints: Endpoints
) -> None:
    text = page((labels("node-vm", 0) | holder("train-0"), BUSY), (labels("node-vm", 1), IDLE))
    now = int(time.time())
    lines = [f"{line} {now - ago}" for ago in range(180, -1, -15) for line in text.splitlines()]
    lost = _lines(labels("node-vm", 2), "DCGM_FI_DEV_GPU_TEMP", _every(now - 1800, now - 900, 50))
    code = dict(_every(now - 1800, now - 900, 0))
    code[max(code)] = 79  # the last word of one that fell off the bus
    lost += _lines(labels("node-vm", 2), "DCGM_FI_DEV_XID_ERRORS", code)
    blip = {now - 130.0: 0, now - 110.0: 48, now - 90.0: 0}  # within a minute
    lines = [line for line in lines if not ("XID" in line and 'gpu="1"' in line)]
    lines += [*lost, *_lines(labels("node-vm", 1), "DCGM_FI_DEV_XID_ERRORS", blip)]
    victoriametrics.import_openmetrics("\n".join(line for line in lines if line[0] != "#"))
    env = endpoints({"vm": {"prometheus": victoriametrics.url}})
    done = aiops("gpu", "nodes", "--node", "node-vm", "-o", "json", env=env)
    assert [(g["node"], g["index"], g["pod"], g["utilization"]) for g in done.json["items"]] == [
        ("node-vm", 0, "train-0", 97),
        ("node-vm", 1, None, 0),
    ]
    assert {(f["code"], f["entity"]["name"], f["severity"], f["value"]) for f in done.json["findings"]} == {
        ("GPU_XID", "node-vm/1", "critical", 48),
        ("GPU_XID", "node-vm/2", "critical", 79),
        ("GPU_GONE", "node-vm/2", "critical", None),
    }


def test_replicas_behind_a_thanos_are_one(
    aiops: Aiops, ha_pair: HaPair, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    address = exporter(page((labels("node-ha", 0) | holder("train-0"), BUSY))).address
    for replica in (ha_pair.a, ha_pair.b):
        replica.add_targets("dcgm", [address], OPERATOR)
    try:
        for replica in (ha_pair.a, ha_pair.b):
            replica.wait_for("DCGM_FI_DEV_FB_USED")
        done = aiops("gpu", "nodes", "-o", "json", env=endpoints({"ha": {"prometheus": ha_pair.query.url}}))
    finally:
        for replica in (ha_pair.a, ha_pair.b):
            replica.remove_targets("dcgm")
    (gpu,) = done.json["items"]
    assert (gpu["pod"], gpu["powerW"], [u["pod"] for u in gpu["users"]]) == ("train-0", 612.5, ["train-0"])


def test_a_window_shorter_than_a_step(aiops: Aiops, past: Prometheus, endpoints: Endpoints) -> None:
    env = endpoints({"ai": {"prometheus": past.url}})
    done = aiops("gpu", "nodes", "--since", "20s", "-o", "name", env=env)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 7), done.stderr


def test_summary_counts_and_costs(aiops: Aiops, past: Prometheus, endpoints: Endpoints) -> None:
    env = endpoints({"ai": {"prometheus": past.url}, "two": {"prometheus": past.url}})
    done = aiops("gpu", "summary", "-o", "json", env=env)
    row = done.json["items"][0]
    assert {k: row[k] for k in ("cluster", "gpus", "allocated", "used", "idleAllocated", "free", "hot", "erroring")} == {
        "cluster": "ai", "gpus": 7, "allocated": 6, "used": 5, "idleAllocated": 1, "free": 1, "hot": 0, "erroring": 1,
    }  # fmt: skip
    assert row["idleGpuHours"] == pytest.approx(1, abs=0.1)
    assert row["allocatedGpuHours"] == pytest.approx(6, abs=0.3)
    assert done.json["total"]["gpus"] == 14
    assert done.json["total"]["idleGpuHours"] == pytest.approx(2, abs=0.2)
    table = aiops("gpu", "summary", env=env)
    assert table.stdout.splitlines()[3].startswith("*")


def test_what_was_recorded_is_answered_from_the_bundle(
    aiops: Aiops, past: Prometheus, endpoints: Endpoints
) -> None:
    env = endpoints({"ai": {"prometheus": past.url}})
    made = aiops("bundle", "record", "gpu.aiops", "--since", "1h", env=env)
    assert made.returncode == 0, made.stderr

    live = aiops("gpu", "nodes", "-o", "json", env=env).json
    again = aiops("gpu", "nodes", "--bundle", "gpu.aiops", "-o", "json").json

    assert [(g["node"], g["index"], g["utilization"], g["pod"]) for g in again["items"]] == [
        (g["node"], g["index"], g["utilization"], g["pod"]) for g in live["items"]
    ]
    assert {(f["code"], f["entity"]["name"]) for f in again["findings"]} == {
        (f["code"], f["entity"]["name"]) for f in live["findings"]
    }
    assert again["clusters"][0]["source"] == "bundle"
    processes = aiops("gpu", "processes", "--bundle", "gpu.aiops")
    assert (processes.returncode, "no process lists" in processes.stderr) == (2, True)


@pytest.mark.parametrize(("command", "of"), [("nodes", "GPU"), ("inference", "model server")])
def test_a_bundle_without_gpus_says_what_is_missing_in_a_line(aiops: Aiops, command: str, of: str) -> None:
    done = aiops("gpu", command, "--bundle", "demo", "-c", "east")
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    assert line == (
        f"east: NOT_RECORDED: this bundle does not hold any metric of a {of}; nothing of that kind was recorded"
    )


def _lines(named: Mapping[str, str], name: str, values: Mapping[float, float]) -> list[str]:
    inner = ",".join(f'{k}="{v}"' for k, v in named.items())
    return [f"{name}{{{inner}}} {value} {at}" for at, value in values.items()]


def _block(*series: list[str]) -> str:
    """OpenMetrics text of samples with their times, each metric's together."""
    named: dict[str, list[str]] = {}
    for line in (line for one in series for line in one):
        named.setdefault(line.partition("{")[0], []).append(line)
    return "".join(f"# TYPE {n} gauge\n" + "\n".join(found) + "\n" for n, found in named.items()) + "# EOF\n"


def _every(start: float, end: float, value: float) -> dict[float, float]:
    return {float(t): value for t in range(int(start), int(end), 30)}


@pytest.fixture(scope="module")
def lost(clusters: Clusters) -> tuple[Prometheus, float]:
    """A real Prometheus with the last half hour of these nodes, and when that ends.

    node-x: GPU 0 is well; an XID ends the pod of 1, and minutes later its metrics; 2 has an XID for one
    scrape, between two steps; 3 has one in its last sample alone. node-y is taken away. GPU 0 of node-z is
    divided.
    """
    server = clusters("gpulost", {"prometheus"}).prometheus
    now = float(int(time.time()))
    began, ended = now - 1800, now - 600
    code, heat = "DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_GPU_TEMP"

    def named(node: str, index: int, pod: str | None = None) -> dict[str, str]:
        return labels(node, index) | (holder(pod) if pod else {})

    blip = _every(began, now + 1, 0)
    minute = (int(now - 900) // 60) * 60  # a step; the scrape after it is seen by no step
    blip = {t: v for t, v in blip.items() if not minute <= t <= minute + 60}
    blip |= {minute - 0.5: 0, minute + 20.0: 48, minute + 40.0: 0}
    mig = {"GPU_I_ID": "7", "GPU_I_PROFILE": "1g.10gb"}
    server.backfill(
        _block(
            _lines(named("node-x", 0), heat, _every(began, now + 1, 50)),
            _lines(named("node-x", 1, "fit-0"), heat, _every(began, ended - 300, 70)),
            _lines(named("node-x", 1, "fit-0"), code, _every(began, ended - 300, 0)),
            _lines(named("node-x", 1), heat, _every(ended - 300, ended, 70)),
            _lines(named("node-x", 1), code, _every(ended - 300, ended, 79)),
            _lines(named("node-x", 2), heat, _every(began, now + 1, 50)),
            _lines(named("node-x", 2), code, dict(sorted(blip.items()))),
            _lines(named("node-x", 3), heat, _every(began, now + 1, 50)),
            _lines(named("node-x", 3), code, _every(began, now - 20, 0) | {now - 1: 95}),
            *(_lines(named("node-y", i), heat, _every(began, ended, 40)) for i in range(2)),
            _lines(named("node-z", 0), heat, _every(began, ended, 40)),
            _lines(named("node-z", 0) | mig, heat, _every(ended, now + 1, 40)),
        )
    )
    server.wait_for('DCGM_FI_DEV_GPU_TEMP{Hostname="node-z"}')
    return server, ended


def test_gpus_whose_metrics_ended_are_findings_with_what_came_before(
    aiops: Aiops, lost: tuple[Prometheus, float], endpoints: Endpoints
) -> None:
    server, ended = lost
    env = endpoints({"ai": {"prometheus": server.url}})

    done = aiops("gpu", "nodes", "-o", "json", env=env)
    failing = aiops("gpu", "summary", "--node", "node-x", "--findings", "--fail-on", "critical", env=env)

    there = {(g["node"], g["index"], g["migInstance"]) for g in done.json["items"]}
    assert ("node-x", 1, None) not in there
    assert ("node-z", 0, "7") in there
    gone = {f["entity"]["name"]: f for f in done.json["findings"] if f["code"] == "GPU_GONE"}
    assert {name: f["severity"] for name, f in gone.items()} == {
        "node-x/1": "critical",
        "node-y/0": "warning",
        "node-y/1": "warning",
    }
    assert _unix(gone["node-x/1"]["since"]) == pytest.approx(ended, abs=400)  # a lookback and a step
    assert failing.returncode == 1
    assert "GPU_GONE" in failing.stdout
    assert "node-y" not in failing.stdout
    summed = aiops("gpu", "summary", env=env)
    head = summed.stdout.splitlines()[0]
    assert "GONE" in head.split()
    assert aiops("gpu", "summary", "-o", "json", env=env).json["total"]["gone"] == 3


def test_an_xid_between_two_series_two_steps_or_since_the_last_step_has_its_time(
    aiops: Aiops, lost: tuple[Prometheus, float], endpoints: Endpoints
) -> None:
    server, ended = lost
    env = endpoints({"ai": {"prometheus": server.url}})
    done = aiops("gpu", "nodes", "-o", "json", env=env)
    found = {(f["entity"]["name"], f["value"]): f for f in done.json["findings"] if f["code"] == "GPU_XID"}
    assert {k: f["severity"] for k, f in found.items()} == {
        ("node-x/1", 79): "critical",
        ("node-x/2", 48): "critical",
        ("node-x/3", 95): "critical",
    }
    assert _unix(found["node-x/1", 79]["since"]) == pytest.approx(ended - 300, abs=60)
    assert _unix(found["node-x/2", 48]["since"]) % 60 == pytest.approx(20, abs=1)
    assert _unix(found["node-x/3", 95]["since"]) == pytest.approx(ended + 600, abs=90)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_the_exporters_pods_are_known_by_what_scraping_says_of_itself(
    aiops: Aiops, scraped: Callable[..., Prometheus], endpoints: Endpoints
) -> None:
    """Of no dcgm-exporter's name, and no GPU is held that would tell of it."""
    own = {"pod": "gpu-metrics-abcde", "namespace": "monitoring", "container": "exporter"}
    server = scraped(
        page((labels("node-e", 0) | NOBODY, IDLE)), 'DCGM_FI_DEV_FB_USED{Hostname="node-e"}', own
    )
    done = aiops("gpu", "nodes", "-o", "json", env=endpoints({"ai": {"prometheus": server.url}}))
    assert [(g["node"], g["pod"], g["users"]) for g in done.json["items"]] == [("node-e", None, [])]


def test_gpus_whose_exporter_tells_no_uuid_are_known_by_node_and_index(
    aiops: Aiops, scraped: Callable[..., Prometheus], endpoints: Endpoints
) -> None:
    blocks = [(labels("node-u", i, uuid="other") | holder(f"pod-{i}"), BUSY) for i in range(2)]
    server = scraped(page(*blocks), 'DCGM_FI_DEV_FB_USED{Hostname="node-u"}')
    done = aiops("gpu", "nodes", "-o", "json", env=endpoints({"ai": {"prometheus": server.url}}))
    assert [
        (g["index"], g["uuid"], g["pod"], g["temperatureC"], g["powerW"]) for g in done.json["items"]
    ] == [
        (0, None, "pod-0", 64, 612.5),
        (1, None, "pod-1", 64, 612.5),
    ]
    assert [f for f in done.json["findings"] if f["entity"]["name"].startswith("node-u")] == []


def test_a_gpu_that_two_jobs_scrape_is_one_with_one_holder(
    aiops: Aiops, scraped: Callable[..., Prometheus], endpoints: Endpoints
) -> None:
    text = page((labels("node-t", 0) | holder("train-0"), BUSY))
    scraped(text, 'DCGM_FI_DEV_FB_USED{Hostname="node-t"}')
    server = scraped(text, 'DCGM_FI_DEV_FB_USED{Hostname="node-t",pod="train-0"}', {})
    env = endpoints({"ai": {"prometheus": server.url}})
    done = aiops("gpu", "nodes", "-o", "json", env=env)
    (gpu,) = done.json["items"]
    assert ([u["pod"] for u in gpu["users"]], gpu["memoryUsedMiB"], gpu["powerW"]) == (
        ["train-0"],
        40_000,
        612.5,
    )
    assert aiops("gpu", "summary", "-o", "json", env=env).json["total"]["memoryUsedMiB"] == 40_000


def test_exporters_that_stand_in_for_a_prometheus_that_failed_are_a_partial_answer(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    broken = exporter("")
    broken.status = 400
    text = page((labels("node-a", 0), BUSY))
    env = endpoints({"e": {"prometheus": f"http://{broken.address}", "dcgm": [exporter(text).url]}})
    done = aiops("gpu", "nodes", "-o", "json", env=env)
    assert (done.returncode, len(done.json["items"])) == (3, 1)
    assert "what was before now is missing" in done.json["clusters"][0]["warnings"][0]


def test_what_knows_only_now_says_nothing_of_a_window_that_ended_before(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    text = page((labels("node-a", 0), BUSY | {"DCGM_FI_DEV_GPU_TEMP": 97}))
    env = endpoints({"e": {"dcgm": [exporter(text).url]}})
    then = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T01:00:00Z")
    done = aiops("gpu", "nodes", "-o", "json", *then, env=env)
    assert (done.json["items"], done.json["findings"]) == ([], [])
    assert done.returncode == 4
    assert "know only now" in done.stderr


def test_a_gpu_that_is_gone_stays_told_where_the_exporters_page_fails_too(
    aiops: Aiops,
    lost: tuple[Prometheus, float],
    clusters: Clusters,
    exporter: Callable[[str], Exporter],
    endpoints: Endpoints,
) -> None:
    server = clusters("gpuallgone", {"prometheus"}).prometheus
    now = int(time.time())
    server.backfill(
        _block(_lines(labels("node-q", 0), "DCGM_FI_DEV_GPU_TEMP", _every(now - 1800, now - 900, 40)))
    )
    server.wait_for("count_over_time(DCGM_FI_DEV_GPU_TEMP[1h])")
    broken, empty = exporter(""), exporter("")
    broken.status = 500
    for page_, code in ((broken, 3), (empty, 3)):
        env = endpoints({"e": {"prometheus": server.url, "dcgm": [page_.url]}})
        done = aiops("gpu", "nodes", "-o", "json", env=env)
        assert [f["code"] for f in done.json["findings"]] == ["GPU_GONE"]
        assert (done.returncode, done.json["clusters"][0]["status"]) == (code, "PARTIAL")
    other = exporter(page((labels("node-q", 1), BUSY)))
    env = endpoints({"e": {"prometheus": server.url, "dcgm": [other.url]}})
    done = aiops("gpu", "nodes", "-o", "json", env=env)
    assert [(f["code"], f["severity"], f["entity"]["name"]) for f in done.json["findings"]] == [
        ("GPU_GONE", "critical", "node-q/0")
    ]


def test_a_cluster_of_which_nothing_answers_names_all_that_was_asked(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    broken, bad = exporter(""), exporter("")
    broken.status = bad.status = 500
    env = endpoints({"e": {"prometheus": f"http://{broken.address}", "dcgm": [bad.url]}})
    done = aiops("gpu", "nodes", env=env)
    assert done.returncode == 4
    assert "Prometheus answered 500" in done.stderr
    assert "DCGM exporter" in done.stderr


def test_the_findings_of_a_divided_gpu_are_those_of_every_instances_holder(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    parts = [
        (labels("node-a", 0, GPU_I_ID=i, GPU_I_PROFILE="3g.40gb") | holder(f"pod-{i}", f"team-{i}"), BUSY)
        for i in "12"
    ]
    text = page(
        (labels("node-a", 0), {"DCGM_FI_DEV_GPU_TEMP": 97.0}),
        *((lab, val | {"DCGM_FI_DEV_GPU_TEMP": 97.0}) for lab, val in parts),
    )
    env = endpoints({"e": {"dcgm": [exporter(text).url]}})
    for team in ("team-1", "team-2"):
        done = aiops("gpu", "nodes", "-n", team, "-o", "json", "--fail-on", "critical", env=env)
        assert [(f["code"], f["entity"]["name"]) for f in done.json["findings"]] == [("GPU_HOT", "node-a/0")]
        assert done.returncode == 1


def test_a_lost_gpu_on_a_page_fails_a_check(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    text = page((labels("node-a", 0), BUSY | {"DCGM_FI_DEV_XID_ERRORS": 79}))
    env = endpoints({"e": {"dcgm": [exporter(text).url]}})
    done = aiops("gpu", "nodes", "--findings", "--fail-on", "critical", env=env)
    assert done.returncode == 1
    assert "when is not known" in done.stdout


VLLM = """# written by hand after docs.vllm.ai "Production metrics": no capture
vllm:num_requests_running{engine="0",model_name="llama-70b"} 12
vllm:num_requests_waiting{engine="0",model_name="llama-70b"} 3
vllm:gpu_cache_usage_perc{engine="0",model_name="llama-70b"} 0.42
vllm:num_requests_running{engine="1",model_name="llama-70b"} 10
vllm:num_requests_waiting{engine="1",model_name="llama-70b"} 0
vllm:gpu_cache_usage_perc{engine="1",model_name="llama-70b"} 0.9
vllm:generation_tokens_total{engine="0",model_name="llama-70b"} 1000
vllm:time_to_first_token_seconds_bucket{le="0.1",model_name="llama-70b",engine="0"} 0
vllm:time_to_first_token_seconds_bucket{le="0.5",model_name="llama-70b",engine="0"} 100
vllm:time_to_first_token_seconds_bucket{le="+Inf",model_name="llama-70b",engine="0"} 100
"""


def test_model_servers_are_joined_with_their_gpus(
    aiops: Aiops,
    scraped: Callable[..., Prometheus],
    exporter: Callable[[str], Exporter],
    clusters: Clusters,
    endpoints: Endpoints,
) -> None:
    text = page(*((labels("node-v", i) | holder("llama-0", "serving"), BUSY) for i in range(2)))
    scraped(text, 'DCGM_FI_DEV_FB_USED{Hostname="node-v"}')
    server = scraped(VLLM, "vllm:num_requests_running", {"pod": "llama-0", "namespace": "serving"})

    done = aiops("gpu", "inference", "-o", "json", env=endpoints({"ai": {"prometheus": server.url}}))

    (row,) = done.json["items"]
    assert (row["server"], row["model"], row["namespace"], row["pod"]) == (
        "vLLM",
        "llama-70b",
        "serving",
        "llama-0",
    )
    assert (row["running"], row["waiting"], row["kvCacheUsage"]) == (22, 3, 0.9)
    assert row["gpus"] == ["node-v/0", "node-v/1"]
    assert (row["gpuUtilization"], row["gpuMemoryUsedMiB"]) == (97, 80_000)


def test_a_server_that_two_jobs_scrape_writes_its_tokens_once(
    aiops: Aiops, clusters: Clusters, endpoints: Endpoints
) -> None:
    server = clusters("gputokens", {"prometheus"}).prometheus
    now = int(time.time())
    named = {"pod": "llama-0", "namespace": "serving", "instance": "10.0.0.1:8000", "model_name": "llama"}
    lines = []
    for job in ("by-service", "by-pod"):
        for engine in "01":
            of = named | {"job": job, "engine": engine}
            lines.append(_lines(of, "vllm:num_requests_running", _every(now - 600, now + 1, 4)))
            grown = {t: 5 * (t - now + 600) for t in _every(now - 600, now + 1, 0)}
            lines.append(_lines(of, "vllm:generation_tokens_total", grown))
    server.backfill(_block(*lines))
    server.wait_for("vllm:num_requests_running")
    done = aiops("gpu", "inference", "-o", "json", env=endpoints({"ai": {"prometheus": server.url}}))
    (row,) = done.json["items"]
    assert (row["running"], row["tokensPerSecond"]) == (8, pytest.approx(10))


def test_a_check_of_a_namespace_that_holds_no_gpu_has_not_passed(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    text = page((labels("node-a", 0) | holder("x"), BUSY))
    env = endpoints({"e": {"dcgm": [exporter(text).url]}})
    looked = aiops("gpu", "nodes", "-n", "mistyped", env=env)
    checked = aiops("gpu", "nodes", "-n", "mistyped", "--fail-on", "critical", env=env)
    assert (looked.returncode, checked.returncode) == (0, 4)
    assert "nothing in the chosen clusters matches --namespace mistyped" in checked.stderr


def test_top_in_a_pipe_is_ndjson_the_busiest_first(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    text = page((labels("node-a", 0), IDLE), (labels("node-a", 1), BUSY))
    env = endpoints({"e": {"dcgm": [exporter(text).url]}})
    done = aiops("gpu", "top", "--count", "2", "--interval", "1s", "--fields", "index,utilization", env=env)
    assert done.stdout.splitlines() == ['{"index":1,"utilization":97.0}', '{"index":0,"utilization":0.0}'] * 2
    assert done.returncode == 0


def test_only_some_nodes_or_who_holds_them(
    aiops: Aiops, past: Prometheus, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    text = page((labels("node-a", 0) | holder("x", "web"), BUSY), (labels("node-b", 0) | holder("y"), BUSY))
    env = endpoints({"e": {"dcgm": [exporter(text).url]}, "past": {"prometheus": past.url}})
    assert (
        aiops("gpu", "nodes", "--node", "node-[ab]", "-n", "web", "-o", "name", env=env).stdout
        == "e/node-a/0\n"
    )
    summed = aiops("gpu", "summary", "--node", "node-b", "-o", "json", env=env).json
    assert summed["total"]["gpus"] == 1
    assert summed["findings"] == []


def test_top_of_what_is_nowhere_is_not_found(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    env = endpoints({"e": {"dcgm": [exporter(page((labels("node-a", 0), BUSY))).url]}})
    for flag in ("--node", "--namespace"):
        done = aiops("gpu", "top", "--count", "1", flag, "zz", env=env)
        assert (done.returncode, done.stdout) == (4, "")
        assert f"nothing in the chosen clusters matches {flag} zz" in done.stderr


def test_top_says_what_to_do_about_a_cluster_that_does_not_answer(aiops: Aiops, endpoints: Endpoints) -> None:
    env = endpoints({"dead": {"dcgm": ["http://127.0.0.1:1/metrics"]}})
    nodes = aiops("gpu", "nodes", "-o", "json", env=env)
    done = aiops("gpu", "top", "--count", "1", env=env)
    hint = nodes.json["clusters"][0]["error"]["hint"]
    assert hint and hint in done.stderr


def test_a_cluster_without_model_servers_says_so(
    aiops: Aiops, past: Prometheus, endpoints: Endpoints
) -> None:
    done = aiops("gpu", "inference", env=endpoints({"ai": {"prometheus": past.url}}))
    assert done.returncode == 0
    assert "ai: warning: NO_MODEL_SERVERS: " in done.stderr


def test_csv_says_its_units_and_rounds(aiops: Aiops, past: Prometheus, endpoints: Endpoints) -> None:
    env = endpoints({"ai": {"prometheus": past.url}})
    head = aiops("gpu", "nodes", "-o", "csv", env=env).stdout.splitlines()[0].split(",")
    for title in (
        "util_percent",
        "memory_mib",
        "memory-total_mib",
        "temp_celsius",
        "power_watts",
        "sm_ratio",
    ):
        assert title in head
    totals = aiops("gpu", "summary", "-o", "json", env=env).json
    for row in (*totals["items"], totals["total"]):
        for hours in (row["idleGpuHours"], row["allocatedGpuHours"]):
            assert hours == round(hours, 3)
    assert all(f["value"] is None or f["value"] == round(f["value"], 3) for f in totals["findings"])


def test_who_holds_gpus_is_unknown_where_the_exporter_maps_no_pods(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    silent = exporter(
        page((labels("node-a", 0), BUSY), (labels("node-a", 1), {"DCGM_FI_DEV_GPU_TEMP": 50.0}))
    )
    mapped = exporter(page((labels("node-b", 0) | NOBODY, IDLE)))
    env = endpoints({"silent": {"dcgm": [silent.url]}, "mapped": {"dcgm": [mapped.url]}})
    done = aiops("gpu", "summary", "-o", "json", env=env)
    free, unknown = done.json["items"]
    assert (unknown["allocated"], unknown["idleAllocated"], unknown["free"]) == (None, None, None)
    assert unknown["used"] == 1
    assert (free["allocated"], free["free"]) == (0, 1)
    unmeasured = exporter(page((labels("node-c", 0) | NOBODY, {"DCGM_FI_DEV_GPU_TEMP": 50.0})))
    env = endpoints({"c": {"dcgm": [unmeasured.url]}})
    assert aiops("gpu", "summary", "-o", "json", env=env).json["total"]["used"] is None


def test_ctrl_c_ends_top_cleanly(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    env = endpoints({"e": {"dcgm": [exporter(page((labels("node-a", 0), BUSY))).url]}})
    process = aiops.start("gpu", "top", "--interval", "1s", env=env)
    assert process.stdout is not None
    assert '"node":"node-a"' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.strip() == "interrupted"


def test_top_on_a_terminal_draws_in_place(
    aiops: Aiops, exporter: Callable[[str], Exporter], endpoints: Endpoints
) -> None:
    text = page(*((labels(f"node-{n:02}", 0) | holder(f"job-{n}"), BUSY) for n in range(30)))
    env = endpoints({"e": {"dcgm": [exporter(text).url]}})
    shown = _on_terminal(aiops, ["gpu", "top", "--count", "2", "--interval", "1s"], env, columns=80, lines=10)
    _, first, second = shown.split("\x1b[H")
    for screen in (first, second):
        rows = screen.replace("\x1b[K", "").replace("\x1b[J", "").splitlines()
        assert "30 GPUs, 30 allocated, 97% busy" in rows[0]
        assert rows[-1] == "… 24 more rows"
        assert len(rows) == 9
        assert max(map(len, rows)) <= 80


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["gpu", "processes"], "--exec"),
        (["gpu", "nodes", "--fail-on", "bad"], "critical or warning"),
        (["gpu", "top", "--interval", "0.1s"], "1s or more"),
        (["gpu", "top", "-o", "csv"], "ndjson"),
    ],
)
def test_wrong_usage_is_a_line(aiops: Aiops, endpoints: Endpoints, args: list[str], said: str) -> None:
    done = aiops(*args, env=endpoints({"e": {"prometheus": "http://127.0.0.1:9"}}))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def _on_terminal(
    aiops: Aiops, args: list[str], env: Mapping[str, str], *, columns: int, lines: int = 40
) -> str:
    """What a terminal of that size shows."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": str(columns), "LINES": str(lines)}
    process = subprocess.Popen(
        [sys.executable, "-m", "aiops_cli", *args],
        env={**os.environ, **env, **size, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        cwd=aiops.home,
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors.decode()
    return shown.decode().replace("\r\n", "\n")
