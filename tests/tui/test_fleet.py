"""The fleet screen."""

from __future__ import annotations

from tests.tui.conftest import driving, screen_text, until


async def test_a_bundle_shows_its_clusters_and_alerts() -> None:
    async with driving(bundle="demo") as pilot:
        text = await until(pilot, "CheckoutErrors")
        assert "bundle demo" in text
        assert "3 online" in text
        await pilot.press("slash", *"west", "enter")
        assert "north " not in screen_text(pilot)
