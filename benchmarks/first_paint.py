"""First paint of the dashboard from the store: `python -m benchmarks.first_paint`. Compare the ratios.

`aiops tui` over clusters that answer only after a while, whose health the store has kept, against a bare
Textual app that shows a `DataTable` of as many rows and columns. Both run on a terminal of their own, taking
turns; timed is from the start of the process until a row's text has reached the terminal.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fanout import config, endpoints
from benchmarks.startup import keep_bytecode
from benchmarks.terminal import on_terminal

WANTED = 1.5
LONGEST = 60.0
BARE = """
import sys
from textual.app import App
from textual.widgets import DataTable


class Bare(App):
    def compose(self):
        yield DataTable()

    def on_mount(self):
        table = self.query_one(DataTable)
        table.add_columns(*(f"column {n}" for n in range(9)))
        table.add_rows([f"edge-{row}", *(f"value {row}.{n}" for n in range(8))] for row in range(int(sys.argv[1])))


Bare().run()
"""


def seconds_to(command: Sequence[str], text: bytes, after: float = 0.0) -> float:
    """From the start of `command` on a terminal of 160 x 50 until it writes `text`; it is then left alone for
    `after` seconds and ended."""
    began = time.perf_counter()
    with on_terminal(command, end=signal.SIGKILL) as terminal:
        if not terminal.read(LONGEST, text):
            raise TimeoutError(f"{text!r} never came")
        took = time.perf_counter() - began
        terminal.read(after)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clusters", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(HOME=name, XDG_CONFIG_HOME=name, XDG_DATA_HOME=name, XDG_CACHE_HOME=name)
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.environ.pop("KUBECONFIG", None)
        keep_bytecode(folder)
        bare = folder / "bare.py"
        bare.write_text(BARE)
        with endpoints(0.01) as base:
            path = config(folder, base, args.clusters)
            ours = [sys.executable, "-m", "aiops_cli", "--config", str(path), "tui", "fleet"]
            seconds_to(ours, b"ONLINE", after=3.0)  # which the store keeps
        commands = {
            "a bare Textual table": [sys.executable, str(bare), str(args.clusters)],
            "aiops tui": ours,
        }
        taken: dict[str, list[float]] = {title: [] for title in commands}
        for round_ in range(args.rounds + 1):
            for title, command in commands.items():
                took = seconds_to(command, b"edge-0")
                if round_:
                    taken[title].append(took)
    first = statistics.median(taken["a bare Textual table"])
    print(
        f"{args.clusters} rows; from the start of the process to a row on the terminal, medians of {args.rounds}"
    )
    for title, times in taken.items():
        middle = statistics.median(times)
        print(f"{title:<22} {middle * 1000:6.0f} ms  {middle / first:.2f} times", end="")
        print(f" (wanted: at most {WANTED:g})" if title == "aiops tui" else "")


if __name__ == "__main__":
    main()
