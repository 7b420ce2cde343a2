"""The logs screen: recorded lines, real Lokis, and what it is built of."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

import pytest

from aiops_cli.tui.place import Place
from aiops_cli.tui.screens.logs import Logs
from aiops_cli.tui.widgets.log_buffer import Buffer
from aiops_cli.tui.widgets.log_places import pattern_query, query_of, stream_query
from aiops_cli.tui.widgets.log_query import wanted
from tests.conftest import Clusters
from tests.faults.files import write_config
from tests.servers.loki import Loki
from tests.servers.push import push_logs
from tests.tui.conftest import NARROW, WIDE, Driver, driving, screen_text, until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NAMES = ["tail1", "tail2"]


@pytest.fixture
def lokis(clusters: Clusters, home: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Loki]:
    """Two Lokis that are asked from here on."""
    found = {c.name: c.loki for c in clusters.together(NAMES, {"loki"})}
    config = write_config(home, {name: {"loki": loki.url} for name, loki in found.items()})
    monkeypatch.setenv("AIOPS_CONFIG", str(config))
    return found


@pytest.fixture
def labels(request: pytest.FixtureRequest) -> dict[str, str]:
    """Of this test's own streams: the servers are shared."""
    return {"app": request.node.name.partition("[")[0], "run": str(time.time_ns())}


def selector(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{k}="{v}"' for k, v in labels.items()) + "}"


def write(loki: Loki, labels: Mapping[str, str], *lines: str, at: float | None = None) -> None:
    start = time.time_ns() if at is None else int(at * 1e9)
    push_logs(loki, [(labels, [(start + i, line) for i, line in enumerate(lines)])])


def logs(pilot: Driver) -> Logs:
    board = pilot.app.screen
    assert isinstance(board, Logs)
    return board


async def test_a_tail_of_two_clusters_shows_what_is_written_pauses_filters_and_leads_to_a_trace(
    lokis: dict[str, Loki], labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lokis["tail1"], labels, "level=info msg=before")
    async with driving(f"logs {selector(labels)}", size=WIDE) as pilot:
        await until(pilot, "msg=before")
        await pilot.press("f")
        await until(pilot, "following 2 of 2 clusters")
        write(lokis["tail1"], labels, "level=info msg=one", f"level=error msg=broken trace_id={TRACE}")
        write(lokis["tail2"], labels | {"pod": "web-7"}, "level=warn msg=two")
        await until(pilot, "msg=one")
        text = await until(pilot, "msg=two")
        assert [text.count(f"msg={m}") for m in ("before", "one", "broken", "two")] == [1, 1, 1, 1]
        assert re.search(r"✖ tail1 .*msg=broken", text)
        assert re.search(r"▲ tail2 +web-7 +level=warn msg=two", text)

        await pilot.press("p")
        write(lokis["tail2"], labels | {"pod": "web-7"}, *(f"level=info msg=held-{i}" for i in range(3)))
        text = await until(pilot, "paused, 3 lines wait")
        assert "held" not in text
        await pilot.press("p")
        await until(pilot, "held-2")

        await pilot.press("slash", *"broken|held-1", "enter")
        text = await until(pilot, lambda: not logs(pilot).buffer.unseen and "Lines 2 of 7" in screen_text(pilot))
        assert "msg=broken" in text
        assert "msg=one" not in text
        went: list[Place] = []
        monkeypatch.setattr(Logs, "go", lambda self, place: went.append(place))
        await pilot.press("g", "t")
        assert went == [Place("traces", "", {"trace": TRACE}, ("tail1",))]
