"""`aiops logs query`: lines as they come, lines with their neighbours, or the numbers of a metric query."""

from __future__ import annotations

import sys
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops_cli.cli.related import RelatedFlag, emit_related, horizon
from aiops_cli.cli.runtime import Session, execute
from aiops_cli.errors import UsageError
from aiops_cli.models.options import FORMATS
from aiops_cli.models.result import FleetResult

if TYPE_CHECKING:
    from aiops_cli.render.log_lines import LogWriter
    from aiops_cli.services.log_merge import Block, Keep, LogStream
    from aiops_cli.sources.base import Direction, LogRow

_LINES = 100  # a cluster
_MOST_MATCHES = 5_000
_NARROW = 100  # cells


@dataclass(slots=True)
class _Asked:
    """What the command's own flags say."""

    expr: str
    limit: int
    tell_more: bool
    forward: bool
    instant: bool
    context_lines: int
    levels: frozenset[str] | None
    plot: bool
    labels: bool
    unsafe: bool


def query(
    ctx: typer.Context,
    expr: Annotated[
        str,
        typer.Argument(
            help='LogQL: {namespace="shop"} |= "error", or numbers: sum by (app) (rate({namespace="shop"}[5m])).',
            metavar="LOGQL",
        ),
    ],
    limit: Annotated[
        int | None, typer.Option("--limit", help="Lines a cluster that are shown: 100; 0 for all.")
    ] = None,
    forward: Annotated[bool, typer.Option("--forward", help="Oldest first.")] = False,
    context_lines: Annotated[
        int,
        typer.Option(
            "--context-lines", "-C", help="So many lines of the stream before and after each.", min=0
        ),
    ] = 0,
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            help="Only lines of these levels (error,warn), looked for among 50,000 a cluster; --limit 0: all.",
        ),
    ] = None,
    instant: Annotated[
        bool,
        typer.Option("--instant", help="A metric query at one time (--to, or now), not over the window."),
    ] = False,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw a metric query as a line chart in the terminal.")
    ] = False,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Tables and CSV without labels.")] = False,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="With -o raw: bytes as they are, terminal escapes too.")
    ] = False,
    related: RelatedFlag = False,
) -> None:
    """Lines of every chosen cluster, merged in time order, printed as they come; or a metric query's numbers.

    --fields level,msg shows fields of lines as columns; -o raw prints lines alone.
    """

    async def body(session: Session) -> int:
        from aiops_cli.services.log_fields import parse_levels
        from aiops_cli.services.log_syntax import check_logql, is_metric

        _check_format(session.format, unsafe)
        check_logql(expr)
        levels = parse_levels(level) if level else None
        lines = _LINES if limit is None else limit
        asked = _Asked(
            expr,
            lines,
            limit is None,
            forward,
            instant,
            context_lines,
            levels,
            plot,
            not no_labels,
            unsafe,
        )
        if related:
            return await _related(session, asked)
        if is_metric(expr):
            return await _numbers(session, asked)
        if instant or plot:
            flag = "--instant" if instant else "--plot"
            raise UsageError(f"{flag} is for metric queries", hint="leave it out to see lines")
        if context_lines:
            return await _neighbours(session, asked)
        return await _lines(session, asked)

    execute(ctx, body, free_output=True)


def _check_format(form: str, unsafe: bool) -> None:
    known = (*FORMATS, "raw")
    if form not in known:
        raise UsageError(f"unknown output format {form!r}", hint=f"one of: {', '.join(known)}")
    if unsafe and form != "raw":
        raise UsageError("--unsafe is for -o raw alone", hint="add -o raw, or leave --unsafe out")


async def _lines(session: Session, asked: _Asked) -> int:
    stream = _stream(session, asked)
    collected: Block = []
    writer = _writer(session, asked)
    async with aclosing(stream.blocks()) as blocks:
        async for block in blocks:
            if writer is None:
                collected += block
            else:
                writer.write(block)
    result = _result(stream, len(collected) if writer is None else writer.printed)
    if writer is None:
        _emit(session, collected, None, result)
    else:
        writer.finish(result)
    return _end(session, result)


async def _related(session: Session, asked: _Asked) -> int:
    from aiops_cli.services import logs, related_subjects
    from aiops_cli.services.log_syntax import is_metric

    if is_metric(asked.expr):
        raise UsageError("--related starts from lines", hint="leave out the function around the selector")
    direction: Direction = "forward" if asked.forward else "backward"
    found = await logs.query(
        session.members,
        asked.expr,
        session.window(),
        asked.limit,
        direction,
        keep=_keep(asked.levels),
        watch=session.watcher(),
    )
    return await emit_related(session, related_subjects.of_logs(found.rows, horizon(session)), found)


