"""One step from a signal to the others: what a row is about, and what else is known of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Signal = Literal["metric", "alert", "log", "trace", "event", "object"]


class Subject(Struct, frozen=True, kw_only=True):
    """What a row of any signal is about: a workload, pod, node or namespace of a cluster, at a time.

    `at` is the row's moment in unix seconds, `start` and `end` the window to look in (unix seconds);
    what the row does not say is None. `kind` is a Kubernetes kind where the row names one. `names` are
    what else it is called (service, app, job, container), the surest first. `labels` are the row's own,
    `origin` the signal it came from and `title` its row in a few words.
    """

    cluster: str
    origin: Signal
    at: float
    start: float
    end: float
    title: str = ""
    namespace: str | None = None
    workload: str | None = None
    kind: str | None = None
    names: tuple[str, ...] = ()
    pod: str | None = None
    container: str | None = None
    node: str | None = None
    instance: str | None = None
    trace_id: str | None = None
    labels: dict[str, str] = {}


class RelatedItem(Struct, frozen=True, rename="camel"):
    """An item of `--related`: `count` rows of another signal about the same subject.

    `origin` is the row it was asked from, `subject` what that row is about. `at` is RFC 3339, the first
    or most telling row's time. `command` is a command line that shows them all. `source` says who knew:
    aiops itself, or the cluster's korrel8r.
    """

    cluster: str
    origin: str
    subject: str
    signal: Signal
    count: int | None
    at: str | None
    summary: str
    command: str
    source: Literal["aiops", "korrel8r"] = "aiops"
