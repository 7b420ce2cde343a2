"""The path that decides: from the fleet, with a fault running, to the failing service's logs, its slow trace,
the ranked cause and a saved report, by the keys that each screen shows and nothing else."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clusters
from tests.servers.fleet import Fleet
from tests.tui.conftest import NARROW, WIDE, driving, screen_text, shows, step, until

pytestmark = pytest.mark.timeout(900)  # the waits of the incident
SECONDS = 90.0  # for what asks busy servers


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_from_the_fleet_to_a_saved_report_by_the_keys_on_screen(
    incident: Fleet, clusters: Clusters, own_folder: Path, monkeypatch: pytest.MonkeyPatch, size: Any
) -> None:
    """The ledger's pool is exhausted in `jumps`; `calm`, which comes first in the config, is well."""
    fleet = Fleet([clusters("calm", {"prometheus"}), *incident.clusters], root=own_folder)
    fleet.write()
    for key, value in fleet.env.items():
        monkeypatch.setenv(key, value)
    async with driving(size=size) as pilot:
        await until(pilot, "✖3")
        text = await until(pilot, lambda: _row(screen_text(pilot), "jumps "))
        assert text.index("\njumps ") < text.index("\ncalm "), "trouble comes first, and the cursor is there"

        text = await step(pilot, "a", "CheckoutErrors")
        assert "@jumps" in text
        await step(pilot, "slash", "Filter /")
        await pilot.press(*"Checkout", "enter")
        await until(pilot, "· /Checkout")
        began = pilot.app.screen._chosen().starts_at  # type: ignore[attr-defined]

        text = await step(pilot, "l", "order not placed", SECONDS)
        assert "@jumps" in text and 'pod=~"checkout' in text
        assert abs(_seconds(pilot.app.screen.place().args["at"]) - _seconds(began)) < 1  # type: ignore[attr-defined]

        text = await step(pilot, "t", lambda: _traces(screen_text(pilot)), SECONDS)
        if "critical path" not in text:  # the line named no trace: those of its service, failed first
            text = await step(pilot, "enter", "critical path", SECONDS)
        assert "@jumps" in text and re.search(r"critical path [2-9]\.?\d*s: ledger POST /entries", text)

        text = await step(pilot, "x", "Evidence of", SECONDS)
        first = next(line for line in text.splitlines() if re.match(r" +1 +0\.", line))
        assert "jumps/shop/ledger" in first and "pool_" in first

        await step(pilot, "ctrl+e", "Markdown, to paste")
        await step(pilot, "enter", lambda: "report saved to" in _told(pilot), SECONDS)
        await step(pilot, "comma", "service shop/ledger in jumps", SECONDS)
        assert shows(pilot, "enter")

    [written] = own_folder.glob("aiops-incident-*.md")
    report = written.read_text()
    assert "Most likely cause: service shop/ledger in jumps, pool_" in report
    assert re.findall(r"^### \d+\. (.*?):", report, re.M)[0] == "service shop/ledger in jumps"


def _row(text: str, start: str) -> bool:
    return any(line.startswith(start) and "✖3" in line for line in text.splitlines())


def _traces(text: str) -> bool:
    return "critical path" in text or "failed first" in text


def _seconds(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()


def _told(pilot: Any) -> str:
    return "\n".join(n.message for n in pilot.app._notifications)
