"""What `--help`, `version` and completion load: nothing heavy, and no command's module but its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "kubernetes",
    "duckdb",
    "sklearn",
    "scipy",
    "pandas",
    "textual",
    "numpy",
    "httpx2",
    "structlog",
    "keyring",
    "yaml",
    "promql_parser",
    "msgspec",
    "asyncio",
)
PROBE = """
import json, sys
from aiops_cli.cli.app import run
try:
    code = run(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
with open({report!r}, "w") as file:
    json.dump([code, sorted(sys.modules)], file)
"""


def loaded_by(home: Path, args: list[str], env: dict[str, str]) -> tuple[int, list[str], str]:
    """The exit code, all modules loaded, and what was printed."""
    report = home / "report.json"
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(report=str(report)), *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        cwd=home,
        check=True,
    )
    code, modules = json.loads(report.read_text())
    return code, modules, done.stdout


def heavy(modules: list[str]) -> list[str]:
    return [name for name in HEAVY if name in modules]


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["version"], ["version", "-o", "json"]])
def test_help_and_version_load_nothing_heavy(home: Path, args: list[str]) -> None:
    code, modules, printed = loaded_by(home, args, {})

    assert code == 0
    assert printed
    assert heavy(modules) == []


def test_help_loads_no_command(home: Path) -> None:
    _, modules, _ = loaded_by(home, ["--help"], {})

    assert [m for m in modules if m.startswith("aiops_cli.")] == [
        "aiops_cli.cli",
        "aiops_cli.cli.app",
        "aiops_cli.cli.argv",
        "aiops_cli.errors",
        "aiops_cli.models",
        "aiops_cli.models.options",
    ]


def complete(home: Path, words: str) -> tuple[list[str], list[str]]:
    """What bash would be offered for the last word, and all modules loaded."""
    env = {
        "_AIOPS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    _, modules, printed = loaded_by(home, [], env)
    return printed.split(), modules


def test_completion_of_commands_loads_nothing_heavy(home: Path) -> None:
    offered, modules = complete(home, "aiops ")

    assert {"clusters", "metrics", "logs", "rca", "version"} <= set(offered)
    assert heavy(modules) == []


def test_completion_of_a_part_of_a_command(home: Path) -> None:
    offered, modules = complete(home, "aiops me")

    assert offered == ["metrics"]
    assert heavy(modules) == []


def test_completion_of_subcommands(home: Path) -> None:
    offered, modules = complete(home, "aiops metrics ")

    assert {"query", "range", "series", "labels", "values"} <= set(offered)
    assert not {"duckdb", "numpy", "httpx2", "kubernetes"} & set(modules)
