"""Processes and GPUs by nvidia-smi in a pod, through a real API server's exec.

The kubelet behind it is a stand-in (`tests/gpu/kubelet_exec.py`), and what nvidia-smi prints is written by
hand after its documented forms (`tests/gpu/smi_text.py`): no machine with a GPU was there.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from aiops_cli.errors import AuthError, ClusterError, ErrorCode
from aiops_cli.sources import nvidia_smi
from aiops_cli.sources.pod_exec import ExecResult, exec_in_pod
from aiops_cli.transport.client import HttpClient, Target
from aiops_cli.transport.credentials import Login, StaticCredentials
from aiops_cli.transport.tls import Trust
from tests.conftest import Aiops, Clusters
from tests.gpu.kubelet_exec import ExecKubelet, Program, exec_kubelet_of
from tests.gpu.smi_text import DIVIDED, GPUS_CSV, PROCESSES_CSV, WHOLE, XML, cgroup_v1, cgroup_v2
from tests.servers.cluster import Cluster

OPERATOR = "nvidia-gpu-operator"
(PIDS,) = nvidia_smi.cgroups_of([4242, 4343])


@pytest.fixture
def cluster(clusters: Clusters) -> Cluster:
    return clusters("gpuexec", {"apiserver"})


@pytest.fixture
def kubelet(cluster: Cluster) -> Iterator[ExecKubelet]:
    with exec_kubelet_of(cluster, f"gpu-node-{time.time_ns()}") as running:
        yield running


@pytest.fixture
def env(cluster: Cluster) -> Mapping[str, str]:
    return {"KUBECONFIG": str(cluster.kubeconfig)}


def driver(kubelet: ExecKubelet) -> str:
    """A driver pod as the GPU operator's daemon set makes it."""
    name = f"nvidia-driver-daemonset-{time.time_ns()}"
    kubelet.pod(
        OPERATOR,
        name,
        "openshift-driver-toolkit-ctr",
        "nvidia-driver-ctr",
        labels={"app": "nvidia-driver-daemonset-418.94"},
        daemon_set="nvidia-driver-daemonset-418.94",
    )
    return f"{OPERATOR}/{name}/nvidia-driver-ctr"


async def run(
    cluster: Cluster, container: str, argv: tuple[str, ...], *, token: str | None = None, timeout: float = 10
) -> ExecResult:
    target = Target(
        cluster.apiserver.url,
        StaticCredentials(Login(token=token or cluster.token)),
        Trust(cluster.apiserver.authority.certificate),
    )
    client = HttpClient(target)
    try:
        namespace, pod, name = container.split("/")
        return await exec_in_pod(client, namespace, pod, name, argv, timeout)
    finally:
        await client.aclose()


def test_what_a_program_prints_and_how_it_ends(cluster: Cluster, kubelet: ExecKubelet) -> None:
    container = driver(kubelet)
    long = "0123456789" * 5_000
    kubelet.program(container, ("good", "with space", "ü"), Program(long, "to stderr\n"))
    kubelet.program(container, ("bad",), Program("half", "why", 7))

    good = asyncio.run(run(cluster, container, ("good", "with space", "ü")))
    bad = asyncio.run(run(cluster, container, ("bad",)))

    assert good == ExecResult(long, "to stderr\n", 0)
    assert bad == ExecResult("half", "why", 7)
    assert kubelet.ran == [(container, ("good", "with space", "ü")), (container, ("bad",))]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (Program(missing=True), "executable file not found"),
        (Program("half", cut=True), "the connection ended before the program did"),
    ],
)
def test_a_program_that_can_not_be_run_or_is_cut_off(
    cluster: Cluster, kubelet: ExecKubelet, program: Program, said: str
) -> None:
    container = driver(kubelet)
    kubelet.program(container, ("x",), program)
    with pytest.raises(ClusterError, match=said):
        asyncio.run(run(cluster, container, ("x",)))


