"""The GPU screen on a bundle that holds none."""

from __future__ import annotations

import pytest

from tests.tui.conftest import driving, until


@pytest.mark.parametrize(("key", "said"), [("7", "no dcgm-exporter")])
async def test_a_bundle_without_devices_says_so(key: str, said: str) -> None:
    async with driving(bundle="demo") as pilot:
        await pilot.press(key)
        await until(pilot, said)
