"""The test servers themselves: each starts, answers, restarts, and is gone by pid afterwards."""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import kubernetes
import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

from tests.conftest import Clusters, Finished, Standalone
from tests.servers import binaries, build, network
from tests.servers.cluster import ALL_PARTS, FULL, Cluster
from tests.servers.fleet import Fleet
from tests.servers.process import ServerFailed
from tests.servers.prometheus import Prometheus, Prometheus3
from tests.servers.push import SpanNode, push_logs, push_spans
from tests.servers.thanos import HaPair
from tests.servers.victoriametrics import VictoriaMetrics

REPOSITORY = Path(__file__).parent.parent
# A process started by a test has that test's home, where no servers are cached.
CACHED = {"AIOPS_SERVERS_CACHE": str(binaries.CACHE_ROOT)}
GONE_SECONDS = 30.0


@contextmanager
def ending(*pids: int) -> Iterator[None]:
    """After the block, wait until these processes have ended; fails when one does not."""
    handles = [os.pidfd_open(pid) for pid in pids]
    try:
        yield
        for pid, handle in zip(pids, handles, strict=True):
            assert select.select([handle], [], [], GONE_SECONDS)[0], f"process {pid} is still there"
    finally:
        for handle in handles:
            os.close(handle)


def get(url: str, **params: str) -> httpx2.Response:
    return httpx2.get(url, params=params, timeout=10.0, trust_env=False)


def send_metrics(prometheus3: Prometheus3) -> None:
    """A counter with dots in its names, by OTLP."""
    exporter = OTLPMetricExporter(endpoint=prometheus3.otlp_url)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    provider = MeterProvider([reader], resource=Resource({"service.name": "shop"}))
    provider.get_meter("aiops.tests").create_counter("servers.orders").add(7, {"http.route": "/"})
    assert provider.force_flush()
    provider.shutdown()


@pytest.mark.parametrize("part", sorted(FULL))
def test_server_restarts_at_its_address_with_a_new_process(east: Cluster, part: str) -> None:
    server = getattr(east, part)
    url, before = server.url, server.pid
    with ending(before):
        server.restart()
    assert server.url == url
    assert server.pid != before
    assert server.is_ready()


def test_killed_server_is_gone_and_comes_back(east: Cluster) -> None:
    before = east.prometheus.pid
    with ending(before):
        east.prometheus.kill()
    with pytest.raises(httpx2.ConnectError):
        east.prometheus.query("up")
    east.revive()
    assert east.prometheus.query("vector(1)")


def test_server_killed_from_outside_is_revived(east: Cluster) -> None:
    with ending(east.alertmanager.pid):
        os.kill(east.alertmanager.pid, signal.SIGKILL)
    assert not east.alertmanager.running
    east.revive()
    assert get(f"{east.alertmanager.url}/api/v2/status").status_code == 200


def test_paused_server_accepts_and_never_answers(east: Cluster) -> None:
    east.loki.pause()
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{east.loki.url}/ready", timeout=0.3, trust_env=False)
    east.revive()
    assert east.loki.is_ready()


def test_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path / "prometheus", cluster="broken")
    prometheus.home.mkdir()
    prometheus.config.write_text("scrape_configs: [{job: nameless}]")
    with pytest.raises(ServerFailed, match="field job not found"):
        prometheus.start()
    assert not prometheus.running


