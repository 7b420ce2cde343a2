"""`aiops gpu top`: the table drawn anew in place, or NDJSON for a pipe."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from dataclasses import replace

from aiops_cli.cli.findings import ensure_matched
from aiops_cli.cli.runtime import Session
from aiops_cli.models.gpu import Gpu
from aiops_cli.models.result import FleetResult
from aiops_cli.render.gpu_views import GPUS
from aiops_cli.render.output import render
from aiops_cli.render.text import clock, cut, one_line
from aiops_cli.services.gpu import GpuAsk, gpus

_HOME, _LINE_END, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


async def follow(session: Session, ask: GpuAsk, seconds: float, count: int) -> int:
    """Read and show every `seconds`, `count` times or until Ctrl-C. The exit code is that of the last time.

    Raises ClusterError (NOT_FOUND) for a node that no cluster has GPUs of, and for a namespace that held none
    in any of `count` times.
    """
    screen = sys.stdout.isatty() and session.options.output != "ndjson"
    style = session.style()
    wanted = session.options.output or ("table" if screen else "ndjson")
    style = replace(style, format=wanted, sort=style.sort or "-util")
    told: set[str] = set()
    done, seen = 0, False
    if screen:
        sys.stdout.write("\x1b[2J")
    while True:
        began = time.monotonic()
        ask.now = time.time()
        found = (await gpus(session.live, ask)).result
        text = render(GPUS, found, style)
        sys.stdout.write(_drawn(session, found, text) if screen else text)
        sys.stdout.flush()
        if not screen:
            _explain(session, found, told)
        done += 1
        seen = seen or bool(found.rows)
        if not seen and (ask.node is not None or done == count):
            flags = {"--node": ask.node, "--namespace": ask.namespace}
            ensure_matched(found, [], flags, "aiops gpu nodes -o wide shows what there is")
        if done == count:
            return int(session.exit_code(found))
        await asyncio.sleep(max(seconds - (time.monotonic() - began), 0.0))


def _drawn(session: Session, found: FleetResult[Gpu], text: str) -> str:
    """The head, as many rows as the screen has room for, and what is missing."""
    size = shutil.get_terminal_size()
    rows = found.rows
    busy = [g.utilization for g in rows if g.utilization is not None]
    mean = f", {sum(busy) / len(busy):.0f}% busy" if busy else ""
    held = sum(g.pod is not None for g in rows)
    head = f"{clock(time.time(), session.zone)}  {len(rows)} GPUs, {held} allocated{mean}"
    missing = [
        one_line("; ".join(filter(None, (f"{c.name}: {c.error.message}", c.error.hint))))
        for c in found.failed
        if c.error
    ]
    lines = [head, *text.splitlines()]
    room = max(size.lines - 1 - len(missing), 2)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"… {len(lines) - room + 1} more rows"]
    shown = "".join(cut(line, size.columns) + _LINE_END + "\n" for line in [*lines, *missing])
    return _HOME + shown + _REST


def _explain(session: Session, found: FleetResult[Gpu], told: set[str]) -> None:
    """What fails is told once, and again when it fails otherwise."""
    for status in found.failed:
        line = f"{status.name}: {status.error.message}" if status.error else status.name
        if status.error and status.error.hint:
            line += f"; {status.error.hint}"
        if line not in told and not session.options.quiet:
            told.add(line)
            print(one_line(line), file=sys.stderr, flush=True)
