"""The fleet screen: the state of clusters as they answer, alerts, GPUs, and the ways to all else."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.analysis import Entity
from aiops_cli.models.findings import Finding
from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.gpu import Gpu
from aiops_cli.models.options import Options
from aiops_cli.models.result import ClusterStatus, ErrorInfo, FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.services import fleet_status
from aiops_cli.services.fleet_status import GpuReading
from aiops_cli.services.fleet_watch import FleetWatch
from aiops_cli.services.rounds import Round
from aiops_cli.services.times import rfc3339
from aiops_cli.tui import clock
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.cards import Cards
from tests.gpu import pages
from tests.gpu.exporter import Exporter
from tests.servers.fleet import Fleet as Servers
from tests.tui.conftest import NARROW, WIDE, Driver, driving, screen_text, until


def _went(pilot: Driver) -> Place:
    app: Any = pilot.app
    place: Place = app.screen.place()
    return place


def _row(text: str, cluster: str) -> str:
    """A cluster's line of the table."""
    return next(line for line in text.splitlines() if line.startswith(f"{cluster} "))


async def test_a_bundle_shows_its_clusters_those_with_trouble_first() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "6 firing on 3 clusters")
        await until(pilot, "3, ● 3 online")
        text = await until(pilot, "not in this bundle")
        assert "bundle demo" in text
        rows = [line.split()[0] for line in text.splitlines() if " ONLINE " in line]
        assert rows == ["west", "east", "north"]
        assert _row(text, "west").split()[1:5] == ["ONLINE", "100", "✖3", "▲1"]


async def test_the_key_of_the_cluster_screen_means_the_cluster_under_the_cursor() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "✖3 ▲1")
        await pilot.press("down", "2")
        await until(pilot, "east ONLINE, score 100")
        await pilot.press("v", "1")
        await until(pilot, "6 firing on 3 clusters")
        await pilot.press("2")
        await until(pilot, "[nodes]")  # the same cluster: as it was left
        await pilot.press("1", "down", "2")
        await until(pilot, lambda: _went(pilot).args.get("name") == "north")


async def test_an_answer_while_the_dashboard_ends_is_no_error() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "✖3")
        board: Any = pilot.app.screen
        await board.query(Cards).remove()
        board._show_health(board._states)
        await until(pilot, lambda: board._painting is None)


async def test_logs_of_a_cluster_are_all_of_it_and_not_of_the_query_before() -> None:
    async with driving('logs {pod=~"checkout-.*"}', bundle="demo") as pilot:
        await until(pilot, "Lines ")
        await pilot.press("1")
        await until(pilot, "✖3 ▲1")
        await pilot.press("down", "l")
        await until(pilot, '{namespace=~".+"}')
        await until(pilot, "settlement-")
        assert "@east" in screen_text(pilot).splitlines()[1]


async def test_a_filter_holds_for_table_and_map() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "3, ● 3 online")
        await until(pilot, "✖3")
        await pilot.press("slash", *"north", "enter")
        text = await until(pilot, lambda: "\nwest      ONLINE" not in screen_text(pilot))
        assert "\nnorth     ONLINE" in text
        await pilot.press("v")
        text = await until(pilot, "north · ONLINE · score 100")
        assert "\n● " in text
        await pilot.press("slash", *["backspace"] * 5, "enter")
        await until(pilot, "\n● ! ●")


async def test_faults_only_keeps_a_cluster_that_answers_while_grave_alerts_fire_on_it() -> None:
    async with driving(bundle="demo", size=WIDE) as pilot:
        text = await until(pilot, "6 firing on 3 clusters")
        assert "fires CheckoutErrors" in _row(text, "west")
        assert "median score 100, alerts apart" in text and "✖ critical on 1  ▲ warning on 2" in text
        await pilot.press("Z")
        text = await until(pilot, "faults only · 3 of 3")
        assert "✖3" in _row(text, "west")


async def test_where_there_is_little_room_it_is_of_the_clusters() -> None:
    async with driving(bundle="demo", size=(40, 10)) as pilot:
        text = await until(pilot, "✖3")
        rows = [line.split()[0] for line in text.splitlines() if " ONLINE " in line]
        assert rows == ["west", "east", "north"] and "Recent" not in text


