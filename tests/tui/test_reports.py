"""Reports, analyses and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiops_cli.models.analysis import Cause, Entity, Evidence
from aiops_cli.models.options import Options
from aiops_cli.models.result import ClusterStatus
from aiops_cli.services import report_files
from aiops_cli.services.report import Report, TimelineEntry
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import parse
from aiops_cli.tui.screens.reports import Reports
from tests.conftest import Aiops
from tests.tui.conftest import NARROW, WIDE, Driver, driving, until


def _board(pilot: Driver) -> Reports:
    assert isinstance(pilot.app.screen, Reports)
    return pilot.app.screen


@pytest.fixture
def report(aiops: Aiops) -> str:
    """A report that the command line made; its id."""
    done = aiops("report", "generate", "--bundle", "demo")
    assert done.returncode == 0, done.stderr
    return done.stderr.split("report ")[1].split(":")[0]


async def test_nothing_kept_says_how_to_get_something() -> None:
    async with driving("reports", bundle="demo") as pilot:
        await until(pilot, "no report is kept yet")
        await pilot.press("v")
        await until(pilot, "no analysis is kept yet")


async def test_a_report_is_read_and_written_to_a_file(report: str, own_folder: Path) -> None:
    async with driving("reports", bundle="demo") as pilot:
        await until(pilot, "service shop/ledger in west")
        await pilot.press("enter")
        text = await until(pilot, "Most likely cause")
        assert report in text
        await pilot.press("G")
        await until(pilot, "Provenance")
        await pilot.press("escape")
        await until(pilot, "Reports 1")
        await pilot.press("ctrl+e")
        await until(pilot, lambda: list(own_folder.glob("*.md")))
    assert [p.name for p in own_folder.glob("*.md")] == [f"aiops-{report}.md"]


async def test_wide_the_text_stands_beside_the_list(report: str, aiops: Aiops) -> None:
    assert aiops("rca", "analyze", "--bundle", "demo").returncode == 0
    async with driving("reports", bundle="demo", size=(160, 50)) as pilot:
        text = await until(pilot, "Most likely cause")
        assert "Reports 1" in text
        await pilot.press("v")
        await until(pilot, "1. west/shop/ledger: pool_in_use")


async def test_a_damaged_report_is_told_and_the_others_are_shown(report: str, home: Path) -> None:
    (home / "data/aiops/reports/incident-0.json").write_text("{")
    async with driving("reports", bundle="demo") as pilot:
        await until(pilot, "1 unread")
        await until(pilot, "service shop/ledger in west")


async def test_settings_say_where_they_come_from_and_no_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = home / "aiops.toml"
    config.write_text(
        '[defaults]\ntimeout = 7\n[keys]\n"app.quit" = "f10"\n'
        '[clusters.a.endpoints.loki]\nurl = "http://loki"\nheaders = { Authorization = "Bearer s3cret" }\n'
    )
    monkeypatch.setenv("AIOPS_CONFIG", str(config))
    async with driving("settings", size=(160, 50), tz="UTC") as pilot:
        await until(pilot, "AIOPS_CONFIG")
        rows = {(s.group, s.name): s for s in _board(pilot)._settings.rows}
        assert (rows["defaults", "timeout"].value, rows["defaults", "timeout"].origin) == ("7.0", "config")
        assert rows["defaults", "output"].origin == "default"
        assert (rows["keys", "app.quit"].value, rows["keys", "app.quit"].origin) == ("f10", "config")
        assert rows["clusters", "a.endpoints.loki.headers.Authorization"].value == "[hidden]"
        assert rows["time", "zone"].origin == "--tz"
        assert ("keys", "alerts.silence") in rows
        assert not any("s3cret" in s.value for s in rows.values())
        await pilot.press("slash", *"theme", "enter", "enter")
        await until(pilot, "enter takes")
        await pilot.press("down", "enter")
        await until(pilot, "remembered")


async def test_an_unknown_view_is_said() -> None:
    async with driving("reports tab=x", bundle="demo") as pilot:
        await until(pilot, lambda: any("no view 'x'" in n.message for n in pilot.app._notifications))


def _keep_one() -> None:
    """A report that is the same in every run."""
    at = "2026-11-24T23:22:20Z"
    entity = Entity("service", "ledger", "shop", "west")
    seen = Evidence("metric", "pool_in_use went from 0 to 6", at, 6.0, 0.0, None, "max(pool_in_use)")
    report_files.save(
        report_files.ReportDocument(
            [ClusterStatus("west", "SUCCESS")],
            [
                Report(
                    id="incident-20261124-233000-abcd",
                    type="incident",
                    title="service shop/ledger in west: pool_in_use",
                    created_at="2026-11-24T23:30:00Z",
                    created_by="aiops 0",
                    start="2026-11-24T23:00:00Z",
                    end="2026-11-24T23:30:00Z",
                    at=at,
                    summary=[
                        "Most likely cause: service shop/ledger in west, pool_in_use (confidence 0.50)."
                    ],
                    causes=[
                        Cause(
                            1, 1.0, 0.5, entity, "pool_in_use", at, [seen], next_steps=["Look at the pool."]
                        )
                    ],
                    alerts=[],
                    anomalies=[],
                    clusters=[],
                    timeline=[
                        TimelineEntry(at, "west", "onset", "service shop/ledger", "pool_in_use deviates")
                    ],
                    missing=[],
                    queries=[],
                )
            ],
        )
    )


PICTURES = {
    "empty": ("reports", NARROW, "no report is kept yet", ""),
    "list": ("reports", NARROW, "service shop/ledger", ""),
    "text": ("reports", NARROW, "service shop/ledger", "enter"),
    "wide": ("reports", WIDE, "Most likely cause", ""),
    "settings": ("settings ^gpu", NARROW, "temperature_warning", ""),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str, snap_compare: Any, still: float) -> None:
    line, size, seen, key = PICTURES[name]
    if name in ("list", "text", "wide"):
        _keep_one()

    async def before(pilot: Driver) -> None:
        await until(pilot, "to 11-24 23:24")
        await until(pilot, seen)
        if key:
            await pilot.press(key)
            await until(pilot, "Most likely cause")

    app = Dashboard(Options(bundle="demo"), start=parse(line))
    assert snap_compare(app, terminal_size=size, run_before=before)