def test_api_server_knows_each_kind_of_user(fleet3: Fleet) -> None:
    for name in ("east", "west", "north"):
        client = kubernetes.config.new_client_from_config(str(fleet3.kubeconfig), context=name)
        who = kubernetes.client.AuthenticationV1Api(client).create_self_subject_review(
            {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        )
        kind = {"east": "aiops-admin", "west": "aiops-token", "north": "aiops-exec"}[name]
        assert who.status.user_info.username == kind
        assert "kube-system" in {
            n.metadata.name for n in kubernetes.client.CoreV1Api(client).list_namespace().items
        }


def test_viewer_is_authenticated_and_allowed_nothing(east: Cluster) -> None:
    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return east.kube.http.get("/api/v1/pods", headers=headers).status_code

    assert status(east.token) == 200
    assert status(east.apiserver.viewer_token) == 403
    assert status("no such token") == 401


def test_api_server_restart_keeps_objects(east: Cluster) -> None:
    east.kube.namespace("kept")
    east.etcd.restart()
    east.apiserver.restart()
    assert "kept" in {n["metadata"]["name"] for n in east.kube.list("Namespace")}


def test_prometheus_scrapes_what_the_node_exposes(metrics_fleet: Fleet) -> None:
    lab1 = metrics_fleet["lab1"]
    lab1.node.expose("servers_test", 'shop_orders_total{shop="x"} 41\n')
    (series,) = lab1.prometheus.wait_for("shop_orders_total")
    assert series["metric"]["job"] == "node-exporter"
    assert series["value"][1] == "41"
    assert not metrics_fleet["lab2"].prometheus.query("shop_orders_total")


def test_prometheus_scrapes_an_added_target(metrics_fleet: Fleet) -> None:
    lab1, lab2 = metrics_fleet.clusters
    lab1.prometheus.add_targets("other", [lab2.node.url.removeprefix("http://")], {"site": "lab2"})
    (series,) = lab1.prometheus.wait_for('up{job="other"} == 1')
    assert series["metric"]["site"] == "lab2"
    lab1.prometheus.remove_targets("other")


def test_firing_rule_reaches_alertmanager(east: Cluster) -> None:
    rule = {"alert": "ServersTest", "expr": "vector(1)", "labels": {"severity": "warning"}}
    east.prometheus.set_rules("servers_test", [rule])
    east.prometheus.wait_for('ALERTS{alertname="ServersTest",alertstate="firing"}')
    east.prometheus.wait_for("prometheus_notifications_sent_total > 0")
    alerts = get(f"{east.alertmanager.url}/api/v2/alerts", filter='alertname="ServersTest"').json()
    assert [a["labels"]["cluster"] for a in alerts] == ["east"]
    east.prometheus.remove_rules("servers_test")


def test_invalid_rule_is_refused(metrics_fleet: Fleet) -> None:
    prometheus = metrics_fleet["lab1"].prometheus
    with pytest.raises(httpx2.HTTPStatusError):
        prometheus.set_rules("broken", [{"alert": "Broken", "expr": "rate(", "labels": {}}])
    prometheus.remove_rules("broken")
    assert prometheus.query("vector(1)")


def test_backfilled_history_can_be_queried(metrics_fleet: Fleet) -> None:
    prometheus = metrics_fleet["lab2"].prometheus
    at = int(datetime.now(UTC).timestamp()) - 86400
    samples = "".join(f"history_bytes {n} {at + 60 * n}\n" for n in range(10))
    prometheus.backfill(f"# TYPE history_bytes gauge\n{samples}# EOF\n")
    (series,) = prometheus.query("count_over_time(history_bytes[2d])")
    assert series["value"][1] == "10"


def test_prometheus3_has_what_is_new(prometheus3: Prometheus3) -> None:
    get(f"{prometheus3.url}/api/v1/query", query="vector(1)")
    (native, *_) = prometheus3.wait_for('prometheus_http_request_duration_seconds{handler="/api/v1/query"}')
    assert native["histogram"][1]["buckets"]
    prometheus3.wait_for("rate(go_goroutines[1m])")
    infos = get(f"{prometheus3.url}/api/v1/query", query="rate(go_goroutines[1m])").json()["infos"]
    assert "metric might not be a counter" in infos[0]
    send_metrics(prometheus3)
    (counter,) = prometheus3.query('{"servers.orders"}')
    assert (counter["metric"]["http.route"], counter["value"][1]) == ("/", "7")
    version = get(f"{prometheus3.url}/api/v1/status/buildinfo").json()["data"]["version"]
    assert version == "3.9.1"


def test_victoriametrics_shows_what_was_imported(victoriametrics: VictoriaMetrics) -> None:
    at = int(datetime.now(UTC).timestamp()) - 86400
    samples = "".join(f'servers_bytes{{a="x y"}} {n} {at + 60 * n}\n' for n in range(10))
    victoriametrics.import_openmetrics(f"# TYPE servers_bytes gauge\n{samples}# EOF\n")
    query = {"query": "count_over_time(servers_bytes[2d])"}
    (series,) = get(f"{victoriametrics.url}/api/v1/query", **query).json()["data"]["result"]
    assert (series["metric"], series["value"][1]) == ({"a": "x y"}, "10")


def test_thanos_shows_replicas_as_one(ha_pair: HaPair) -> None:
    expr = 'up{job="prometheus"} == 1'
    ha_pair.a.wait_for(expr)
    ha_pair.b.wait_for(expr)
    url = f"{ha_pair.query.url}/api/v1/query"
    # The two scrape themselves, at addresses of their own.
    both = get(url, query=expr, dedup="false").json()["data"]["result"]
    assert {s["metric"]["prometheus_replica"] for s in both} == {"prometheus-k8s-0", "prometheus-k8s-1"}
    merged = get(url, query=f"count by (cluster, prometheus_replica) ({expr})").json()["data"]["result"]
    assert [(s["metric"], s["value"][1]) for s in merged] == [({"cluster": "ha"}, "2")]


def test_killed_standalone_server_is_revived(standalone: Standalone, ha_pair: HaPair) -> None:
    ha_pair.sidecars[1].kill()
    standalone.revive()
    assert ha_pair.sidecars[1].running


@pytest.mark.parametrize(
    ("program", "flag", "version"),
    [
        ("promtool3", "--version", "3.9.1"),
        ("logcli", "--version", "2.2.1"),
        ("thanos", "--version", "0.42.0"),
    ],
)
def test_built_program_says_its_release(
    program: str, flag: str, version: str, peer: Callable[..., Finished]
) -> None:
    said = peer(program, flag)
    assert f"version {version}" in said.stdout + said.stderr


def test_loki_has_pushed_lines_even_after_a_restart(clusters: Clusters) -> None:
    loki = clusters("east", {"loki"}).loki
    now = datetime.now(UTC)
    lines = [(now - timedelta(seconds=n), f"line {n}") for n in range(20)]
    push_logs(loki, [({"app": "servers-test"}, lines)])
    loki.restart()
    reply = get(f"{loki.url}/loki/api/v1/query_range", query='{app="servers-test"} |= "line 1"', limit="100")
    (stream,) = reply.json()["data"]["result"]
    assert len(stream["values"]) == 11  # 1 and 10 to 19


def test_loki_killed_loses_no_line_that_it_took(clusters: Clusters) -> None:
    loki = clusters("killed-loki", {"loki"}).loki
    now = datetime.now(UTC)
    push_logs(loki, [({"app": "killed"}, [(now - timedelta(seconds=n), f"line {n}") for n in range(2000)])])
    loki.kill()
    loki.start()
    reply = get(f"{loki.url}/loki/api/v1/query_range", query='{app="killed"}', limit="5000")
    (stream,) = reply.json()["data"]["result"]
    assert len(stream["values"]) == 2000


def test_loki_parses_lines_and_gives_at_most_5000(clusters: Clusters) -> None:
    loki = clusters("east", {"loki"}).loki
    now = datetime.now(UTC)
    line = '{"level": "error", "took": 12}'
    push_logs(loki, [({"app": "parsed"}, [(now - timedelta(milliseconds=n), line) for n in range(6000)])])
    url = f"{loki.url}/loki/api/v1/query_range"
    (stream,) = get(url, query='{app="parsed"} | json | took > 10', limit="5000").json()["data"]["result"]
    assert stream["stream"] == {"app": "parsed", "level": "error", "took": "12"}
    assert len(stream["values"]) == 5000
    assert get(url, query='{app="parsed"}', limit="5001").status_code == 400


def test_jaeger_shows_a_trace_over_two_services(clusters: Clusters) -> None:
    jaeger = clusters("east", {"jaeger"}).jaeger
    began = datetime.now(UTC) - timedelta(minutes=5)
    called = SpanNode(
        "servers-test-db", "SELECT", began + timedelta(milliseconds=20), 0.05, error="timed out"
    )
    root = SpanNode("servers-test-shop", "GET /", began, 0.1, kind=SpanKind.SERVER, children=[called])
    (trace_id,) = push_spans(jaeger, [root])
    (trace,) = get(f"{jaeger.url}/api/traces/{trace_id}").json()["data"]
    services = {key: p["serviceName"] for key, p in trace["processes"].items()}
    spans = {services[s["processID"]]: s for s in trace["spans"]}
    assert spans["servers-test-db"]["references"][0]["spanID"] == spans["servers-test-shop"]["spanID"]
    assert spans["servers-test-shop"]["duration"] == 100_000
    assert {"key": "error", "type": "bool", "value": True} in spans["servers-test-db"]["tags"]


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("monitoring/services/http:prometheus:9090", "api/v1/query?query=vector(1)"),
        ("monitoring/services/prometheus-operated:http-web", "api/v1/query?query=vector(1)"),
        ("monitoring/services/alertmanager-operated:9093", "api/v2/status"),
        ("logging/services/loki:http-metrics", "loki/api/v1/labels"),
        ("tracing/services/jaeger-query:http-query", "api/services"),
    ],
)
def test_service_proxy_leads_to_each_server(
    service_proxy: str, east: Cluster, service: str, path: str
) -> None:
    reply = east.kube.http.get(f"/api/v1/namespaces/{service}/proxy/{path}")
    assert reply.status_code == 200
    assert reply.json()


