"""The investigations of docs/investigation.md can be gone through by what each step tells."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("investigation", DOCS / "investigation.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


investigation = load()


@pytest.mark.parametrize("case", investigation.CASES, ids=lambda case: case.title)
def test_each_step_is_told_by_the_one_before(home: Path, case: object) -> None:
    steps = investigation.follow(investigation.Run(str(home)), case)
    page = (DOCS / "investigation.md").read_text(encoding="utf-8")
    for command, _, _ in steps[:-1]:
        assert f"$ {command}\n" in page, "python docs/investigation.py writes the page anew"
    asked = [row["signal"] for _, _, row in steps if row is not None]
    assert len(asked) == len(steps) - 1


def test_one_investigation_goes_through_every_signal() -> None:
    walked = [["alert", *(step.signal for step in case.steps)] for case in investigation.CASES]
    assert ["alert", "metric", "log", "trace", "event"] in walked
