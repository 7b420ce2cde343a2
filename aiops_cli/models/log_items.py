"""Items of the log commands beside the lines themselves."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class LogStatsItem(Struct, frozen=True, rename="camel"):
    """An item of `logs stats`; null is what the server can't say.

    `method` is `index` (what the index knows: flushed chunks, an estimate), `counted` (the server read
    the lines to count them) or `recorded` (the lines of a bundle).
    """

    cluster: str
    streams: int
    chunks: int | None
    entries: int
    bytes: int | None
    method: Literal["index", "counted", "recorded"]
