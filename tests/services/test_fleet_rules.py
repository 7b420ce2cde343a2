"""Rules that keep one cluster's trouble, tokens and data from becoming another's."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from aiops_cli.config.kubeconfig import ExecPlugin, KubeCluster, KubeContext, KubeUser
from aiops_cli.config.settings import Settings
from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, UsageError
from aiops_cli.models.fleet import Cluster, Endpoint
from aiops_cli.models.result import Answer
from aiops_cli.services.discovery import Discovery
from aiops_cli.services.fanout import Progress, fan_out
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.identity import subject
from aiops_cli.services.inventory import label_changes
from aiops_cli.services.metrics import CachePolicy, _anchored
from aiops_cli.services.registry import Registry
from aiops_cli.services.selection import select
from aiops_cli.store.state import State
from aiops_cli.transport.credentials import Login
from tests.servers.network import free_port


class Someone:
    """A member that can be asked; `ways` is how many more ways it finds after a failure."""

    def __init__(self, name: str, ways: int = 0) -> None:
        self.name, self.ways = name, ways

    async def recover(self, error: AiopsError) -> bool:
        self.ways -= 1
        return self.ways >= 0


async def test_an_answer_that_can_t_be_handled_is_that_cluster_s_failure_alone() -> None:
    async def ask(who: Someone) -> Answer[int]:
        if who.name == "odd":
            raise ValueError("year 99999999 is out of range")
        return Answer([1])

    result = await fan_out([Someone("odd"), Someone("good")], ask)
    assert result.rows == [("good", 1)]
    assert result.clusters[0].error is not None
    assert result.clusters[0].error.code == ErrorCode.INTERNAL
    assert "year 99999999" in result.clusters[0].error.message


async def test_another_way_is_tried_once_after_a_failure() -> None:
    asked: list[str] = []

    async def ask(who: Someone) -> Answer[int]:
        asked.append(who.name)
        if asked.count(who.name) == 1:
            raise ClusterError("gone", code=ErrorCode.CLUSTER_UNREACHABLE)
        return Answer([len(asked)])

    result = await fan_out([Someone("moved", ways=1), Someone("dead")], ask)
    assert [c.status for c in result.clusters] == ["SUCCESS", "ERROR"]
    assert asked.count("moved") == 2 and asked.count("dead") == 1


async def test_a_query_that_every_cluster_refuses_is_the_user_s_mistake() -> None:
    async def ask(who: Someone) -> Answer[int]:
        raise UsageError("no such function", code=ErrorCode.INVALID_PROMQL)

    with pytest.raises(UsageError, match="no such function"):
        await fan_out([Someone("a"), Someone("b")], ask)


async def test_who_is_still_waited_for_is_told_while_waiting() -> None:
    import asyncio

    told: list[list[str]] = []
    seen = asyncio.Event()

    def watch(progress: Progress) -> None:
        told.append(progress.waiting)
        if progress.waiting == ["slow"]:
            seen.set()

    async def ask(who: Someone) -> Answer[int]:
        if who.name == "slow":
            await seen.wait()
        return Answer([1])

    await fan_out([Someone("slow"), Someone("quick")], ask, watch=watch)
    assert ["slow"] in told


class Moved(LiveMember):
    """A cluster whose servers have moved since they were learned of."""

    def __init__(self, registry: Registry) -> None:
        context = KubeContext("east", KubeCluster("east", "https://a.example:6443"), KubeUser("east"))
        cluster = Cluster("east", "east", "https://a.example:6443")
        super().__init__(cluster, context, Settings(), registry, 1.0, 1)
        self.both_failed = asyncio.Event()
        self.looks = 0

    async def _discover(self) -> Discovery:
        self.looks += 1
        await self.both_failed.wait()
        found = Discovery()
        for signal in ("prometheus", "loki"):
            found.endpoints[signal] = Endpoint(signal, f"https://new-{signal}.example", "route")
        return found


async def test_what_fails_while_servers_are_looked_for_anew_waits_for_them(tmp_path: Path) -> None:
    registry = Registry(State(tmp_path))
    old = Discovery()
    for signal in ("prometheus", "loki"):
        old.endpoints[signal] = Endpoint(signal, f"https://old-{signal}.example", "route", learned_at=4e9)
    registry.learn("east", "https://a.example:6443", old)
    member = Moved(registry)
    for signal in ("prometheus", "loki"):
        assert (await member.endpoint(signal)).url == f"https://old-{signal}.example"
    gone = ClusterError("gone", code=ErrorCode.CLUSTER_UNREACHABLE)
    first = asyncio.ensure_future(member.recover(gone))
    second = asyncio.ensure_future(member.recover(gone))
    await asyncio.sleep(0)
    member.both_failed.set()
    assert await asyncio.gather(first, second) == [True, True]
    assert member.looks == 1
    assert (await member.endpoint("loki")).url == "https://new-loki.example"
    assert not await member.recover(gone)  # once a run


def test_what_was_learned_of_one_api_server_is_not_used_for_another_of_that_name(tmp_path: Path) -> None:
    registry = Registry(State(tmp_path))
    found = Discovery()
    found.endpoints["prometheus"] = Endpoint("prometheus", "https://prom.a.example", "route", learned_at=4e9)
    registry.learn("kubernetes-admin@kubernetes", "https://a.example:6443", found)
    assert registry.endpoint("kubernetes-admin@kubernetes", "https://a.example:6443", "prometheus")
    assert registry.endpoint("kubernetes-admin@kubernetes", "https://b.example:6443", "prometheus") is None
    assert registry.endpoint("kubernetes-admin@kubernetes", None, "prometheus") is None


def test_two_ways_through_different_proxies_are_two_clusters() -> None:
    one = Cluster("one", "one", "https://10.0.0.1:6443", way="https://10.0.0.1:6443 http://proxy-a None")
    two = Cluster("two", "two", "https://10.0.0.1:6443", way="https://10.0.0.1:6443 http://proxy-b None")
    same = Cluster("same", "same", "https://10.0.0.1:6443", way=one.way)
    assert [c.name for c in select([one, two, same], Settings())] == ["one", "two"]
    assert [c.name for c in select([one, two, same], Settings(), contexts=["same"])] == ["same"]


def jwt(claims: dict[str, str]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def test_a_cache_tells_users_apart_and_knows_one_again_after_its_token_changed() -> None:
    plugin = KubeUser("cloud", exec=ExecPlugin("client.authentication.k8s.io/v1", "get-token"))
    alice, bob = {"iss": "idp", "sub": "alice"}, {"iss": "idp", "sub": "bob"}
    assert subject(Login(jwt(alice | {"exp": "1"})), plugin) == subject(
        Login(jwt(alice | {"exp": "2"})), plugin
    )
    assert subject(Login(jwt(alice)), plugin) != subject(Login(jwt(bob)), plugin)
    assert subject(Login("opaque-1"), KubeUser("x")) != subject(Login("opaque-2"), KubeUser("x"))
    assert "opaque" not in subject(Login("opaque-1"), KubeUser("x"))


@pytest.mark.parametrize("expr", ["up offset -1h", "up @ 1750000000", "up @ start()", "rate(x[5m] @ end())"])
def test_an_expression_that_looks_past_its_step_is_never_cached(expr: str) -> None:
    assert _anchored(expr)


@pytest.mark.parametrize("expr", ["up", "up offset 5m", 'x{mail="a@b"}'])
def test_others_are(expr: str) -> None:
    assert not _anchored(expr)
    assert CachePolicy().cache is None


def test_labels_are_set_and_removed_as_kubectl_does() -> None:
    assert label_changes(["region=eu", "old-"]) == {"region": "eu", "old": None}
    with pytest.raises(UsageError, match="neither key=value nor key-"):
        label_changes(["region"])


async def test_a_look_that_failed_is_made_again_when_told_or_a_minute_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = KubeContext("east", KubeCluster("east", f"https://127.0.0.1:{free_port()}"), KubeUser("east"))
    member = LiveMember(Cluster("east"), context, Settings(), Registry(None), 5, 10)

    async def failure(*, anew: bool = False) -> AiopsError:
        with pytest.raises(AiopsError) as failed:
            await member.discover(anew=anew)
        return failed.value

    try:
        first = await failure()
        assert await failure() is first
        told = await failure(anew=True)
        assert told is not first
        monkeypatch.setattr("aiops_cli.services.fleet._LOOK_AGAIN_SECONDS", 0.0)
        assert await failure() is not told
    finally:
        await member.aclose()
