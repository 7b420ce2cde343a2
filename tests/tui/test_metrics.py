"""The metrics screen: PromQL written, completed and checked, plotted, and what its cursor leads to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.options import Options
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import Place, parse
from aiops_cli.tui.screens import metrics
from aiops_cli.tui.screens.metrics import Metrics
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.promql_words import Wanted, wanted
from tests.servers.fleet import Fleet
from tests.tui.conftest import NARROW, WIDE, Driver, driving, in_state, screen_text, until

RATE = "metrics @service-rate"


def board(pilot: Driver) -> Metrics:
    assert isinstance(pilot.app.screen, Metrics)
    return pilot.app.screen


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("rat|", Wanted("metric", "rat", 0)),
        ("sum by (jo|", Wanted("label", "jo", 8)),
        ("up{|", Wanted("label", "", 3, "up")),
        ('up{job="a", in|', Wanted("label", "in", 12, "up", "", ('job="a"',))),
        ('up{job="a|', Wanted("value", "a", 8, "up", "job")),
        ('up{job=~"a|b|c|', Wanted("value", "c", 13, "up", "job")),
        ("rate(up[|", Wanted("duration", "", 8)),
        ("@cpu-by|", Wanted("query", "cpu-by", 1)),
        ("a / on (in|", Wanted("label", "in", 8)),
        ('label_replace(up, "x|', None),
        ("up > 1|", Wanted("metric", "", 6)),
        ("up{job|} + 1", Wanted("label", "job", 3, "up")),
    ],
)
def test_what_is_being_written(text: str, what: Wanted | None) -> None:
    at = text.rindex("|")
    found = wanted(text[:at] + text[at + 1 :], at)
    if what is not None and what.kind == "metric" and not what.prefix:
        assert found is None or not found.prefix
    else:
        assert found == what


async def test_words_come_from_the_clusters_and_tab_takes_them() -> None:
    async with driving("metrics", bundle="demo") as pilot:
        await pilot.press("p", *"http_requests_t")
        await until(pilot, "http_requests_total  metric")
        await pilot.press("tab", *"{jo")
        await until(pilot, "job  label")
        await pilot.press("tab")
        await until(pilot, "value of job")
        await pilot.press(*"che", "tab", *"}[")
        await until(pilot, "1m   range")
        await pilot.press("down", "enter")
        await until(pilot, lambda: board(pilot)._editor.text == 'http_requests_total{job="checkout"}[5m]')


async def test_what_is_wrong_is_shown_where_it_is_and_never_sent() -> None:
    async with driving(RATE, bundle="demo") as pilot:
        await until(pilot, "18 series")
        await pilot.press("p", "end", "ctrl+u", *"sum(up))")
        await until(pilot, "unexpected right parenthesis ')' (column 8)")
        await pilot.press("enter")
        await pilot.pause()
        assert board(pilot).expr == "@service-rate"
        await pilot.press("ctrl+u", *"@service-rat")
        await pilot.press("enter")
        await until(pilot, "did you mean @service-rate?")


async def test_queries_of_several_lines_and_those_before() -> None:
    async with driving(RATE, bundle="demo") as pilot:
        await until(pilot, "18 series")
        await pilot.press("p", "ctrl+u", *"up", "ctrl+j", *"# targets", "enter")
        await until(pilot, "METRIC")
        assert board(pilot).expr == "up\n# targets"
        await pilot.press("p", "up", "up")
        await until(pilot, lambda: board(pilot)._editor.text == "up\n# targets")


async def test_the_cursor_tells_values_and_leads_to_logs_of_the_series_at_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone: list[Place] = []
    monkeypatch.setattr(Metrics, "go", lambda self, place: gone.append(place))
    async with driving(RATE, bundle="demo", size=WIDE) as pilot:
        await until(pilot, "18 series")
        await pilot.press("slash", *"west.*checkout", "enter")
        await until(pilot, "1 of 18")
        await pilot.press("left")
        await until(pilot, "CURSOR")
        at = board(pilot)._plot.cursor
        await pilot.press("left")
        await until(pilot, lambda: board(pilot)._plot.cursor == at - board(pilot)._chart.step)
        await pilot.press("l")
        await until(pilot, lambda: gone)
        await pilot.press("t")
        await until(pilot, lambda: len(gone) == 2)
        await pilot.press("x")
        await until(pilot, lambda: len(gone) == 3)
    logs, traces, cause = gone
    assert logs.view == "logs"
    assert logs.text.startswith('{namespace="shop",pod=~"checkout')
    assert (traces.view, traces.text) == ("traces", '{ resource.service.name = "checkout" }')
    assert {p.args["at"] for p in gone} == {logs.args["at"]}
    assert logs.args["at"].startswith("2026-11-24T23:24:40")
    assert cause.view == "rca"
    assert {p.contexts for p in gone} == {("west",)}


async def test_zoom_pan_and_back() -> None:
    async with driving(RATE, bundle="demo") as pilot:
        await until(pilot, "18 series")
        whole = board(pilot)._chart.window
        await pilot.press("i")
        await until(pilot, lambda: board(pilot)._chart.window.seconds == pytest.approx(whole.seconds / 2))
        assert board(pilot)._chart.window.end == whole.end
        await pilot.press("H")
        await until(pilot, lambda: board(pilot)._chart.window.end < whole.end)
        place = board(pilot).place()
        assert place.args["since"] == f"{whole.seconds / 2:.0f}s"
        await pilot.press("escape")
        await until(pilot, lambda: board(pilot)._chart.window == whole)


def lines(pilot: Driver, *words: str) -> bool:
    """Whether a row of the screen begins with these words."""
    return any(row.split()[: len(words)] == list(words) for row in screen_text(pilot).splitlines())


async def test_lines_are_taken_away_and_put_back() -> None:
    async with driving(RATE, bundle="demo", size=WIDE) as pilot:
        await until(pilot, "18 series")
        await until(pilot, lambda: lines(pilot, "a", "east", "cart"))
        await pilot.press("g", "enter")
        await until(pilot, lambda: lines(pilot, "·", "east", "cart"))
        await pilot.press("j", "j", "s")
        await until(pilot, lambda: lines(pilot, "a", "east", "checkout"))
        assert len(board(pilot)._plot._lines.series) == 1  # type: ignore[union-attr]
        await pilot.press("s")
        await until(
            pilot, lambda: lines(pilot, "a", "east", "checkout") and lines(pilot, "b", "east", "frontend")
        )
        assert len(board(pilot)._plot._lines.series) == 11  # type: ignore[union-attr]


async def test_named_queries_are_chosen_and_values_are_a_table() -> None:
    async with driving("metrics", bundle="demo") as pilot:
        await until(pilot, "n chooses a named query")
        await pilot.press("n")
        await until(pilot, "Queries: pinned, recent, named")
        await pilot.press(*"service-lat", "enter")
        await until(pilot, "p95 of a service's answer time [seconds] · 18 series")
        await pilot.press("v")
        text = await until(pilot, "Values · 18 series")
        assert "VALUE" in text
        assert board(pilot).place() == Place("metrics", "@service-latency", {"tab": "table"})
        await pilot.press("b", "n")
        await until(pilot, "pinned, recent")
        assert "@service-latency" in screen_text(pilot)
        assert pilot.app.screen.query_one(Grid).rows[0].about == "pinned"


async def test_what_a_bundle_cannot_say_and_the_place_of_a_moment() -> None:
    async with driving("metrics rate(up[5m]) at=2026-11-24T23:22:00Z since=2m", bundle="demo") as pilot:
        await until(pilot, "this bundle does not hold the query")
        board(pilot).arrive(parse("metrics @service-rate at=2026-11-24T23:22:00Z name=checkout"))
        await until(pilot, lambda: lines(pilot, "c", "north", "checkout"))
        await until(pilot, "23:22:00")


async def test_samples_are_saved(home: Path) -> None:
    async with driving(RATE, bundle="demo") as pilot:
        await until(pilot, "18 series")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: list(home.glob("aiops-metrics-*.csv")))
    lines = next(iter(home.glob("*.csv"))).read_text().splitlines()
    assert lines[0] == "cluster,job,time,value"
    assert len(lines) > 1000


async def test_live_clusters_are_plotted_and_one_that_is_gone_costs_its_own_lines(
    metrics_fleet: Fleet, clusters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in metrics_fleet.env.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(metrics, "SECONDS", 1.0)  # servers that have just begun have their first step soon
    async with driving("metrics node_load1", since="5m", no_cache=True) as pilot:
        text = await until(pilot, lambda: "lab1 " in screen_text(pilot) and "lab2 " in screen_text(pilot))
        assert "live" in screen_text(pilot)
        await pilot.press("p", "ctrl+u", *"node_load1{ins")
        await until(pilot, "instance  label")
        await pilot.press("tab")
        text = await until(pilot, "value of instance")
        assert "127.0.0.1:" in text
        await pilot.press("escape", "escape")
        metrics_fleet["lab2"].prometheus.kill()
        await pilot.press("r")
        await until(pilot, "without lab2")
        await until(pilot, lambda: len(board(pilot)._chart.rows) == 1)


# Pictures


Before = Callable[[Driver], Awaitable[None]]


def _seen(text: str) -> Before:
    async def wait(pilot: Driver) -> None:
        await until(pilot, "3 clusters")  # of the bar above, which is told a second later
        await until(pilot, text)
        await until(pilot, lambda: board(pilot)._plot._picture is not None or not board(pilot)._chart.rows)

    return wait


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_picture_of_the_plot(size: tuple[int, int], snap_compare: Any, still: float) -> None:
    async def before(pilot: Driver) -> None:
        await _seen("18 series")(pilot)
        await pilot.press("left", "left", "left")
        await until(pilot, "CURSOR")

    app = Dashboard(Options(bundle="demo"), start=parse(RATE))
    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("state", ["empty", "loading", "error", "stale"])
def test_picture_of_a_state(
    state: str, size: tuple[int, int], snap_compare: Any, still: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = ClusterError(
        "can't be reached", hint="aiops clusters endpoints", code=ErrorCode.CLUSTER_UNREACHABLE
    )
    monkeypatch.setattr(metrics, "ask_chart", in_state(state, metrics.ask_chart, failed))
    texts = {
        "empty": "this bundle does not hold",
        "loading": "loading…",
        "error": "can't be reached",
        "stale": "18 series",
    }

    async def before(pilot: Driver) -> None:
        await _seen(texts[state])(pilot)
        if state == "stale":
            feed = board(pilot)._charts
            feed._tell(replace(feed.reading, at=still - 300, error=failed))
            await until(pilot, "stale")

    app = Dashboard(Options(bundle="demo"), start=parse("metrics nosuch" if state == "empty" else RATE))
    assert snap_compare(app, terminal_size=size, run_before=before)


async def test_a_zoom_that_shows_all_that_was_recorded_takes_no_key_to_leave() -> None:
    async with driving("fleet", bundle="demo") as pilot:
        app: Any = pilot.app
        app.run_line("metrics @service-rate at=2026-11-24T23:21:00Z")
        await until(pilot, lambda: getattr(pilot.app.screen, "_chart", None) and pilot.app.screen._chart.rows)
        board: Any = pilot.app.screen
        await until(pilot, lambda: board._plot.cursor is not None)
        await pilot.press("escape")
        await until(pilot, lambda: board._plot.cursor is None)
        await pilot.press("escape")
        await until(pilot, "Clusters 3")
