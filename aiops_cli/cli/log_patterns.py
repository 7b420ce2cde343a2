"""`aiops logs patterns`: like lines as one row, and what is new."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from aiops_cli.models.timerange import TimeRange


def patterns(
    ctx: typer.Context,
    expr: Annotated[
        str, typer.Argument(help='LogQL, such as {namespace="shop"} |= "error".', metavar="LOGQL")
    ],
    new: Annotated[
        bool, typer.Option("--new", help="Only patterns that the baseline does not have.")
    ] = False,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            help="Compare with this long before the window: 1h, 1d. Default: as long as the window.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", help="Lines to read a cluster and window; more are sampled.")
    ] = 10_000,
) -> None:
    """Group like lines, found on this machine: how many, how new, one example. Numbers, ids and times are <*>.

    With -o wide also an example and each cluster's count.
    """

    async def body(session: Session) -> int:
        from aiops_cli.render.pattern_view import pattern_view
        from aiops_cli.services import patterns

        window = session.window()
        found, read = await patterns.find(
            session.members, expr, window, _before(session, window, baseline), limit, watch=session.watcher()
        )
        rows = [p for p in found.rows if p.new] if new else found.rows
        sampled = {one.cluster for one in read if one.share < 1}
        view = pattern_view(session.now, len(session.members), sampled)
        return session.emit(view, found.with_rows(rows), extra={"read": read})

    execute(ctx, body)


def _before(session: Session, window: TimeRange, length: str | None) -> TimeRange | None:
    """The baseline before a window; None, and told, where a bundle holds nothing of it."""
    from aiops_cli.errors import ErrorCode, UsageError
    from aiops_cli.models.timerange import TimeRange
    from aiops_cli.services.times import parse_duration

    seconds = window.seconds if length is None else parse_duration(length, "--baseline")
    if seconds <= 0 or window.start <= 0:
        raise UsageError(
            "--baseline must be greater than 0", hint="--baseline 1h", code=ErrorCode.INVALID_TIME
        )
    before = TimeRange(max(window.start - seconds, 0.0), window.start)
    if session.bundle is None:
        return before
    try:
        return session.bundle.within(before)
    except UsageError:
        if not session.options.quiet:
            half = f"--since {max(int(window.seconds // 2), 1)}s"
            note = f"the bundle holds nothing before this window, so what is new can't be told; try {half}"
            print(f"note: {note}", file=sys.stderr)
        return None
