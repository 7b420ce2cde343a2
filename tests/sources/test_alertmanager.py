"""Alerts of a real Alertmanager; error bodies, which it has in several shapes, from a stub."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from aiops_cli.errors import AuthError, ClusterError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.alerts import SilenceMatcher
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
    assert disk.receivers == ["nowhere"]
    assert len(rows["Quiet"].silenced_by) == 1 and not disk.silenced_by


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


def _silence(value: str, **more: object) -> dict[str, object]:
    return {
        "matchers": [SilenceMatcher("alertname", value)],
        "startsAt": _at(-1),
        "endsAt": _at(60),
        "createdBy": "test",
        "comment": "known",
    } | more


async def test_a_silence_is_made_changed_found_and_ended(clusters: Clusters, connect: Connect) -> None:
    source = AlertmanagerSource(connect(clusters("sources", {"alertmanager"}).alertmanager.url))
    made = await source.create(_silence('Odd "one" \\ x'))
    chosen = [SilenceMatcher("alertname", 'Odd "one" \\ x')]
    (found,) = (await source.silences(chosen)).rows
    assert (found.id, found.state, found.comment) == (made, "ACTIVE", "known")
    assert found.matchers == chosen and found.endpoint == source.endpoint
    assert (
        await source.create(_silence('Odd "one" \\ x', id=made, startsAt=found.starts_at, endsAt=_at(90)))
        == made
    )
    await source.expire(made)
    assert [s.state for s in (await source.silences(chosen)).rows if s.id == made] == ["EXPIRED"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"endsAt": "2020-01-01T00:00:00Z"}, "end"),
        ({"matchers": []}, "matchers"),
        ({"matchers": [SilenceMatcher("a", "(", True)]}, "invalid regular expression"),
        ({"matchers": [SilenceMatcher("a", "")]}, "empty string"),
    ],
)
async def test_what_a_server_calls_invalid_is_wrong_usage(
    clusters: Clusters, connect: Connect, more: dict[str, object], said: str
) -> None:
    source = AlertmanagerSource(connect(clusters("sources", {"alertmanager"}).alertmanager.url))
    with pytest.raises(UsageError, match=said):
        await source.create(_silence("Never", **more))


async def test_an_unknown_silence_is_told_from_a_wrong_url(clusters: Clusters, connect: Connect) -> None:
    url = clusters("sources", {"alertmanager"}).alertmanager.url
    unknown = "11111111-1111-1111-1111-111111111111"
    with pytest.raises(NotAvailableError):
        await AlertmanagerSource(connect(url)).create(_silence("Never", id=unknown))
    with pytest.raises(ClusterError) as caught:
        await AlertmanagerSource(connect(f"{url}/nowhere")).create(_silence("Never"))
    assert not isinstance(caught.value, NotAvailableError) and caught.value.code is ErrorCode.NOT_FOUND


async def test_writing_that_is_not_allowed_names_the_role(stub: Stub, connect: Connect) -> None:
    stub.on("/api/v2/silences", "no", status=403)
    with pytest.raises(AuthError, match="not allowed to write silences") as caught:
        await AlertmanagerSource(connect(stub.url)).create(_silence("Never"))
    assert "monitoring-alertmanager-edit" in caught.value.hint


async def test_a_write_is_sent_once_whatever_comes_back(stub: Stub, connect: Connect) -> None:
    stub.on("/api/v2/silences", "try again", status=503)
    with pytest.raises(ClusterError):
        await AlertmanagerSource(connect(stub.url)).create(_silence("Never"))
    assert len(stub.asked) == 1
    with pytest.raises(ClusterError):
        await AlertmanagerSource(connect(stub.url)).silences()
    assert len(stub.asked) > 2  # reading is tried again


async def test_who_an_alertmanager_is(clusters: Clusters, connect: Connect, stub: Stub) -> None:
    real = await AlertmanagerSource(
        connect(clusters("sources", {"alertmanager"}).alertmanager.url)
    ).instance()
    assert (real.name, real.peers) == ("", frozenset())  # started without a cluster
    assert real.started and real.started < datetime.now(UTC).timestamp()
    stub.on(
        "/api/v2/status",
        {"cluster": {"name": "01A", "status": "ready", "peers": [{"name": "01A"}, {"name": "01B"}]}},
    )
    paired = await AlertmanagerSource(connect(stub.url)).instance()
    assert (paired.name, paired.peers, paired.started) == ("01A", frozenset({"01A", "01B"}), None)
