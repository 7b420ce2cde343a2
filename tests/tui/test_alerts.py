"""The alerts screen: what fires, in full, and silences on real Alertmanagers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from textual.widgets import Input, TextArea

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.options import Options
from aiops_cli.models.result import FleetResult
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import Place, parse
from aiops_cli.tui.screens.alerts import Alerts
from aiops_cli.tui.widgets.dialogs import Confirm
from aiops_cli.tui.widgets.silence import SilenceForm
from tests.cli.alert_servers import wait_for_alerts
from tests.servers.cluster import Cluster
from tests.servers.fleet import Fleet
from tests.tui.conftest import NARROW, WIDE, Driver, driving, in_state, screen_text, until

NAME = "TuiNodeLoaded"


def _board(pilot: Driver) -> Alerts:
    assert isinstance(pilot.app.screen, Alerts)
    return pilot.app.screen


def _told(pilot: Driver) -> str:
    """What was said in the corner, which pilots do not draw."""
    return "\n".join(n.message for n in pilot.app._notifications)


async def test_groups_open_to_their_alerts_and_esc_comes_back() -> None:
    async with driving("alerts", bundle="demo", size=(160, 50)) as pilot:
        await until(pilot, "Alerts 6")
        await pilot.press("b")
        text = await until(pilot, "by alertname")
        row = next(line for line in text.splitlines() if line.startswith("CatalogErrors"))
        assert row.split()[1:3] == ["3", "3"]
        await pilot.press("G", "enter")
        text = await until(pilot, "Alerts 3 of 6 · alertname=CatalogErrors")
        assert {c for c in ("east", "west", "north") if f"\n{c} " in text} == {"east", "west", "north"}
        await pilot.press("escape")
        await until(pilot, "Alerts 6 · by alertname")


async def test_only_a_severity_and_a_filter() -> None:
    async with driving("alerts sev=warning", bundle="demo") as pilot:
        await until(pilot, "Alerts 3 of 6 · warning")
        await pilot.press("slash", *"north", "enter")
        text = await until(pilot, lambda: "east " not in screen_text(pilot))
        assert "north" in text
        assert _board(pilot).place().written() == "alerts north sev=warning"


async def test_where_no_row_is_left_nothing_is_told_of_one_and_keys_do_nothing() -> None:
    async with driving("alerts", bundle="demo", size=WIDE) as pilot:
        await until(pilot, lambda: _board(pilot)._pane.text)
        await pilot.press("slash", *"nosuch", "enter")
        await until(pilot, "0 of 6")
        await until(pilot, lambda: not _board(pilot)._pane.text)
        await pilot.press("l", "t", "x", "m", "e", "R", "enter", "s")
        await until(pilot, lambda: "no alert is chosen" in _told(pilot))
        assert pilot.app.screen is _board(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: _board(pilot)._pane.text)


async def test_alerts_that_could_not_be_asked_for_are_not_counted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = home / "dead.toml"
    config.write_text('[clusters.d1.endpoints]\nalertmanager = "http://127.0.0.1:9"\n')
    monkeypatch.setenv("AIOPS_CONFIG", str(config))
    async with driving("alerts") as pilot:
        text = await until(pilot, "without d1")
        assert "Alerts 0" not in text


async def test_an_alert_in_full_with_what_a_bundle_lacks() -> None:
    async with driving("alerts", bundle="demo") as pilot:
        await until(pilot, "Alerts 6")
        await pilot.press("enter")
        await until(pilot, lambda: "does not hold what the rule asks" in _board(pilot)._pane.text)
        text = _board(pilot)._pane.text
        assert "> 0.1" in text  # the threshold, of the alert's link
        assert "does not hold alerting rules" in text
        await pilot.press("escape")
        await until(pilot, "Alerts 6")


@pytest.mark.parametrize(
    ("key", "view", "text", "args"),
    [
        ("m", "metrics", "sum by (job) (rate(http_requests_total{code=~\"5..\",job=\"checkout\"}[30s]))", {}),
        ("l", "logs", '{namespace="shop",pod=~"checkout-[a-z0-9]{5,10}-[a-z0-9]{5}"}', {}),
        ("t", "traces", '{ resource.service.name = "checkout" }', {}),
        ("e", "cluster", "", {"tab": "events", "ns": "shop"}),
        ("x", "rca", "", {"name": "10dd539cfb28ae53"}),
    ],
)  # fmt: skip
async def test_jumps_take_cluster_workload_and_time_along(
    key: str, view: str, text: str, args: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[Place] = []
    monkeypatch.setattr(Alerts, "go", lambda self, place: gone.append(place))
    async with driving("alerts CheckoutErrors", bundle="demo") as pilot:
        await until(pilot, "Checkout fails")
        await pilot.press(key)
        await until(pilot, lambda: gone)
    place = gone[0]
    assert place.view == view
    assert place.text.startswith(text)
    assert place.args["at"].startswith("2026-11-24T23:22:48")
    assert args.items() <= place.args.items()
    assert place.contexts == (("west",) if view != "rca" else ())


async def test_history_and_silences_of_a_bundle() -> None:
    async with driving("alerts tab=history", bundle="demo") as pilot:
        await until(pilot, "FrontendErrors")
        await pilot.press("v")
        await until(pilot, "a bundle holds no silences")
        await pilot.press("n")
        await until(pilot, lambda: "a bundle is only read" in _told(pilot))


async def test_an_unknown_view_is_said() -> None:
    async with driving("alerts tab=nonsense", bundle="demo") as pilot:
        await until(pilot, lambda: "no view 'nonsense'" in _told(pilot))


@pytest.fixture
def firing(fleet3: Fleet, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An alert that fires on east and west."""
    for key, value in fleet3.env.items():
        monkeypatch.setenv(key, value)
    for name in ("east", "west"):
        cluster: Cluster = fleet3[name]
        rule = {"alert": NAME, "expr": "node_load1 > -1", "labels": {"severity": "warning"},
                "annotations": {"runbook_url": "https://runbooks.example/load"}}  # fmt: skip
        cluster.prometheus.set_rules("tui-alerts", [rule])
    for name in ("east", "west"):
        wait_for_alerts(fleet3[name].alertmanager.url, NAME)
    yield fleet3
    for name in ("east", "west"):
        fleet3[name].prometheus.set_rules("tui-alerts", [])


