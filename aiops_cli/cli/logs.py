"""`aiops logs`: LogQL over the fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.log_patterns import patterns
from aiops_cli.cli.log_tail import tail
from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False, help="LogQL over the fleet.", no_args_is_help=True)
app.command()(patterns)
app.command()(tail)


@app.command()
def query(
    ctx: typer.Context,
    expr: Annotated[
        str, typer.Argument(help='LogQL, such as {namespace="shop"} |= "error".', metavar="LOGQL")
    ],
    limit: Annotated[int, typer.Option("--limit", help="Lines a cluster.")] = 100,
    forward: Annotated[bool, typer.Option("--forward", help="Oldest first.")] = False,
) -> None:
    """Lines of every chosen cluster, merged in time order."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.log_views import log_view
        from aiops_cli.services import logs
        from aiops_cli.sources.base import Direction

        direction: Direction = "forward" if forward else "backward"
        found = await logs.query(
            session.members, expr, session.window(), limit, direction, watch=session.watcher()
        )
        return session.emit(log_view(session.zone), found)

    execute(ctx, body)


@app.command()
def labels(ctx: typer.Context) -> None:
    """Stream label names."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.views import LABELS, Word
        from aiops_cli.services import logs

        found = await logs.labels(session.members, session.window())
        return session.emit(LABELS, found.with_rows([Word(c, v) for c, v in found.rows]))

    execute(ctx, body)
