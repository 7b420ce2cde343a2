"""`aiops logs tail`: lines of the fleet as they come in."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from aiops_cli.services.tail import TailQuery

FORMATS = ("table", "wide", "ndjson", "csv", "raw")
_LAST = 10
_LONGEST_REORDER = 60.0


def tail(
    ctx: typer.Context,
    expr: Annotated[
        str, typer.Argument(help='LogQL, such as {namespace="shop"} |= "error".', metavar="LOGQL")
    ],
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="Last lines a cluster to begin with: 10, or with --since all of them."),
    ] = None,
    reorder: Annotated[
        str | None,
        typer.Option(
            "--reorder",
            help="How long a line waits for older ones of other clusters: 1s, or 3s where one must be polled.",
        ),
    ] = None,
    delay_for: Annotated[
        int,
        typer.Option("--delay-for", min=0, max=5, help="Seconds that Loki holds lines back, to order them."),
    ] = 0,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="With -o raw: lines as they are, terminal escapes included.")
    ] = False,
) -> None:
    """Lines of every chosen cluster as they come in, merged in time order.

    It reconnects by itself, and neither loses lines meanwhile nor shows them twice. Where a cluster has no
    Loki, the logs of its pods are followed. Ends with Ctrl-C. Formats: table, wide, ndjson, csv, raw.
    """

    async def body(session: Session) -> int:
        from aiops_cli.render.colour import wanted
        from aiops_cli.render.log_lines import LogWriter
        from aiops_cli.render.text import one_line
        from aiops_cli.services.tail import Tail

        query = _query(session, expr, limit, reorder, delay_for)
        if unsafe and session.format != "raw":
            raise _wrong("--unsafe is for -o raw", "add -o raw, or leave it out")
        # Nothing is cut: who follows lines wants all of them, and a terminal folds long ones.
        style = replace(session.style(), width=None)
        writer = LogWriter(
            sys.stdout,
            style,
            session.zone,
            clusters=[c.name for c in session.clusters],
            colour=wanted(sys.stdout),
            unsafe=unsafe,
            growing=True,
        )

        def tell(cluster: str, text: str) -> None:
            if not session.options.quiet:
                print(one_line(f"{cluster}: {text}" if cluster else text), file=sys.stderr, flush=True)

        async with Tail(session.live, query, tell) as following:

            async def show() -> None:
                async for lines in following.batches():
                    writer.write(lines)

            with _hung_up() as gone:
                await _unless(gone, show())
            return int(session.exit_code(following.outcome))

    execute(ctx, body, free_output=True)


def _query(session: Session, expr: str, limit: int | None, reorder: str | None, delay_for: int) -> TailQuery:
    from aiops_cli.services import times
    from aiops_cli.services.log_syntax import EXAMPLE, check_logql, is_metric
    from aiops_cli.services.tail import TailQuery

    options = session.options
    if session.bundle is not None:
        raise _wrong("a recording does not go on", "aiops logs query shows what is in it")
    if session.format not in FORMATS:
        raise _wrong(f"a tail can't be {session.format}: it has no end", f"one of: {', '.join(FORMATS)}")
    if options.end:
        raise _wrong("a tail has no end", "leave --to out, or use aiops logs query")
    if options.sort:
        raise _wrong("a tail is in the order of time", "leave --sort out")
    check_logql(expr)
    if is_metric(expr):
        raise _wrong("lines can be followed, metric queries can't", EXAMPLE)
    if limit is not None and limit < 0:
        raise _wrong("--limit must not be negative", "--limit 0 for none")
    window = None if reorder is None else times.parse_duration(reorder, "--reorder")
    if window is not None and not 0 <= window <= _LONGEST_REORDER:
        raise _wrong("--reorder must lie between 0 and 60 s", "--reorder 1s")
    asked = options.since is not None or options.start is not None
    last = limit if limit is not None else None if asked else _LAST
    return TailQuery(expr, session.window(), last, window, delay_for)


def _wrong(message: str, hint: str) -> Exception:
    from aiops_cli.errors import UsageError

    return UsageError(message, hint=hint)


@contextmanager
def _hung_up() -> Iterator[asyncio.Event]:
    """Set when the reader of a pipe at stdout goes away, which no write would tell while no line comes."""
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        descriptor = sys.stdout.fileno()
        pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except (OSError, ValueError):
        pipe = False
    if not pipe:
        yield gone
        return
    # A pipe that is written to is never readable, but for the error of having nobody at its end.
    loop.add_reader(descriptor, gone.set)
    try:
        yield gone
    finally:
        loop.remove_reader(descriptor)


async def _unless(gone: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do the work, but stop once `gone` is set: then BrokenPipeError, as of a write."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise BrokenPipeError
        await working
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
