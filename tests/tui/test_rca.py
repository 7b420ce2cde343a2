"""The RCA screen: causes with their evidence, anomalies, kept analyses, a report."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.models.analysis import Cause, Entity, Evidence
from aiops_cli.models.options import Options
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import Place, parse
from aiops_cli.tui.screens import rca
from aiops_cli.tui.screens.rca import Rca
from aiops_cli.tui.widgets.evidence import Lanes, rows_of
from tests.conftest import Aiops
from tests.servers.fleet import Cluster, Fleet
from tests.tui.conftest import NARROW, WIDE, Driver, driving, screen_text, until

Endpoints = Callable[[Mapping[str, Mapping[str, str]]], dict[str, str]]


def _board(pilot: Driver) -> Rca:
    assert isinstance(pilot.app.screen, Rca)
    return pilot.app.screen


def _told(pilot: Driver) -> str:
    return "\n".join(n.message for n in pilot.app._notifications)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_the_known_cause_is_first_with_its_evidence_in_time(size: tuple[int, int]) -> None:
    async with driving("rca", bundle="demo", size=size) as pilot:
        text = await until(pilot, "x looks for")
        assert "Evidence" not in text
        await pilot.press("x")
        await until(pilot, "Evidence of west/shop/ledger")
        text = screen_text(pilot)
        first = next(line for line in text.splitlines() if line.strip().startswith("1   "))
        assert "west/shop/ledger" in first and "pool_in_" in first
        lanes = [line.split()[0] for line in text.splitlines() if "●" in line]
        assert lanes == ["metric", "log", "trace"]
        times = [r.at for r in _board(pilot)._rows.rows if r.side == "for" and r.at]
        assert times == sorted(times) and len(times) >= 5
        sides = [r.side for r in _board(pilot)._rows.rows]
        assert {"for", "against", "way", "affects", "next"} == set(sides)


async def test_evidence_opens_where_it_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[Place] = []
    monkeypatch.setattr(Rca, "go", lambda self, place: gone.append(place))
    async with driving("rca at=2026-11-24T23:22:50Z", bundle="demo") as pilot:
        await until(pilot, "Evidence of west/shop/ledger")
        await pilot.press("enter")
        board = _board(pilot)
        for signal in ("metric", "log", "trace"):
            rows = board._rows.rows
            board._rows.cursor = next(i for i, r in enumerate(rows) if r.signal == signal and r.at)
            await pilot.press("enter")
            await until(pilot, lambda signal=signal: any(p.view == f"{signal}s" for p in gone))  # type: ignore[misc]
        await pilot.press("escape", "R")
        await until(pilot, "Related to west/shop/ledger")
    assert all(p.args["at"].startswith("2026-11-24T23:2") and p.contexts == ("west",) for p in gone)
    texts = {p.view: p.text for p in gone}
    assert texts["logs"] == '{namespace="shop",pod=~"ledger-[a-z0-9]{5,10}-[a-z0-9]{5}"}'
    assert texts["traces"] == '{ resource.service.name = "ledger" }'
    assert "pool" in texts["metrics"]


async def test_an_alert_that_is_not_active_is_said() -> None:
    async with driving("rca name=feedfeed", bundle="demo") as pilot:
        await until(pilot, "no active alert has fingerprint 'feedfeed'")


async def test_esc_stops_a_search_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    async def endless(session: Any, question: Any) -> Any:
        loop.call_soon_threadsafe(begun.set)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(True)
            raise

    monkeypatch.setattr(rca, "ask_causes", endless)
    async with driving("rca", bundle="demo") as pilot:
        await pilot.press("x")
        await asyncio.wait_for(begun.wait(), 10)
        await until(pilot, "looking for the cause…")
        await pilot.press("escape")
        await until(pilot, "stopped: nothing was kept")
        await until(pilot, lambda: ended)


async def test_anomalies_lead_to_their_metric_and_to_a_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[Place] = []
    monkeypatch.setattr(Rca, "go", lambda self, place: gone.append(place))
    async with driving(":anomalies", bundle="demo", size=(160, 50)) as pilot:
        text = await until(pilot, "@service-latency job=ledger")
        assert "found" in text
        await pilot.press("enter")
        assert gone[0].view == "metrics" and gone[0].args["at"].startswith("2026-11-24T23:2")
        board = _board(pilot)
        board._anomalies.set_filter("23:22:3.*west.*service-latency job=ledger.*TREND_CHANGE")
        await pilot.press("x")
        await until(pilot, "Evidence of west/shop/ledger")


async def test_a_cluster_that_is_pointed_at_is_searched_and_no_other() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "✖3 ▲1")
        await pilot.press("x")
        await until(pilot, "Evidence of west/shop/ledger")
        await pilot.press("1", "down", "x")
        await until(pilot, "@east")
        await until(pilot, lambda: all(c.entity.cluster == "east" for c in _board(pilot)._causes.rows))
        found = _board(pilot)._found
        await pilot.press("1", "9")  # as it was left
        await until(pilot, lambda: isinstance(pilot.app.screen, Rca))
        assert _board(pilot)._found is found and not _board(pilot)._busy("causes")


async def test_a_report_is_on_disk_and_its_analysis_is_opened_again(own_folder: Path, home: Path) -> None:
    async with driving("rca", bundle="demo") as pilot:
        await pilot.press("ctrl+e")
        await until(pilot, lambda: "nothing to report yet" in _told(pilot))
        await pilot.press("x")
        await until(pilot, "Evidence of west/shop/ledger")
        await pilot.press("ctrl+e")
        await until(pilot, "Markdown, to paste")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "kept as" in _told(pilot))
        await pilot.press("v", "v")
        await until(pilot, "west/ledger pool_in_use")
        await pilot.press("enter")
        await until(pilot, "Evidence of west/shop/ledger")
        await pilot.press("ctrl+e")
        await until(pilot, lambda: "has no report of its own" in _told(pilot))
    written = json.loads(next(own_folder.glob("*.json")).read_text())
    assert written["kind"] == "Report"
    kept = [json.loads(p.read_text()) for p in (home / "data/aiops/reports").glob("*.json")]
    assert kept == [written]
    assert written["items"][0]["causes"][0]["entity"]["name"] == "ledger"


async def test_a_report_is_said_to_be_written_until_it_is_or_can_not_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    async def failing(*_: Any) -> Any:
        while not released.is_set():
            await asyncio.sleep(0.01)
        raise RuntimeError("no")

    monkeypatch.setattr(rca, "make_report", failing)
    async with driving("rca", bundle="demo") as pilot:
        await pilot.press("x")
        await until(pilot, "Evidence of west/shop/ledger")
        await pilot.press("ctrl+e")
        await until(pilot, "Markdown, to paste")
        await pilot.press("enter")
        await until(pilot, "writing the report… ─")
        released.set()
        await until(pilot, lambda: "✖" in _told(pilot))
        await until(pilot, "s ─")  # the seconds that the search took
        assert "writing the report… ─" not in screen_text(pilot)


async def test_a_fleet_that_runs_is_searched_and_kept(fleet3: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in fleet3.env.items():
        monkeypatch.setenv(key, value)
    async with driving("rca", since="5m") as pilot:
        await pilot.press("x")
        await until(pilot, lambda: _board(pilot)._found is not None)
        await pilot.press("v", "v")
        text = await until(pilot, lambda: len(_board(pilot)._kept.rows) == 1) and screen_text(pilot)
        assert "east,west,north" in text or "east" in text


async def test_where_no_cluster_can_be_asked_nothing_is_said_to_be_well(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch, aiops: Aiops, home: Path
) -> None:
    dead = "http://127.0.0.1:9"
    for key, value in endpoints({"d1": dict.fromkeys(("prometheus", "alertmanager"), dead)}).items():
        monkeypatch.setenv(key, value)
    async with driving("rca", size=WIDE) as pilot:
        await pilot.press("x")
        text = await until(pilot, "✖ no cluster could be asked")
        assert "✖ d1: " in text and "deviates:" not in text
        await pilot.press("v")
        text = await until(pilot, "what is unusual is not known")
        await pilot.press("v")
        await until(pilot, "none is kept yet")
    done = aiops("rca", "analyze", "--alert", "feed")
    assert "no active alert" not in done.stderr and "127.0.0.1:9" in done.stderr
    assert "nothing deviates" not in done.stdout


async def test_signals_that_could_not_be_read_are_told_beside_what_was_found(
    endpoints: Endpoints, east: Cluster, monkeypatch: pytest.MonkeyPatch, aiops: Aiops
) -> None:
    parts = {"prometheus": east.prometheus.url, "loki": "http://127.0.0.1:9"}
    for key, value in endpoints({"east": parts}).items():
        monkeypatch.setenv(key, value)
    async with driving("rca", size=WIDE, since="5m") as pilot:
        await pilot.press("x")
        await until(pilot, "▲ east without logs")
    done = aiops("rca", "analyze", "--since", "5m", "-q")
    assert "east without logs" in done.stdout


async def test_causes_of_other_clusters_say_whose_and_of_when_they_are() -> None:
    async with driving("rca @west", bundle="demo", tz="UTC") as pilot:
        await pilot.press("x")
        await until(pilot, "of @west, 23:18 to 23:24")
        await pilot.press("1")
        await until(pilot, "3 clusters")
        await pilot.press("9")
        text = await until(pilot, "Evidence of")
        assert "of @west, 23:18 to 23:24" in text and "3 clusters" in text


async def test_a_filter_that_leaves_no_cause_leaves_no_evidence() -> None:
    async with driving("rca", bundle="demo") as pilot:
        await pilot.press("x")
        await until(pilot, "Evidence of west/shop/ledger")
        await pilot.press("slash", *"nosuch", "enter")
        text = await until(pilot, lambda: "Evidence of" not in screen_text(pilot))
        assert "0 of 9" in text
        await pilot.press("escape")
        await until(pilot, "Evidence of west/shop/ledger")


async def test_where_there_is_room_for_one_table_it_is_of_causes_and_enter_shows_evidence() -> None:
    async with driving("rca", bundle="demo", size=(40, 10)) as pilot:
        await pilot.press("x")
        text = await until(pilot, "west/shop/l")
        assert "Evidence" not in text and "2   " in text
        await pilot.press("enter")
        text = await until(pilot, "Evidence of")
        assert "for " in text and "Causes" not in text
        await pilot.press("escape")
        await until(pilot, "Causes 9")


async def test_anomalies_of_other_clusters_are_looked_for_anew_when_their_view_is_seen_again() -> None:
    async with driving("rca tab=anomalies", bundle="demo") as pilot:
        await until(pilot, "found")
        await pilot.press("1")
        await until(pilot, "✖3 ▲1")
        await pilot.press("at", *"north", "enter")
        await until(pilot, "@north")
        await pilot.press("9")
        await until(pilot, lambda: {a.cluster for a in _board(pilot)._anomalies.rows} == {"north"})


def _cause(*evidence: Evidence, onset: str | None = "2026-11-24T10:00:00Z") -> Cause:
    return Cause(1, 1.0, 0.5, Entity("service", "api", "shop", "west"), "cpu", onset, list(evidence))


def test_lanes_share_one_axis_and_count_what_lies_together() -> None:
    lanes = Lanes()
    lanes._cause = _cause(
        Evidence("metric", "a", "2026-11-24T10:01:00Z"),
        Evidence("metric", "b", "2026-11-24T10:01:00Z"),
        Evidence("alert", "alert Down is FIRING", "2026-11-24T10:02:00Z"),
        Evidence("trace", "timeless"),
    )
    lines = lanes.lines(80)
    assert [line.split()[0] for line in lines[:-1]] == ["metric", "alert"]
    assert lines[0].index("2") < lines[1].index("●")
    assert all("┊" in line for line in lines[:-1])
    lanes._cause = _cause(onset=None)
    assert lanes.lines(80) == []


def test_an_alert_as_evidence_opens_its_alert_and_a_step_its_screen() -> None:
    cause = _cause(Evidence("alert", "alert Disk.Full is FIRING", "2026-11-24T10:02:00Z"))
    step = "Look at the slowest traces: aiops -c west traces search --service api"
    rows = rows_of(Cause(**{f: getattr(cause, f) for f in cause.__struct_fields__} | {"next_steps": [step]}))
    assert rows[0].place == Place("alerts", r"Disk\.Full", {}, ("west",))
    assert rows[-1].place is not None and rows[-1].place.view == "traces"


PICTURES = {
    "explained": ("rca", NARROW, "x looks for", ()),
    "causes": ("rca", NARROW, "x looks for", ("x",)),
    "causes-wide": ("rca", WIDE, "x looks for", ("x",)),
    "anomalies": ("rca tab=anomalies", NARROW, "found", ()),
    "error": ("rca name=feedfeed", NARROW, "no active alert has", ()),
    "nothing-kept": ("rca tab=kept", NARROW, "none is kept yet", ()),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str, snap_compare: Any, still: float) -> None:
    line, size, seen, keys = PICTURES[name]

    async def before(pilot: Driver) -> None:
        await until(pilot, "to 11-24 23:24")
        await until(pilot, seen)
        await pilot.press(*keys)
        if keys:
            await until(pilot, "Evidence of west/shop/ledger")

    app = Dashboard(Options(bundle="demo"), start=parse(line))
    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("state", ["searching", "stopped"])
def test_picture_of_a_state(
    state: str, size: tuple[int, int], snap_compare: Any, still: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(session: Any, question: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(rca, "ask_causes", endless)

    async def before(pilot: Driver) -> None:
        await until(pilot, "to 11-24 23:24")
        await pilot.press("x")
        await until(pilot, "looking for the cause…")
        if state == "stopped":
            await pilot.press("escape")
            await until(pilot, "nothing was kept")

    app = Dashboard(Options(bundle="demo"), start=parse("rca"))
    assert snap_compare(app, terminal_size=size, run_before=before)
