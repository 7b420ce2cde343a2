"""`logs query` and `logs tail` where there is no Loki: pod logs by a real API server.

The kubelet behind it is a stand-in (`tests/cli/kubelet.py`): what this checks is our side and the API
server's, not how a node keeps its logs.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.following import Output
from tests.cli.kubelet import Kubelet, kubelet_of
from tests.conftest import Aiops, Clusters, Finished
from tests.faults.files import cluster_entry, write_kubeconfig
from tests.servers.cluster import Cluster

NOTE = "no Loki: pod logs by the Kubernetes API"


@pytest.fixture
def cluster(clusters: Clusters) -> Cluster:
    return clusters("podlogs", {"apiserver"})


@pytest.fixture
def kubelet(cluster: Cluster) -> Iterator[Kubelet]:
    with kubelet_of(cluster, f"node-{time.time_ns()}") as running:
        yield running


@pytest.fixture
def namespace() -> str:
    """Of this test alone: the API server is shared."""
    return f"shop-{time.time_ns()}"


@pytest.fixture
def env(cluster: Cluster) -> Mapping[str, str]:
    return {"KUBECONFIG": str(cluster.kubeconfig)}


def lines(done: Finished) -> list[str]:
    return [item["line"] for item in done.json["items"]]


def test_lines_of_pods_are_merged_with_those_of_before_a_restart(
    aiops: Aiops, kubelet: Kubelet, namespace: str, env: Mapping[str, str]
) -> None:
    kubelet.pod(namespace, "web-1", labels={"app": "web"})
    kubelet.pod(namespace, "db-0", labels={"app.kubernetes.io/name": "db"})
    start = time.time_ns()
    kubelet.write(f"{namespace}/web-1/main", "web one", at=start)
    kubelet.write(f"{namespace}/db-0/main", "db two", at=start + 10)
    kubelet.write(f"{namespace}/web-1/main", "web three\x1b[2J", at=start + 20)
    kubelet.restart(f"{namespace}/web-1/main")
    kubelet.write(f"{namespace}/web-1/main", "web four", at=start + 30)

    newest = aiops("logs", "query", f'{{namespace="{namespace}"}}', "--limit", "3", "-o", "json", env=env)
    oldest = aiops("logs", "query", f'{{namespace="{namespace}"}}', "--forward", "-o", "json", env=env)
    web = aiops("logs", "query", f'{{namespace="{namespace}", app=~"w.b"}} != "one" |~ "f.ur|three"', "-o", "json", env=env)  # fmt: skip
    table = aiops("logs", "query", f'{{namespace="{namespace}", pod!="db-0"}} |= "three"', env=env)

    assert lines(newest) == ["web four", "web three\x1b[2J", "db two"]
    assert lines(oldest) == ["web one", "db two", "web three\x1b[2J", "web four"]
    assert oldest.json["items"][1]["labels"] == {
        "namespace": namespace, "pod": "db-0", "container": "main", "app": "db",
    }  # fmt: skip
    assert lines(web) == ["web four", "web three\x1b[2J"]
    assert NOTE in table.stderr
    assert "\x1b" not in table.stdout
    assert (newest.returncode, table.returncode) == (0, 0)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('{namespace="shop"} | json', "not '| json'"),
        ('{namespace="shop"} |= "a" | line_format "{{.x}}"', "not '| line_format"),
        ('{namespace="shop", job="api"}', "but no 'job'"),
        ('{namespace=~"("}', "bad regex"),
    ],
)
def test_what_pod_logs_can_not_answer_is_refused_in_a_line(
    aiops: Aiops, cluster: Cluster, env: Mapping[str, str], query: str, said: str
) -> None:
    for command in ("query", "tail"):
        done = aiops("logs", command, query, env=env)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_tail_follows_restarts_new_pods_and_an_api_server_that_was_away(
    aiops: Aiops, kubelet: Kubelet, cluster: Cluster, namespace: str, env: Mapping[str, str]
) -> None:
    web, old, born = (f"{namespace}/{name}/main" for name in ("web-1", "old-0", "born-1"))
    kubelet.pod(namespace, "web-1")
    kubelet.pod(namespace, "old-0")
    kubelet.write(web, "before 1", "before 2")
    output = Output(
        aiops.start("logs", "tail", f'{{namespace="{namespace}"}} != "noise"', "-o", "ndjson", env=env)
    )

    def shown(line: str) -> None:
        output.until(lambda: any(item["line"] == line for item in output.items))

    output.until_told("following")
    kubelet.write(web, "live 1", "noise", "live 2")
    shown("live 2")
    kubelet.write(web, "last words")
    kubelet.restart(web)
    kubelet.write(web, "back again")
    shown("back again")
    kubelet.pod(namespace, "born-1")
    kubelet.write(born, "born")
    kubelet.write(old, "bye")
    shown("born")
    shown("bye")
    kubelet.delete(old)
    cluster.apiserver.stop()
    output.until_told("trying again")
    kubelet.write(web, "unheard")
    kubelet.write(born, "unheard too")
    cluster.apiserver.start()
    output.until_told("following again")
    kubelet.write(born, "the end")
    shown("the end")
    output.process.send_signal(signal.SIGINT)

    assert output.ended() == 130
    assert sorted(item["line"] for item in output.items) == sorted(
        ["before 1", "before 2", "live 1", "live 2", "last words", "back again", "born", "bye",
         "unheard", "unheard too", "the end"]
    )  # fmt: skip
    assert any(NOTE in told for told in output.err)


def test_a_user_who_may_not_read_logs_is_told_which_right_is_missing(
    aiops: Aiops, home: Path, kubelet: Kubelet, cluster: Cluster, namespace: str
) -> None:
    kubelet.pod(namespace, "web-1")
    kube = cluster.kube
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    kube.apply("Role", {"metadata": {"name": "lister", "namespace": namespace}, "rules": rules})
    kube.apply(
        "RoleBinding",
        {
            "metadata": {"name": "lister", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lister"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "viewer"}],
        },
    )
    authority = cluster.apiserver.authority.certificate
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", cluster.apiserver.url, ca=authority)],
        users={"viewer": {"token": cluster.apiserver.viewer_token}},
        contexts={"podlogs": ("c", "viewer")},
    )

    for command in ("query", "tail"):
        done = aiops("logs", command, f'{{namespace="{namespace}"}}')
        assert done.returncode == 5
        assert "FORBIDDEN" in done.stderr
        assert "pods/log" in done.stderr


def test_more_containers_than_are_read_at_once_are_told(
    aiops: Aiops, kubelet: Kubelet, namespace: str, env: Mapping[str, str]
) -> None:
    for i in range(52):
        kubelet.pod(namespace, f"web-{i:02}", labels={"app": "web"})
        kubelet.write(f"{namespace}/web-{i:02}/main", f"of {i}")

    done = aiops("logs", "query", f'{{namespace="{namespace}"}}', "-o", "json", env=env)

    assert done.returncode == 3
    assert len(lines(done)) == 50
    assert "52 containers match, 50 are read" in done.stderr


def test_pods_that_are_gone_or_never_ran_hold_nobody_up(
    aiops: Aiops, kubelet: Kubelet, cluster: Cluster, namespace: str, env: Mapping[str, str]
) -> None:
    kubelet.pod(namespace, "web-1")
    kubelet.write(f"{namespace}/web-1/main", "here")
    cluster.kube.pod(namespace, "pending-1", phase="Pending")
    cluster.kube.pod(namespace, "elsewhere-1", node=f"no-such-node-{os.getpid()}")

    done = aiops("logs", "query", f'{{namespace="{namespace}"}}', "-o", "json", env=env)

    assert lines(done) == ["here"]
    assert (done.returncode, done.stderr) == (0, f"podlogs: warning: {NOTE}\n")
