"""`aiops tui`: the dashboard."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aiops_cli.errors import ExitCode, UsageError
from aiops_cli.models.options import Options

app = typer.Typer(add_completion=False)


@app.command()
def tui(
    ctx: typer.Context,
    place: Annotated[
        list[str] | None,
        typer.Argument(help="Where to start, as the : prompt takes it: logs '{app=\"shop\"}' @west."),
    ] = None,
) -> None:
    """The dashboard: eleven screens by keyboard and mouse, on live clusters or with --bundle. `?` shows keys."""
    options: Options = ctx.obj
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the dashboard needs a terminal", hint="aiops clusters health -o json, for scripts")
    from aiops_cli.tui.app import Dashboard
    from aiops_cli.tui.place import parse

    dashboard = Dashboard(options, start=parse(" ".join(place)) if place else None)
    error = dashboard.run()
    if error is not None:
        raise error
    raise typer.Exit(ExitCode.FINDINGS if dashboard.return_code else ExitCode.OK)
