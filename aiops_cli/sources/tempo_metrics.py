"""Answers of Tempo's /api/metrics/query_range, which have a shape of their own and not Prometheus'."""

from __future__ import annotations

import msgspec

from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series
from aiops_cli.sources.otlp import Pair, mapping


class _Sample(msgspec.Struct, rename="camel"):
    timestamp_ms: str | int = 0
    value: float | str = 0.0


class _Series(msgspec.Struct):
    labels: list[Pair] = []
    samples: list[_Sample] = []


class _Metrics(msgspec.Struct):
    series: list[_Series] | None = None
    status: str | int = ""
    message: str = ""


_metrics = msgspec.json.Decoder(_Metrics)


def decode(body: bytes | bytearray) -> Answer[Series]:
    """Series with labels as text; a value that is left out is 0. PARTIAL answers say so.

    Raises msgspec.MsgspecError or ValueError if the body is no such answer.
    """
    import numpy as np

    answer = _metrics.decode(body)
    rows = []
    for series in answer.series or []:
        labels = {key: _label(value) for key, value in mapping(series.labels).items()}
        times = np.array([int(s.timestamp_ms) / 1000 for s in series.samples], dtype=np.float64)
        values = np.array([float(s.value) for s in series.samples], dtype=np.float64)
        rows.append(Series(labels, times, values))
    rows.sort(key=lambda s: sorted(s.labels.items()))
    cut = answer.status in ("PARTIAL", 1)
    return Answer(rows, warnings=[answer.message or "the answer is incomplete"] if cut else [], partial=cut)


def _label(value: object) -> str:
    """As Tempo's own `promLabels` write it: nothing is `nil`."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
