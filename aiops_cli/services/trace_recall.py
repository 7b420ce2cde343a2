"""Trace ids of recent searches, so that the start of one, as a narrow table shows it, is enough."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from aiops_cli.errors import UsageError
from aiops_cli.store.answers import AnswerCache

_KEY = "the trace ids that were shown last"
_MOST = 5_000
_DAY = 86_400.0
_LEAST = 4


def remember(cache: AnswerCache | None, ids: Iterable[str], now: float) -> None:
    """Keep the ids of a search, the newest ones first, beside those of the searches before."""
    if cache is None:
        return
    together = list(dict.fromkeys([*ids, *_known(cache, now)]))[:_MOST]
    if together:
        cache.put(_KEY, msgspec.json.encode(together), now)


def whole(cache: AnswerCache | None, given: str, now: float) -> str:
    """The id that `given` is the start of, or `given` as it is if none is known.

    Raises UsageError where several are.
    """
    if cache is None or not _LEAST <= len(given) < 32:
        return given
    near = [i for i in _known(cache, now) if i.startswith(given)]
    if len(near) > 1:
        raise UsageError(
            f"{len(near)} traces shown lately begin with {given}", hint=f"more of it: {', '.join(near[:5])}"
        )
    return near[0] if near else given


def _known(cache: AnswerCache, now: float) -> list[str]:
    kept = cache.get(_KEY, _DAY, now)
    return [] if kept is None else msgspec.json.decode(kept.payload, type=list[str])
