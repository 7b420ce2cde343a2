"""Times and durations as people write them, to unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.timerange import TimeRange

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")

EARLIEST, LATEST = -62135596800.0, 253402300799.0
"""Unix seconds of the first and the last second that a date can say (years 1 and 9999)."""


def parse_duration(text: str, what: str = "duration") -> float:
    """`1h30m`, `45s`, `2d`, or plain seconds, to seconds. Raises UsageError (INVALID_TIME)."""
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise _invalid(f"{what} {text!r} is no duration", "write it as 30s, 5m, 1h30m or 2d")
    return sum(float(n) * _UNITS[u] for n, u in parts)


def parse_time(text: str, now: float, zone: tzinfo | None = None) -> float:
    """RFC 3339, epoch (s, ms, ns), `now`, `now-6h`, or a date and time in `zone`. Raises UsageError."""
    text = text.strip()
    if text == "now":
        return now
    if match := re.fullmatch(r"now\s*([-+])\s*(.+)", text):
        offset = parse_duration(match[2], "time offset")
        return now - offset if match[1] == "-" else now + offset
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        value = float(text)
        for limit, scale in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
            if value >= limit:
                return value / scale
        return value
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise _invalid(
            f"time {text!r} can't be read", "write RFC 3339 (2026-11-24T14:00:00Z), epoch seconds, or now-6h"
        ) from None


def parse_window(
    since: str | None,
    start: str | None,
    end: str | None,
    now: float,
    *,
    default: float = 3600.0,
    zone: tzinfo | None = None,
) -> TimeRange:
    """The window that `--since`, `--from` and `--to` name; by default the last hour.

    Raises UsageError (INVALID_TIME) for a window that ends before it starts.
    """
    until = parse_time(end, now, zone) if end else now
    if since and start:
        raise _invalid("--since and --from say the same thing twice", "give one of them")
    begin = (
        parse_time(start, now, zone)
        if start
        else until - (parse_duration(since, "--since") if since else default)
    )
    if begin < 0 or until > LATEST:
        raise _invalid("the window lies outside of what can be dated", "check --from, --to and --since")
    if begin >= until:
        raise _invalid("the window ends before it starts", "check --from, --to and --since")
    return TimeRange(begin, until)


def parse_zone(name: str | None, *, machine: bool) -> tzinfo | None:
    """`--tz`: local (None) for people, UTC in machine formats, unless named."""
    if not name:
        return UTC if machine else None
    if name == "local":
        return None
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return UTC if name.upper() == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _invalid(
            f"time zone {name!r} is not known", "local, UTC, or a name such as Europe/Berlin"
        ) from None


def unix(text: str | None) -> float | None:
    """RFC 3339, as servers write it, to unix seconds; None for what is no time, and for Go's zero time,
    which stands for none. Nanoseconds are cut to microseconds."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if seconds > EARLIEST else None


def datable(seconds: float) -> bool:
    """Whether a time lies in the years 1 to 9999."""
    return EARLIEST <= seconds <= LATEST


def rfc3339(unix: float) -> str:
    """UTC to the millisecond, `Z` at the end; microseconds are dropped.

    A time that no date can say, which a server may well send, becomes the nearest one that can.
    """
    nearest = min(unix, LATEST) if unix >= EARLIEST else EARLIEST
    return datetime.fromtimestamp(nearest, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_ns(ns: int) -> str:
    """As rfc3339, with nanoseconds."""
    nearest = min(max(ns, int(EARLIEST) * 10**9), int(LATEST) * 10**9)
    seconds, rest = divmod(nearest, 10**9)
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")[:19] + f".{rest:09d}Z"


def _invalid(message: str, hint: str) -> UsageError:
    return UsageError(message, hint=hint, code=ErrorCode.INVALID_TIME)
