"""`aiops traces`: traces of the fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False, help="Traces of the fleet.", no_args_is_help=True)


@app.command()
def search(
    ctx: typer.Context,
    traceql: Annotated[
        str | None,
        typer.Argument(help='TraceQL, such as { resource.service.name = "api" && status = error }.'),
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="Only traces with spans of this service.")
    ] = None,
    operation: Annotated[
        str | None, typer.Option("--operation", help="Only with a span of this name.")
    ] = None,
    min_duration: Annotated[
        str | None, typer.Option("--min-duration", help="At least this long: 250ms, 2s.")
    ] = None,
    max_duration: Annotated[str | None, typer.Option("--max-duration", help="At most this long.")] = None,
    error: Annotated[bool, typer.Option("--error", help="Only with a failed span.")] = False,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="key=value of a span or resource. Repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="Traces a cluster.")] = 20,
    slowest: Annotated[bool, typer.Option("--slowest", help="Slowest first, not newest.")] = False,
) -> None:
    """Find traces on every chosen cluster."""

    async def body(session: Session) -> int:
        from aiops_cli.cli.trace_views import trace_view
        from aiops_cli.errors import UsageError
        from aiops_cli.services import times, traces
        from aiops_cli.sources.base import TraceQuery

        tags: dict[str, str] = {}
        for text in tag or []:
            key, sep, value = text.partition("=")
            if not sep or not key:
                raise UsageError(f"--tag {text!r} is no key=value", hint="--tag http.method=GET")
            tags[key] = value
        wanted = TraceQuery(
            traceql,
            service,
            operation,
            times.parse_duration(min_duration, "--min-duration") * 1000 if min_duration else None,
            times.parse_duration(max_duration, "--max-duration") * 1000 if max_duration else None,
            error,
            tags,
            limit,
        )
        found = await traces.search(
            session.members, wanted, session.window(), slowest=slowest, watch=session.watcher()
        )
        return session.emit(trace_view(session.zone), found)

    execute(ctx, body)


@app.command()
def show(ctx: typer.Context, trace_id: Annotated[str, typer.Argument(help="A trace id in hex.")]) -> None:
    """One trace as a waterfall with self time and critical path, joined over the clusters it crosses."""

    async def body(session: Session) -> int:
        import sys

        from aiops_cli.cli.trace_views import span_view
        from aiops_cli.errors import UsageError
        from aiops_cli.services import traces

        found = await traces.show(session.members, trace_id)
        if not found.rows and not found.failed:
            raise UsageError(
                f"no chosen cluster has trace {trace_id}",
                hint="widen -c, or search for it: aiops traces search",
            )
        if session.format == "table":
            import shutil

            from aiops_cli.render.waterfall import waterfall

            sys.stdout.write(waterfall(found.rows, shutil.get_terminal_size((120, 40)).columns))
            session.explain(found)
            return int(session.exit_code(found))
        return session.emit(span_view(), found)

    execute(ctx, body)
