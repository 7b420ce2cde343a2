"""`aiops cache`: what may be thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from aiops_cli.store.ranges import RangeCache

app = typer.Typer(help="The local cache.", no_args_is_help=True)


@app.command()
def info(ctx: typer.Context) -> None:
    """Where the cache lies, and how much it holds."""

    async def body(session: Session) -> int:
        from aiops_cli.store.paths import cache_dir, data_dir

        usage = _cache(session).info()
        if session.format == "json":
            import msgspec

            document = {
                "apiVersion": "aiops/v1",
                "kind": "CacheInfo",
                "path": str(cache_dir()),
                "data": str(data_dir()),
            }
            print(msgspec.json.encode(document | {"usage": msgspec.to_builtins(usage)}).decode())
        else:
            print(
                f"cache  {cache_dir()}\ndata   {data_dir()}\nholds  {usage.entries} queries in {usage.files} files, {usage.bytes / 1e6:.1f} MB"
            )
        return 0

    execute(ctx, body, select=False)


@app.command()
def prune(
    ctx: typer.Context,
    max_bytes: Annotated[
        int | None, typer.Option("--max-bytes", help="Drop the longest unused until this size.")
    ] = None,
) -> None:
    """Drop what was not used longest, down to the configured size."""

    async def body(session: Session) -> int:
        freed = _cache(session).prune(session.settings.cache.max_bytes if max_bytes is None else max_bytes)
        print(f"freed {freed} bytes")
        return 0

    execute(ctx, body, select=False)


@app.command()
def clear(ctx: typer.Context) -> None:
    """Drop the whole cache. History, labels and reports stay."""

    async def body(session: Session) -> int:
        print(f"freed {_cache(session).clear()} bytes")
        return 0

    execute(ctx, body, select=False)


def _cache(session: Session) -> RangeCache:
    from aiops_cli.store.paths import cache_dir
    from aiops_cli.store.ranges import RangeCache

    return RangeCache(
        cache_dir() / "samples", max_bytes=session.settings.cache.max_bytes, notices=session.state.notices
    )
