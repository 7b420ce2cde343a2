"""The slowest of what a server finds first: asked again and again for longer ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
_ROUNDS = 8


async def slowest(
    ask: Callable[[float | None, int], Awaitable[list[T]]],
    key: Callable[[T], tuple[float, str]],
    limit: int,
) -> tuple[list[T], bool]:
    """The `limit` rows of greatest (duration in ms, id), and whether they are known to be these.

    `ask(least, size)` gives at most `size` rows that last at least so many ms; which ones is the server's
    choice. Each round asks for those longer than the best known so far, which leaves about a fifth, until
    an answer is not full: then none is missing.
    """
    size = max(5 * limit, 50)
    known: dict[str, T] = {}
    least: float | None = None
    for _ in range(_ROUNDS):
        answer = await ask(least, size)
        known |= {key(row)[1]: row for row in answer}
        best = sorted(known.values(), key=key, reverse=True)[:limit]
        if len(answer) < size:
            return best, True
        floor = key(best[-1])[0]
        if least is not None and floor <= least:
            return best, False
        least = floor
    return best, False