async def test_the_map_tells_what_its_cells_are_and_opens_them() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "✖3")
        await pilot.press("v")
        await until(pilot, "east · ONLINE")
        await pilot.press("right")
        assert "west · ONLINE · score 100 · 5 ok · alerts ✖3 ▲1" in await until(pilot, "west · ONLINE")
        await pilot.press("enter")
        await until(pilot, "west ONLINE, score 100")
        assert _went(pilot).args["name"] == "west"
        await pilot.press("escape")
        await until(pilot, "6 firing on 3 clusters")


async def test_a_row_leads_to_its_cluster_and_to_each_signal_of_it() -> None:
    async with driving(bundle="demo") as pilot:
        board: Any = pilot.app.screen
        await until(pilot, "✖3")
        places: list[Place] = []
        board.go = places.append
        for key in ("enter", "a", "l", "m", "t", "e", "x", "u", "n"):
            board._table.select("west")
            await pilot.press(key)
        opened, *others = [p.written() for p in places]
        assert opened == "cluster name=west"
        assert others == [
            "alerts @west", "logs {} @west", "metrics @west", "traces @west", "cluster name=west tab=events",
            "rca @west", "gpu @west", "cnf @west",
        ]  # fmt: skip
        board._recent.focus()
        await pilot.press("l", "enter")
        logs, alert = places[-2:]
        assert logs.args["ns"] == "shop"
        assert logs.args["at"] == board._recent.selected.starts_at
        assert alert.written() == "alerts FrontendErrors @west"


async def test_what_is_related_to_an_alert_and_what_is_not_asked_of_a_cluster() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("R")
        await until(pilot, "choose an alert")
        await pilot.press("tab", "R")
        await until(pilot, "Related to alert FrontendErrors")


# Live clusters


