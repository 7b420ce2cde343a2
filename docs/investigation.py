"""Writes docs/investigation.md: investigations by `--related` alone, each step's command taken from the rows
that the step before told. Run: python docs/investigation.py
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
WIDTH = 108
"""Cells of a line of the page; commands stay whole."""
_PREFACE = """\
# Investigations by `--related` alone

`--related` leads from any row (an alert, a series, a log line, a trace, an event, a Kubernetes object) to what
the other signals know of the same workload of the same cluster at the same time. Under each row stands the
command that shows it all; with `--related` at its end it is the next step. Nothing below was typed but the
first command of each investigation; `docs/investigation.py` runs them and writes this page. Of each answer
only the rows about the thing in question are shown here, long lines are cut, and times are UTC."""


@dataclass(frozen=True)
class Step:
    """Which row to follow: of this signal, about this subject, with this text in its summary."""

    signal: str
    subject: str
    text: str
    why: str


@dataclass(frozen=True)
class Case:
    title: str
    about: str
    start: str
    steps: tuple[Step, ...]
    end: str


CASES = (
    Case(
        "Orders fail: alert → metric → logs → trace → object",
        "The bundled incident. Checkout fails three of four orders.",
        "aiops alerts list --name CheckoutErrors --related --bundle demo",
        (
            Step(
                "metric",
                "shop/checkout",
                "@service-errors",
                "No request failed before 23:22:40; now three of four do, after 9.7 s. First the series.",
            ),
            Step(
                "log",
                "shop/checkout",
                "error line",
                "157 lines of one kind, and payment is in them. What else is known of the newest?",
            ),
            Step(
                "trace",
                "shop/checkout",
                "its trace",
                "It names its trace: 6 s, and most spans failed. Where does that begin?",
            ),
            Step(
                "object",
                "shop/ledger",
                "Deployment",
                "The ledger is told first: its spans fail with no failing child, all 6 connections of its pool are in "
                "use, and callers wait. Did anybody change it?",
            ),
        ),
        "No event, change or restart of the ledger, nor of its node: nobody touched it, its pool ran full by "
        "itself. `aiops rca analyze --bundle demo` says the same.",
    ),
    Case(
        "Is it the new catalog? alert → metric → logs → trace → event",
        "In the same incident the catalog fails a few requests, and it was rolled out.",
        "aiops alerts list --name CatalogErrors -c west --related --bundle demo",
        (
            Step("metric", "shop/catalog", "series", "Its series are as they were. Since when?"),
            Step("log", "shop/catalog", "error line", "What fails?"),
            Step(
                "trace",
                "shop/catalog",
                "its trace",
                "Always the same: products that are not there. Who asks for them?",
            ),
            Step(
                "event", "shop/catalog", "rollout", "The frontend does, and there was a rollout. Is that it?"
            ),
        ),
        "The rollout came at 23:21:38; the alert fired from 23:19:28 on, and before. Both versions fail the same few "
        "requests: the rollout is beside the point.",
    ),
    Case(
        "Visitors wait: alert → trace → event",
        "Another recorded incident of `tests/incidents/bundles`. Visitors wait for a second.",
        "aiops alerts list --name FrontendLatency --related --bundle tests/incidents/bundles/rollout.aiops",
        (
            Step(
                "trace",
                "shop/frontend",
                "slowest trace",
                "Nothing fails more than usual. Where does the time go?",
            ),
            Step(
                "event",
                "shop/payment",
                "rollout",
                "Payment has most of the time for itself, its CPU use rose from 0.01 to half a core, and it was "
                "rolled out when that began.",
            ),
        ),
        "Version 2.5.0 of payment burns CPU: roll it back.",
    ),
)


class Run:
    """Runs commands in a home of their own."""

    def __init__(self, home: str) -> None:
        self._env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("AIOPS_", "XDG_")) and k not in ("KUBECONFIG", "COLUMNS")
        } | {"HOME": home, "TZ": "UTC"}

    def text(self, command: str) -> str:
        return self._run(command)

    def rows(self, command: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self._run(f"{command} -o json"))["items"]
        return found

    def _run(self, command: str) -> str:
        words = shlex.split(command)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "aiops_cli", *words],
            env=self._env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command}: exit {done.returncode}: {done.stderr}")
        return done.stdout


def follow(run: Run, case: Case) -> list[tuple[str, list[dict[str, Any]], dict[str, Any] | None]]:
    """(command, rows about the thing in question, the row that is followed) of each step.

    Raises LookupError if a step's row is not there.
    """
    told: list[tuple[str, list[dict[str, Any]], dict[str, Any] | None]] = []
    command = case.start
    for step in case.steps:
        rows = run.rows(command)
        chosen = next(
            (
                r
                for r in rows
                if (r["signal"], r["subject"]) == (step.signal, step.subject) and step.text in r["summary"]
            ),
            None,
        )
        if chosen is None:
            raise LookupError(f"{command}: no {step.signal} of {step.subject} with {step.text!r}")
        told.append((command, [r for r in rows if r["subject"] == step.subject], chosen))
        command = (
            f"{chosen['command']} --related"
            if "aiops related" not in chosen["command"]
            else chosen["command"]
        )
    told.append((command, [], None))
    return told


def page(run: Run) -> str:
    out = [_PREFACE]
    for number, case in enumerate(CASES, 1):
        out += [f"## {number}. {case.title}", case.about]
        steps = follow(run, case)
        for (command, rows, chosen), step in zip(steps, case.steps, strict=False):
            lines = [f"$ {command}"]
            lines += [_cut(f"{'→' if r is chosen else ' '} {_row(r)}") for r in rows]
            out += [_block(lines), step.why]
        last = steps[-1][0]
        shown = (
            run.text(last.removesuffix(" --related")).splitlines()
            if "events" in last
            else _objects(run, last)
        )
        out += [_block([f"$ {last.removesuffix(' --related')}", *(_cut(line) for line in shown)]), case.end]
    return "\n\n".join(out) + "\n"


def _objects(run: Run, command: str) -> list[str]:
    return [_row(r) for r in run.rows(command)]


def _row(row: dict[str, Any]) -> str:
    at = (row["at"] or "")[11:19]
    return f"{row['signal']:<7} {at:<8}  {row['summary']}"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _block(lines: list[str]) -> str:
    return "```\n" + "\n".join(lines) + "\n```"


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        text = page(Run(home))
    (HERE / "investigation.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
