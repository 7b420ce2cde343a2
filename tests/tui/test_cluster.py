"""The cluster screen: parts, nodes, namespaces, events of one cluster, and the ways from each row."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.cluster_detail import EndpointItem, NamespaceItem, NodeItem
from aiops_cli.models.events import EventItem
from aiops_cli.models.fleet import ClusterHealth, Fact
from aiops_cli.models.options import Options
from aiops_cli.models.result import ClusterStatus, FleetResult
from aiops_cli.services.cluster_detail import Detail, Inventory
from aiops_cli.tui import clock
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import Place, parse
from aiops_cli.tui.screens.cluster import Cluster
from tests.servers.fleet import Fleet
from tests.tui.conftest import NARROW, WIDE, Driver, driving, screen_text, until


def _places(pilot: Driver) -> list[Place]:
    """Where the screen wants to go from now on."""
    found: list[Place] = []
    pilot.app.screen.go = found.append  # type: ignore[attr-defined]
    return found


def _asked(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in fleet.env.items():
        monkeypatch.setenv(name, value)


async def test_a_bundle_shows_what_it_holds_and_says_what_it_does_not() -> None:
    async with driving("cluster name=west", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "west ONLINE, score 100")
        for seen in ("does not hold the nodes", "v1.34.4", "Namespaces 4, 12 pods", "Deployment/catalog"):
            await until(pilot, seen)
        await pilot.press("D")
        await until(pilot, "there is no API to ask")


async def test_the_footer_leads_on_to_each_signal_and_the_cause_at_80_columns() -> None:
    async with driving("cluster name=west", bundle="demo") as pilot:
        below = (await until(pilot, "west ONLINE")).splitlines()[-1]
        assert all(
            f" {key} " in f" {below}" for key in ("l Logs", "t Traces", "x Cause", "a Alerts", "esc Back")
        )


async def test_one_view_at_a_time_where_there_is_little_room() -> None:
    async with driving("cluster", bundle="demo", size=NARROW) as pilot:
        assert "[health]" in await until(pilot, "east ONLINE")
        await pilot.press("v")
        assert "[nodes]" in await until(pilot, "does not hold the nodes")
        await pilot.press("shift+right")
        assert "[namespaces]" in await until(pilot, "Namespaces 4")
        await pilot.press("shift+left", "shift+left")
        await until(pilot, "[health]")


async def test_a_namespace_leads_to_its_events_and_esc_to_all() -> None:
    async with driving("cluster name=west tab=namespaces", bundle="demo", size=NARROW) as pilot:
        await until(pilot, "shop ")
        board: Any = pilot.app.screen
        board._space_grid.select("shop")
        await pilot.press("enter")
        await until(pilot, "Events in shop")
        await until(pilot, "Deployment/catalog")
        assert board.place().written() == "cluster name=west tab=events ns=shop"
        event = board._event_grid.selected
        await pilot.press("e")
        await until(pilot, f"Events {event.kind}/{event.name}"[:30])
        await pilot.press("escape")
        await until(pilot, lambda: board.place().written() == "cluster name=west tab=events")


async def test_places_of_the_prompt_and_of_related_things() -> None:
    async with driving("events deployment/catalog ns=shop @west", bundle="demo", size=NARROW) as pilot:
        await until(pilot, "Events deployment/catalog in shop")
        assert "[events]" in await until(pilot, "Deployment/catalog")
        app: Any = pilot.app
        assert app.screen._current() == "west"
        app.run_line("cluster name=nowhere")
        await until(pilot, "no cluster in scope is called 'nowhere'")
        app.run_line("events b/")
        await until(pilot, "write NAME or KIND/NAME")


async def test_rows_lead_to_each_signal_with_what_they_say() -> None:
    async with driving("cluster name=west tab=namespaces", bundle="demo", size=NARROW) as pilot:
        await until(pilot, "shop ")
        board: Any = pilot.app.screen
        board._space_grid.select("shop")
        places = _places(pilot)
        await pilot.press("a", "l", "m", "t", "u", "n", "x")
        assert [p.written() for p in places] == [
            f"{view} ns=shop @west" for view in ("alerts", "logs", "metrics", "traces", "gpu", "cnf", "rca")
        ]
        board._show_tab("health")
        await until(pilot, lambda: board._endpoint_grid.has_focus)
        places.clear()
        board._endpoint_grid.select("west/loki")
        await pilot.press("enter")
        assert [p.written() for p in places] == ["logs {} @west"]
        board._show_tab("events")
        await until(pilot, "Deployment/catalog")
        await until(pilot, lambda: board._event_grid.has_focus)
        places.clear()
        await pilot.press("l")
        event = board._event_grid.selected
        assert (places[0].args["ns"], places[0].args["at"]) == ("shop", event.time)
        await pilot.press("enter")
        await until(pilot, f"Related to {event.kind} {event.name}")


async def test_another_cluster_by_key_or_by_choice() -> None:
    async with driving("cluster", bundle="demo", size=NARROW) as pilot:
        await until(pilot, "east ONLINE")
        await pilot.press("right_curly_bracket")
        await until(pilot, "west ONLINE")
        await pilot.press("left_curly_bracket", "left_curly_bracket")
        await until(pilot, "north ONLINE")
        await pilot.press("C")
        await until(pilot, "enter takes")
        await pilot.press("home", "enter")
        await until(pilot, "east ONLINE")


async def test_a_live_cluster_with_a_part_that_is_down_and_a_node_that_is_not_ready(
    fleet3: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    _asked(fleet3, monkeypatch)
    kube = fleet3["east"].kube
    kube.namespace("tui-cluster")
    kube.node("tui-node", ready=False)
    pod = kube.pod("tui-cluster", "tui-pod", node="tui-node", phase="Pending")
    kube.event(pod, "FailedScheduling", "no node has room for tui-pod")
    fleet3["east"].loki.kill()
    try:
        async with driving("cluster name=east", size=WIDE) as pilot:
            await until(pilot, "east DEGRADED, score 85")
            text = await until(pilot, "\nloki ")
            api = next(line for line in text.splitlines() if line.startswith("api server"))
            assert api.split()[2] == "OK"
            assert api.split()[3].endswith("s"), "how long it took"
            loki = next(line for line in text.splitlines() if line.startswith("loki"))
            assert loki.split()[1] == "DOWN"
            for seen in ("tui-node", "NotReady", "FailedScheduling"):
                await until(pilot, seen)
            board: Any = pilot.app.screen
            board._endpoint_grid.faults = True
            assert [e.part for e in board._endpoint_grid.rows] == ["loki"]
            board._endpoint_grid.faults = False
            spaces = {n.name: n for n in board._space_grid.items}
            assert (spaces["tui-cluster"].pods, spaces["tui-cluster"].not_ready) == (1, 1)
            board._node_grid.focus()
            board._node_grid.select("tui-node")
            await pilot.press("R")
            await until(pilot, "Related to node tui-node")
            await pilot.press("escape", "e")
            await until(pilot, "Events Node/tui-node")
            await pilot.press("D")
            await until(pilot, "east has ")
            await until(pilot, "/version")
    finally:
        kube.delete("Node", "tui-node")
        kube.delete("Pod", "tui-pod", namespace="tui-cluster")


async def test_a_cluster_that_can_t_be_reached_says_so_in_each_panel(
    fleet3: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    _asked(fleet3, monkeypatch)
    fleet3["west"].apiserver.kill()
    async with driving("cluster name=west", size=WIDE, timeout="5s") as pilot:
        await until(pilot, "west OFFLINE, score 50")
        await until(pilot, lambda: screen_text(pilot).count("─ failed ─") == 2)


# Pictures


def _answers(at: float) -> dict[str, Any]:
    status = [ClusterStatus("east", "SUCCESS")]
    parts = {"apiServer": "OK", "prometheus": "OK", "alertmanager": "OK", "tempo": None, "loki": "DOWN"}
    health = ClusterHealth("east", "DEGRADED", 85, "INTERMITTENT", parts, None, "2026-09-21T14:13:20Z")

    def end(part: str, state: str | None, ms: float | None, *more: Any) -> EndpointItem:
        return EndpointItem("east", part, state, ms, *more)

    proxy = "https://api.east:6443/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy"
    rows = [
        end("api server", "OK", 12.4, "direct", "https://api.east:6443", "the kubeconfig", None, None),
        end("prometheus", "OK", 31.0, "proxy", proxy, "Service monitoring/prometheus", at - 7200, None),
        end("alertmanager", "OK", 8.1, "config", "https://am.east", "the config file", None, None),
        end("traces", None, None, None, None, None, None, "none known"),
        end("loki", "DOWN", None, "route", "https://loki.east", "Route logging/loki", at - 60, "503 of the router"),
    ]  # fmt: skip

    def node(name: str, ready: str, *wrong: str, gpus: int = 0) -> NodeItem:
        return NodeItem("east", name, ready, ["worker"], "v1.34.4", "32", "131072000Ki", gpus, "110", 41, False,
                        list(wrong), [], at - 40 * 86400)  # fmt: skip

    def space(name: str, pods: int, idle: int = 0, *reasons: str, quota: str | None = None) -> NamespaceItem:
        return NamespaceItem("east", name, "Active", pods, idle, list(reasons), 2 * idle, quota,
                             0.95 if quota else None, at - 86400 * 3)  # fmt: skip

    def event(minutes: int, kind: str, name: str, what: str) -> EventItem:
        time = f"2026-09-21T14:{13 - minutes:02}:00Z"
        return EventItem("east", time, kind, "Pod", name, "shop", what)

    nodes = [
        node("gpu-b", "False", "NotReady (KubeletNotReady: container runtime is down)", gpus=8),
        node("worker-1", "True", "MemoryPressure (KubeletHasInsufficientMemory)"),
        node("gpu-a", "True", gpus=8),
    ]
    spaces = [
        space("shop", 12, 2, "CrashLoopBackOff", "ImagePullBackOff", quota="cpu 3800m of 4 (95%)"),
        space("monitoring", 9),
    ]
    happened = [
        event(1, "warning", "cart-7c9f6d5b8-x2x4k", "BackOff: Back-off restarting failed container"),
        event(9, "normal", "cart-7c9f6d5b8-x2x4k", "Pulled: the image was on the node"),
    ]
    facts = [Fact("version", "v1.34.4", "/version", at - 7200), Fact("gpus", "16", "allocatable", at - 7200)]
    return {
        "_ask_detail": Detail(health, FleetResult(rows, status)),
        "_ask_facts": FleetResult(facts, status),
        "_ask_inventory": Inventory(FleetResult(nodes, status), FleetResult(spaces, status)),
        "_ask_events": FleetResult(happened, status),
    }


@pytest.fixture
def lonely(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config of a cluster that nobody asks."""
    config = home / "one.toml"
    config.write_text('[clusters.east.endpoints]\nprometheus = "http://127.0.0.1:9"\n')
    monkeypatch.setenv("AIOPS_CONFIG", str(config))


