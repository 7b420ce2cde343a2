"""The shared flags of a run, as parsed."""

from __future__ import annotations

from dataclasses import dataclass, field

FORMATS = ("table", "wide", "json", "ndjson", "yaml", "csv", "md", "name")


@dataclass(slots=True)
class Options:
    """What the shared flags said; None where nothing was said. Times are still text."""

    contexts: list[str] = field(default_factory=list)
    selector: str | None = None
    group: str | None = None
    output: str | None = None
    since: str | None = None
    start: str | None = None
    end: str | None = None
    step: str | None = None
    tz: str | None = None
    timeout: str | None = None
    no_cache: bool = False
    refresh: bool = False
    max_age: str | None = None
    allow_partial: bool = False
    require_data: bool = False
    bundle: str | None = None
    config: str | None = None
    kubeconfig: str | None = None
    debug: bool = False
    timings: bool = False
    quiet: bool = False
    no_headers: bool = False
    columns: str | None = None
    sort: str | None = None
    fields: str | None = None
