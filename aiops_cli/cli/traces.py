"""`aiops traces`: traces of the fleet."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aiops_cli.cli.related import RelatedFlag, emit_related, horizon
from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(
    add_completion=False,
    help="Traces of the fleet.",
    no_args_is_help=True,
    epilog="Shared options (-c, -o, --since, …): aiops --help",
)


@app.command()
def search(
    ctx: typer.Context,
    traceql: Annotated[
        str | None,
        typer.Argument(help='TraceQL, such as { resource.service.name = "api" && status = error }.'),
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="Only traces with spans of this service; * and ? match.")
    ] = None,
    operation: Annotated[
        str | None, typer.Option("--operation", help="Only with a span of this name; * and ? match.")
    ] = None,
    min_duration: Annotated[
        str | None, typer.Option("--min-duration", help="A span takes at least this long: 250ms, 2s.")
    ] = None,
    max_duration: Annotated[str | None, typer.Option("--max-duration", help="At most this long.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only with a span of this status: error, ok, unset.")
    ] = None,
    error: Annotated[bool, typer.Option("--error", help="The same as --status error.")] = False,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="key=value of a span or resource. Repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="Traces a cluster.")] = 20,
    slowest: Annotated[bool, typer.Option("--slowest", help="The slowest, not the newest.")] = False,
    related: RelatedFlag = False,
) -> None:
    """Find traces on every chosen cluster; a trace that crosses clusters is shown once."""

    async def body(session: Session) -> int:
        from aiops_cli.errors import ErrorCode, UsageError
        from aiops_cli.render.trace_views import trace_view
        from aiops_cli.services import related_subjects, trace_recall, traces
        from aiops_cli.sources.base import TraceQuery

        tags: dict[str, str] = {}
        for text in tag or []:
            key, sep, value = text.partition("=")
            if not sep or not key:
                raise UsageError(f"--tag {text!r} is no key=value", hint="--tag http.method=GET")
            tags[key] = value
        if error and status not in (None, "error"):
            raise UsageError(f"--error and --status {status} exclude each other", hint="give one of them")
        shortest = _milliseconds(min_duration, "--min-duration")
        longest = _milliseconds(max_duration, "--max-duration")
        if shortest is not None and longest is not None and shortest > longest:
            raise UsageError(
                f"--min-duration {min_duration} is longer than --max-duration {max_duration}",
                hint="no span can be both; swap them or leave one out",
                code=ErrorCode.INVALID_TIME,
            )
        wanted = TraceQuery(
            traceql,
            service,
            operation,
            shortest,
            longest,
            error,
            tags,
            limit,
            status,
            slowest,
        )
        window = session.window()
        found = await traces.search(session.members, wanted, window, watch=session.watcher())
        trace_recall.remember(session.cache_policy().answers, [t.trace_id for t in found.rows], session.now)
        if related:
            return await emit_related(
                session, related_subjects.of_traces(found.rows, horizon(session)), found
            )
        code = session.emit(trace_view(session.zone, dated=window.seconds > 86_400), found)
        narrowed = traceql or service or operation or status or error or tag
        apart = any(len(t.clusters) < len(session.members) for t in found.rows)
        if narrowed and apart and session.format in ("table", "wide") and not session.options.quiet:
            print(
                "note: parts of a trace in clusters where nothing matched are not counted: "
                "aiops traces show ID joins them all",
                file=sys.stderr,
            )
        return code

    execute(ctx, body)


def _milliseconds(text: str | None, flag: str) -> float | None:
    """How long a span takes. Raises UsageError for a bare number: it may be meant in milliseconds."""
    from aiops_cli.errors import ErrorCode, UsageError
    from aiops_cli.services import times

    if not text:
        return None
    if text.strip().replace(".", "", 1).isdigit():
        raise UsageError(
            f"{flag} {text} has no unit", hint=f"{flag} {text}ms or {text}s", code=ErrorCode.INVALID_TIME
        )
    return times.parse_duration(text, flag) * 1000


@app.command()
def show(
    ctx: typer.Context,
    trace_id: Annotated[str, typer.Argument(help="A trace id, or the start of one that a search showed.")],
    tree: Annotated[bool, typer.Option("--tree", help="An indented tree with numbers, no bars.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Show what happened in each span.")] = False,
    related: RelatedFlag = False,
) -> None:
    """One trace as a waterfall with self time and critical path, joined over the clusters it crosses."""

    async def body(session: Session) -> int:
        from aiops_cli.render.text import one_line
        from aiops_cli.render.trace_views import headline, span_view
        from aiops_cli.services import related_subjects, trace_recall, traces

        given = traces.valid_id(trace_id)
        whole = trace_recall.whole(session.cache_policy().answers, given, session.now)
        shown = await traces.show(session.members, whole, watch=session.watcher())
        found = shown.result
        if related:
            return await emit_related(session, related_subjects.of_spans(found.rows, horizon(session)), found)
        if session.format != "table" or session.options.columns or session.options.sort:
            return session.emit(span_view(), found, extra={"trace": shown.facts, "notes": shown.notes})
        import shutil

        from aiops_cli.render.colour import wanted
        from aiops_cli.render.waterfall import span_tree, waterfall

        width = shutil.get_terminal_size((120, 40)).columns
        draw = span_tree if tree else waterfall
        sys.stdout.write(
            headline(shown, session.zone) + draw(found.rows, width, events=events, colour=wanted(sys.stdout))
        )
        sys.stdout.flush()
        if not found.rows and not session.options.quiet:
            print(f"no cluster that answered has trace {given}", file=sys.stderr)
        if not session.options.quiet:
            for note in shown.notes:
                print(one_line(f"note: {note}"), file=sys.stderr)
        session.explain(found)
        return int(session.exit_code(found))

    execute(ctx, body)


@app.command()
def services(ctx: typer.Context) -> None:
    """The services that send spans, each with its clusters."""

    async def body(session: Session) -> int:
        from aiops_cli.render.trace_views import service_view
        from aiops_cli.services import trace_names

        found = await trace_names.services(session.members, session.window(), watch=session.watcher())
        return session.emit(service_view(), found)

    execute(ctx, body)


@app.command()
def operations(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(help="A service; * and ? match.")],
) -> None:
    """The span names of a service."""

    async def body(session: Session) -> int:
        from aiops_cli.render.trace_views import operation_view
        from aiops_cli.services import trace_names

        found = await trace_names.operations(
            session.members, service, session.window(), watch=session.watcher()
        )
        return session.emit(operation_view(), found)

    execute(ctx, body)


@app.command()
def graph(
    ctx: typer.Context,
    using: Annotated[
        str,
        typer.Option(
            "--using", help="spans, metrics (traces_service_graph_*), or auto: metrics where there are some."
        ),
    ] = "auto",
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="Traces a cluster whose spans are read (200; of a bundle all)."),
    ] = None,
    tree: Annotated[bool, typer.Option("--tree", help="As a tree of calls.")] = False,
) -> None:
    """The service map: who calls whom, how often, how many fail, how long it takes. -o md draws it (Mermaid)."""

    async def body(session: Session) -> int:
        from aiops_cli.render.service_map import call_tree, mermaid
        from aiops_cli.render.trace_views import edge_view
        from aiops_cli.services import service_graph

        found = await service_graph.graph(
            session.members, session.window(), way=using, limit=limit, watch=session.watcher()
        )
        if session.format == "md":
            sys.stdout.write(mermaid(found.result.rows) + "\n")
        if tree and session.format in ("table", "wide") and found.result.rows:
            sys.stdout.write(call_tree(found.result.rows))
            session.explain(found.result)
            code = int(session.exit_code(found.result))
        else:
            code = session.emit(edge_view(), found.result, extra={"samples": found.samples})
        if not session.options.quiet:
            for sample in found.samples:
                _tell(sample)
        return code

    execute(ctx, body)


def _tell(sample: object) -> None:
    from aiops_cli.render.text import age, one_line
    from aiops_cli.services.service_graph import Sample

    assert isinstance(sample, Sample)
    extent = "all of the window" if sample.complete else "a sample"
    if not sample.complete and sample.seconds is not None:
        extent = f"the newest {age(sample.seconds)} of it"
    print(
        one_line(f"{sample.cluster}: from {sample.spans:,} spans of {sample.traces:,} traces, {extent}"),
        file=sys.stderr,
    )


@app.command()
def metrics(
    ctx: typer.Context,
    traceql: Annotated[
        str,
        typer.Argument(help="{ status = error } | rate() by (resource.service.name)", metavar="TRACEQL"),
    ],
    plot: Annotated[bool, typer.Option("--plot", help="Draw a line chart in the terminal.")] = False,
) -> None:
    """A TraceQL metrics query: series made of spans, such as rates and quantiles of durations."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.metrics import check_plot
        from aiops_cli.render.metric_views import range_view
        from aiops_cli.services import metrics as series
        from aiops_cli.services import trace_metrics

        if plot:
            check_plot(session)
        window = session.window()
        found = await trace_metrics.query_range(
            session.members, traceql, window, session.step(window), watch=session.watcher()
        )
        if plot:
            import shutil

            from aiops_cli.render.plot import plot as draw

            size = shutil.get_terminal_size((100, 30))
            height = min(20, size.lines - 4)
            sys.stdout.write(
                draw(
                    found.rows,
                    title=traceql,
                    width=size.columns,
                    height=height,
                    zone=session.zone,
                    span=(window.start, window.end),
                )
            )
            session.explain(found)
            return int(session.exit_code(found))
        rows = series.rows(found)
        return session.emit(range_view(rows.rows), rows)

    execute(ctx, body)