def _answer(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> None:
    """What the screen asks is answered so; an exception is raised; what is missing is never answered."""
    for question in ("_ask_detail", "_ask_facts", "_ask_inventory", "_ask_events"):

        async def ask(self: Cluster, session: Any, question: str = question) -> Any:
            if question not in answers:
                await asyncio.Event().wait()
            if isinstance(answers[question], Exception):
                raise answers[question]
            return answers[question]

        monkeypatch.setattr(Cluster, question, ask)


def _taken(place: str) -> Dashboard:
    return Dashboard(Options(tz="UTC"), start=parse(place))


async def _scope_is_read(pilot: Driver) -> None:
    await until(pilot, lambda: "1 cluster" in screen_text(pilot).splitlines()[1])


def test_picture_of_all(
    snap_compare: Any, still: float, lonely: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, _answers(still))

    async def before(pilot: Driver) -> None:
        for seen in ("east DEGRADED", "gpu-b", "Crash", "BackOff: Back-off", "/version"):
            await until(pilot, seen)
        await _scope_is_read(pilot)

    assert snap_compare(_taken("cluster"), terminal_size=WIDE, run_before=before)


@pytest.mark.parametrize("tab", ["health", "nodes", "namespaces", "events"])
def test_picture_of_a_view(
    tab: str, snap_compare: Any, still: float, lonely: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, _answers(still))
    seen = {"health": "/version", "nodes": "gpu-b", "namespaces": "CrashLoop", "events": "BackOff: Back"}

    async def before(pilot: Driver) -> None:
        await until(pilot, seen[tab])
        await _scope_is_read(pilot)

    assert snap_compare(_taken(f"cluster tab={tab}"), terminal_size=NARROW, run_before=before)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("state", ["empty", "loading", "error", "stale"])
def test_picture_of_a_state(
    state: str,
    size: tuple[int, int],
    snap_compare: Any,
    still: float,
    lonely: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = ClusterError("can't be reached", hint="check the way to it", code=ErrorCode.CLUSTER_UNREACHABLE)
    full = _answers(still)
    nothing: FleetResult[Any] = FleetResult([], [ClusterStatus("east", "SUCCESS")])
    answers: dict[str, dict[str, Any]] = {
        "empty": {
            "_ask_detail": Detail(full["_ask_detail"].health, nothing),
            "_ask_facts": nothing,
            "_ask_inventory": Inventory(nothing, nothing),
            "_ask_events": nothing,
        },
        "loading": {},
        "error": dict.fromkeys(full, failed),
        "stale": full,
    }
    _answer(monkeypatch, answers[state])

    async def before(pilot: Driver) -> None:
        seen = {"empty": "nothing happened", "loading": "loading…", "error": "✖ can't be reached"}
        await until(pilot, seen.get(state, "BackOff: Back-off"))
        if state == "stale":
            monkeypatch.setattr(clock, "now", lambda: still + 900)
            await until(
                pilot, lambda: screen_text(pilot).count("stale · 15m ago") == (5 if size == WIDE else 1)
            )
        await _scope_is_read(pilot)

    assert snap_compare(_taken("cluster tab=events"), terminal_size=size, run_before=before)
