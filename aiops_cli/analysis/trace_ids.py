"""Trace ids in log lines and labels: the way from a line or an exemplar to its trace."""

from __future__ import annotations

import re
from collections.abc import Mapping

_KEYS = frozenset({"traceid", "trace_id", "trace.id", "trace", "otel.trace_id", "otelTraceID".lower(), "dd.trace_id", "x-b3-traceid", "b3", "traceparent", "uber-trace-id"})  # fmt: skip
_HEX = r"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{16})(?![0-9a-fA-F])"
# W3C Trace Context: version-traceid-parentid-flags. https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(
    r"(?<![0-9a-fA-F])[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?![0-9a-fA-F])"
)
# traceID=…, trace_id: …, "trace.id":"…", TraceId=…, [trace …]; what stands between may be quotes and signs.
_NAMED = re.compile(
    rf"""(?<![A-Za-z0-9])(?:otel|dd[._]|x-b3-|uber-)?trace[-_. ]?(?:id)?\\?["']?(?:\s*[:=]\s*|\s+)\\?["']?({_HEX})""",
    re.I,
)
_ZERO = re.compile(r"0+")


def trace_id_in(text: str, labels: Mapping[str, str] | None = None) -> str | None:
    """The trace id that a line or its labels name, as 32 lower-case hex digits; None if they name none.

    Labels go first (an exemplar's `trace_id`, structured metadata), then a W3C traceparent in the text,
    then a field of that name. An id of 64 bits is padded; zeros alone are no id.
    """
    for key, value in (labels or {}).items():
        if key.lower() in _KEYS and (found := _plain(value)) is not None:
            return found
    for pattern in (_TRACEPARENT, _NAMED):
        for match in pattern.finditer(text):
            if (found := _normal(match[1])) is not None:
                return found
    return None


def _plain(value: str) -> str | None:
    """The id in a label's value: by itself, in a traceparent, or before the colon of Jaeger's header."""
    value = value.strip()
    if parent := _TRACEPARENT.search(value):
        return _normal(parent[1])
    head = re.match(rf"({_HEX})(?:$|[-:])", value)
    return _normal(head[1]) if head else None


def _normal(text: str) -> str | None:
    return None if _ZERO.fullmatch(text) else text.lower().zfill(32)
