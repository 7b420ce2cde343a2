"""Alerts of a real Alertmanager; error bodies, which it has in several shapes, from a stub."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.sources.alertmanager import AlertmanagerSource
from tests.conftest import Clusters
from tests.sources.conftest import Connect
from tests.sources.stub import Stub


def _post(url: str, body: object) -> httpx2.Response:
    reply = httpx2.post(url, json=body, trust_env=False)
    reply.raise_for_status()
    return reply


def _at(minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


async def test_firing_and_silenced_alerts_are_told_apart(clusters: Clusters, connect: Connect) -> None:
    url = clusters("sources", {"alertmanager"}).alertmanager.url
    _post(
        f"{url}/api/v2/alerts",
        [
            {
                "labels": {"alertname": name, "severity": "critical", "namespace": "shop"},
                "annotations": {"summary": "disk is full"},
                "startsAt": _at(-5),
                "generatorURL": "http://prometheus.example/graph",
            }
            for name in ("DiskFull", "Quiet")
        ],
    )
    matcher = {"name": "alertname", "value": "Quiet", "isRegex": False, "isEqual": True}
    _post(
        f"{url}/api/v2/silences",
        {
            "matchers": [matcher],
            "startsAt": _at(-1),
            "endsAt": _at(60),
            "createdBy": "test",
            "comment": "known",
        },
    )
    source = AlertmanagerSource(connect(url))
    await source.ready()
    rows = {row.name: row for row in (await source.alerts()).rows if row.name in ("DiskFull", "Quiet")}
    assert rows["DiskFull"].state == "FIRING"
    assert rows["Quiet"].state == "SUPPRESSED"
    disk = rows["DiskFull"]
    assert (disk.severity, disk.labels["namespace"]) == ("critical", "shop")
    assert disk.annotations == {"summary": "disk is full"}
    assert disk.starts_at and datetime.fromisoformat(disk.starts_at) < datetime.now(UTC)
    assert len(disk.fingerprint) == 16
    assert disk.generator_url == "http://prometheus.example/graph"


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (500, '"storage is broken"', ErrorCode.SERVER_ERROR, "storage is broken"),
        (422, '{"code":602,"message":"active in query must be of type boolean"}', ErrorCode.SERVER_ERROR, "must be of type boolean"),
        (403, '"no"', ErrorCode.FORBIDDEN, "403"),
        (404, "", ErrorCode.NOT_FOUND, "404"),
        (503, "Limit of concurrent GET requests reached (8), try again later.", ErrorCode.RATE_LIMITED, "Limit of concurrent"),
        (200, "<html>login</html>", ErrorCode.BAD_ANSWER, "HTML page"),
        (200, '{"status":"error"}', ErrorCode.BAD_ANSWER, "no valid JSON"),
        (200, '[{"labels":{"a"', ErrorCode.BAD_ANSWER, "no valid JSON"),
    ],
)  # fmt: skip
async def test_errors_carry_the_servers_own_words(
    stub: Stub, connect: Connect, status: int, body: str, code: ErrorCode, said: str
) -> None:
    stub.on("/api/v2/alerts", body, status=status)
    with pytest.raises(ClusterError) as caught:
        await AlertmanagerSource(connect(stub.url)).alerts()
    assert caught.value.code is code
    assert said in caught.value.message
    assert caught.value.endpoint == stub.url


async def test_an_old_alertmanager_without_mute_times_and_generator_is_read(
    stub: Stub, connect: Connect
) -> None:
    stub.on(
        "/api/v2/alerts",
        [
            {"labels": {"alertname": "B"}, "fingerprint": "bb", "status": {"state": "unprocessed"}},
            {"labels": {}, "annotations": {}, "fingerprint": "aa", "startsAt": "2026-01-01T00:00:00Z"},
        ],
    )
    rows = (await AlertmanagerSource(connect(stub.url)).alerts()).rows
    assert [(r.fingerprint, r.name, r.state, r.severity) for r in rows] == [
        ("aa", "", "FIRING", None),
        ("bb", "B", "FIRING", None),
    ]


async def test_not_ready_where_the_api_answers_something_else(stub: Stub, connect: Connect) -> None:
    stub.on("/api/v2/status", "<html>sign in</html>", kind="text/html")
    with pytest.raises(ClusterError, match="HTML page"):
        await AlertmanagerSource(connect(stub.url)).ready()
