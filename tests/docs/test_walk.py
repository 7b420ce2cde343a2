"""The walk of docs/walk.md can still be gone, by keys that the screens show, and its pictures are of that."""

from __future__ import annotations

import importlib.util
import re
import sys
from html import unescape
from pathlib import Path
from types import ModuleType

from tests.tui.conftest import Driver, driving, screen_text, shows, until
from tests.tui.conftest import own_folder as own_folder

DOCS = Path(__file__).parents[2] / "docs"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("walk", DOCS / "walk.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


walk = load()


async def test_each_key_is_on_the_screen_before_and_leads_to_what_the_picture_shows(own_folder: Path) -> None:
    async def before(pilot: Driver, step: object) -> None:
        hidden = [key for key in step.keys if not shows(pilot, key)]  # type: ignore[attr-defined]
        assert not hidden, screen_text(pilot)

    async def after(pilot: Driver, step: object) -> None:
        svg = (DOCS / f"walk/{step.name}.svg").read_text(encoding="utf-8")  # type: ignore[attr-defined]
        drawn = unescape(re.sub("<[^>]*>", "", svg)).replace("\xa0", " ")
        assert step.seen in drawn  # type: ignore[attr-defined]
        assert screen_text(pilot).splitlines()[-1].strip() in drawn, "python docs/walk.py draws it anew"

    await walk.walk(before, after)
    report = next(own_folder.glob("aiops-incident-*.md")).read_text(encoding="utf-8")
    assert re.search(r"### 1\. service shop/ledger in west: pool_in_use", report)
    assert walk.page(report) == (DOCS / "walk.md").read_text(encoding="utf-8"), (
        "python docs/walk.py writes it anew"
    )


async def test_a_key_that_is_not_on_the_screen_is_found() -> None:
    async with driving(bundle="demo") as pilot:
        await until(pilot, "✖3")
        assert shows(pilot, "l") and shows(pilot, "comma") and not shows(pilot, "t")
        await pilot.press("T")
        await until(pilot, "enter takes")
        assert shows(pilot, "enter") and not shows(pilot, "l"), "the line below is not the dialog's"
