"""Text for terminals: hostile characters made harmless, numbers with SI units, times, cell widths."""

from __future__ import annotations

import math
import re
import struct
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime, tzinfo

# C0 but for tab and line feed, C1, marks of direction, line separators, and what has no width or no
# right to stand alone.
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
)


def sanitize(text: str) -> str:
    """One tab as one space, and `visible`."""
    return visible(text.replace("\t", " "))


def visible(text: str) -> str:
    """Control characters, escapes and bidi marks as \\xNN, \\uNNNN or \\UNNNNNNNN, as Python and Go write them:
    nothing that a terminal would obey."""
    return OBEYED.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    if text.isprintable():  # which nothing that a terminal obeys is
        return text
    return sanitize(text.replace("\r\n", "⏎").replace("\n", "⏎"))


def escaped(document: str) -> str:
    """JSON, or double-quoted YAML, that says the same and holds nothing a terminal would obey."""

    def escape(match: re.Match[str]) -> str:
        return "".join(f"\\u{unit:04x}" for (unit,) in struct.iter_unpack(">H", match[0].encode("utf-16-be")))

    return OBEYED.sub(escape, document)


def cells(text: str) -> int:
    """How many terminal cells a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def cut(text: str, width: int) -> str:
    """At most `width` cells, an ellipsis where something is missing."""
    if cells(text) <= width:
        return text
    out, used = [], 0
    for c in text:
        w = cells(c)
        if used + w > max(width - 1, 0):
            break
        out.append(c)
        used += w
    return "".join(out) + "…"


def si(value: float | None, unit: str = "") -> str:
    """Four significant digits with an SI prefix; `-` for what is not known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return f"0{unit}"
    size = abs(value)
    if size < 1e6 and float(value).is_integer() and not unit:
        return f"{int(value)}"
    scale, prefix = next(((s, p) for s, p in _PREFIXES if size >= s), (1e-9, "n"))
    if scale == 1e-3 and not unit and size >= 0.001:
        scale, prefix = 1.0, ""
    number = f"{value / scale:.4g}"
    return f"{number}{prefix}{unit}"


def duration(ms: float | None) -> str:
    """Milliseconds as people say them: 850µs, 12.3ms, 1.84s, 2m05s."""
    if ms is None or not math.isfinite(ms):
        return si(ms)
    if ms < 0.9995:  # 999.9 µs are 1 ms, and 999.9 ms 1 s, in three digits
        return f"{ms * 1000:.0f}µs"
    if ms < 999.5:
        return f"{ms:.3g}ms"
    if ms < 60_000:
        return f"{ms / 1000:.3g}s"
    return f"{int(ms // 60000)}m{int(ms % 60000 // 1000):02d}s"


def age(seconds: float) -> str:
    """kubectl's short ages: 12s, 5m, 3h, 2d."""
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{letter}"
    return f"{max(int(seconds), 0)}s"


def clock(unix: float, zone: tzinfo | None) -> str:
    """A time for tables, to the second; what no date can say as the number it is."""
    try:
        moment = datetime.fromtimestamp(unix, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{unix:g}"
    with suppress(ValueError, OverflowError, OSError):  # a zone can lead out of the years 1 to 9999
        moment = moment.astimezone(zone)
    return moment.replace(tzinfo=None).isoformat(" ", "seconds")


def sparkline(values: list[float]) -> str:
    """Eight levels; a blank where there is no value."""
    bars = "▁▂▃▄▅▆▇█"
    known = [v for v in values if math.isfinite(v)]
    if not known:
        return ""
    low, high = min(known), max(known)
    spread = (high / 2 - low / 2) or 1.0  # halves, since the whole may be beyond a float
    return "".join(
        bars[min(7, int((v / 2 - low / 2) / spread * 7.999))] if math.isfinite(v) else " " for v in values
    )
