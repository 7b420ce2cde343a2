"""The default windows in docs/configuration.md are those that the help of each command tells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiops_cli.cli.windows import WINDOWS
from tests.conftest import Aiops

ROOT = Path(__file__).resolve().parents[2]


def documented() -> dict[str, str]:
    section = (
        (ROOT / "docs/configuration.md").read_text().partition("## Default windows")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| (`.+`) \| (.+) \|$", section, re.MULTILINE)
    return {command: window for names, window in rows for command in re.findall("`(.+?)`", names)}


def test_the_table_is_what_commands_tell() -> None:
    assert documented() == WINDOWS


@pytest.mark.parametrize("command", WINDOWS)
def test_help_tells_the_window(aiops: Aiops, command: str) -> None:
    done = aiops(*command.split(), "--help")

    assert f"Default window: {WINDOWS[command]} (--since, --from, --to)." in " ".join(done.stdout.split())
