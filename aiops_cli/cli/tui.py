"""`aiops tui`: the dashboard."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from aiops_cli.errors import UsageError
from aiops_cli.models.options import Options

app = typer.Typer(add_completion=False)
_WITHOUT = "aiops tui --serve shows it in a browser; aiops clusters health -o json, for scripts"


@app.command()
def tui(
    ctx: typer.Context,
    place: Annotated[
        list[str] | None,
        typer.Argument(help="Where to start, as the : prompt takes it: logs '{app=\"shop\"}' @west."),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="In a browser: prints the address, with a token.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="With --serve: 8000; 0 is any that is free.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="With --serve: 127.0.0.1, this machine only.")] = None,
) -> None:
    """The dashboard: eleven screens by keyboard and mouse, on live clusters or with --bundle. `?` shows keys."""
    options: Options = ctx.obj
    words = place or []
    from aiops_cli.tui.place import parse

    start = parse(" ".join(words)) if words else None
    if serve:
        from aiops_cli.tui.serve import serve as serve_pages

        serve_pages(options, words, host or "127.0.0.1", 8000 if port is None else port)
        return
    if port is not None or host is not None:
        raise UsageError("--port and --host are of --serve", hint="aiops tui --serve --port 8000")
    in_page = "WebDriver" in os.environ.get("TEXTUAL_DRIVER", "")
    if not (in_page or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise UsageError(
            "the dashboard needs a terminal",
            hint=_WITHOUT,
        )
    if not in_page and os.environ.get("TERM") == "dumb":
        raise UsageError("TERM=dumb can't place text on a screen", hint=_WITHOUT)
    from aiops_cli.tui.app import Dashboard

    dashboard = Dashboard(options, start=start)
    error = dashboard.run()
    if error is not None:
        raise error
    if dashboard.return_code:
        raise typer.Exit(dashboard.return_code)
