"""`aiops check` against real servers, and against a server that misbehaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from junitparser import JUnitXml

from tests.conftest import Aiops, Clusters, Finished
from tests.faults.files import write_config
from tests.faults.fixtures import Serve, stub, stubs
from tests.faults.stub import Stub, answer, vector
from tests.servers.cluster import Cluster
from tests.servers.fleet import Fleet

__all__ = ["stub", "stubs"]

STEP = 15


@pytest.fixture(scope="session")
def lab(clusters: Clusters) -> Fleet:
    """Two clusters with a history of their own: `probe` was 1 for half an hour, but 0 for one minute in
    `lab1`, and it was absent for another."""
    fleet = Fleet([clusters(name, {"prometheus", "node"}) for name in ("lab1", "lab2")])
    fleet.write()
    for cluster in fleet.clusters:
        lines = ["# TYPE probe gauge"]
        for i in range(121):
            value = 0 if cluster.name == "lab1" and 100 <= i < 104 else 1
            lines.append(f'probe{{zone="a"}} {value} {BEGIN + i * STEP}')
        cluster.prometheus.backfill("\n".join([*lines, "# EOF", ""]))
        cluster.prometheus.wait_for('up{job="node-exporter"} == 1')
    return fleet


BEGIN = int(time.time()) // STEP * STEP - 7200
END = BEGIN + 120 * STEP


@pytest.fixture
def half_down(lab: Fleet) -> Iterator[Cluster]:
    """lab1 with a job of two targets, of which one is down."""
    cluster = lab["lab1"]
    live = cluster.node.url.removeprefix("http://")
    cluster.prometheus.add_targets("half", [live, "127.0.0.1:1"])
    cluster.prometheus.wait_for('up{job="half"} == 1')
    cluster.prometheus.wait_for('up{job="half"} == 0')
    yield cluster
    cluster.prometheus.remove_targets("half")


def verdicts(done: Finished) -> dict[tuple[str, str], str]:
    return {(i["check"], i["cluster"]): i["status"] for i in done.json["items"]}


def test_what_holds_everywhere_exits_0(aiops: Aiops, lab: Fleet) -> None:
    done = aiops(
        "check", "--expr", 'up{job="node-exporter"} == 1', "--name", "node", "-o", "json", env=lab.env
    )
    assert done.returncode == 0, done.stderr
    assert done.json["kind"] == "CheckList" and done.json["partial"] is False
    assert verdicts(done) == {("node", "lab1"): "PASS", ("node", "lab2"): "PASS"}
    assert done.json["summary"] == {"passed": 2, "failed": 0, "errors": 0}


def test_one_target_that_is_down_fails_the_check(aiops: Aiops, half_down: Cluster, lab: Fleet) -> None:
    done = aiops("check", "--expr", 'up{job="half"} == 1', "-c", "lab1", "-o", "json", env=lab.env)
    assert done.returncode == 1
    [item] = done.json["items"]
    assert (item["status"], item["value"]) == ("FAIL", 0)
    assert [o["labels"]["instance"] for o in item["offenders"]] == ["127.0.0.1:1"]
    assert "1 of 2 series does not hold" in item["message"]


def test_a_comparison_of_series_fails_for_those_it_drops(
    aiops: Aiops, half_down: Cluster, lab: Fleet
) -> None:
    expr = 'up{job="half"} == on(job, instance) (up{job="half"} == 1)'
    done = aiops("check", "--expr", expr, "-c", "lab1", "-o", "json", env=lab.env)
    assert done.returncode == 1
    assert [o["labels"]["instance"] for o in done.json["items"][0]["offenders"]] == ["127.0.0.1:1"]
    same = aiops("check", "--expr", 'up{job="half"} == on(job, instance) up', "-c", "lab1", env=lab.env)
    assert same.returncode == 0, same.stdout


def test_no_data_fails(aiops: Aiops, lab: Fleet) -> None:
    done = aiops("check", "--expr", 'up{job="nowhere"} == 1', env=lab.env)
    assert done.returncode == 1
    assert "no data" in done.stdout


def test_for_looks_at_every_step(aiops: Aiops, lab: Fleet) -> None:
    def over(minutes: int, *more: str) -> Finished:
        return aiops(
            *("check", "--expr", "probe == 1", "--for", f"{minutes}m", "--to", str(END), "-o", "json", *more),
            env=lab.env,
        )

    calm, dip = over(3), over(10)
    assert calm.returncode == 0, calm.stdout
    assert dip.returncode == 1
    assert verdicts(dip) == {("probe == 1", "lab1"): "FAIL", ("probe == 1", "lab2"): "PASS"}
    [offender] = dip.json["items"][0]["offenders"]
    assert offender["steps"] == 4
    assert datetime.fromisoformat(offender["at"]).timestamp() == BEGIN + 100 * STEP
    before = over(60, "-c", "lab2")
    assert before.returncode == 1
    assert "no data at" in before.json["items"][0]["message"]


def test_now_may_be_named(aiops: Aiops, lab: Fleet) -> None:
    during = str(BEGIN + 101 * STEP)
    assert aiops("check", "--expr", "probe == 1", "-c", "lab1", "--to", during, env=lab.env).returncode == 1
    assert aiops("check", "--expr", "probe == 1", "-c", "lab1", "--to", str(END), env=lab.env).returncode == 0


def test_a_cluster_that_is_down_is_an_error_and_not_a_failure(aiops: Aiops, lab: Fleet, home: Path) -> None:
    lab["lab2"].prometheus.kill()
    args = ("check", "--expr", 'up{job="node-exporter"} == 1', "--name", "node")
    done = aiops(*args, "-o", "json", "--junit", "out.xml", env=lab.env)
    assert done.returncode == 3
    assert verdicts(done) == {("node", "lab1"): "PASS", ("node", "lab2"): "ERROR"}
    [_, lost] = done.json["items"]
    assert lost["error"]["code"] == "CLUSTER_UNREACHABLE"
    assert done.json["partial"] is True
    [suite] = JUnitXml.fromfile(str(home / "out.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (2, 0, 1)
    assert "lab2: CLUSTER_UNREACHABLE" in done.stderr
    assert aiops(*args, "--allow-partial", env=lab.env).returncode == 0
    assert aiops(*args, "-c", "lab2", "--allow-partial", env=lab.env).returncode == 4
    failing = aiops("check", "--expr", 'up{job="node-exporter"} == 0', env=lab.env)
    assert failing.returncode == 1


def test_promql_that_every_server_refuses_is_a_wrong_expression(aiops: Aiops, lab: Fleet) -> None:
    done = aiops("check", "--expr", "up ==", env=lab.env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "invalid PromQL" in done.stderr and "up ==\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_alert_that_fires_fails_the_check(aiops: Aiops, clusters: Clusters, home: Path) -> None:
    url = clusters("checked", {"alertmanager"}).alertmanager.url
    started = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    labels = {"alertname": "CheckedDown", "severity": "critical", "namespace": "shop"}
    httpx2.post(
        f"{url}/api/v2/alerts", json=[{"labels": labels, "startsAt": started}], trust_env=False
    ).raise_for_status()
    write_config(home, {"checked": {"alertmanager": url}})
    (home / "checks.yaml").write_text(
        """
