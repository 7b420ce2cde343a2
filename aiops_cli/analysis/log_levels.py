"""The level that a log line says, however it says it."""

from __future__ import annotations

import re

LEVELS = ("trace", "debug", "info", "notice", "warn", "error", "fatal")
"""From least to worst."""
_NAMES = {
    **{level: level for level in LEVELS},
    **dict.fromkeys(("trc", "finest", "finer", "verbose"), "trace"),
    **dict.fromkeys(("dbg", "dbug", "fine"), "debug"),
    **dict.fromkeys(("inf", "information", "informational"), "info"),
    **dict.fromkeys(("warning", "wrn"), "warn"),
    **dict.fromkeys(("err", "eror", "severe", "failure"), "error"),
    **dict.fromkeys(("critical", "crit", "panic", "alert", "emerg", "emergency", "dpanic"), "fatal"),
    # pino and bunyan
    "10": "trace",
    "20": "debug",
    "30": "info",
    "40": "warn",
    "50": "error",
    "60": "fatal",
}
_KLOG = {"I": "info", "W": "warn", "E": "error", "F": "fatal"}
_WITHIN = 2_000  # characters of a line that are looked at
_FIELD = re.compile(
    r"""(?:^|[\s{,"])(?:log\.)?(?:level|lvl|severity|severity_text|loglevel|levelname)"?\s*[:=]\s*"?([A-Za-z0-9]+)""",
    re.I,
)
_WORD = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|CRITICAL|PANIC|EMERG|SEVERE)\b"
    r"|^\W*(trace|debug|info|notice|warn|warning|error|err|fatal|critical|panic)\b(?=[\]:>| ])"
    r"|\[(trace|debug|info|notice|warn|warning|error|err|fatal|crit|critical|alert|emerg)\]"
)
_KLOG_LINE = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ ")


def named(name: str) -> str | None:
    """A level as LEVELS has it; None for what is none."""
    return _NAMES.get(name.lower())


def said(line: str) -> str | None:
    """The level that a line says: by a field, klog's prefix, or a word. None if nothing says it."""
    head = line[:_WITHIN]
    if (found := _FIELD.search(head)) and (level := named(found[1])):
        return level
    if klog := _KLOG_LINE.match(head):
        return _KLOG[klog[1]]
    word = _WORD.search(head)
    return named(word[word.lastindex or 0]) if word else None
