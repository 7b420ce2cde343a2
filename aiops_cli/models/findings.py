"""What a view found wrong with a GPU, a clock, a VF or a workload."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from aiops_cli.models.analysis import Entity

FindingSeverity = Literal["critical", "warning", "info"]


class Finding(Struct, frozen=True, rename="camel"):
    """A threshold that was crossed, with its evidence.

    `code` is stable (such as GPU_THROTTLED), `since` and `until` are RFC 3339 or null where the source
    does not say, `value` and `threshold` are in `unit`; `source` says what they were read from.
    """

    cluster: str
    code: str
    severity: FindingSeverity
    entity: Entity
    text: str
    action: str = ""
    since: str | None = None
    until: str | None = None
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    source: str = "prometheus"