checks:
  - {name: critical, message: wake someone, alerts: {absent: {severity: critical}}}
  - {name: other, alerts: {absent: 'severity="critical", namespace!="shop"'}}
"""
    )
    done = aiops("check", "checks.yaml", "-o", "json")
    assert done.returncode == 1
    assert verdicts(done) == {("critical", "checked"): "FAIL", ("other", "checked"): "PASS"}
    [offender] = done.json["items"][0]["offenders"]
    assert offender["labels"] == labels
    assert "CheckedDown since" in done.json["items"][0]["message"]
    assert "wake someone: 1 matching alert fires" in aiops("check", "checks.yaml").stdout


def test_selectors_choose_clusters_for_a_check(aiops: Aiops, lab: Fleet, home: Path) -> None:
    (home / "checks.yaml").write_text(
        """
checks:
  - {name: one, selector: {contexts: [lab1]}, promql: vector(1)}
  - {name: all, selector: {labels: environment=test}, promql: vector(1)}
"""
    )
    done = aiops("check", "checks.yaml", "-o", "json", env=lab.env)
    assert done.returncode == 0, done.stderr
    assert set(verdicts(done)) == {("one", "lab1"), ("all", "lab1"), ("all", "lab2")}
    none = aiops("check", "checks.yaml", "-c", "lab2", env=lab.env)
    assert none.returncode == 2
    assert "check 'one' (checks.yaml)" in none.stderr


def test_all_clusters_goes_past_the_configured_fleet(aiops: Aiops, stub: Stub, home: Path) -> None:
    stub.on("/", answer(vector(({}, 1))))
    write_config(
        home,
        {"a": {"prometheus": stub.url}, "b": {"prometheus": stub.url}},
        '[defaults]\ncontexts = ["a"]',
    )
    assert len(aiops("check", "--expr", "vector(1)", "-o", "json").json["items"]) == 1
    assert len(aiops("check", "--expr", "vector(1)", "--all-clusters", "-o", "json").json["items"]) == 2
    both = aiops("check", "--expr", "vector(1)", "--all-clusters", "-c", "a")
    assert both.returncode == 2 and "--all-clusters" in both.stderr


def test_access_denied_everywhere_exits_5(aiops: Aiops, stub: Stub, home: Path) -> None:
    stub.on("/", answer("Unauthorized", status=401, kind="text/plain"))
    write_config(home, {"a": {"prometheus": stub.url}})
    done = aiops("check", "--expr", "up == 1", "-o", "json")
    assert done.returncode == 5
    assert done.json["items"][0]["error"]["code"] == "CREDENTIALS_INVALID"


def test_an_answer_that_lacks_something_is_no_pass(aiops: Aiops, stubs: Serve, home: Path) -> None:
    body = vector(({"__name__": "up"}, 1)) | {"warnings": ["store eu is unavailable"]}
    server = stubs()
    server.on("/", answer(body))
    write_config(home, {"a": {"prometheus": server.url}})
    done = aiops("check", "--expr", "up == 1", "-o", "json")
    assert done.returncode == 3
    assert done.json["items"][0]["error"]["code"] == "PARTIAL_RESULTS"
    assert aiops("check", "--expr", "up == 1", "--allow-partial").returncode == 0
    assert aiops("check", "--expr", "up == 0").returncode == 1


def test_hostile_labels_stay_harmless_in_every_format(aiops: Aiops, stub: Stub, home: Path) -> None:
    hostile = "\x1b]0;owned\x07 a|b\nc <script> \x00"
    stub.on("/", answer(vector(({"__name__": "up", "x": hostile}, 0))))
    write_config(home, {"a": {"prometheus": stub.url}})
    for output in ("table", "md", "csv", "junit"):
        done = aiops("check", "--expr", "up == 1", "-o", output)
        assert done.returncode == 1
        assert "\x1b" not in done.stdout + done.stderr and "\x07" not in done.stdout + done.stderr
    [item] = aiops("check", "--expr", "up == 1", "-o", "json").json["items"]
    assert item["offenders"][0]["labels"]["x"] == hostile


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "nothing to check"),
        (("--for", "5m"), "--for belongs to --expr"),
        (("--expr", "up", "-o", "xml"), "unknown output format 'xml'"),
        (("--expr", "up", "--for", "soon"), "--for 'soon' is no duration"),
        (("--expr", "up", "--severity", "bad"), "unknown severity 'bad'"),
        (("--expr", "sum(up"), "invalid PromQL"),
        (("--expr", "up", "--for", "10d", "--step", "1s"), "too many"),
        (("none.yaml",), "check file none.yaml does not exist"),
        (("--expr", "up", "--junit", "none/out.xml"), "--junit none/out.xml can't be written"),
        (("--expr", "up", "--junit", "."), "it is a folder"),
        (("--expr", "up", "-c", "zzz"), "no context or cluster matches 'zzz'"),
    ],
)
def test_wrong_usage_exits_2_before_anything_is_asked(
    aiops: Aiops, stub: Stub, home: Path, args: tuple[str, ...], said: str
) -> None:
    write_config(home, {"a": {"prometheus": stub.url}})
    done = aiops("check", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "hint: " in done.stderr and "Traceback" not in done.stderr
    assert stub.asked == []


def test_broken_yaml_exits_2_with_its_line(aiops: Aiops, stub: Stub, home: Path) -> None:
    write_config(home, {"a": {"prometheus": stub.url}})
    (home / "checks.yaml").write_text("checks:\n  - name: a\n   promql: up\n")
    done = aiops("check", "checks.yaml")
    assert done.returncode == 2
    assert "check file checks.yaml:3:" in done.stderr and "Traceback" not in done.stderr
    assert stub.asked == []


def test_junit_on_stdout_and_in_a_file_are_one(aiops: Aiops, stub: Stub, home: Path) -> None:
    stub.on("/", answer(vector(({}, 1))))
    write_config(home, {"a": {"prometheus": stub.url}})
    done = aiops("check", "--expr", "vector(1)", "-o", "junit", "--junit", "out.xml")
    assert done.returncode == 0
    assert (home / "out.xml").read_text() == done.stdout
    assert JUnitXml.fromstring(done.stdout.encode()).tests == 1
    assert sorted(p.name for p in home.glob("*.xml")) == ["out.xml"]


def test_a_recording_is_checked_like_the_clusters_were(aiops: Aiops, lab: Fleet, home: Path) -> None:
    recorded = aiops("bundle", "record", "-o", "x.aiops", "--since", "2m", "-c", "lab1", env=lab.env)
    assert (home / "x.aiops").exists(), recorded.stderr
    expr = 'up{job="node-exporter"} == 1'
    done = aiops("check", "--expr", expr, "--bundle", "x.aiops", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert done.json["clusters"][0]["source"] == "bundle"
    held = aiops("check", "--expr", expr, "--for", "10s", "--bundle", "x.aiops")
    assert held.returncode == 0, held.stdout
    other = aiops("check", "--expr", "sum(unrecorded) == 1", "--bundle", "x.aiops", "-o", "json")
    assert other.returncode == 4
    assert other.json["items"][0]["error"]["code"] == "NOT_RECORDED"