async def test_a_dead_source_is_told_in_its_own_row_alone(
    fleet3: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fleet3.env.items():
        monkeypatch.setenv(name, value)
    fleet3["west"].loki.kill()
    async with driving(size=WIDE) as pilot:
        text = await until(pilot, "▲ 1 degraded")
        text = await until(pilot, "● 2 online")
        assert _row(text, "west").split()[1:3] == ["DEGRADED", "85"]
        assert "✖ loki, 4 ok" in _row(text, "west")
        assert "5 ok" in _row(text, "east")
        assert (
            next(line for line in text.splitlines() if " ONLINE " in line or " DEGRADED " in line)[:4]
            == "west"
        )
        await pilot.press("ctrl+z")
        await until(pilot, lambda: "\neast " not in screen_text(pilot))


async def test_nobody_waits_for_a_cluster_that_hangs_and_its_last_state_stays(
    metrics_fleet: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_status, "LATE_SECONDS", 0.0)
    for name, value in metrics_fleet.env.items():
        monkeypatch.setenv(name, value)
    async with driving(size=WIDE, timeout="60s") as pilot:
        await until(pilot, "● 2 online")
        metrics_fleet["lab1"].prometheus.pause()
        board: Any = pilot.app.screen
        before = board._states.at["lab2"]
        await pilot.press("r")
        await until(pilot, lambda: board._states.at["lab2"] > before)
        text = await until(pilot, "no answer for")
        assert _row(text, "lab1").split()[1:3] == ["ONLINE", "100"], "what it said last"
        assert "no answer" in _row(text, "lab1")
        assert "no answer" not in _row(text, "lab2")
        assert "2 online" in text
        metrics_fleet["lab1"].prometheus.resume()
        await until(pilot, lambda: "no answer" not in screen_text(pilot))


async def test_what_the_store_kept_is_shown_before_anyone_answers(
    metrics_fleet: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in metrics_fleet.env.items():
        monkeypatch.setenv(name, value)
    async with driving() as pilot:
        await until(pilot, "● 2 online")
        kept: Any = pilot.app.kept  # type: ignore[attr-defined]

        def both() -> bool:
            found = kept.recall("fleet-health", Round[ClusterHealth])
            return found is not None and len(found[0].result.rows) == 2

        await until(pilot, both)
        pilot.app.run_line("@lab2")  # type: ignore[attr-defined]
        await until(pilot, "● 1 online")
        await pilot.app.backend.compute(lambda: None)  # type: ignore[attr-defined]
        assert both(), "a part of the fleet is not kept as all of it"
    never = asyncio.Event()

    async def hang(self: FleetWatch, session: Any) -> Any:
        await never.wait()

    for question in ("health", "alerts", "gpus"):
        monkeypatch.setattr(FleetWatch, question, hang)
    async with driving() as pilot:
        await until(pilot, "from the store")
        text = await until(pilot, "lab1 ")
        assert _row(text, "lab1").split()[1:3] == ["ONLINE", "100"]
        assert re.search(r"from the store · stale · \S+( ago)?( ─| ·)", text)
        assert "· live" not in text


async def test_checks_are_kept_as_those_of_the_command(
    metrics_fleet: Servers, aiops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in metrics_fleet.env.items():
        monkeypatch.setenv(name, value)
    async with driving() as pilot:
        await until(pilot, "● 2 online")
        board: Any = pilot.app.screen
        await pilot.press("r")
        await until(pilot, lambda: len(board._states.at) == 2)
    kept = aiops("clusters", "health", "--history", "-o", "json", env=metrics_fleet.env).json["items"]
    assert sorted((h["cluster"], h["state"]) for h in kept) == [("lab1", "ONLINE"), ("lab2", "ONLINE")]


async def test_gpus_are_a_heat_map_whose_cells_tell_and_open(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = pages.IDLE | {"DCGM_FI_DEV_GPU_TEMP": 31}
    broken = pages.BUSY | {"DCGM_FI_DEV_XID_ERRORS": 79}
    page = pages.page(
        (pages.labels("gpu-a", 0), pages.BUSY),
        (pages.labels("gpu-a", 1), idle),
        (pages.labels("gpu-b", 0), broken),
    )
    with Exporter(page).running() as exporter:
        config = home / "gpus.toml"
        config.write_text(f'[clusters.lab.endpoints]\ndcgm = ["{exporter.url}"]\n')
        monkeypatch.setenv("AIOPS_CONFIG", str(config))
        async with driving(size=NARROW) as pilot:
            await until(pilot, "GPUs by use")
            await until(pilot, "lab  90 ✖")
            await until(pilot, "2/3 used on 1 cluster ")
            await pilot.press("h")
            await until(pilot, "lab  63 ✖")
            board: Any = pilot.app.screen
            board._heat.focus()
            await pilot.press("end", "right", "right")
            await until(pilot, "lab gpu-b/0 · H100 80GB HBM3 · 97 % · 64 °C")
            places: list[Place] = []
            board.go = places.append
            await pilot.press("enter")
            assert [p.written() for p in places] == ["gpu tab=gpus name=gpu-b/0 @lab"]


# Pictures


def _still_rounds(at: float) -> dict[str, Any]:
    """A fleet of each state, alerts of each severity and GPUs of each kind, as if just answered."""

    def health(name: str, state: Any, score: int | None, **down: str) -> ClusterHealth:
        parts: dict[str, str | None] = dict.fromkeys(
            ("apiServer", "prometheus", "alertmanager", "tempo", "loki"), "OK"
        )
        error = None
        for part, why in down.items():
            parts[part] = "DOWN"
            error = ErrorInfo("CLUSTER_UNREACHABLE", why)
        return ClusterHealth(name, state, score, "CONNECTED", parts, error, "2026-09-21T14:13:20Z")

    def alert(cluster: str, name: str, severity: str, minutes: int) -> AlertItem:
        began = rfc3339(at - 60 * minutes)
        told = {"summary": f"{name} of {cluster}"}
        return AlertItem(
            cluster, name + cluster, name, "FIRING", severity, {"namespace": "shop"}, told, began
        )

    def gpu(node: str, index: int, use: float | None, heat: float) -> Gpu:
        return Gpu(cluster="east", node=node, index=index, model="NVIDIA H100", utilization=use,
                   temperature_c=heat, namespace="ml", pod=f"train-{index}")  # fmt: skip

    names = ["east", "west", "north", "edge-1", "edge-2"]
    states = [
        health("east", "ONLINE", 100),
        health("west", "ONLINE", 100),
        health("north", "DEGRADED", 85, loki="loki at http://127.0.0.1:3100 can't be reached"),
        health("edge-1", "OFFLINE", 50, apiServer="the API server can't be reached: connection refused"),
    ]
    statuses = [ClusterStatus(n, "SUCCESS") for n in names]
    fine = [gpu("gpu-a", i, 12.5 * i, 40 + 6 * i) for i in range(8)]
    finding = Finding("east", "GPU_XID", "critical", Entity("gpu", "gpu-b/1"), "fell off the bus (XID 79)")
    reading = GpuReading([*fine, gpu("gpu-b", 0, None, 30), gpu("gpu-b", 1, 97, 88)], [finding])
    return {
        "health": Round(FleetResult(states, statuses[:4]), dict.fromkeys(names[:4], at - 20), {"edge-2": at - 12}),
        "alerts": Round(
            FleetResult(
                [
                    alert("west", "CheckoutErrors", "critical", 2),
                    alert("west", "CatalogErrors", "warning", 7),
                    alert("north", "DiskFull", "warning", 55),
                    alert("east", "Watchdog", "info", 300),
                ],
                statuses,
            ),
            dict.fromkeys(names, at),
        ),
        "gpus": Round(FleetResult([reading], statuses[:1]), {"east": at}),
    }  # fmt: skip


@pytest.fixture
def five(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config of five clusters that nobody asks."""
    config = home / "five.toml"
    names = ("east", "west", "north", "edge-1", "edge-2")
    config.write_text(
        "".join(f'[clusters.{n}.endpoints]\nprometheus = "http://127.0.0.1:9"\n' for n in names)
    )
    monkeypatch.setenv("AIOPS_CONFIG", str(config))
    return config


def _answers(monkeypatch: pytest.MonkeyPatch, rounds: dict[str, Any]) -> None:
    """FleetWatch answers with these; raises what is an exception; never answers what is missing."""
    for question in ("health", "alerts", "gpus"):

        async def ask(self: FleetWatch, session: Any, question: str = question) -> Any:
            if question not in rounds:
                await asyncio.Event().wait()
            if isinstance(rounds[question], Exception):
                raise rounds[question]
            return rounds[question]

        monkeypatch.setattr(FleetWatch, question, ask)


@pytest.mark.parametrize("size", [NARROW, WIDE])
@pytest.mark.parametrize("view", ["table", "map"])
def test_picture(
    size: tuple[int, int],
    view: str,
    snap_compare: Any,
    still: float,
    five: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _answers(monkeypatch, _still_rounds(still))

    async def before(pilot: Driver) -> None:
        await until(pilot, "✖ 1 offline")
        await until(pilot, "GPUs by use")
        if view == "map":
            await pilot.press("v")
            await until(pilot, "● ! ▲ ✖ ○")
        await until(pilot, "5 clusters")

    assert snap_compare(Dashboard(Options(), start=Place("fleet")), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("state", ["empty", "loading", "error", "stale"])
def test_picture_of_a_state(
    state: str,
    size: tuple[int, int],
    snap_compare: Any,
    still: float,
    five: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = ClusterError("can't be reached", hint="check the way to it", code=ErrorCode.CLUSTER_UNREACHABLE)
    nothing: Round[Any] = Round(FleetResult([], []))
    rounds: dict[str, dict[str, Any]] = {
        "empty": dict.fromkeys(("health", "alerts", "gpus"), nothing),
        "loading": {},
        "error": dict.fromkeys(("health", "alerts", "gpus"), failed),
        "stale": _still_rounds(still),
    }
    _answers(monkeypatch, rounds[state])

    async def before(pilot: Driver) -> None:
        seen = {"empty": "○ 5 unknown", "loading": "loading…", "error": "✖ can't be reached"}
        await until(pilot, seen.get(state, "✖ 1 offline"))
        if state == "stale":
            monkeypatch.setattr(clock, "now", lambda: still + 300)
            await until(pilot, "stale")
            board: Any = pilot.app.screen
            board._paint()
        await until(pilot, "5 clusters")

    assert snap_compare(Dashboard(Options(), start=Place("fleet")), terminal_size=size, run_before=before)
