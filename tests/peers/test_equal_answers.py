"""What `promtool query`, `logcli` and `amtool` answer, aiops answers too, from the same servers.

Tempo's own CLI is not compared: it is under the AGPL, which the test set-up does not take in. For traces
a script that reads Jaeger's JSON API is the peer.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.conftest import Aiops
from tests.peers import asks
from tests.peers.asks import SHAPES, Ask
from tests.peers.conftest import Asked
from tests.servers.binaries import MissingServer

Endpoints = Callable[[Mapping[str, Mapping[str, str]]], dict[str, str]]
METRIC_SERVERS = ("prometheus-2.42", "prometheus-3.9", "victoriametrics", "thanos")
SECONDS = 120.0


def names(found: Sequence[Ask]) -> list[str]:
    return [f"{ask.size}: {ask.name}" for ask in found]


def of_peer(ask: Ask) -> Any:
    """The peer's answer; its stderr, which logcli says labels on, is read in place."""
    try:
        command = asks.peer_command(ask)
    except MissingServer as error:
        pytest.skip(str(error))
    done = subprocess.run(
        command,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:]
    return SHAPES[ask.shape].peer(done.stdout)


def of_aiops(ask: Ask, aiops: Aiops, env: Mapping[str, str]) -> Any:
    read = SHAPES[ask.shape]
    done = aiops(*ask.aiops, "-o", read.output, env=env, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return read.aiops(done.stdout)


def assert_equal(mine: Any, theirs: Any) -> None:
    """As `assert mine == theirs`, which would take minutes to show where a million values differ."""
    if mine == theirs:
        return
    if len(mine) != len(theirs):
        pytest.fail(f"aiops has {len(mine)}, the peer {len(theirs)}")
    at = next(n for n, pair in enumerate(zip(mine, theirs, strict=True)) if pair[0] != pair[1])
    pytest.fail(f"number {at}: aiops has {str(mine[at])[:500]}, the peer {str(theirs[at])[:500]}")


_METRICS = names(asks.metrics(0, "URL"))


@pytest.mark.parametrize("server", METRIC_SERVERS)
@pytest.mark.parametrize("index", range(len(_METRICS)), ids=_METRICS)
def test_metrics_as_promtool(
    aiops: Aiops, metric_servers: Asked, endpoints: Endpoints, server: str, index: int
) -> None:
    url = metric_servers.urls[server]
    tool = "promtool3" if server == "prometheus-3.9" else "promtool"
    ask = asks.metrics(metric_servers.at, url, promtool=tool)[index]
    mine = of_aiops(ask, aiops, endpoints({"one": {"prometheus": url}}))
    assert_equal(mine, of_peer(ask))
    assert mine  # an empty answer equals any other


def test_each_cluster_has_what_promtool_has_of_it(
    aiops: Aiops, metric_servers: Asked, endpoints: Endpoints
) -> None:
    env = endpoints({name: {"prometheus": url} for name, url in metric_servers.urls.items()})
    expr = "sum by (service) (rate(http_requests_total[5m]))"
    done = aiops("metrics", "query", expr, "--time", str(metric_servers.at), "-o", "json", env=env)
    assert done.returncode == 0, done.stderr
    for name, url in metric_servers.urls.items():
        mine = [item for item in done.json["items"] if item["cluster"] == name]
        ask = Ask(
            "metrics",
            "small",
            expr,
            "vector",
            (),
            ("promtool", "query", "--format=json", "instant", f"--time={metric_servers.at}", url, expr),
        )
        assert_equal(SHAPES["vector"].aiops(json.dumps({"items": mine})), of_peer(ask))
        assert len(mine) == 4


_LOGS = names(asks.logs(0, "URL"))


@pytest.mark.parametrize("index", range(len(_LOGS)), ids=_LOGS)
def test_lines_as_logcli(aiops: Aiops, log_server: Asked, endpoints: Endpoints, index: int) -> None:
    ask = asks.logs(log_server.at, log_server.urls["loki"])[index]
    mine = of_aiops(ask, aiops, endpoints({"one": log_server.urls}))
    assert_equal(mine, of_peer(ask))
    assert mine


_ALERTS = names(asks.alerts(0, "URL"))


@pytest.mark.parametrize("index", range(len(_ALERTS)), ids=_ALERTS)
def test_alerts_and_silences_as_amtool(
    aiops: Aiops, alert_server: Asked, endpoints: Endpoints, index: int
) -> None:
    ask = asks.alerts(alert_server.at, alert_server.urls["alertmanager"])[index]
    mine = of_aiops(ask, aiops, endpoints({"one": alert_server.urls}))
    assert_equal(mine, of_peer(ask))
    assert bool(mine) == ("NoSuchAlert" not in ask.name)


_TRACES = names(asks.traces(0, "URL", ["ID"] * 50))


@pytest.mark.parametrize("index", range(len(_TRACES)), ids=_TRACES)
def test_traces_as_jaegers_own_api(
    aiops: Aiops, trace_server: Asked, endpoints: Endpoints, index: int
) -> None:
    ask = asks.traces(trace_server.at, trace_server.urls["jaeger"], list(trace_server.ids))[index]
    mine = of_aiops(ask, aiops, endpoints({"one": trace_server.urls}))
    assert_equal(mine, of_peer(ask))
    assert mine
