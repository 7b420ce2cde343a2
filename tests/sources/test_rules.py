"""Rules, their alerts and the external labels of a real Prometheus; other servers' answers from a stub."""

from __future__ import annotations

import itertools
import json

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.sources.rules import RulesSource
from tests.conftest import Clusters
from tests.servers.prometheus import Prometheus
from tests.sources.conftest import Connect
from tests.sources.stub import Stub

RULES = [
    {
        "alert": "Fires",
        "expr": "vector(2) > 1",
        "labels": {"severity": "critical", "for_whom": "{{ $value }}"},
        "annotations": {"summary": "it is {{ $value }}"},
    },
    {"alert": "Waits", "expr": "vector(1)", "for": "1h"},
    {"record": "no:alert", "expr": "vector(1)"},
]


@pytest.fixture
def ruled(clusters: Clusters) -> Prometheus:
    server = clusters("sources", {"prometheus"}).prometheus
    server.set_rules("ruled", RULES)
    server.wait_for('ALERTS{alertname="Fires",alertstate="firing"} and on() ALERTS{alertname="Waits"}')
    return server


async def test_alerts_and_rules(ruled: Prometheus, connect: Connect) -> None:
    source = RulesSource(connect(ruled.url))
    alerts = {a.name: a for a in (await source.alerts()).rows}
    assert (alerts["Fires"].state, alerts["Waits"].state) == ("FIRING", "PENDING")
    assert alerts["Fires"].labels["for_whom"] == "2" and alerts["Fires"].severity == "critical"
    assert alerts["Fires"].annotations == {"summary": "it is 2"}
    assert alerts["Fires"].starts_at and alerts["Fires"].source == "prometheus"
    rules = {r.name: r for r in (await source.rules()).rows if r.group == "ruled"}
    assert set(rules) == {"Fires", "Waits"}
    assert (rules["Waits"].expr, rules["Waits"].for_seconds) == ("vector(1)", 3600)
    assert rules["Fires"].alerts[0].value == 2 and rules["Fires"].health == "ok"


async def test_external_labels_without_those_that_are_dropped(ruled: Prometheus, connect: Connect) -> None:
    source = RulesSource(connect(ruled.url))
    assert await source.external_labels() == {"cluster": "sources"}
    before = ruled.config.read_text()
    config = json.loads(before)
    config["global"]["external_labels"] |= {"replica": "a", "odd": 'x: "y"'}
    config.setdefault("alerting", {})["alert_relabel_configs"] = [{"action": "labeldrop", "regex": "repl.*"}]
    ruled.config.write_text(json.dumps(config))
    try:
        ruled.reload()
        assert await source.external_labels() == {"cluster": "sources", "odd": 'x: "y"'}
    finally:
        ruled.config.write_text(before)
        ruled.reload()


@pytest.mark.parametrize(
    "answer", [{"data": {"yaml": "global: ["}}, {"data": {"yaml": "global: 1"}}, {}, "x"]
)
async def test_external_labels_that_are_not_told(stub: Stub, connect: Connect, answer: object) -> None:
    stub.on("/api/v1/status/config", answer)
    assert await RulesSource(connect(stub.url)).external_labels() is None
    assert await RulesSource(connect(f"{stub.url}/thanos")).external_labels() is None  # 404


async def test_errors_say_what_was_answered(stub: Stub, connect: Connect) -> None:
    stub.on("/api/v1/alerts", "<html>login</html>", kind="text/html")
    stub.on("/api/v1/rules", {"status": "error", "error": "forbidden for you"}, status=403)
    with pytest.raises(ClusterError, match="HTML page"):
        await RulesSource(connect(stub.url)).alerts()
    with pytest.raises(ClusterError, match="forbidden for you") as caught:
        await RulesSource(connect(stub.url)).rules()
    assert caught.value.code is ErrorCode.FORBIDDEN


async def test_a_thanos_that_lacks_a_store_says_so(stub: Stub, connect: Connect) -> None:
    stub.on("/api/v1/alerts", {"status": "success", "data": {"alerts": []}, "warnings": ["store down"]})
    answer = await RulesSource(connect(stub.url)).alerts()
    assert answer.partial and answer.warnings == ["store down"]


async def test_a_configuration_that_grows_without_end_is_not_told(stub: Stub, connect: Connect) -> None:
    """Text of a kilobyte whose aliases make gigabytes."""
    names = "abcdefghij"
    grows = [f"    {b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in itertools.pairwise(names)]
    config = "\n".join(["global:", "  external_labels:", f"    a: &a [{','.join('x' * 9)}]", *grows])
    stub.on("/api/v1/status/config", {"status": "success", "data": {"yaml": config}})
    assert await RulesSource(connect(stub.url)).external_labels() is None