def test_a_program_that_hangs_costs_its_timeout(cluster: Cluster, kubelet: ExecKubelet) -> None:
    container = driver(kubelet)
    kubelet.program(container, ("x",), Program("half", hangs=True))
    with pytest.raises(ClusterError) as failed:
        asyncio.run(run(cluster, container, ("x",), timeout=0.5))
    assert failed.value.code is ErrorCode.QUERY_TIMEOUT


def test_a_pod_that_is_gone_and_a_user_who_may_not(cluster: Cluster, kubelet: ExecKubelet) -> None:
    container = driver(kubelet)
    with pytest.raises(ClusterError) as gone:
        asyncio.run(run(cluster, f"{OPERATOR}/no-such-pod/x", ("x",)))
    assert gone.value.code is ErrorCode.NOT_FOUND
    viewer = _viewer(cluster)
    with pytest.raises(AuthError, match="not allowed to exec") as forbidden:
        asyncio.run(run(cluster, container, ("x",), token=viewer))
    assert forbidden.value.code is ErrorCode.FORBIDDEN
    assert "pods/exec" in forbidden.value.hint


def _viewer(cluster: Cluster) -> str:
    """The token of a service account that may read pods and nodes, and nothing else."""
    kube = cluster.kube
    name = f"viewer-{time.time_ns()}"
    kube.create("Namespace", {"metadata": {"name": name}})
    rules = [{"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list"]}]
    kube.create("ClusterRole", {"metadata": {"name": name}, "rules": rules})
    kube.http.post(
        f"/api/v1/namespaces/{name}/serviceaccounts", json={"metadata": {"name": "viewer"}}
    ).raise_for_status()
    kube.create(
        "ClusterRoleBinding",
        {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": name}],
        },
    )
    reply = kube.http.post(f"/api/v1/namespaces/{name}/serviceaccounts/viewer/token", json={"spec": {}})
    return str(reply.raise_for_status().json()["status"]["token"])


def test_processes_with_their_pods(aiops: Aiops, kubelet: ExecKubelet, env: Mapping[str, str]) -> None:
    container = driver(kubelet)
    train = kubelet.pod("ml", f"train-{time.time_ns()}", "sidecar", "main")
    serve = kubelet.pod("ml", f"serve-{time.time_ns()}", "server")
    kubelet.program(container, nvidia_smi.QUERY_XML, Program(XML))
    kubelet.program(container, PIDS, Program(cgroup_v2(4242, train, 1) + cgroup_v1(4343, serve, 0)))

    done = aiops("gpu", "processes", "--exec", "-o", "json", env=env)
    table = aiops("gpu", "processes", "--exec", env=env)

    assert done.returncode == 0, done.stderr
    first, second = done.json["items"]
    assert (first["uuid"], first["index"], first["pid"], first["memoryUsedMiB"]) == (WHOLE, 0, 4242, 39_000)
    assert (first["namespace"], first["container"], first["type"], first["source"]) == (
        "ml",
        "main",
        "C",
        "nvidia-smi",
    )
    assert first["pod"].startswith("train-")
    assert (second["uuid"], second["migInstance"], second["container"]) == (DIVIDED, "7", "server")
    assert second["pod"].startswith("serve-")
    assert "tritonserver" in table.stdout
    assert "1 lines of nvidia-smi make no sense" in table.stderr
    assert {argv for _, argv in kubelet.ran} == {nvidia_smi.QUERY_XML, PIDS}


def test_a_driver_without_xml_is_read_by_csv(
    aiops: Aiops, kubelet: ExecKubelet, env: Mapping[str, str]
) -> None:
    container = driver(kubelet)
    kubelet.program(container, nvidia_smi.QUERY_XML, Program("not xml"))
    kubelet.program(container, nvidia_smi.QUERY_GPUS, Program(GPUS_CSV))
    kubelet.program(container, nvidia_smi.QUERY_PROCESSES, Program(PROCESSES_CSV))

    done = aiops("gpu", "processes", "--exec", "-o", "json", env=env)

    assert [(p["index"], p["pid"], p["pod"]) for p in done.json["items"]] == [
        (0, 4242, None),
        (1, 4343, None),
    ]
    assert any("4 lines" in w for w in done.json["clusters"][0]["warnings"])


