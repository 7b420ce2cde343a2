"""Times and durations as people write them, to unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.timerange import TimeRange

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_FORMS = "write RFC 3339 (2026-11-24T14:00:00Z), 23:40, epoch seconds, or now-6h"
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_HALF_DAY = 43200.0

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


def is_clock(text: str) -> bool:
    """Whether it has the form of a time of day: `23:40` or `23:40:05`."""
    return _CLOCK.fullmatch(text.strip()) is not None


def parse_time(text: str, now: float, zone: tzinfo | None = None, *, ahead: bool = False) -> float:
    """RFC 3339, epoch (s, ms, ns), `now`, `now-6h`, or a date and time in `zone`, to unix seconds.

    A time of day (`23:40`, `23:40:05`) is the last one in `zone` (None: this machine's) that `now` has seen, or
    with `ahead` the next. Raises UsageError (INVALID_TIME).
    """
    text = text.strip()
    if text == "now":
        return now
    if is_clock(text):
        return _of_day(text, now, zone, ahead)
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
        return moment.timestamp() if moment.tzinfo else _unix(moment, zone)
    except (ValueError, OverflowError):
        raise _invalid(f"time {text!r} can't be read", _FORMS) from None


def _of_day(text: str, now: float, zone: tzinfo | None, ahead: bool) -> float:
    """The time of day that is nearest to `now` on the side that is asked for."""
    try:
        said = time.fromisoformat(text if text[2:3] == ":" else f"0{text}")
    except ValueError:
        raise _invalid(f"{text!r} is no time of day", "write it as 00:00 to 23:59, or 23:40:05") from None
    today = datetime.fromtimestamp(now, zone).date()
    moments = [_unix(datetime.combine(today + timedelta(days), said), zone) for days in (-1, 0, 1)]
    return min(m for m in moments if m >= now) if ahead else max(m for m in moments if m <= now)


def _unix(moment: datetime, zone: tzinfo | None) -> float:
    return (moment.replace(tzinfo=zone) if zone else moment.astimezone()).timestamp()


def parse_window(
    since: str | None,
    start: str | None,
    end: str | None,
    now: float,
    *,
    default: float = 3600.0,
    zone: tzinfo | None = None,
) -> TimeRange:
    """The window that `--since`, `--from` and `--to` name; by default the last hour. A time of day as `end` is the
    first one after a `start` that is one too: `23:50` to `00:10` goes over midnight.

    Raises UsageError (INVALID_TIME) for a window that ends before it starts.
    """
    if since and start:
        raise _invalid("--since and --from say the same thing twice", "give one of them")
    until = parse_time(end, now, zone) if end else now
    if start and end and is_clock(start) and is_clock(end):
        until = parse_time(end, begin := parse_time(start, now, zone), zone, ahead=True)
        if until > now and until - begin > _HALF_DAY:  # it is not tomorrow's that is meant
            until -= 2 * _HALF_DAY
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
