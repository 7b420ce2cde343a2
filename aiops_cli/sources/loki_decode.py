"""Bodies of Loki's log answers to rows: one tuple a line, labels shared by all lines of a stream."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Literal

import msgspec

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.sources.base import Labels, LogRow

_NONE: Labels = {}
by_time = itemgetter(0)


class _Categories(msgspec.Struct, rename="camel"):
    structured_metadata: dict[str, str] = {}
    parsed: dict[str, str] = {}


class _PlainStream(msgspec.Struct):
    stream: dict[str, str]
    values: list[tuple[int, str]]


class _PlainData(msgspec.Struct, rename="camel"):
    result_type: Literal["streams"]
    result: list[_PlainStream]


class _PlainEnvelope(msgspec.Struct):
    data: _PlainData
    warnings: list[str] = []


class Stream(msgspec.Struct):
    """A stream's labels, and entries of [ns, line] or [ns, line, categories]."""

    stream: dict[str, str]
    values: list[list[str | _Categories]]


class _Data(msgspec.Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Envelope(msgspec.Struct):
    data: _Data
    warnings: list[str] = []


# Not strict: the nanoseconds are a number in quotes, and are read as one without a string between.
_plain = msgspec.json.Decoder(_PlainEnvelope, strict=False)
_envelope = msgspec.json.Decoder(_Envelope)
_streams = msgspec.json.Decoder(list[Stream])


def decode_rows(body: bytes | bytearray) -> tuple[list[LogRow], list[str]]:
    """A query_range body to (rows in no order, warnings).

    An entry is [ns, line], or [ns, line, {structuredMetadata, parsed}] from Loki 3; parsed fields join
    the labels, as older servers send them. Raises msgspec.MsgspecError, ValueError, or UsageError if
    the query was a metric one.
    """
    try:
        plain = _plain.decode(body)
    except msgspec.ValidationError:
        return _decode_categorized(body)
    rows = [(ns, line, stream.stream, _NONE) for stream in plain.data.result for ns, line in stream.values]
    return rows, plain.warnings


def _decode_categorized(body: bytes | bytearray) -> tuple[list[LogRow], list[str]]:
    envelope = _envelope.decode(body)
    if envelope.data.result_type != "streams":
        raise UsageError(
            f"the query gives a {envelope.data.result_type}, not log lines",
            hint="leave out the outer function to see the lines it counts",
            code=ErrorCode.INVALID_LOGQL,
        )
    return rows_of(_streams.decode(envelope.data.result)), envelope.warnings


def rows_of(streams: Iterable[Stream]) -> list[LogRow]:
    """The entries of streams. Raises ValueError for one that is none."""
    rows: list[LogRow] = []
    for stream in streams:
        for at, line, *extra in stream.values:
            labels, metadata = stream.stream, _NONE
            for categories in extra:
                if isinstance(categories, _Categories):
                    labels = {**labels, **categories.parsed} if categories.parsed else labels
                    metadata = categories.structured_metadata
            rows.append((int(str(at)), str(line), labels, metadata))
    return rows