def test_gpus_by_exec_only_when_it_is_allowed(
    aiops: Aiops, kubelet: ExecKubelet, env: Mapping[str, str]
) -> None:
    container = driver(kubelet)
    serve = kubelet.pod("ml", f"serve-{time.time_ns()}", "server")
    kubelet.program(container, nvidia_smi.QUERY_XML, Program(XML))
    kubelet.program(container, PIDS, Program(cgroup_v1(4343, serve, 0)))

    without = aiops("gpu", "nodes", env=env)
    ran_before = list(kubelet.ran)
    done = aiops("gpu", "nodes", "--exec", "-o", "json", env=env)

    assert without.returncode != 0
    assert ran_before == []
    assert [(g["index"], g["migInstance"], g["source"]) for g in done.json["items"]] == [
        (0, None, "nvidia-smi"),
        (1, "7", "nvidia-smi"),
        (1, "9", "nvidia-smi"),
    ]
    assert [(g["namespace"], g["holdersKnown"]) for g in done.json["items"]] == [
        (None, False),
        ("ml", False),
        (None, False),
    ]
    total = aiops("gpu", "summary", "--exec", "-o", "json", env=env).json["total"]
    assert (total["allocated"], total["free"]) == (None, None)
    codes = {f["code"] for f in done.json["findings"]}
    assert codes == {
        "GPU_ECC_UNCORRECTABLE",
        "GPU_ROW_REMAP_PENDING",
        "GPU_THROTTLED_POWER",
        "GPU_THROTTLED_THERMAL",
    }


def test_nodes_with_gpus_but_no_metrics_lack_something(
    aiops: Aiops, clusters: Clusters, cluster: Cluster, kubelet: ExecKubelet, env: Mapping[str, str]
) -> None:
    """The stand-in's node carries the label that GPU feature discovery puts there."""
    url = clusters("lab1", {"prometheus", "node"}).prometheus.url
    config = aiops.home / "gpu.toml"
    config.write_text(f'[clusters.{cluster.name}.endpoints]\nprometheus = "{url}"\n')
    done = aiops("gpu", "nodes", env={**env, "AIOPS_CONFIG": str(config)})
    assert done.returncode == 3
    assert "a node has NVIDIA GPUs, but no metric of them is known" in done.stderr


def test_a_server_that_wants_the_newer_protocol_gets_it() -> None:
    """A stub: the API servers that could be had take both."""

    async def answer(connection: ServerConnection) -> None:
        await connection.send(b"\x01out")
        await connection.send(b'\x03{"status":"Success"}')
        await connection.wait_closed()

    async def ask(*protocols: str) -> ExecResult:
        async with serve(answer, "127.0.0.1", 0, subprotocols=[Subprotocol(p) for p in protocols]) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            client = HttpClient(Target(f"http://127.0.0.1:{port}"))
            try:
                return await exec_in_pod(client, "ns", "pod", "main", ["x"], 10)
            finally:
                await client.aclose()

    assert asyncio.run(ask("v5.channel.k8s.io")) == ExecResult("out", "", 0)
    with pytest.raises(ClusterError, match="x could not be run in ns/pod/main"):
        asyncio.run(ask("v9.channel.k8s.io"))


def test_a_node_whose_driver_is_down_is_told(
    aiops: Aiops, kubelet: ExecKubelet, env: Mapping[str, str]
) -> None:
    container = driver(kubelet)
    words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    kubelet.program(container, nvidia_smi.QUERY_XML, Program(words, code=9))
    done = aiops("gpu", "processes", "--exec", env=env)
    assert done.returncode == 4
    assert f"nvidia-smi failed on {kubelet.name} (9): {words}" in done.stderr


