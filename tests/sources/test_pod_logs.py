"""Pod logs, for what a kubelet does not do when asked to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from aiops_cli.errors import ClusterError, UsageError
from aiops_cli.models.result import Answer
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.sources.pod_containers import Container, Unreadable
from aiops_cli.sources.pod_follow import Following
from aiops_cli.sources.pod_logs import PodLogSource
from aiops_cli.sources.pod_query import PodQuery, parse
from tests.sources.conftest import Connect
from tests.sources.stub import Stub

_LOG = "/api/v1/namespaces/shop/pods/web/log"


def _lines(first: int, count: int) -> str:
    at = datetime.fromtimestamp
    return "".join(f"{at(n, UTC):%Y-%m-%dT%H:%M:%S}.5Z line {n}\n" for n in range(first, first + count))


async def test_lines_that_come_while_we_ask_hide_none_of_the_window(stub: Stub, connect: Connect) -> None:
    """The kubelet counts its last lines from the end of the log, which has moved on by then."""
    pod = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"containers": [{"name": "app"}]}}
    stub.on("/api/v1/namespaces/shop/pods", {"metadata": {}, "items": [pod]})
    end = int(datetime.now(UTC).timestamp())
    stub.on(_LOG, _lines(end, 10), kind="text/plain")  # with tailLines=10
    stub.on(_LOG, _lines(end - 100, 110), kind="text/plain")
    client = connect(stub.url)
    source = PodLogSource(KubernetesSource(client), client)
    answer = await source.query_range('{namespace="shop"}', TimeRange(end - 60, end), 10)
    assert [e.line for e in answer.rows] == [f"line {n}" for n in range(end - 1, end - 11, -1)]
    assert [a.params.get("tailLines") for a in stub.asked[1:]] == ["10", None]


def test_classes_of_posix_are_read_as_servers_read_them() -> None:
    query = parse('{app="a"} |~ "[[:digit:]]+ms"')
    assert [line for line in ("took 12ms", "took :]ms", "took d]ms") if query.shows(line)] == ["took 12ms"]


@pytest.mark.parametrize("expr", ['{app=~"[[:^alpha:]]"}', '{app="a"} |~ "(("', '{app="a"} |~ `\\pL`'])
def test_what_can_not_be_read_is_refused(expr: str) -> None:
    with pytest.raises(UsageError, match="bad regex"):
        parse(expr)


class _Refusing:
    """One container that runs, and whose log nobody may read."""

    async def containers(self, query: PodQuery) -> Answer[Container]:
        labels = {"namespace": "shop", "pod": "web", "container": "app"}
        return Answer([Container(_LOG, labels, True, 0, 0.0)])

    async def read(self, *args: object, **more: object) -> AsyncIterator[tuple[int, str]]:
        raise Unreadable(403, ClusterError("not allowed"))
        yield (0, "")


async def test_who_is_refused_asks_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    enough, sleep = asyncio.Event(), asyncio.sleep

    async def slept(seconds: float) -> None:
        if seconds != 5.0:  # that is the look at which containers there are
            pauses.append(seconds)
            if len(pauses) == 7:
                enough.set()
        await sleep(3600 if seconds == 5.0 else 0)

    monkeypatch.setattr(asyncio, "sleep", slept)
    following = Following(_Refusing(), parse('{app="a"}'), 0)  # type: ignore[arg-type]
    try:
        await following.look()
        assert (await anext(following.lines())).warnings == ["not allowed"]
        await enough.wait()
    finally:
        await following.close()
    assert pauses[:7] == [2, 4, 8, 16, 30, 30, 30]
