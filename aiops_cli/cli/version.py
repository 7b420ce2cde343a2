"""`aiops version`."""

from __future__ import annotations

import typer

from aiops_cli import __version__
from aiops_cli.models.options import Options

app = typer.Typer(add_completion=False)


@app.command()
def version(ctx: typer.Context) -> None:
    """Print the version."""
    options: Options = ctx.obj
    if options.output == "json":
        print(f'{{"apiVersion": "aiops/v1", "kind": "Version", "version": "{__version__}"}}')
    else:
        print(f"aiops {__version__}")
