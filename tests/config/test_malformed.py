"""Kubeconfig entries of the wrong kind fail alone, and no message quotes a secret in a URL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aiops
from tests.faults.files import cluster_entry, config_path, write_kubeconfig
from tests.faults.stub import Stub, answer

VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "login"}

BAD_USERS: dict[str, tuple[Mapping[str, Any], str]] = {
    "exec a text": ({"exec": "oops"}, "exec of user 'bad'"),
    "exec arguments a text": ({"exec": EXEC | {"args": "--now"}}, "`args` is no list of texts"),
    "exec variable without a name": ({"exec": EXEC | {"env": [{"value": "x"}]}}, "`env`"),
    "exec variables a text": ({"exec": EXEC | {"env": "A=1"}}, "`env` is no list of mappings"),
    "token file a number": ({"tokenFile": 5}, "`tokenFile` is no text"),
    "token a number": ({"token": 12345678}, "`token` is no text"),
    "certificate a list": ({"client-certificate": ["a"]}, "`client-certificate` is no text"),
    "groups a text": ({"as": "me", "as-groups": "admins"}, "`as-groups` is no list of texts"),
    "extra a list": ({"as": "me", "as-user-extra": ["a"]}, "`as-user-extra` is no mapping of lists"),
}
BAD_CLUSTERS: dict[str, tuple[Mapping[str, Any], str]] = {
    "server a number": ({"server": 5}, "`server` is no text"),
    "extensions of texts": ({"extensions": ["x"]}, "`extensions` is no list of mappings"),
    "insecure a text": ({"insecure-skip-tls-verify": "false"}, "neither true nor false"),
    "proxy a list": ({"proxy-url": ["x"]}, "`proxy-url` is no text"),
    "a password": ({"server": "https://admin:hunter2@edge.example"}, "has a password"),
    "a query": ({"server": "https://edge.example/?token=hunter2"}, "a query"),
}


def one_is_bad(
    aiops: Aiops,
    home: Path,
    stub: Stub,
    said: str,
    *,
    cluster: Mapping[str, Any],
    user: Mapping[str, Any],
    names: Any = "bad",
) -> None:
    stub.on("/", answer(VERSION))
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[
            cluster_entry("good", stub.url),
            {"name": "bad", "cluster": {"server": "https://bad.example", **cluster}},
        ],
        users={"good": {}, "bad": user},
        contexts={"well": ("good", "good"), "ill": (names, "bad")},
    )

    done = aiops("clusters", "health", "-o", "json")

    states = {item["cluster"]: item["components"]["apiServer"] for item in done.json["items"]}
    assert states["well"] == "OK"
    assert states["ill"] != "OK"
    assert "KUBECONFIG_INVALID" in done.stderr + done.stdout
    assert said in done.stderr + done.stdout
    assert "hunter2" not in done.stderr + done.stdout
    assert "internal error" not in done.stderr
    listed = aiops("clusters", "list", "-o", "json")
    assert [c["name"] for c in listed.json["items"]] == ["well", "ill"]
    assert "hunter2" not in listed.stderr + listed.stdout


@pytest.mark.parametrize(("user", "said"), BAD_USERS.values(), ids=BAD_USERS.keys())
def test_a_malformed_user_fails_alone(
    aiops: Aiops, home: Path, stub: Stub, user: Mapping[str, Any], said: str
) -> None:
    one_is_bad(aiops, home, stub, said, cluster={}, user=user)


@pytest.mark.parametrize(("cluster", "said"), BAD_CLUSTERS.values(), ids=BAD_CLUSTERS.keys())
def test_a_malformed_cluster_fails_alone(
    aiops: Aiops, home: Path, stub: Stub, cluster: Mapping[str, Any], said: str
) -> None:
    one_is_bad(aiops, home, stub, said, cluster=cluster, user={})


def test_a_context_whose_cluster_is_a_list_fails_alone(aiops: Aiops, home: Path, stub: Stub) -> None:
    one_is_bad(aiops, home, stub, "`cluster` is no text", cluster={}, user={}, names=["bad"])


URLS = {
    "no scheme": ('prometheus = "admin:hunter2@prom:9090"', "no http:// or https:// URL"),
    "a query": ('loki = "https://logs.example/?token=hunter2"', "must not carry a query"),
    "a fragment": ('loki = "https://logs.example/#hunter2"', "must not carry a query or fragment"),
    "no host": ('loki = "https:///hunter2"', "names no host"),
    "an exporter's": ('dcgm = ["http://me:hunter2@gpu.example:9400"]', "must not carry a password"),
}


@pytest.mark.parametrize(("line", "said"), URLS.values(), ids=URLS.keys())
def test_a_url_with_a_secret_is_refused_and_not_shown(aiops: Aiops, home: Path, line: str, said: str) -> None:
    config_path(home).write_text(f"[clusters.edge.endpoints]\n{line}\n")

    done = aiops("config", "validate")

    assert done.returncode == 2
    assert said in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
