"""A part of what a feed reads, for a panel of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from aiops_cli.errors import AiopsError, ClusterError, ErrorCode
from aiops_cli.models.result import FleetResult
from aiops_cli.tui.feed import Feed, Reading


class _Part:
    def __init__(self, feed: Feed[Any], pick: Callable[[Any], FleetResult[Any]], *, alone: bool) -> None:
        self._feed, self._pick, self._alone = feed, pick, alone

    @property
    def reading(self) -> Reading[Any]:
        reading: Reading[Any] = self._feed.reading
        if reading.value is None:
            return reading
        found = self._pick(reading.value)
        if self._alone and found.failed and not found.rows:
            return Reading(None, None, failure(found), every=reading.every)
        return replace(reading, value=found)


def part(feed: Feed[Any], pick: Callable[[Any], FleetResult[Any]], *, alone: bool = False) -> Feed[Any]:
    """What `pick` takes of each reading, for `Panel.follow`. `alone` is for one cluster's: that it failed is the
    panel's error, and no gap among others."""
    return cast("Feed[Any]", _Part(feed, pick, alone=alone))


def failure(found: FleetResult[Any]) -> AiopsError:
    """Why the first cluster that failed did not answer."""
    error = found.failed[0].error
    assert error is not None, "a status that failed says why"
    return ClusterError(error.message, hint=error.hint, code=ErrorCode(error.code), endpoint=error.endpoint)
