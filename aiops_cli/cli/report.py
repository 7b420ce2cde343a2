"""`aiops report`: what happened, written down so that it can be pasted, parsed and repeated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.runtime import Session, execute
from aiops_cli.errors import UsageError
from aiops_cli.models.options import FORMATS, Options

if TYPE_CHECKING:
    from aiops_cli.services.report import Report
    from aiops_cli.services.report_files import ReportDocument

app = typer.Typer(add_completion=False, help="Write a report: generate, list, show.", no_args_is_help=True)

_TYPES = ("incident",)
_DOCUMENTS = ("md", "json", "yaml")


@app.command()
def generate(
    ctx: typer.Context,
    type_: Annotated[str, typer.Option("--type", help="|".join(_TYPES))] = "incident",
    at: Annotated[str | None, typer.Option("--at", help="Explain the trouble at this time.")] = None,
    alert: Annotated[
        str | None, typer.Option("--alert", help="Explain this alert, by fingerprint (or its start).")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Only what belongs to this namespace.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it here instead of to stdout.", metavar="FILE")
    ] = None,
) -> None:
    """Look at all signals of the window (last hour unless said) and write the report: -o md or json.

    It is kept as well: see `aiops report list`.
    """
    _document_format(ctx.obj, out)

    async def body(session: Session) -> int:
        import sys

        from aiops_cli.cli.output_file import ensure_writable, write_text
        from aiops_cli.services.incident import make
        from aiops_cli.services.report_files import save

        if type_ not in _TYPES:
            raise UsageError(f"unknown report type {type_!r}", hint=f"one of: {', '.join(_TYPES)}")
        if out is not None:
            ensure_writable(out, "--out")
        document, result = await make(session, alert=alert, at=at, namespace=namespace)
        session.explain(result)
        code = int(session.exit_code(result))
        if len(result.failed) == len(result.clusters):
            return code
        text = _text(session, document)
        path = save(document)
        if out is None:
            sys.stdout.write(text)
        else:
            write_text(out, text, "--out")
        if not session.options.quiet:
            print(f"report {document.items[0].id}: {out or path}", file=sys.stderr)
        return code

    execute(ctx, body)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """The reports that were generated, newest first."""

    async def body(session: Session) -> int:
        import sys

        from aiops_cli.models.result import FleetResult
        from aiops_cli.render.report_view import REPORTS, row
        from aiops_cli.render.text import sanitize
        from aiops_cli.services.report_files import kept

        documents, problems = kept()
        for problem in problems:
            print(f"warning: {sanitize(problem)}", file=sys.stderr)
        return session.emit(REPORTS, FleetResult([row(d) for d in documents], []))

    execute(ctx, body, select=False)


@app.command()
def show(
    ctx: typer.Context,
    id_: Annotated[str, typer.Argument(help="A report's id, or the start of one.", metavar="ID")],
) -> None:
    """A report that was generated before: -o md or json."""
    _document_format(ctx.obj, None)

    async def body(session: Session) -> int:
        import sys

        from aiops_cli.services.report_files import find

        sys.stdout.write(_text(session, find(id_)))
        return 0

    execute(ctx, body, select=False)


def _document_format(options: Options, out: Path | None) -> None:
    """Markdown unless said otherwise, by -o or by the end of --out. Raises UsageError."""
    if options.output is None:
        options.output = "json" if out is not None and out.suffix == ".json" else "md"
    if options.output not in _DOCUMENTS:
        known = options.output in FORMATS
        raise UsageError(
            f"a report can't be written as {options.output}"
            if known
            else f"unknown output format {options.output!r}",
            hint=f"one of: {', '.join(_DOCUMENTS)}",
        )


def _text(session: Session, document: ReportDocument) -> str:
    from datetime import UTC

    from aiops_cli.models.result import FleetResult
    from aiops_cli.render.markdown_report import markdown
    from aiops_cli.render.output import render
    from aiops_cli.render.report_view import REPORT

    if session.format == "md":
        return markdown(document.items[0], session.zone if session.options.tz else UTC)
    result: FleetResult[Report] = FleetResult(document.items, document.clusters)
    return render(REPORT, result, session.style())
