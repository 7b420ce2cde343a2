"""One step from a signal to the others: what a row is about, and what else is known of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Signal = Literal["metric", "alert", "log", "trace", "event", "object"]


class Subject(Struct, frozen=True, kw_only=True):
    """What a row of any signal is about: a workload, pod or node of a cluster, at a time.

    `at` is the row's moment in unix seconds, `start` and `end` the window to look in (unix seconds);
    what the row does not say is None. `labels` are the row's own, `origin` the signal it came from.
    """

    cluster: str
    origin: Signal
    at: float
    start: float
    end: float
    namespace: str | None = None
    workload: str | None = None
    service: str | None = None
    pod: str | None = None
    container: str | None = None
    node: str | None = None
    trace_id: str | None = None
    labels: dict[str, str] = {}


class RelatedItem(Struct, frozen=True, rename="camel"):
    """An item of `--related`: `count` rows of another signal about the same subject.

    `at` is RFC 3339, the first or most telling one's time; `command` shows them all.
    """

    cluster: str
    origin: str
    subject: str
    signal: Signal
    count: int | None
    at: str | None
    summary: str
    command: str
