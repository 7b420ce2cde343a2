"""`aiops cache`: what may be thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from aiops_cli.store.answers import AnswerCache
    from aiops_cli.store.ranges import RangeCache

app = typer.Typer(add_completion=False, help="The local cache.", no_args_is_help=True)


@app.command()
def info(ctx: typer.Context) -> None:
    """Where the cache lies, and how much it holds."""

    async def body(session: Session) -> int:
        from aiops_cli.store.paths import cache_dir, data_dir

        ranges, answers = (cache.info() for cache in _caches(session))
        usage = {
            "ranges": ranges,
            "answers": answers,
        }
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
                f"cache  {cache_dir()}\ndata   {data_dir()}\nholds  {ranges.entries} range queries and {answers.entries} lists, {(ranges.bytes + answers.bytes) / 1e6:.1f} MB"
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
        ranges, answers = _caches(session)
        keep = session.settings.cache.max_bytes if max_bytes is None else max_bytes
        freed = ranges.prune(keep) + answers.prune(keep)
        print(f"freed {freed} bytes")
        return 0

    execute(ctx, body, select=False)


@app.command()
def clear(ctx: typer.Context) -> None:
    """Drop the whole cache. History, labels and reports stay."""

    async def body(session: Session) -> int:
        print(f"freed {sum(cache.clear() for cache in _caches(session))} bytes")
        return 0

    execute(ctx, body, select=False)


def _caches(session: Session) -> tuple[RangeCache, AnswerCache]:
    from aiops_cli.store.answers import AnswerCache
    from aiops_cli.store.paths import cache_dir
    from aiops_cli.store.ranges import RangeCache

    notices = session.state.notices
    return (
        RangeCache(cache_dir() / "samples", max_bytes=session.settings.cache.max_bytes, notices=notices),
        AnswerCache(cache_dir() / "answers", notices=notices),
    )
