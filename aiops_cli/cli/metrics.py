"""`aiops metrics`: PromQL over the fleet."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.related import RelatedFlag, emit_related, horizon
from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from aiops_cli.models.metric_row import MetricRow
    from aiops_cli.models.result import FleetResult
    from aiops_cli.models.timerange import TimeRange
    from aiops_cli.services.fleet import Member
    from aiops_cli.services.queries import NamedQuery

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="PromQL over the fleet.",
    epilog="Shared options (-c, -o, --since, …): aiops --help",
)

Expr = Annotated[str, typer.Argument(help="PromQL, or @NAME of a named query.", metavar="PROMQL")]
Aggregate = Annotated[
    str,
    typer.Option(
        "--aggregate",
        help="Join series of equal labels across clusters: merge (none), sum, avg, max, min. "
        "For one number ask for sum(…) first.",
    ),
]
Dedup = Annotated[
    bool, typer.Option("--dedup/--no-dedup", help="Show series that differ in replica labels alone once.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most this many a cluster.")]
Match = Annotated[
    list[str] | None, typer.Option("--match", help="Only of series that match this selector. Repeatable.")
]


@app.command()
def query(
    ctx: typer.Context,
    expr: Expr,
    time: Annotated[str | None, typer.Option("--time", help="Evaluate at this time (default: now).")] = None,
    aggregate: Aggregate = "merge",
    dedup: Dedup = True,
    related: RelatedFlag = False,
) -> None:
    """An instant query on every chosen cluster."""

    async def body(session: Session) -> int:
        from aiops_cli.render.metric_views import metric_view
        from aiops_cli.services import metrics, queries, related_subjects, times
        from aiops_cli.services.aggregate import checked

        checked(aggregate)
        asked = queries.named(expr, session.settings)
        at = times.parse_time(time or session.options.end or "now", session.now, session.zone)
        if session.bundle is not None:
            session.bundle.holds(at)
        if not related:
            session.unused_window(
                "an instant query is of one time, --time or now; metrics range has a window"
            )
        members, same = _members(session, aggregate)
        found = await metrics.query(
            members,
            asked.expr,
            at if (time or session.options.end or session.bundle) else None,
            replica_labels=_replica_labels(session, dedup),
            watch=session.watcher(),
        )
        rows = _aggregated(found, aggregate, same, instant=True)
        if related:
            subjects = related_subjects.of_metrics(rows.rows, horizon(session))
            return await emit_related(session, subjects, rows)
        view = metric_view(rows.rows, asked.unit, exact=session.format == "wide", zone=session.zone)
        return session.emit(view, rows)

    execute(ctx, body)


@app.command("range")
def range_(
    ctx: typer.Context,
    expr: Expr,
    plot: Annotated[bool, typer.Option("--plot", help="Draw a line chart in the terminal.")] = False,
    aggregate: Aggregate = "merge",
    dedup: Dedup = True,
    related: RelatedFlag = False,
) -> None:
    """A range query on every chosen cluster; settled steps come from the local cache."""

    async def body(session: Session) -> int:
        from aiops_cli.render.metric_views import range_view
        from aiops_cli.services import metrics, queries, related_subjects
        from aiops_cli.services.aggregate import checked

        checked(aggregate)
        if plot:
            check_plot(session)
        asked = queries.named(expr, session.settings)
        window = session.window()
        members, same = _members(session, aggregate)
        found = await metrics.query_range(
            members,
            asked.expr,
            window,
            session.step(window),
            session.now,
            policy=session.cache_policy(),
            replica_labels=_replica_labels(session, dedup),
            watch=session.watcher(),
        )
        rows = _aggregated(metrics.rows(found), aggregate, same, instant=False)
        if related:
            subjects = related_subjects.of_metrics(rows.rows, horizon(session))
            return await emit_related(session, subjects, rows)
        if plot:
            return _plotted(session, rows, asked, window)
        return session.emit(range_view(rows.rows, asked.unit, exact=session.format == "wide"), rows)

    execute(ctx, body)


def _replica_labels(session: Session, dedup: bool) -> Collection[str]:
    return session.settings.defaults.replica_labels if dedup else ()


def _members(session: Session, aggregate: str) -> tuple[list[Member], dict[str, str]]:
    """Whom to ask: for an aggregate, each server once."""
    from aiops_cli.services.metrics import one_server_each

    return (list(session.members), {}) if aggregate == "merge" else one_server_each(session.members)


def _aggregated(
    found: FleetResult[MetricRow], aggregate: str, same: dict[str, str], *, instant: bool
) -> FleetResult[MetricRow]:
    from aiops_cli.models.result import ClusterStatus, FleetResult
    from aiops_cli.services import aggregate as service

    rows = service.aggregate(found, aggregate, instant=instant)
    notes = [
        ClusterStatus(name, "SUCCESS", warnings=[f"its Prometheus is that of {other}: asked once"])
        for name, other in same.items()
    ]
    return FleetResult(rows.rows, [*rows.clusters, *notes])


def check_plot(session: Session) -> None:
    """Raises UsageError where --plot is given with a format for machines."""
    from aiops_cli.errors import UsageError

    if session.options.output not in (None, "table", "wide"):
        raise UsageError(
            f"--plot draws in a terminal, -o {session.options.output} does not",
            hint="leave one of them out",
        )


def _plotted(session: Session, found: FleetResult[MetricRow], asked: NamedQuery, window: TimeRange) -> int:
    """A chart in place of the table."""
    import shutil
    import sys

    import numpy as np

    from aiops_cli.models.signals import Series
    from aiops_cli.render.colour import wanted
    from aiops_cli.render.metric_views import cluster_of
    from aiops_cli.render.plot import plot

    size = shutil.get_terminal_size((100, 30))
    series = [
        (cluster_of(row), Series(row.labels, np.asarray(row.times), np.asarray(row.values)))
        for row in found.rows
    ]
    text = plot(
        series,
        title=asked.meaning or asked.expr,
        width=size.columns,
        height=min(20, size.lines - 4),
        zone=session.zone,
        unit=asked.unit,
        span=(window.start, window.end),
        colour=wanted(sys.stdout),
    )
    sys.stdout.write(text)
    if not text and not found.failed and not session.options.quiet:
        why = (
            "native histograms have no line: ask for histogram_quantile(…)" if found.rows else "nothing found"
        )
        print(why, file=sys.stderr)
    session.explain(found)
    return int(session.exit_code(found))


@app.command()
def series(
    ctx: typer.Context,
    matchers: Annotated[
        list[str], typer.Argument(help='Selectors, such as up{job="api"}.', metavar="SELECTOR…")
    ],
    limit: Limit = None,
    related: RelatedFlag = False,
) -> None:
    """The series that match, by their labels."""

    async def body(session: Session) -> int:
        from aiops_cli.render.views import SERIES, LabelSet
        from aiops_cli.services import listings, metrics, related_subjects
        from aiops_cli.services.promql import check_promql

        for matcher in matchers:
            check_promql(matcher)
        found = await listings.series(
            session.members, matchers, session.window(), session.now, session.cache_policy(), limit
        )
        if related:
            subjects = related_subjects.of_series(found.rows, horizon(session))
            return await emit_related(session, subjects, found)
        return session.emit(
            SERIES, found.with_rows([LabelSet(c, metrics.renamed(labels)) for c, labels in found.rows])
        )

    execute(ctx, body)


@app.command()
def labels(ctx: typer.Context, match: Match = None, limit: Limit = None) -> None:
    """Label names."""

    async def body(session: Session) -> int:
        from aiops_cli.render.views import LABELS, Word
        from aiops_cli.services import listings

        found = await listings.labels(
            session.members, match or [], session.window(), session.now, session.cache_policy(), limit
        )
        return session.emit(LABELS, found.with_rows([Word(c, v) for c, v in found.rows]))

    execute(ctx, body)


@app.command()
def values(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A label name, such as job.")],
    match: Match = None,
    limit: Limit = None,
) -> None:
    """Values of a label."""

    async def body(session: Session) -> int:
        from aiops_cli.render.views import VALUES, Word
        from aiops_cli.services import listings

        found = await listings.label_values(
            session.members, name, match or [], session.window(), session.now, session.cache_policy(), limit
        )
        return session.emit(VALUES, found.with_rows([Word(c, v) for c, v in found.rows]))

    execute(ctx, body)


@app.command()
def metadata(
    ctx: typer.Context,
    metric: Annotated[str | None, typer.Argument(help="One metric; all unless said.")] = None,
    limit: Limit = None,
) -> None:
    """Type, help and unit of metrics, and where clusters say other things of one."""

    async def body(session: Session) -> int:
        from aiops_cli.render.metric_views import METADATA
        from aiops_cli.services import listings

        return session.emit(METADATA, await listings.metadata(session.members, metric, limit))

    execute(ctx, body)


@app.command()
def exemplars(ctx: typer.Context, expr: Expr, limit: Limit = None) -> None:
    """Single observations that left a trace, of the series that PROMQL selects."""

    async def body(session: Session) -> int:
        from aiops_cli.render.metric_views import exemplar_view
        from aiops_cli.services import listings, queries

        asked = queries.named(expr, session.settings)
        found = await listings.exemplars(session.members, asked.expr, session.window(), limit)
        return session.emit(exemplar_view(session.zone, asked.unit), found)

    execute(ctx, body)


@app.command("queries")
def queries_(ctx: typer.Context) -> None:
    """The named queries: the golden signals, and one's own of the config."""

    async def body(session: Session) -> int:
        from aiops_cli.models.result import FleetResult
        from aiops_cli.render.metric_views import QUERIES, QueryItem
        from aiops_cli.services.queries import every

        items = [QueryItem(n, q.kind, q.unit, q.meaning, q.expr) for n, q in every(session.settings).items()]
        return session.emit(QUERIES, FleetResult(sorted(items, key=lambda i: (i.about, i.name)), []))

    execute(ctx, body, select=False)
