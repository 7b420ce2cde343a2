"""`aiops metrics`: PromQL over the fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.related import RelatedFlag, emit_related, horizon
from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="PromQL over the fleet.",
    epilog="Shared options (-c, -o, --since, …): aiops --help",
)

Expr = Annotated[str, typer.Argument(help="PromQL, or @NAME of a named query.", metavar="PROMQL")]


@app.command()
def query(
    ctx: typer.Context,
    expr: Expr,
    time: Annotated[str | None, typer.Option("--time", help="Evaluate at this time (default: now).")] = None,
    related: RelatedFlag = False,
) -> None:
    """An instant query on every chosen cluster."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.metric_views import metric_view
        from aiops_cli.services import metrics, queries, related_subjects, times

        at = times.parse_time(time or session.options.end or "now", session.now, session.zone)
        explicit = at if (time or session.options.end or session.bundle) else None
        found = await metrics.query(
            session.members, queries.resolve(expr, session.settings), explicit, watch=session.watcher()
        )
        if related:
            return await emit_related(
                session, related_subjects.of_metrics(found.rows, horizon(session)), found
            )
        return session.emit(metric_view(found.rows), found)

    execute(ctx, body)


@app.command("range")
def range_(
    ctx: typer.Context,
    expr: Expr,
    plot: Annotated[bool, typer.Option("--plot", help="Draw a line chart in the terminal.")] = False,
    related: RelatedFlag = False,
) -> None:
    """A range query on every chosen cluster; settled steps come from the local cache."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.metric_views import range_view
        from aiops_cli.services import metrics, queries, related_subjects

        window = session.window()
        step = session.step(window)
        resolved = queries.resolve(expr, session.settings)
        found = await metrics.query_range(
            session.members,
            resolved,
            window,
            step,
            session.now,
            policy=session.cache_policy(),
            watch=session.watcher(),
        )
        if related:
            shown = metrics.rows(found).rows
            return await emit_related(session, related_subjects.of_metrics(shown, horizon(session)), found)
        if plot and session.format in ("table", "wide"):
            import shutil
            import sys

            from aiops_cli.render.plot import plot as draw

            size = shutil.get_terminal_size((100, 30))
            sys.stdout.write(
                draw(
                    found.rows,
                    title=resolved,
                    width=size.columns,
                    height=min(20, size.lines - 4),
                    zone=session.zone,
                )
            )
            session.explain(found)
            return int(session.exit_code(found))
        rows = metrics.rows(found)
        return session.emit(range_view(rows.rows), rows)

    execute(ctx, body)


@app.command()
def series(
    ctx: typer.Context,
    matchers: Annotated[
        list[str], typer.Argument(help='Selectors, such as up{job="api"}.', metavar="SELECTOR…")
    ],
    related: RelatedFlag = False,
) -> None:
    """The series that match, by their labels."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.views import SERIES, LabelSet
        from aiops_cli.services import listings, metrics, related_subjects

        for matcher in matchers:
            metrics.check_promql(matcher)
        found = await listings.series(
            session.members, matchers, session.window(), session.now, session.cache_policy()
        )
        if related:
            return await emit_related(
                session, related_subjects.of_series(found.rows, horizon(session)), found
            )
        return session.emit(
            SERIES, found.with_rows([LabelSet(c, metrics.renamed(labels)) for c, labels in found.rows])
        )

    execute(ctx, body)


Match = Annotated[
    list[str] | None, typer.Option("--match", help="Only of series that match this selector. Repeatable.")
]


@app.command()
def labels(ctx: typer.Context, match: Match = None) -> None:
    """Label names."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.views import LABELS, Word
        from aiops_cli.services import listings

        found = await listings.labels(
            session.members, match or [], session.window(), session.now, session.cache_policy()
        )
        return session.emit(LABELS, found.with_rows([Word(c, v) for c, v in found.rows]))

    execute(ctx, body)


@app.command()
def values(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A label name, such as job.")],
    match: Match = None,
) -> None:
    """Values of a label."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.views import VALUES, Word
        from aiops_cli.services import listings

        found = await listings.label_values(
            session.members, name, match or [], session.window(), session.now, session.cache_policy()
        )
        return session.emit(VALUES, found.with_rows([Word(c, v) for c, v in found.rows]))

    execute(ctx, body)
