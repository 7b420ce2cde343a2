"""A stub for faults, and clients of the real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.transport.client import HttpClient, Target
from aiops_cli.transport.credentials import Login, StaticCredentials
from aiops_cli.transport.tls import Trust
from tests.servers.cluster import Cluster
from tests.sources.stub import Stub, serve

Connect = Callable[[str], HttpClient]
KubeConnect = Callable[..., KubernetesSource]


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with serve() as running:
        yield running


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """`connect(url)`: a client without credentials, closed when the test ends."""
    opened: list[HttpClient] = []

    def make(url: str) -> HttpClient:
        opened.append(HttpClient(Target(url), timeout=20))
        return opened[-1]

    yield make
    for client in opened:
        await client.aclose()


@pytest.fixture
async def kube_connect() -> AsyncIterator[KubeConnect]:
    """`kube_connect(cluster, token=…, namespace=…)`: a source, as the administrator unless told."""
    opened: list[HttpClient] = []

    def make(cluster: Cluster, *, token: str | None = None, namespace: str = "default") -> KubernetesSource:
        login = StaticCredentials(Login(token=token or cluster.token))
        trust = Trust(ca=cluster.apiserver.authority.certificate)
        opened.append(HttpClient(Target(cluster.apiserver.url, login, trust), timeout=20))
        return KubernetesSource(opened[-1], namespace)

    yield make
    for client in opened:
        await client.aclose()
