"""`aiops logs`: LogQL over the fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.log_patterns import patterns
from aiops_cli.cli.log_query import query
from aiops_cli.cli.log_tail import tail
from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False, help="LogQL over the fleet.", no_args_is_help=True)
app.command()(query)
app.command()(patterns)
app.command()(tail)


@app.command()
def labels(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Show the values of this label.", metavar="[NAME]")
    ] = None,
    match: Annotated[
        str, typer.Option("--match", help="Only values in streams that match this selector.")
    ] = "",
) -> None:
    """Stream label names, or one label's values."""

    async def body(session: Session) -> int:
        from aiops_cli.render.views import LABELS, VALUES, Word
        from aiops_cli.services import logs

        window = session.window()
        if name is None:
            found = await logs.labels(session.members, window)
        else:
            found = await logs.label_values(session.members, name, window, match)
        view = LABELS if name is None else VALUES
        return session.emit(view, found.with_rows([Word(c, v) for c, v in found.rows]))

    execute(ctx, body)


Selector = Annotated[
    str, typer.Argument(help='A stream selector, such as {namespace="shop"}.', metavar="SELECTOR")
]


@app.command()
def series(ctx: typer.Context, selector: Selector) -> None:
    """The streams that match, by their labels."""

    async def body(session: Session) -> int:
        from aiops_cli.render.views import SERIES, LabelSet
        from aiops_cli.services import logs

        found = await logs.series(session.members, selector, session.window())
        rows = [LabelSet(c, logs.shown_labels(labels, {})) for c, labels in found.rows]
        return session.emit(SERIES, found.with_rows(rows))

    execute(ctx, body)


@app.command()
def stats(ctx: typer.Context, selector: Selector) -> None:
    """How many streams, chunks, lines and bytes a selector has in the window, before you ask for them."""

    async def body(session: Session) -> int:
        from aiops_cli.render.log_views import STATS
        from aiops_cli.services import log_stats

        found = await log_stats.stats(session.members, selector, session.window(), watch=session.watcher())
        return session.emit(STATS, found)

    execute(ctx, body)
