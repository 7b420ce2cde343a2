"""`aiops logs patterns` on real Loki servers, on the shipped bundle, and on pod logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pytest

from tests.cli.kubelet import kubelet_of
from tests.conftest import Aiops, Clusters
from tests.servers.cluster import Cluster
from tests.servers.push import push_logs

Endpoints = Callable[[Mapping[str, Mapping[str, str]]], dict[str, str]]


@pytest.fixture(scope="module")
def lokis(clusters: Clusters) -> list[Cluster]:
    return clusters.together(["pattern1", "pattern2"], {"loki"})


@pytest.fixture
def env(lokis: list[Cluster], endpoints: Endpoints) -> dict[str, str]:
    return endpoints({c.name: {"loki": c.loki.url} for c in lokis})


def test_what_is_new_over_two_clusters(aiops: Aiops, lokis: list[Cluster], env: dict[str, str]) -> None:
    now = time.time()
    app = f"pay{time.time_ns()}"
    for number, cluster in enumerate(lokis):
        before = [(now - 900 + i, f'level=info msg="order {i} placed"') for i in range(40)]
        after = [(now - 500 + i, f'level=info msg="order {i} placed"') for i in range(80)]
        if number:
            after += [
                (now - 300 + i, f'level=error msg="pool of {i} is \x1b[31mexhausted"') for i in range(20)
            ]
        push_logs(cluster.loki, [({"app": app}, before + after)])

    def ask(*more: str, form: str = "json") -> list[str]:
        return ["logs", "patterns", f'{{app="{app}"}}', "--since", "10m", "-o", form, *more]

    found = aiops(*ask(), env=env)
    assert (found.returncode, found.stderr) == (0, "")
    placed, pool = found.json["items"]
    assert (placed["pattern"], placed["level"], placed["count"]) == ("order <*> placed", "info", 160)
    assert (placed["new"], placed["ratio"], placed["baselineCount"]) == (False, 2.0, 80)
    assert placed["share"] == 0.889
    assert placed["clusters"] == [
        {"cluster": "pattern1", "count": 80, "baselineCount": 40},
        {"cluster": "pattern2", "count": 80, "baselineCount": 40},
    ]
    assert (pool["level"], pool["count"], pool["new"], pool["ratio"]) == ("error", 20, True, None)
    assert pool["clusters"] == [{"cluster": "pattern2", "count": 20, "baselineCount": 0}]
    assert pool["firstSeen"] < pool["lastSeen"]
    assert found.json["read"][1] == {
        "cluster": "pattern2",
        "lines": 100,
        "share": 1.0,
        "baselineLines": 40,
        "baselineShare": 1.0,
    }

    only = aiops(*ask("--new"), env=env).json["items"]
    assert [p["id"] for p in only] == [pool["id"]]
    table = aiops(*ask(form="table"), env=env).stdout.splitlines()
    assert [row.split()[:4] for row in table[1:]] == [
        ["2", "of", "2", "info"],
        ["pattern2", "error", "20", "11.1%"],
    ]
    assert " ×2 " in table[1]
    assert " NEW " in table[2]
    assert "\x1b" not in "".join(table)
    # Without the older lines among the baseline all are new.
    short = aiops(*ask("--baseline", "1m"), env=env)
    assert {p["new"] for p in short.json["items"]} == {True}
    assert "the baseline has no line, so every pattern is new" in short.stderr


def test_more_lines_than_the_limit_are_sampled_all_over_the_window(
    aiops: Aiops, lokis: list[Cluster], env: dict[str, str]
) -> None:
    now = time.time()
    app = f"busy{time.time_ns()}"
    lines = [(now - 590 + i / 20, f"handled request {i}") for i in range(11_000)]
    lines += [(now - 590 + i, f"slow disk on volume {i}") for i in range(0, 550, 11)]
    push_logs(lokis[0].loki, [({"app": app}, lines)])
    found = aiops(
        "logs", "patterns", f'{{app="{app}"}}', "--since", "10m", "--limit", "1600", "-c", "pattern1",
        "-o", "json", env=env,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    (read,) = found.json["read"]
    assert read["lines"] == 1600
    assert read["share"] == round(1600 / 11_050, 4)  # as the server counts them
    assert "1600 of 11050 lines were read, 14%, so counts and shares are a sample's" in found.stderr
    handled, slow = found.json["items"]
    assert (handled["pattern"], slow["pattern"]) == ("handled request <*>", "slow disk on volume <*>")
    assert handled["count"] + slow["count"] == 1600
    every = aiops(
        "logs", "patterns", f'{{app="{app}"}}', "--since", "10m", "--limit", "20000", "-c", "pattern1",
        "-o", "json", env=env,
    )  # fmt: skip
    assert [p["count"] for p in every.json["items"]] == [11_000, 50]
    assert every.json["read"][0]["share"] == 1.0
    assert "lines were read" not in every.stderr
    table = aiops(
        "logs", "patterns", f'{{app="{app}"}}', "--since", "10m", "--limit", "1600", "-c", "pattern1", env=env
    )  # fmt: skip
    assert f" ≥{handled['count']} " in table.stdout.splitlines()[1]
    assert " ~99" in table.stdout.splitlines()[1]


def test_like_lines_of_two_levels_are_two_rows_and_the_rare_error_is_new(
    aiops: Aiops, lokis: list[Cluster], env: dict[str, str]
) -> None:
    now = time.time()
    app = f"levels{time.time_ns()}"
    lines = [(now - 900 + i, f'level=info msg="GET /cart took {i} ms"') for i in range(800)]
    lines += [(now - 100 + i, f'level=error msg="GET /cart took {i} ms"') for i in range(7)]
    push_logs(lokis[0].loki, [({"app": app}, lines)])
    found = aiops("logs", "patterns", f'{{app="{app}"}}', "--since", "8m", "-o", "json", env=env)
    assert [(p["level"], p["new"]) for p in found.json["items"]] == [("info", False), ("error", True)]
    assert found.json["items"][1]["count"] == 7
    assert len({p["id"] for p in found.json["items"]}) == 2
    assert len({p["pattern"] for p in found.json["items"]}) == 1


def test_lines_of_a_burst_are_counted_by_the_server(
    aiops: Aiops, lokis: list[Cluster], env: dict[str, str]
) -> None:
    """Their times tell nothing of how many there are."""
    app = f"burst{time.time_ns()}"
    base = int((time.time() - 60) * 1e9)
    push_logs(lokis[0].loki, [({"app": app}, [(base + i, f"burst {i}") for i in range(20_000)])])
    found = aiops(
        "logs", "patterns", f'{{app="{app}"}} |= "burst" # all', "--limit", "5000", "-c", "pattern1",
        "-o", "json", env=env,
    )  # fmt: skip
    (read,) = found.json["read"]
    assert (read["lines"], read["share"]) == (5000, 0.25)
    assert "5000 of 20000 lines were read, 25%" in found.stderr


def test_a_cluster_without_logs_is_told_and_the_others_shown(
    aiops: Aiops, lokis: list[Cluster], endpoints: Endpoints
) -> None:
    app = f"some{time.time_ns()}"
    push_logs(lokis[0].loki, [({"app": app}, [(time.time() - 5, "hello")])])
    env = endpoints({"pattern1": {"loki": lokis[0].loki.url}, "gone": {"loki": "http://127.0.0.1:1"}})
    found = aiops("logs", "patterns", f'{{app="{app}"}}', "-o", "json", env=env)
    assert found.returncode == 3
    assert [p["pattern"] for p in found.json["items"]] == ["hello"]
    assert "gone: CLUSTER_UNREACHABLE" in found.stderr


def test_pod_logs_have_patterns_too(aiops: Aiops, clusters: Clusters) -> None:
    cluster = clusters("podlogs", {"apiserver"})
    namespace = f"shop-{time.time_ns()}"
    with kubelet_of(cluster, f"node-{time.time_ns()}") as kubelet:
        kubelet.pod(namespace, "web-1", labels={"app": "web"})
        for i in range(3):
            kubelet.write(f"{namespace}/web-1/main", f"served {i}", at=time.time_ns())
        env = {"KUBECONFIG": str(cluster.kubeconfig)}
        found = aiops("logs", "patterns", f'{{namespace="{namespace}"}}', "-o", "json", env=env)
    assert [(p["pattern"], p["count"]) for p in found.json["items"]] == [("served <*>", 3)]
    assert "no Loki: pod logs by the Kubernetes API" in found.stderr


def test_the_shipped_bundle_has_the_fault_among_its_new_patterns(aiops: Aiops) -> None:
    found = aiops(
        "logs", "patterns", '{namespace="shop"}', "--bundle", "demo", "--since", "2m", "--new", "-o", "json"
    )
    assert found.returncode == 0
    assert all(p["new"] and p["clusters"][0]["cluster"] == "west" for p in found.json["items"])
    assert any("pool ledger-db is exhausted" in p["pattern"] for p in found.json["items"])
    whole = aiops("logs", "patterns", '{namespace="shop"}', "--bundle", "demo", "-o", "json")
    assert {p["new"] for p in whole.json["items"]} == {None}
    assert "what is new can't be told; try --since 195s" in whole.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (['namespace="shop"'], "patterns need a log query"),
        (['sum(rate({a="b"}[1m]))'], "patterns need a log query"),
        (['{a="b"}', "--limit", "0"], "--limit must be at least 1"),
        (['{a="b"}', "--baseline", "0"], "--baseline must be greater than 0"),
        (['{a="b"}', "--baseline", "long"], "no duration"),
        (['{a="b"'], "invalid LogQL"),
    ],
)
def test_what_can_not_be_asked(aiops: Aiops, args: list[str], said: str) -> None:
    done = aiops("logs", "patterns", "--bundle", "demo", "--since", "2m", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