async def _neighbours(session: Session, asked: _Asked) -> int:
    from aiops_cli.services.log_context import with_context

    if not 0 < asked.limit <= _MOST_MATCHES:
        raise UsageError(
            f"--context-lines shows at most {_MOST_MATCHES} matches", hint="--limit 100, or leave it out"
        )
    writer = _writer(session, asked)
    stream = _stream(session, asked)
    matches: dict[str, list[LogRow]] = {}
    async with aclosing(stream.blocks()) as blocks:
        async for block in blocks:
            for cluster, row in block:
                matches.setdefault(cluster, []).append(row)
    found = await with_context(
        session.members, asked.expr, session.window(), matches, asked.context_lines, watch=session.watcher()
    )
    shown = found.rows if asked.forward else found.rows[::-1]
    beside = {s.name: s for s in found.clusters if s.status != "SUCCESS"}
    statuses = [beside.get(s.name, s) for s in stream.statuses]
    result = FleetResult[Any]([g for _, g in shown], statuses)
    if writer is None:
        _emit(
            session,
            [(c, r) for c, g in shown for r in g.rows],
            [m for _, g in shown for m in g.matched],
            result,
        )
    else:
        for cluster, group in shown:
            writer.separate()
            writer.write([(cluster, row) for row in group.rows], group.matched)
        writer.finish(result)
    return _end(session, result)


async def _numbers(session: Session, asked: _Asked) -> int:
    from aiops_cli.render.metric_views import metric_view, range_view
    from aiops_cli.services import logs, metrics, times

    if session.format == "raw":
        raise UsageError("-o raw is for log lines", hint="-o csv has the numbers alone")
    if asked.context_lines or asked.levels:
        raise UsageError(
            "--context-lines and --level are for log lines", hint="leave out the function around the selector"
        )
    if session.bundle is not None:
        from aiops_cli.services.replay_logs import no_samples

        raise no_samples()
    if asked.instant:
        at = times.parse_time(session.options.end or "now", session.now, session.zone)
        result = metrics.rows(await logs.metric(session.members, asked.expr, at, watch=session.watcher()))
        return session.emit(metric_view(result.rows), result)
    window = session.window()
    step = session.step(window)
    found = await logs.metric_range(session.members, asked.expr, window, step, watch=session.watcher())
    if asked.plot and session.format in ("table", "wide"):
        import shutil

        from aiops_cli.render.plot import plot

        size = shutil.get_terminal_size((100, 30))
        height = min(20, size.lines - 4)
        sys.stdout.write(
            plot(found.rows, title=asked.expr, width=size.columns, height=height, zone=session.zone)
        )
        session.explain(found)
        return int(session.exit_code(found))
    result = metrics.rows(found)
    return session.emit(range_view(result.rows), result)


def _stream(session: Session, asked: _Asked) -> LogStream:
    from aiops_cli.services import logs

    return logs.stream(
        session.members,
        asked.expr,
        session.window(),
        asked.limit,
        "forward" if asked.forward else "backward",
        keep=_keep(asked.levels),
        tell_more=asked.tell_more,
        watch=session.watcher(),
    )


def _writer(session: Session, asked: _Asked) -> LogWriter | None:
    """None where all rows are needed before the first can be printed: YAML, and --sort."""
    from aiops_cli.render import colour
    from aiops_cli.render.log_lines import STREAMED, LogWriter

    if session.format not in STREAMED or session.options.sort:
        return None
    painted = session.format in ("table", "wide") and colour.wanted(sys.stdout)
    return LogWriter(
        sys.stdout,
        session.style(),
        session.zone,
        clusters=[m.name for m in session.members],
        labels=asked.labels,
        day=not _within_a_day(session),
        marked=asked.context_lines > 0,
        colour=painted,
        unsafe=asked.unsafe,
    )


def _within_a_day(session: Session) -> bool:
    """Whether a narrow terminal may do without the date: all times are of one day."""
    from aiops_cli.render.text import clock

    width, window = session.style().width, session.window()
    days = {clock(at, session.zone)[:10] for at in (window.start, window.end)}
    return width is not None and width < _NARROW and len(days) == 1


def _keep(levels: frozenset[str] | None) -> Keep | None:
    from aiops_cli.services.log_fields import level_of

    return None if levels is None else lambda row: level_of(row) in levels


def _result(stream: LogStream, rows: int) -> FleetResult[Any]:
    """The statuses; of the rows, which were printed, only whether there were any is still of use."""
    return FleetResult([None] * min(rows, 1), stream.statuses)


def _emit(session: Session, rows: Block, marks: list[bool] | None, result: FleetResult[Any]) -> None:
    """All rows at once, sorted as --sort says; `marks`, if any, says of each whether it matched."""
    from dataclasses import replace

    from aiops_cli.render.log_views import field_view, log_view
    from aiops_cli.render.output import render
    from aiops_cli.services import logs
    from aiops_cli.services.log_fields import FieldReader

    style = session.style()
    if style.fields or marks is not None:
        reader = FieldReader(style.fields or ("cluster", "timestamp", "labels", "line"))
        picked = [dict(zip(reader.names, reader.read(c, r), strict=True)) for c, r in rows]
        for item, mark in zip(picked, marks or (), strict=False):
            item["match"] = mark
        names = [*reader.names, *(["match"] if marks is not None else [])]
        text = render(field_view(names), result.with_rows(picked), replace(style, fields=()))
    else:
        text = render(log_view(session.zone), result.with_rows([logs.item(c, r) for c, r in rows]), style)
    sys.stdout.write(text)
    sys.stdout.flush()


def _end(session: Session, result: FleetResult[Any]) -> int:
    """Tell on stderr what is missing and what was left out, and give the exit code."""
    told = session.options.quiet or session.format in ("json", "yaml")
    if not result.rows and not result.failed and not told:
        print("nothing found", file=sys.stderr)
    session.explain(result)
    return int(session.exit_code(result))
