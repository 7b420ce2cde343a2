"""The time range, as one types it and as it is shown."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import tzinfo

from aiops_cli.errors import AiopsError, ErrorCode, UsageError
from aiops_cli.models.options import Options
from aiops_cli.services import times
from aiops_cli.tui import clock

RANGES = ("5m", "15m", "1h", "3h", "6h", "12h", "24h", "2d", "7d")
FORMS = "90m · 23:20 to 23:22 · now-6h to now-5h · 2026-11-24T10:00Z to now"


def with_range(options: Options, text: str, now: float, zone: tzinfo | None) -> Options:
    """The options with the range `1h`, or `FROM to TO`; times of day become the moments they are at `now`.

    Raises UsageError (INVALID_TIME) for one that can't be read, is empty, or lies outside of what can be dated.
    """
    start, _, end = (part.strip() for part in text.partition(" to "))
    if not end and (start[:1].isdigit() and not set(start) & set(":-")):
        check_length(start)
        return _checked(replace(options, since=start, start=None, end=None), now, zone)
    changed = _checked(replace(options, since=None, start=start or None, end=end or None), now, zone)
    if not (times.is_clock(start) or times.is_clock(end)):
        return changed
    window = times.parse_window(None, changed.start, changed.end, now, zone=zone)
    return replace(
        changed, start=_second(window.start), end=_second(window.end) if times.is_clock(end) else changed.end
    )


def check_length(text: str) -> None:
    """Raises UsageError (INVALID_TIME) for a length of time without a unit, of nothing, or that is none."""
    if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        raise UsageError(
            f"{text!r} has no unit", hint=f"{text}m, {text}h or {text}d", code=ErrorCode.INVALID_TIME
        )
    if times.parse_duration(text, "the range") <= 0:
        raise UsageError(f"{text!r} is no time at all", hint="5m, 1h, 2d", code=ErrorCode.INVALID_TIME)


def _checked(options: Options, now: float, zone: tzinfo | None) -> Options:
    try:
        times.parse_window(options.since, options.start, options.end, now, zone=zone)
    except AiopsError as error:  # its hint names the flags of the command line
        raise UsageError(error.message, hint=FORMS, code=ErrorCode.INVALID_TIME) from None
    return options


def remembered(text: str, default: str) -> str:
    """A range that was remembered, where it is one."""
    try:
        return str(with_range(Options(), text, clock.now(), None).since or default)
    except AiopsError:
        return default


def shown(options: Options, now: float, zone: tzinfo | None) -> str:
    """`last 1h`, or from when to when in `zone`; nothing where no range is said."""
    if options.since:
        return f"last {options.since}"
    if not (options.start or options.end):
        return ""
    said = (options.start, options.end or "now")
    return " to ".join(
        s if s.startswith("now") else clock.text(times.parse_time(s, now, zone), zone) for s in said if s
    )


def typed(options: Options) -> str:
    """As `with_range` takes it."""
    return options.since or " to ".join(filter(None, (options.start, options.end)))


def _second(unix: float) -> str:
    return times.rfc3339(unix).replace(".000Z", "Z")
