"""Proxies of the environment and of the kubeconfig."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiops_cli.transport.proxy import environment_proxy
from tests.conftest import Aiops, Clusters
from tests.faults.files import cluster_entry, write_config, write_kubeconfig
from tests.faults.stub import Stub, tunnel


def test_the_environments_proxy_is_asked(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"far": {"prometheus": "http://prometheus.far.example:9090"}})

    done = aiops("metrics", "query", "up", "-o", "name", env={"HTTP_PROXY": well.url})

    assert (done.returncode, done.stdout) == (0, 'far/up{job="node"}\n')
    assert well.asked[0].target.startswith("http://prometheus.far.example:9090/api/v1/query")


def test_an_address_in_no_proxy_is_asked_itself(aiops: Aiops, home: Path, stub: Stub, well: Stub) -> None:
    write_config(home, {"near": {"prometheus": well.url}})

    done = aiops(
        "metrics", "query", "up", "-o", "name", env={"HTTP_PROXY": stub.url, "NO_PROXY": "127.0.0.0/8"}
    )

    assert done.stdout == 'near/up{job="node"}\n'
    assert stub.asked == []


def test_the_kubeconfigs_proxy_url(aiops: Aiops, home: Path, clusters: Clusters) -> None:
    api = clusters("east", {"apiserver"}).apiserver
    with tunnel() as (proxy, asked):
        write_kubeconfig(
            home / ".kube" / "config",
            clusters=[cluster_entry("c", api.url, ca=api.authority.certificate, more={"proxy-url": proxy})],
            users={"me": {"token": api.token}},
            contexts={"edge": ("c", "me")},
        )
        done = aiops("clusters", "health", "-o", "json")

    assert done.json["items"][0]["components"]["apiServer"] == "OK"
    assert f"CONNECT 127.0.0.1:{api.port}" in asked


def test_a_proxy_that_is_away(aiops: Aiops, home: Path) -> None:
    write_config(home, {"far": {"prometheus": "http://prometheus.far.example:9090"}})

    done = aiops("metrics", "query", "up", env={"HTTP_PROXY": "http://127.0.0.1:1"})

    assert done.returncode == 4
    assert "could not connect: connection refused" in done.stderr


@pytest.mark.parametrize("proxy", ["ftp://user:hunter2@proxy.example", "http://[::1", "http://proxy:x"])
def test_a_proxy_that_is_none(aiops: Aiops, home: Path, well: Stub, proxy: str) -> None:
    far = "http://prometheus.far.example:9090"
    write_config(home, {"far": {"prometheus": far}, "well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up", "-o", "name", env={"HTTP_PROXY": proxy})

    assert (done.returncode, done.stdout) == (3, 'well/up{job="node"}\n')
    (line,) = done.stderr.splitlines()
    assert line.startswith("far: CLUSTER_UNREACHABLE: the proxy for it is no URL")
    assert "HTTP_PROXY" in line and "hunter2" not in line


def test_a_proxy_without_a_scheme_is_http(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"far": {"prometheus": "http://prometheus.far.example:9090"}})

    done = aiops("metrics", "query", "up", env={"HTTP_PROXY": well.url.removeprefix("http://")})

    assert done.returncode == 0


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxied"),
    [
        ("http://a.example", "", True),
        ("http://a.example", "*", False),
        ("http://a.example", "example", False),
        ("http://a.example", ".example", False),
        ("http://a.example", "a.example", False),
        ("http://a.example:9090", "a.example:9090", False),
        ("http://ba.example", "a.example", True),
        ("http://10.1.2.3", "10.0.0.0/8", False),
        ("http://11.1.2.3", "10.0.0.0/8", True),
        ("http://10.1.2.3", "10.1.2.3", False),
        ("http://a.example", "other, a.example", False),
        ("http://localhost:9090", "", False),
        ("http://127.0.0.1:9090", "", False),
        ("http://[::1]:9090", "", False),
        ("https://a.example", "", False),  # only HTTP_PROXY is set
    ],
)
def test_no_proxy_as_go_reads_it(
    monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, proxied: bool
) -> None:
    """The rules of golang.org/x/net/http/httpproxy, which kubectl follows."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert environment_proxy(url) == ("http://proxy.example:3128" if proxied else None)
