"""`aiops sql`: SQL over the local store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False)


@app.command()
def sql(
    ctx: typer.Context,
    query: Annotated[
        str | None, typer.Argument(help="A SELECT over clusters, samples, anomalies, rca, health.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the SQL from a file.")] = None,
) -> None:
    """Read-only SQL over what is stored here: clusters, samples, anomalies, rca, health."""

    async def body(session: Session) -> int:
        from aiops_cli.errors import ErrorCode, UsageError
        from aiops_cli.models.result import FleetResult
        from aiops_cli.render.output import Column, View
        from aiops_cli.store.paths import cache_dir
        from aiops_cli.store.sql import Stop, run_sql

        text = query
        if file is not None:
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(
                    f"{file} can't be read: {error}", hint="check the path", code=ErrorCode.FILE_INVALID
                ) from None
        if not text:
            raise UsageError("no SQL was given", hint="aiops sql 'select * from health'")
        stop = Stop()
        # In a thread of its own, so that Ctrl-C is heard meanwhile.
        running = asyncio.ensure_future(
            asyncio.to_thread(
                run_sql, text, cache_dir() / "samples", session.state, session.state.notices, stop
            )
        )
        try:
            table = await asyncio.shield(running)
        except asyncio.CancelledError:
            while not running.done():
                stop()
                await asyncio.wait({running}, timeout=0.05)
            running.exception()  # it was stopped: that is known
            raise

        def column(index: int, name: str) -> Column[dict[str, object]]:
            return Column(
                name, lambda row: None if row[name] is None else str(row[name]), plain=lambda row: row[name]
            )

        columns = [column(i, n) for i, n in enumerate(table.columns)]
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        return session.emit(
            View("SqlResult", columns, lambda row: str(next(iter(row.values()), ""))), FleetResult(rows, [])
        )

    execute(ctx, body, select=False)
