"""One number of a metric, as an exporter's page or an instant query gives it."""

from __future__ import annotations

from typing import NamedTuple


class Sample(NamedTuple):
    """`labels` has no `__name__`, and may be one object for many samples: nobody changes it."""

    name: str
    labels: dict[str, str]
    value: float
