"""OTLP traces as JSON, in all the ways servers write it (protobuf's jsonpb, and OTLP/JSON proper).

jsonpb writes 64-bit integers as strings, ids as base64 of their bytes, enums as names, and leaves out
what is zero; OTLP/JSON writes ids as hex and enums as numbers. Both are read here.
"""

from __future__ import annotations

import base64
import binascii
import string
from typing import Any

import msgspec

from aiops_cli.models.signals import Span

_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES = ("unset", "ok", "error")
_HEX = frozenset(string.hexdigits)


class Array(msgspec.Struct, gc=False):
    values: list[Value] = []


class Pairs(msgspec.Struct, gc=False):
    values: list[Pair] = []


class Value(msgspec.Struct, gc=False, rename="camel"):
    string_value: str | None = None
    int_value: str | int | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None
    bytes_value: str | None = None
    array_value: Array | None = None
    kvlist_value: Pairs | None = None


class Pair(msgspec.Struct, gc=False):
    key: str
    value: Value | None = None


class Attributes(msgspec.Struct, gc=False):
    attributes: list[Pair] = []


class Event(msgspec.Struct, gc=False, rename="camel"):
    time_unix_nano: str | int = 0
    name: str = ""
    attributes: list[Pair] = []


class Link(msgspec.Struct, gc=False, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    attributes: list[Pair] = []


class Status(msgspec.Struct, gc=False):
    code: str | int = 0
    message: str = ""


class OtlpSpan(msgspec.Struct, gc=False, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: str | int = 0
    start_time_unix_nano: str | int = 0
    end_time_unix_nano: str | int = 0
    attributes: list[Pair] = []
    events: list[Event] = []
    links: list[Link] = []
    status: Status | None = None


class Scope(msgspec.Struct, gc=False):
    spans: list[OtlpSpan] = []


class ResourceSpans(msgspec.Struct, gc=False, rename="camel"):
    """The spans of one resource; `instrumentationLibrarySpans` is how OTLP before 0.15 called scopes."""

    resource: Attributes | None = None
    scope_spans: list[Scope] = []
    instrumentation_library_spans: list[Scope] = []


class Trace(msgspec.Struct, gc=False, rename="camel"):
    """A trace; Tempo's v1 endpoint calls `resourceSpans` `batches`."""

    resource_spans: list[ResourceSpans] = []
    batches: list[ResourceSpans] = []

    def spans(self) -> list[Span]:
        """All spans, by start time. A status' message becomes the attribute `status.message`."""
        found = []
        for group in [*self.resource_spans, *self.batches]:
            resource = mapping(group.resource.attributes) if group.resource else {}
            for scope in [*group.scope_spans, *group.instrumentation_library_spans]:
                found += [_to_span(span, resource) for span in scope.spans]
        found.sort(key=lambda span: (span.start_ns, span.span_id))
        return found


def hex_id(text: str, size: int) -> str:
    """An id of `size` bytes as lower-case hex, from hex (leading zeros may be missing) or base64."""
    is_hex = _HEX.issuperset(text)
    if len(text) == 2 * size and is_hex:
        return text.lower()
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) == size and not (is_hex and len(text) < 2 * size and not text.endswith("=")):
        return raw.hex()
    return text.lower().zfill(2 * size)


def _to_span(span: OtlpSpan, resource: dict[str, Any]) -> Span:
    attributes = mapping(span.attributes)
    status = span.status or Status()
    if status.message:
        attributes["status.message"] = status.message
    start, end = int(span.start_time_unix_nano), int(span.end_time_unix_nano)
    parent = hex_id(span.parent_span_id, 8) if span.parent_span_id.strip("0") else None
    return Span(
        trace_id=hex_id(span.trace_id, 16),
        span_id=hex_id(span.span_id, 8),
        parent_id=parent,
        service=str(resource.get("service.name", "")),
        name=span.name,
        kind=_enum(span.kind, _KINDS, "SPAN_KIND_"),
        start_ns=start,
        duration_ns=max(end - start, 0),
        status=_enum(status.code, _STATUSES, "STATUS_CODE_"),
        attributes=attributes,
        resource=resource,
        events=tuple(
            {"ns": int(e.time_unix_nano), "name": e.name, "attributes": mapping(e.attributes)}
            for e in span.events
        ),
        links=tuple(
            {
                "traceId": hex_id(link.trace_id, 16),
                "spanId": hex_id(link.span_id, 8),
                "attributes": mapping(link.attributes),
            }
            for link in span.links
        ),
    )


def _enum(value: str | int, names: tuple[str, ...], prefix: str) -> str:
    if isinstance(value, int):
        return names[value] if 0 <= value < len(names) else names[0]
    name = value.removeprefix(prefix).lower()
    return name if name in names else names[0]


def mapping(pairs: list[Pair]) -> dict[str, Any]:
    """Attributes as plain values by their keys."""
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: Value | None) -> Any:
    if value is None:
        return None
    if value.int_value is not None:
        return int(value.int_value)
    if value.double_value is not None:
        return float(value.double_value)
    if value.array_value is not None:
        return [_plain(v) for v in value.array_value.values]
    if value.kvlist_value is not None:
        return mapping(value.kvlist_value.values)
    if value.bool_value is not None:
        return value.bool_value
    return value.string_value if value.string_value is not None else value.bytes_value
