"""`aiops bundle`: evidence in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Portable evidence: a recorded stretch of the fleet in one file.",
)


@app.command()
def record(
    ctx: typer.Context,
    file: Annotated[
        str | None, typer.Argument(help="The file to write, such as incident.aiops. Also -o FILE.")
    ] = None,
    query: Annotated[
        list[str] | None, typer.Option("--query", help="Also record this PromQL. Repeatable.")
    ] = None,
    logs: Annotated[
        list[str] | None, typer.Option("--logs", help="Also record lines of this LogQL. Repeatable.")
    ] = None,
    redact: Annotated[
        list[str] | None, typer.Option("--redact", help="Leave out values of this label or attribute.")
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario", help="For recorded exercises: JSON that says what was injected.", hidden=True
        ),
    ] = None,
) -> None:
    """Record metrics, logs, traces, alerts and Kubernetes objects of the window."""

    async def body(session: Session) -> int:
        import sys

        import msgspec

        from aiops_cli.cli.output_file import ensure_writable
        from aiops_cli.errors import ErrorCode, UsageError
        from aiops_cli.models.timerange import default_step
        from aiops_cli.services import times
        from aiops_cli.services.promql import check_promql
        from aiops_cli.services.record import Recording
        from aiops_cli.services.record import record as run

        out = file or session.options.output
        if not out:
            raise UsageError(
                "no file to write was named", hint="aiops bundle record --since 1h -o incident.aiops"
            )
        ensure_writable(Path(out), "bundle")
        described = None
        if scenario:
            try:
                described = msgspec.json.decode(scenario, type=dict)
            except msgspec.MsgspecError as error:
                raise UsageError(
                    f"--scenario is no JSON object: {error}", hint="leave it out", code=ErrorCode.USAGE
                ) from None
        window = session.window()
        step = (
            times.parse_duration(session.options.step, "--step")
            if session.options.step
            else default_step(window.seconds, 5)
        )
        for expr in query or []:
            check_promql(expr)
        recording = Recording(window, step, query or [], logs or [], redact or [], described)
        manifest, result = await run(session.live, recording, Path(out), watch=session.watcher())
        session.explain(result)
        if result.rows:
            print(
                f"{out}: {len(manifest.clusters)} clusters, {Path(out).stat().st_size / 1e6:.2f} MB",
                file=sys.stderr,
            )
            print(out)
        return int(session.exit_code(result))

    execute(ctx, body, free_output=True)


@app.command()
def info(ctx: typer.Context, file: Annotated[str, typer.Argument(help="A bundle file, or `demo`.")]) -> None:
    """What a bundle holds, from where and when, and what is missing in it."""

    async def body(session: Session) -> int:
        from aiops_cli.render.bundle_view import info_text
        from aiops_cli.services.bundle import open_bundle

        bundle = open_bundle(file)
        try:
            print(info_text(bundle, session.format, session.zone), end="")
        finally:
            bundle.close()
        return 0

    execute(ctx, body, select=False)


@app.command()
def verify(
    ctx: typer.Context, file: Annotated[str, typer.Argument(help="A bundle file, or `demo`.")]
) -> None:
    """Check every part against the manifest; exit 2 when something is wrong."""

    async def body(session: Session) -> int:
        import sys

        from aiops_cli.render.text import sanitize
        from aiops_cli.services.bundle import open_bundle
        from aiops_cli.services.bundle import verify as check

        bundle = open_bundle(file)
        try:
            problems = check(bundle)
        finally:
            bundle.close()
        for problem in problems:
            print(f"error: {sanitize(problem)}", file=sys.stderr)
        if not problems:
            print(f"{file}: {len(bundle.manifest.parts)} parts, all whole")
        return 2 if problems else 0

    execute(ctx, body, select=False)