def test_objects_of_a_rollout(east: Cluster) -> None:
    kube = east.kube
    kube.namespace("rollout")
    kube.node("node-1")
    deployment = kube.deployment("rollout", "cart", image="cart:2", revision=2)
    replica_set = kube.replica_set(deployment, "7d4b", image="cart:2", revision=2)
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {
        "name": "main",
        "ready": False,
        "restartCount": 4,
        "image": "",
        "imageID": "",
        "state": waiting,
    }
    pod = kube.pod(
        "rollout", "cart-7d4b-x", node="node-1", owner=replica_set, status={"containerStatuses": [container]}
    )
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    kube.event(pod, "BackOff", "restarting failed container", at=at, count=4)
    (event,) = kube.get(
        "/api/v1/namespaces/rollout/events", fieldSelector=f"involvedObject.uid={pod['metadata']['uid']}"
    )["items"]
    assert event["lastTimestamp"] == "2026-01-02T03:04:05Z"
    assert pod["metadata"]["ownerReferences"][0]["uid"] == replica_set["metadata"]["uid"]
    assert replica_set["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 4


def test_controllers_roll_a_deployment_out(clusters: Clusters) -> None:
    cluster = clusters("rolling", {"controllers"})
    cluster.kube.namespace("real")
    cluster.kube.apply(
        "Deployment",
        {
            "metadata": {"name": "web", "namespace": "real"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "main", "image": "web:1"}]},
                },
            },
        },
    )
    client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
    watch = kubernetes.watch.Watch()
    events = kubernetes.client.CoreV1Api(client).list_namespaced_event
    scaled = next(
        event["object"]
        for event in watch.stream(events, "real", timeout_seconds=60)
        if event["object"].reason == "ScalingReplicaSet"
    )
    assert "from 0 to 2" in scaled.message
    (replica_set,) = cluster.kube.list("ReplicaSet", namespace="real")
    assert replica_set["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"


HOLD = """
import signal
from tests.servers.cluster import Cluster
with Cluster("held", parts={"prometheus", "node", "apiserver"}) as cluster:
    print(cluster.home, *(server.pid for server in cluster.servers), flush=True)
    signal.pause()
"""


def hold() -> tuple[subprocess.Popen[str], Path, list[int]]:
    """A process that has started servers, its folder and their pids."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, **CACHED},
    )
    assert process.stdout is not None
    folder, *pids = process.stdout.readline().split()
    return process, Path(folder), [int(pid) for pid in pids]


@pytest.mark.usefixtures("east")  # skips where a server is missing
def test_no_server_outlives_a_parent_that_is_killed() -> None:
    process, folder, pids = hold()
    assert len(pids) == 4
    assert folder.exists()
    with process, ending(*pids):
        process.kill()
    # The next run removes what nobody could clean up, if one that goes on beside it did not already.
    Cluster("next", parts=())
    assert not folder.exists()


@pytest.mark.usefixtures("east")
@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_up_prints_what_to_export_and_cleans_up(with_signal: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.servers", "up", "--clusters", "2"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, **CACHED},
    ) as process:
        assert process.stdout is not None
        exported = dict(
            process.stdout.readline().strip().removeprefix("export ").split("=", 1) for _ in range(2)
        )
        kubeconfig = Path(exported["KUBECONFIG"])
        contexts, current = kubernetes.config.list_kube_config_contexts(str(kubeconfig))
        children = Path(f"/proc/{process.pid}/task").glob("*/children")
        pids = [int(pid) for task in children for pid in task.read_text().split()]
        assert len(pids) == 2 * len(FULL)
        with ending(*pids):
            process.send_signal(with_signal)
            _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [c["name"] for c in contexts] == ["east", "west"]
    assert current["name"] == "east"
    assert "2 clusters up" in said
    assert not kubeconfig.parent.exists()


def test_port_is_kept_from_other_processes() -> None:
    port = network.free_port()
    script = (
        f"from tests.servers import network; network.PORTS = range({port}, {port + 1}); network.free_port()"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert f"no free port from {port} to {port}" in other.stderr


def test_unknown_part_is_named() -> None:
    with pytest.raises(ValueError, match=f"no such part: tempo; there are {', '.join(ALL_PARTS)}"):
        Cluster("x", parts={"tempo"})


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(binaries, "CACHE_ROOT", tmp_path)
    monkeypatch.setattr(build, "CACHE_ROOT", tmp_path)
    return tmp_path


def loki_module() -> binaries.GoModule:
    return next(module for module in binaries.GO_MODULES if module.name == "loki")


def test_build_without_go_says_so(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "which", lambda *names: None)
    with pytest.raises(build.BuildFailed, match="go is not installed"):
        build.build_go(loki_module())


def test_failed_build_leaves_nothing_that_looks_built(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "go_version", lambda: "go1.99")
    go = empty_cache / "go"
    go.write_text('#!/bin/sh\nfor last; do :; done\necho "no space left" >&2\nexit 1\n')
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(empty_cache), prepend=os.pathsep)
    with pytest.raises(build.BuildFailed, match="no space left"):
        build.build_go(loki_module())
    assert loki_module().built() is None
    assert not list(empty_cache.glob("*loki-*"))


def test_cache_key_follows_the_pinned_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = loki_module().key
    for name in ("go.mod", "go.sum"):
        source = loki_module().source / name
        (tmp_path / "loki").mkdir(exist_ok=True)
        (tmp_path / "loki" / name).write_bytes(source.read_bytes())
    monkeypatch.setattr(binaries, "GO_MODULES_DIR", tmp_path)
    assert loki_module().key == before
    with (tmp_path / "loki" / "go.sum").open("a") as sums:
        sums.write("example.com/added v1.0.0 h1:x\n")
    assert loki_module().key != before


SKIPPING = """
import os

def test_home_is_clean(home):
    assert "KUBECONFIG" not in os.environ and "AIOPS_CONFIG" not in os.environ
    assert os.environ["HOME"] == str(home) and not list(home.iterdir())

def test_that_needs_what_is_not_built(clusters):
    clusters("here", {"prometheus", "loki"})

def test_that_needs_less(clusters):
    assert clusters("here", {"prometheus"}).prometheus.running
"""


@pytest.mark.usefixtures("metrics_fleet")
@pytest.mark.parametrize(("required", "code"), [("0", 0), ("1", 1)])
def test_missing_server_skips_in_one_line_or_fails(tmp_path: Path, required: str, code: int) -> None:
    test = tmp_path / "test_skipping.py"
    test.write_text(SKIPPING)
    setting = {
        "KUBECONFIG": os.devnull,
        "AIOPS_CONFIG": os.devnull,
        "AIOPS_REQUIRE_SERVERS": required,
        "AIOPS_SERVERS_CACHE": str(tmp_path / "empty"),
        # Prometheus may be in the cache alone.
        "PATH": f"{binaries.locate('prometheus').parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-c",
            os.devnull,
            "--rootdir",
            tmp_path,
            test,
        ],
        cwd=REPOSITORY,
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    reason = "loki is not on this machine (get it with: make servers)"
    if code:
        assert f"skipped, though AIOPS_REQUIRE_SERVERS=1: {reason}" in done.stdout
        assert "1 failed, 2 passed" in done.stdout
    else:
        assert f"1 skipped: 1 × {reason}" in done.stdout
        assert "2 passed, 1 skipped" in done.stdout
