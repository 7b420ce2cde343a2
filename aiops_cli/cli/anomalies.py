"""`aiops anomalies`: what is unusual in metrics."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.runtime import Session, execute
from aiops_cli.errors import ExitCode

app = typer.Typer(add_completion=False, help="Find what is unusual in metrics.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Find what is unusual in metrics."""


@app.command()
def detect(
    ctx: typer.Context,
    expr: Annotated[
        list[str] | None, typer.Argument(help="PromQL or @NAME; several may be given.", metavar="PROMQL")
    ] = None,
    all_golden: Annotated[
        bool, typer.Option("--all-golden", help="Every named query of the catalogue.")
    ] = False,
    sensitivity: Annotated[
        str, typer.Option("--sensitivity", help="LOW, MEDIUM, HIGH or EXTREME.")
    ] = "MEDIUM",
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="A normal stretch, START/END, such as now-2h/now-1h.")
    ] = None,
    fail_on: Annotated[
        str | None, typer.Option("--fail-on", help="Exit 1 on findings of at least this severity.")
    ] = None,
) -> None:
    """Detect anomalies in range answers of every chosen cluster. Look-back is 24 h unless said."""

    async def body(session: Session) -> int:
        from aiops_cli.errors import UsageError
        from aiops_cli.models.timerange import TimeRange
        from aiops_cli.render.analysis_views import anomaly_view
        from aiops_cli.services import anomalies, queries, times

        if not expr and not all_golden:
            raise UsageError("nothing to look at", hint="name PromQL or a @query, or say --all-golden")
        level = sensitivity.upper()
        if level not in ("LOW", "MEDIUM", "HIGH", "EXTREME"):
            raise UsageError(f"unknown sensitivity {sensitivity!r}", hint="LOW, MEDIUM, HIGH or EXTREME")
        if fail_on is not None and fail_on.upper() not in anomalies.SEVERITIES:
            raise UsageError(f"unknown severity {fail_on!r}", hint="LOW, MEDIUM or HIGH")
        normal = None
        if baseline is not None:
            start, sep, end = baseline.partition("/")
            if not sep:
                raise UsageError(f"--baseline {baseline!r} is no START/END", hint="--baseline now-2h/now-1h")
            normal = TimeRange(
                times.parse_time(start, session.now, session.zone),
                times.parse_time(end, session.now, session.zone),
            )
        default = session.bundle.end - session.bundle.manifest.start if session.bundle else 86400.0
        window = session.window(default)
        exprs = [q.expr for q in queries.CATALOGUE.values()] if all_golden else []
        exprs += [queries.resolve(e, session.settings) for e in expr or []]
        found = await anomalies.detect(
            session.members,
            exprs,
            window,
            session.step(window),
            session.now,
            sensitivity=level,  # type: ignore[arg-type]
            baseline=normal,
            skip_missing=all_golden,
            policy=session.cache_policy(),
            watch=session.watcher(),
        )
        if session.bundle is None:
            session.state.add_anomalies(found.rows)
        code = session.emit(anomaly_view(session.zone), found)
        if fail_on:
            least = anomalies.SEVERITIES.index(fail_on.upper())
            if any(anomalies.SEVERITIES.index(a.severity) >= least for a in found.rows):
                return int(ExitCode.FINDINGS)
        return code

    execute(ctx, body)