def _silences(cluster: Cluster) -> list[dict[str, Any]]:
    with urlopen(f"{cluster.alertmanager.url}/api/v2/silences") as answer:
        return [
            s for s in json.load(answer) if s["createdBy"] == "tui@test" and s["status"]["state"] == "active"
        ]


async def test_a_silence_is_previewed_made_seen_and_ended(firing: Fleet) -> None:
    async with driving(f"alerts {NAME}", size=(160, 50)) as pilot:
        board = _board(pilot)
        await until(pilot, lambda: len(board._flat.rows) == 2)

        def charted() -> bool:
            """A Prometheus that has just begun has no sample at a step yet."""
            asking = any(w.group == "detail" and not w.is_finished for w in pilot.app.workers)
            if "no sample in that time" in board._pane.text and not asking:
                board._pane.reread()
            return "fires=> -1" in screen_text(pilot)

        await until(pilot, charted)
        text = screen_text(pilot)
        assert "node_load1 > -1" in text
        assert "https://runbooks.example/load" in text

        await pilot.press("s")
        await until(pilot, "matchers, one a line")
        form = pilot.app.screen
        form.query_one("#matchers", TextArea).text = f"alertname={NAME}"
        form.query_one("#clusters", Input).value = "east west"
        form.query_one("#author", Input).value = "tui@test"
        await pilot.press("ctrl+s")
        await until(pilot, "a silence needs a comment")
        form.query_one("#comment", Input).value = "a test of the dashboard"
        await pilot.press("ctrl+s")
        text = await until(pilot, lambda: isinstance(pilot.app.screen, Confirm)) and screen_text(pilot)
        assert "written to 2 Alertmanagers" in text
        assert "would cover 2 alerts now" in text
        await pilot.press("n")
        assert not _silences(firing["east"]) and not _silences(firing["west"])

        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: pilot.app.screen is board)
        assert len(_silences(firing["east"])) == len(_silences(firing["west"])) == 1
        await until(pilot, lambda: all(a.state == "SUPPRESSED" for a in board._flat.rows))

        await pilot.press("v", "v")
        await until(pilot, "a test of the dashboard")
        board._silences.set_filter("east.*a test of the dashboard")
        await pilot.press("enter")
        text = await until(pilot, "kept quiet by")
        await pilot.press("v", "v", "d")
        text = await until(pilot, "End this silence now?")
        assert "WOULD EXPIRE" in text
        await pilot.press("y")
        await until(pilot, lambda: not _silences(firing["east"]))
        assert len(_silences(firing["west"])) == 1


async def test_what_was_made_is_seen_behind_the_form_that_stays_for_the_rest(firing: Fleet) -> None:
    firing["north"].alertmanager.kill()
    async with driving(f"alerts {NAME}", size=(160, 50)) as pilot:
        board = _board(pilot)
        await until(pilot, lambda: [a.state for a in board._flat.rows if a.cluster == "east"] == ["FIRING"])
        await pilot.press("s")
        await until(pilot, "matchers, one a line")
        form = pilot.app.screen
        form.query_one("#matchers", TextArea).text = f"alertname={NAME}"
        for name, value in (("clusters", "east north"), ("author", "tui@rest"), ("comment", "a test")):
            form.query_one(f"#{name}", Input).value = value
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, "tries the clusters that are left")
        assert pilot.app.screen is form
        await until(pilot, lambda: all(a.state == "SUPPRESSED" for a in board._flat.rows))
        assert form.focused is form.query_one("#clusters")


