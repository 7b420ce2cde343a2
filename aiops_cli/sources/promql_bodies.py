"""The bodies of Prometheus answers, and instant ones decoded without NumPy, which takes long to start."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from aiops_cli.models.metric_row import MetricRow

HistogramSample = tuple[float, dict[str, Any]]


class _Histogram(msgspec.Struct):
    """Numbers are text; a bucket is [rule, low, high, count]; no `buckets` where all are empty."""

    count: str
    sum: str
    buckets: list[tuple[int, str, str, str]] = []


class SeriesBody(msgspec.Struct):
    """An item of a vector (`value` or `histogram`) or a matrix (`values`, `histograms`, or both)."""

    metric: dict[str, str] = {}
    values: msgspec.Raw = msgspec.Raw(b"[]")
    value: tuple[float, str] | None = None
    histograms: list[tuple[float, _Histogram]] = []
    histogram: tuple[float, _Histogram] | None = None

    def native(self) -> list[HistogramSample]:
        """The native histogram samples. Raises ValueError if one holds what is no number."""
        if not self.histograms and self.histogram is None:
            return []
        sent = self.histograms or ([self.histogram] if self.histogram else [])
        for _, histogram in sent:
            for text in (histogram.count, histogram.sum, *(t for b in histogram.buckets for t in b[1:])):
                float(text)
        return [(at, msgspec.to_builtins(histogram)) for at, histogram in sent]


class Data(msgspec.Struct):
    """The data of a query; a scalar's or string's result is a bare pair."""

    result_type: str = msgspec.field(name="resultType", default="")
    result: msgspec.Raw = msgspec.Raw(b"[]")


class Lists(msgspec.Struct):
    """The data of a vector or matrix."""

    result: list[SeriesBody]
    result_type: str = msgspec.field(name="resultType", default="")


class ListsEnvelope(msgspec.Struct):
    data: Lists
    warnings: list[str] = []
    infos: list[str] = []


class Envelope(msgspec.Struct):
    """What every answer is wrapped in."""

    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error_type: str = msgspec.field(name="errorType", default="")
    error: str = ""
    warnings: list[str] = []
    infos: list[str] = []


envelope = msgspec.json.Decoder(Envelope)
lists = msgspec.json.Decoder(ListsEnvelope)
_data = msgspec.json.Decoder(Data)
_pair = msgspec.json.Decoder(tuple[float, str])


def decode_instant(body: bytes | bytearray) -> tuple[list[MetricRow], list[str], str]:
    """A successful instant body to (rows of no cluster yet, warnings and infos, result type).

    A string's row has the label `value` and no number. Raises msgspec.MsgspecError or ValueError if the
    body is none.
    """
    try:
        found = lists.decode(body)
    except msgspec.ValidationError:
        return _decode_single(body)
    return [_row(s) for s in found.data.result], [*found.warnings, *found.infos], found.data.result_type


def _row(item: SeriesBody) -> MetricRow:
    histograms = item.native()
    if item.value is not None:
        return MetricRow("", item.metric, [item.value[0]], [float(item.value[1])], histograms)
    if bytes(item.values) == b"[]":
        return MetricRow("", item.metric, [], [], histograms)
    from aiops_cli.sources.promql_arrays import decode_points

    return MetricRow("", item.metric, *decode_points(item.values), histograms)


def _decode_single(body: bytes | bytearray) -> tuple[list[MetricRow], list[str], str]:
    whole = envelope.decode(body)
    data = _data.decode(whole.data)
    at, text = _pair.decode(data.result)
    scalar = data.result_type == "scalar"
    row = MetricRow("", {} if scalar else {"value": text}, [at], [float(text) if scalar else math.nan])
    return [row], [*whole.warnings, *whole.infos], data.result_type
