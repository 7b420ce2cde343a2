"""Writes docs/walk.md and its pictures: from the fleet screen to a saved report, on the bundled incident, by the
keys that each screen shows. Run: python docs/walk.py
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from textual.pilot import Pilot

HERE = Path(__file__).parent
SIZE = (120, 34)
SECONDS = 60.0
STANDS = 1_795_562_700.0
"""The dashboard's clock in the pictures: no age or time of day differs from run to run."""
_PREFACE = """\
# From the fleet to a report

What to press when something is on fire, on the bundled incident (`aiops tui --bundle demo`): orders fail in one
of three clusters. Each key below is one that the screen itself shows, in the line at its bottom, in that of the
screens at its top, or in the frame of a dialog. The pictures are drawn by `docs/walk.py`, which presses the keys.
The same walk on clusters that run, with a fault in them, is `tests/tui/test_path.py`."""
_END = """\
The report is a file of the folder in which the dashboard was started; it is kept, too, for `aiops report list` and the
Reports screen. It opens with the cause:

```
{summary}
```

`esc` goes back through all of it, each place with its clusters and its time; `]` forward again."""


@dataclass(frozen=True)
class Step:
    """`keys` lead to a screen that has `seen`; `name` is the picture's, `title` and `text` what is said of it."""

    name: str
    keys: tuple[str, ...]
    seen: str
    title: str
    text: str


STEPS = (
    Step(
        "fleet",
        (),
        "CheckoutErrors, Fron",
        "The fleet",
        "Clusters with trouble stand first, and the cursor rests on the first: `west` has three critical alerts. "
        "`a` shows them.",
    ),
    Step(
        "alerts",
        ("a",),
        "CheckoutErrors (FIRING",
        "Its alerts",
        "Only those of `west` (above, on the right: `@west`). Checkout fails three of four requests. `enter` has the "
        "alert in full; `l` leads to the log lines of the workload it is about, when it began.",
    ),
    Step(
        "logs",
        ("l",),
        "order not placed",
        "The failing service's logs",
        "The query has the cluster's own labels, and the cursor is on the first line since the alert began: an order "
        "was not placed since payment answered 502. `t` leads to the trace that the line names; where it names none, "
        "to the traces of its workload.",
    ),
    Step(
        "traces",
        ("t",),
        "failed first",
        "Its traces",
        "This line names none, so these are checkout's around that time, failed ones first, then the slowest: six "
        "seconds for an order. `enter` opens the first.",
    ),
    Step(
        "trace",
        ("enter",),
        "critical path",
        "The slow trace",
        "All of the time is the ledger's, which is called three times and fails each time. Is it the cause, and why? "
        "`x` asks.",
    ),
    Step(
        "cause",
        ("x",),
        "Evidence of west/shop/ledger",
        "The ranked cause",
        "Metrics, logs, traces, events, changes and alerts of `west` around the trace's time. The ledger's pool of "
        "database connections was full before anything else deviated; below is what speaks for it, and against it. "
        "The rollout of the catalog is fourth. `ctrl+e` writes a report.",
    ),
    Step("form", ("ctrl+e",), "Markdown, to paste", "Its form", "`enter` takes Markdown."),
    Step(
        "saved",
        ("enter",),
        "report saved to",
        "The report is saved",
        "Anomalies and health are read for it, then it says where it is. `,` shows all that are kept.",
    ),
    Step(
        "reports",
        ("comma",),
        "service shop/ledger in west",
        "Reports",
        "`enter` reads it, `ctrl+e` writes it again.",
    ),
)
_LABELS = {"comma": ","}
Each = Callable[[Pilot[Any], Step], Awaitable[None]]


def shown(pilot: Pilot[Any]) -> str:
    """The text on the screen."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def go(pilot: Pilot[Any], step: Step) -> None:
    """Press the step's keys and wait for what it leads to. Raises TimeoutError where that never comes."""
    pilot.app.clear_notifications()  # those of the step before would go at some time
    await pilot.press(*step.keys)
    deadline = time.monotonic() + SECONDS
    while step.seen not in shown(pilot):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{step.name}: never seen: {step.seen}\n{shown(pilot)}")
        await pilot.pause(0.02)


async def walk(before: Each, after: Each) -> None:
    """All steps, one after the other; `before` a step's keys and `after` what they led to is on the screen."""
    from aiops_cli.models.options import Options
    from aiops_cli.tui.app import Dashboard

    async with Dashboard(Options(bundle="demo")).run_test(size=SIZE, notifications=True) as pilot:
        for step in STEPS:
            await before(pilot, step)
            await go(pilot, step)
            await after(pilot, step)


def picture(app: Any) -> str:
    """The screen as SVG, with fonts of this machine alone."""
    svg = app.export_screenshot(title="aiops tui --bundle demo")
    svg = re.sub(r'src: local\("([^"]+)"\),.*?;', r'src: local("\1");', svg, flags=re.S)
    return re.sub(r"terminal-\d+", "walk", svg)


def stand_still() -> None:
    """No clock goes on and no report has a name of its own: a picture is the same in every run."""
    from aiops_cli.services import report
    from aiops_cli.tui import clock

    made = report.incident
    clock.now = lambda: STANDS
    report.secrets = SimpleNamespace(token_hex=lambda size: "0" * 2 * size)  # type: ignore[attr-defined]
    report.incident = lambda found: made(replace(found, created=STANDS))


def page(report: str) -> str:
    """The page around the pictures; `report` is what the walk saved."""
    out = [_PREFACE]
    for number, step in enumerate(STEPS, 1):
        pressed = "".join(f" `{_LABELS.get(key, key)}`" for key in step.keys)
        out += [
            f"## {number}. {step.title}{':' * bool(pressed)}{pressed}",
            f"![{step.title}](walk/{step.name}.svg)",
            step.text,
        ]
    summary = report.partition("## Summary\n")[2].partition("\n## ")[0].strip()
    return "\n\n".join([*out, "## What is in it", _END.format(summary=summary)]) + "\n"


async def _draw(home: Path) -> str:
    """Write the pictures; the report that the walk saved."""

    async def nothing(pilot: Pilot[Any], step: Step) -> None:
        return None

    async def draw(pilot: Pilot[Any], step: Step) -> None:
        await pilot.pause(0.5)  # what else the screen reads is there, and toasts have come
        (HERE / "walk" / f"{step.name}.svg").write_text(picture(pilot.app), encoding="utf-8")

    (HERE / "walk").mkdir(exist_ok=True)
    await walk(nothing, draw)
    return next(home.glob("aiops-incident-*.md")).read_text(encoding="utf-8")


def main() -> None:
    stand_still()
    for name in [
        n for n in os.environ if n.startswith(("AIOPS_", "XDG_")) or n in ("KUBECONFIG", "NO_COLOR")
    ]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HOME": home, "TZ": "UTC"}
        time.tzset()
        os.chdir(home)
        report = asyncio.run(_draw(Path(home)))
        os.chdir(HERE)
    (HERE / "walk.md").write_text(page(report), encoding="utf-8")


if __name__ == "__main__":
    main()
