"""The servers that are asked twice: four of the Prometheus API with the same data, Loki, Jaeger, Alertmanager."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Standalone
from tests.peers import data
from tests.servers.alertmanager import Alertmanager
from tests.servers.jaeger import Jaeger
from tests.servers.loki import Loki
from tests.servers.prometheus import Prometheus, Prometheus3
from tests.servers.thanos import HaPair
from tests.servers.victoriametrics import VictoriaMetrics


@dataclass(frozen=True)
class Asked:
    """`at` is the moment the data ends; what else there is differs from kind to kind."""

    at: int
    urls: dict[str, str]
    ids: tuple[str, ...] = ()


@pytest.fixture(scope="session")
def blocks(standalone: Standalone) -> tuple[Path, int]:
    """The metrics as Prometheus blocks, and the moment they end."""
    at = data.settled()
    return data.make_blocks(standalone.home / "peers-blocks", at), at


@pytest.fixture(scope="session")
def metric_servers(standalone: Standalone, blocks: tuple[Path, int]) -> Asked:
    """Prometheus 2.42 and 3.9, VictoriaMetrics, and Thanos over two more Prometheis."""
    folder, at = blocks
    home = standalone.home / "peers"
    old = Prometheus(home / "old", cluster="old")
    new = Prometheus3(home / "new", cluster="new")
    victoria = VictoriaMetrics(home / "victoria")
    pair = HaPair(home / "pair", cluster="pair")
    for prometheus in (old, new, pair.a, pair.b):
        data.add_blocks(prometheus, folder)
    standalone.start(old, new, victoria, *pair.servers)
    victoria.import_openmetrics(*data.openmetrics(at))
    servers = {
        "prometheus-2.42": old,
        "prometheus-3.9": new,
        "victoriametrics": victoria,
        "thanos": pair.query,
    }
    return Asked(at, {name: server.url for name, server in servers.items()})


@pytest.fixture(scope="session")
def log_server(standalone: Standalone) -> Asked:
    at = data.settled()
    loki = Loki(standalone.home / "peers-loki")
    standalone.start(loki)
    data.push_lines(loki, at)
    return Asked(at, {"loki": loki.url})


@pytest.fixture(scope="session")
def trace_server(standalone: Standalone) -> Asked:
    at = data.settled()
    jaeger = Jaeger(standalone.home / "peers-jaeger")
    standalone.start(jaeger)
    return Asked(at, {"jaeger": jaeger.url}, tuple(data.push_traces(jaeger, at)))


@pytest.fixture(scope="session")
def alert_server(standalone: Standalone) -> Asked:
    at = data.settled()
    alertmanager = Alertmanager(standalone.home / "peers-alertmanager")
    standalone.start(alertmanager)
    data.post_alerts(alertmanager, at)
    return Asked(at, {"alertmanager": alertmanager.url})
