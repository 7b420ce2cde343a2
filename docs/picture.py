"""Draws docs/demo.svg: a real run of `aiops demo`, as a terminal shows it. Run: python docs/picture.py"""

from __future__ import annotations

import os
import re
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
    lines = ["$ aiops demo", *_shortened(shown.splitlines())]
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    for line in lines:
        style = "bold green" if line.startswith("$") else "bold" if line[:2] in ("1.", "2.", "3.") else ""
        console.print(Text(line[:WIDTH].replace(" ", "\u00a0"), style=style), soft_wrap=True)
    svg = console.export_svg(title="aiops demo")
    # The picture must look the same without internet: local fonts only.
    svg = re.sub(r'src: local\("([^"]+)"\),.*?;', r'src: local("\1");', svg, flags=re.S)
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    (HERE / "demo.svg").write_text(svg, encoding="utf-8")


def _shortened(lines: list[str]) -> list[str]:
    """The run without its longest parts; each cut is shown as an ellipsis."""
    kept: list[str] = []
    room = 1000
    for line in lines:
        if line.startswith(("$ ", "Report written")):
            if room == 0:
                kept.append("")
            room = 5 if line.startswith("$ aiops anomalies detect") else 1000
        if line.startswith("2. "):
            room = 0
            kept += [line, "…"]
        if room == 0 and kept[-1] != "…":
            kept.append("…")
        if room > 0:
            kept.append(line)
            room -= 1
    return kept


if __name__ == "__main__":
    main()
