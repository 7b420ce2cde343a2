"""Start-up of the program: `python -m benchmarks.startup`. Compare the ratios, not the milliseconds.

`aiops --help` and `aiops version` against `--help` of a Typer program of two commands, in the same
environment and taking turns. Then which heavy modules each of them loads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SMALL = '''
import typer

app = typer.Typer()


@app.command()
def hello(name: str, times: int = 1) -> None:
    """Say hello."""
    print(name * times)


@app.command()
def bye(name: str, loud: bool = False) -> None:
    """Say goodbye."""
    print(name.upper() if loud else name)


if __name__ == "__main__":
    app()
'''
HEAVY = (
    *("kubernetes", "duckdb", "sklearn", "scipy", "pandas", "textual", "numpy", "httpx2", "structlog"),
    *("keyring", "yaml", "promql_parser", "msgspec", "pydantic", "rich", "asyncio"),
)
MODULES = """
import sys
from aiops_cli.cli.app import run
try:
    run(sys.argv[1:])
except SystemExit:
    pass
print(len(sys.modules), *sorted(sys.modules), file=sys.stderr)
"""
WANTED = 1.3


def keep_bytecode(folder: Path) -> None:
    """Let the programs that are measured keep bytecode, as installed ones do, whatever the environment says."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")


def seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.py"
        small.write_text(SMALL)
        os.environ["HOME"] = folder
        keep_bytecode(Path(folder))
        commands = {
            "a small Typer program's --help": [sys.executable, str(small), "--help"],
            "aiops --help": [sys.executable, "-m", "aiops_cli", "--help"],
            "aiops version": [sys.executable, "-m", "aiops_cli", "version"],
            "aiops metrics --help": [sys.executable, "-m", "aiops_cli", "metrics", "--help"],
            "python alone": [sys.executable, "-c", ""],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for round_ in range(rounds + 1):
            for name, command in commands.items():
                took = seconds(command)
                if round_:  # the first fills the caches of the disk
                    taken[name].append(took)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    base = medians["a small Typer program's --help"]
    print(f"medians of {rounds}, taking turns")
    for name, median in medians.items():
        wanted = f"  (wanted: at most {WANTED})" if name in ("aiops --help", "aiops version") else ""
        print(f"{name:<32} {median * 1000:7.1f} ms  {median / base:5.2f} times{wanted}")
    for args in (["--help"], ["version"]):
        done = subprocess.run(
            [sys.executable, "-c", MODULES, *args], capture_output=True, text=True, check=True
        )
        count, *modules = done.stderr.split()
        loaded = ", ".join(m for m in HEAVY if m in modules) or "none"
        print(f"aiops {args[0]:<10} loads {count} modules; heavy ones: {loaded}")


if __name__ == "__main__":
    main()
