"""Draws docs/demo.svg: a real run of `aiops demo`, as a terminal shows it. Run: python docs/picture.py"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 118
HERE = Path(__file__).parent


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {
            "COLUMNS": str(WIDTH),
            "LINES": "40",
            "XDG_DATA_HOME": home,
            "XDG_CACHE_HOME": home,
        }
        run = subprocess.run(
            [sys.executable, "-m", "aiops_cli", "demo", "--tz", "UTC"],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        shown = run.stdout.replace(home, "~/.local/share")
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    for line in ["$ aiops demo", *shown.splitlines()]:
        style = "bold green" if line.startswith("$") else "bold" if line[:2] in ("1.", "2.", "3.") else ""
        console.print(Text(line[:WIDTH], style=style), soft_wrap=True)
    (HERE / "demo.svg").write_text(console.export_svg(title="aiops demo"), encoding="utf-8")


if __name__ == "__main__":
    main()