def test_nothing_is_run_in_a_pod_that_only_looks_like_the_operators(
    aiops: Aiops, kubelet: ExecKubelet, env: Mapping[str, str]
) -> None:
    named, labelled, owned = (f"{what}-{time.time_ns()}" for what in ("named", "labelled", "owned"))
    label = {"app": "nvidia-driver-daemonset"}
    kubelet.pod("web", named, "nvidia-driver-ctr")
    kubelet.pod("web", labelled, "nvidia-driver-ctr", labels=label)
    kubelet.pod("web", owned, "nvidia-driver-ctr", labels={"app": "web"}, daemon_set="web")
    before = aiops("gpu", "processes", "--exec", env=env)
    container = driver(kubelet)
    kubelet.program(container, nvidia_smi.QUERY_XML, Program(XML))
    after = aiops("gpu", "processes", "--exec", env=env)
    assert "no pod runs that has nvidia-smi" in before.stderr
    assert after.returncode == 0
    assert {where for where, _ in kubelet.ran} == {container}


def test_the_timeout_is_for_the_cluster_and_not_for_each_of_its_nodes(
    aiops: Aiops, cluster: Cluster, env: Mapping[str, str]
) -> None:
    """Eight nodes are asked at once, and hang: the ninth gets no time of its own."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(exec_kubelet_of(cluster, f"slow-{i}")) for i in range(9)]
        for node in nodes:
            hangs = node is not nodes[-1]
            node.program(driver(node), nvidia_smi.QUERY_XML, Program("half" if hangs else XML, hangs=hangs))
        done = aiops("--timeout", "4", "gpu", "nodes", "--exec", env=env)
        assert done.returncode == 4
        assert nodes[-1].ran == []


def test_owners_of_more_processes_than_fit_into_one_call(
    aiops: Aiops, kubelet: ExecKubelet, env: Mapping[str, str]
) -> None:
    container = driver(kubelet)
    uid = kubelet.pod("ml", f"train-{time.time_ns()}", "main")
    pids = range(1000, 1205)
    many = "".join(
        f"<process_info><pid>{p}</pid><type>C</type><process_name>x</process_name></process_info>"
        for p in pids
    )
    gpu = f"<gpu><uuid>{WHOLE}</uuid><processes>{many}</processes></gpu>"
    kubelet.program(container, nvidia_smi.QUERY_XML, Program(f"<nvidia_smi_log>{gpu}</nvidia_smi_log>"))
    for argv in nvidia_smi.cgroups_of(pids):
        files = [int(word.split("/")[2]) for word in argv[3:]]
        kubelet.program(container, argv, Program("".join(cgroup_v2(p, uid) for p in files)))
    done = aiops("gpu", "processes", "--exec", "-o", "json", env=env)
    assert [p["pid"] for p in done.json["items"] if p["namespace"] == "ml"] == list(pids)


def test_without_a_driver_pod_there_is_a_clear_line(
    aiops: Aiops, kubelet: ExecKubelet, env: Mapping[str, str]
) -> None:
    done = aiops("gpu", "processes", "--exec", "-o", "json", env=env)
    assert (done.returncode, done.json["items"]) == (0, [])
    assert done.json["clusters"][0]["warnings"] == [
        "NO_GPU_NODES: no pod runs that has nvidia-smi (driver, DCGM or device plugin of the GPU operator)"
    ]


def test_without_permission_there_is_a_clear_line(
    aiops: Aiops, cluster: Cluster, kubelet: ExecKubelet, home: object
) -> None:
    driver(kubelet)
    config = json.loads(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": _viewer(cluster)}
    path = aiops.home / "viewer.json"
    path.write_text(json.dumps(config))
    done = aiops("gpu", "processes", "--exec", env={"KUBECONFIG": str(path)})
    assert done.returncode == 5
    assert "FORBIDDEN: not allowed to exec in nvidia-gpu-operator/" in done.stderr
