"""OTLP traces as protobuf, for servers and gateways that answer in it though JSON was asked for.

Field numbers: opentelemetry/proto/{trace,common,resource}/v1; those of Tempo's envelope
(`TraceByIDResponse`: trace 1, status 3, message 4): tempopb. Only these few messages are read, and
unknown fields are skipped, so no generated code is needed.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator

from aiops_cli.sources import otlp

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEPTH = 64  # of nested attribute values


def decode(body: bytes | bytearray) -> otlp.Trace:
    """A trace, as OTLP's `TracesData` and as Tempo's `Trace`: both have resource spans as field 1.

    Raises ValueError if the body is no such message.
    """
    return otlp.Trace([_resource_spans(v) for n, v in _fields(memoryview(body)) if n == 1])


def decode_answer(body: bytes | bytearray) -> tuple[otlp.Trace, int, str]:
    """Tempo's v2 answer: the trace, its status (1 is partial) and message. Raises ValueError."""
    trace, status, message = otlp.Trace(), 0, ""
    for number, value in _fields(memoryview(body)):
        if number == 1:
            trace.resource_spans += decode(_bytes(value)).resource_spans
        elif number == 3:
            status = _int(value)
        elif number == 4:
            message = _text(value)
    return trace, status, message


Field = tuple[int, "memoryview | int"]


def _fields(data: memoryview) -> Iterator[Field]:
    """(number, value) of a message: bytes, or an unsigned integer. Raises ValueError if it is cut."""
    at, size = 0, len(data)
    while at < size:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} of protobuf is not known")
        if length > size - at:
            raise ValueError("the message is cut")
        part = data[at : at + length]
        at += length
        yield number, part if wire == _BYTES else int.from_bytes(part, "little")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number is cut")


def _bytes(value: memoryview | int) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes should be")
    return bytes(value)


def _view(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def _text(value: memoryview | int) -> str:
    return _bytes(value).decode("utf-8", "replace")


def _int(value: memoryview | int) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes where a number should be")
    return value


def _resource_spans(value: memoryview | int) -> otlp.ResourceSpans:
    found = otlp.ResourceSpans()
    for number, part in _fields(_view(value)):
        if number == 1:
            attributes = [_pair(v, 0) for n, v in _fields(_view(part)) if n == 1]
            found.resource = otlp.Attributes(attributes)
        elif number in (2, 1000):  # 1000: instrumentation_library_spans, before OTLP 0.15
            spans = [_span(v) for n, v in _fields(_view(part)) if n == 2]
            found.scope_spans.append(otlp.Scope(spans))
    return found


def _span(value: memoryview | int) -> otlp.OtlpSpan:
    span = otlp.OtlpSpan(status=otlp.Status())
    for number, part in _fields(_view(value)):
        match number:
            case 1:
                span.trace_id = _bytes(part).hex()
            case 2:
                span.span_id = _bytes(part).hex()
            case 4:
                span.parent_span_id = _bytes(part).hex()
            case 5:
                span.name = _text(part)
            case 6:
                span.kind = _int(part)
            case 7:
                span.start_time_unix_nano = _int(part)
            case 8:
                span.end_time_unix_nano = _int(part)
            case 9:
                span.attributes.append(_pair(part, 0))
            case 11:
                span.events.append(_event(part))
            case 13:
                span.links.append(_link(part))
            case 15:
                span.status = _status(part)
    return span


def _event(value: memoryview | int) -> otlp.Event:
    event = otlp.Event()
    for number, part in _fields(_view(value)):
        if number == 1:
            event.time_unix_nano = _int(part)
        elif number == 2:
            event.name = _text(part)
        elif number == 3:
            event.attributes.append(_pair(part, 0))
    return event


def _link(value: memoryview | int) -> otlp.Link:
    link = otlp.Link()
    for number, part in _fields(_view(value)):
        if number == 1:
            link.trace_id = _bytes(part).hex()
        elif number == 2:
            link.span_id = _bytes(part).hex()
        elif number == 4:
            link.attributes.append(_pair(part, 0))
    return link


def _status(value: memoryview | int) -> otlp.Status:
    status = otlp.Status()
    for number, part in _fields(_view(value)):
        if number == 2:
            status.message = _text(part)
        elif number == 3:
            status.code = _int(part)
    return status


def _pair(value: memoryview | int, depth: int) -> otlp.Pair:
    key, found = "", None
    for number, part in _fields(_view(value)):
        if number == 1:
            key = _text(part)
        elif number == 2:
            found = _value(part, depth + 1)
    return otlp.Pair(key, found)


def _value(value: memoryview | int, depth: int) -> otlp.Value:
    if depth > _DEPTH:
        raise ValueError("a value is nested too deeply")
    found = otlp.Value()
    for number, part in _fields(_view(value)):
        match number:
            case 1:
                found.string_value = _text(part)
            case 2:
                found.bool_value = bool(_int(part))
            case 3:
                plain = _int(part) & (2**64 - 1)
                found.int_value = plain - 2**64 if plain >= 2**63 else plain
            case 4:
                found.double_value = struct.unpack("<d", struct.pack("<Q", _int(part)))[0]
            case 5:
                values = [_value(v, depth + 1) for n, v in _fields(_view(part)) if n == 1]
                found.array_value = otlp.Array(values)
            case 6:
                pairs = [_pair(v, depth + 1) for n, v in _fields(_view(part)) if n == 1]
                found.kvlist_value = otlp.Pairs(pairs)
            case 7:
                found.bytes_value = base64.b64encode(_bytes(part)).decode()
    return found
