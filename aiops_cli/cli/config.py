"""`aiops config`: aiops' own settings."""

from __future__ import annotations

import os

import typer

from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False, help="aiops' own settings.", no_args_is_help=True)


@app.command()
def view(ctx: typer.Context) -> None:
    """The settings in force, with defaults."""

    async def body(session: Session) -> int:
        import json

        from aiops_cli.config.shown import document

        shown = document(session.settings)
        if session.format in ("json", "ndjson"):
            print(
                json.dumps(
                    {
                        "apiVersion": "aiops/v1",
                        "kind": "Config",
                        "path": str(session.settings.path or ""),
                        "settings": shown,
                    },
                    indent=2,
                )
            )
        else:
            import yaml

            print(f"# {session.settings.path or 'no config file; these are the defaults'}")
            print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")
        return 0

    execute(ctx, body, select=False)


@app.command()
def path(ctx: typer.Context) -> None:
    """Where the config file is, or would be."""

    from aiops_cli.config.settings import default_path

    print(ctx.obj.config or os.environ.get("AIOPS_CONFIG") or default_path())


@app.command()
def validate(ctx: typer.Context) -> None:
    """Read the config file and say whether it is right; exit 2 if not."""

    async def body(session: Session) -> int:
        print(f"{session.settings.path or 'no config file'}: valid")
        return 0

    execute(ctx, body, select=False)