async def test_the_footer_of_silences_has_their_keys_and_no_others(
    fleet3: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in fleet3.env.items():
        monkeypatch.setenv(key, value)
    async with driving("alerts tab=silences") as pilot:
        await until(pilot, "n New silence")
        below = screen_text(pilot).splitlines()[-1]
        assert "d End " in below and "s Silence" not in below and "l Logs" not in below
        await pilot.press("v")
        text = await until(pilot, "s Silence")
        assert "d End " not in text


async def test_a_form_that_can_not_be_read_names_what_is_wrong(firing: Fleet) -> None:
    async with driving("alerts tab=silences", size=(100, 40)) as pilot:
        await pilot.press("n")
        await until(pilot, "matchers, one a line")
        form = pilot.app.screen
        for field, value, said in (
            ("matchers", "x", "needs a comment"),
            ("matchers", "x\nfoo", "'foo' is no matcher"),
            ("matchers", "", "needs a matcher"),
            ("for", "soon", "write 30m, 2h or 1d"),
            ("for", "-5m", "write 30m, 2h or 1d"),
            ("clusters", "nowhere", "nowhere"),
        ):
            form.query_one("#matchers", TextArea).text = value if field == "matchers" else "alertname=x"
            if field != "matchers":
                form.query_one("#comment", Input).value = "why"
                form.query_one(f"#{field}", Input).value = value
            await pilot.press("ctrl+s")
            await until(pilot, said)
            form.query_one("#for", Input).value = "1h"


PICTURES = {
    "list": ("alerts", NARROW, "Alerts 6", ""),
    "wide": ("alerts", WIDE, "does not hold what the rule asks", ""),
    "groups": ("alerts kind=alertname", NARROW, "by alertname", ""),
    "detail": ("alerts", NARROW, "Alerts 6", "enter"),
    "history": ("alerts tab=history", NARROW, "FrontendErrors", ""),
    "no-silences": ("alerts tab=silences", NARROW, "a bundle holds no silences", ""),
    "only": ("alerts", NARROW, "Alerts 6", "f"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str, snap_compare: Any, still: float) -> None:
    line, size, seen, key = PICTURES[name]

    async def before(pilot: Driver) -> None:
        await until(pilot, "to 11-24 23:24")
        await until(pilot, seen)
        if key:
            await pilot.press(key)
        if name == "detail":
            await until(pilot, lambda: "does not hold what the rule asks" in _board(pilot)._pane.text)

    app = Dashboard(Options(bundle="demo"), start=parse(line))
    assert snap_compare(app, terminal_size=size, run_before=before)


def test_picture_of_the_silence_form(snap_compare: Any, still: float) -> None:
    async def before(pilot: Driver) -> None:
        await until(pilot, "to 11-24 23:24")
        matchers = 'alertname="CheckoutErrors"\nnamespace="shop"'
        await pilot.app.ready.wait()  # type: ignore[attr-defined]
        await pilot.app.push_screen(SilenceForm(matchers, "west", "sre@host"))
        await pilot.press("ctrl+s")
        await until(pilot, "a silence needs a comment")
        pilot.app.screen.set_focus(None)  # whose cursor would blink
        await pilot.pause()

    app = Dashboard(Options(bundle="demo"), start=parse("alerts"))
    assert snap_compare(app, terminal_size=NARROW, run_before=before)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("state", ["empty", "loading", "error", "stale"])
def test_picture_of_a_state(
    state: str, size: tuple[int, int], snap_compare: Any, still: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = ClusterError(
        "can't be reached", hint="aiops clusters health", code=ErrorCode.CLUSTER_UNREACHABLE
    )

    real = in_state(state, Alerts._ask_alerts, failed)

    async def ask(self: Alerts, session: Any) -> Any:
        found = await real(self, session)
        return FleetResult([], found.clusters) if state == "empty" else found

    monkeypatch.setattr(Alerts, "_ask_alerts", ask)
    seen = {
        "empty": "no alert is active",
        "loading": "loading…",
        "error": "can't be reached",
        "stale": "Alerts 6",
    }

    async def before(pilot: Driver) -> None:
        await until(pilot, "to 11-24 23:24")
        await until(pilot, seen[state])
        if state == "stale":
            if size == WIDE:  # beside the list stands the alert in full
                await until(pilot, lambda: "does not hold what the rule asks" in _board(pilot)._pane.text)
            feed = _board(pilot)._tab_feeds["alerts"]
            feed._tell(replace(feed.reading, at=still - 300, error=failed))
            await until(pilot, "stale")

    app = Dashboard(Options(bundle="demo"), start=parse("alerts"))
    assert snap_compare(app, terminal_size=size, run_before=before)
