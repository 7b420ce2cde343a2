"""Log lines as patterns: what varies masked, like lines grouped, counted in two windows, in flat memory.

A tree after Drain (He et al., ICWS 2017), but over the words of a line alone: what is masked leaves a gap
and no token, so that `0 bytes sent` and `0 bytes (1.2 KB) sent` need not have one length to be one pattern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from aiops_cli.analysis.log_levels import named, said

WILDCARD = "<*>"
_HEX = "[0-9a-fA-F]{1,4}"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_VARIABLE = re.compile(
    r"(?=[\"'0-9a-fA-F+<:JMSOTW-])(?:"  # most characters start no variable: fail on them at once
    r"\"(?:[^\"\\]|\\.){0,400}\"(?!:)|'[^']{1,200}'"
    r"|\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    rf"|(?<![\w:])(?:{_HEX}(?::{_HEX}){{7}}|(?:(?:{_HEX}:){{1,7}}|:)(?::{_HEX}){{1,6}})(?![\w:])"
    r"|\b[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}\b"
    r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(?:Z|[+-]\d\d:?\d\d)?"
    rf"|\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)?{_MONTH} +\d{{1,2}}(?:,? \d\d:\d\d:\d\d)?(?:,? \d{{4}})?\b"
    r"|\b\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\b"
    r"|\b0[xX][0-9a-fA-F]+\b|\b(?=[a-fA-F]*\d)[0-9a-fA-F]{8,}\b"
    r"|(?<![\w#])[-+<]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?:ns|us|µs|ms|s|m|h| ?B| ?[KMGT]i?B| ?secs?|%)?\b"
    r")"
)
_HOST = re.compile(r"[\[(<]*[\w-]+(?:\.[\w-]+){2,}(?::\d+|:<\*>)?[\])>,;.]*")
_PATH = re.compile(r"[\[(]*/?(?:[\w.@%+-]+/)+[\w.@%+-]*[\]),;:]*|/\S+")
_KEY = re.compile(r"[\[({]?[A-Za-z_][\w.-]*=")
_NAMING = frozenset({"user", "username", "User"})
_NOT_NAMES = frozenset({"not", "is", "has", "was", "does", "session", "and", "or"})

_MESSAGE_KEYS = ("msg", "message", "log", "event", "body", "text")
_ERROR_KEYS = ("err", "error", "exception")
_LEVEL_KEYS = ("level", "severity", "lvl", "severity_text", "loglevel", "levelname", "log.level")
_LOGFMT = re.compile(r"""(?:^|\s)(msg|message|err|error)=("(?:[^"\\]|\\.)*"|\S+)""")
_LONGEST = 2000
_EXAMPLE = 500
_MOST_KNOWN = 20_000
_MOST_CHILDREN = 100


@dataclass(slots=True)
class Counts:
    """How often a pattern came in each window; times in unix nanoseconds, 0 for never."""

    now: int = 0
    before: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add(self, other: Counts) -> None:
        self.now += other.now
        self.before += other.before
        if other.now:
            self.first_ns = min(self.first_ns or other.first_ns, other.first_ns)
            self.last_ns = max(self.last_ns, other.last_ns)


@dataclass(slots=True)
class Pattern:
    """Like lines of one level: their words, where something varies between them, and what was counted.

    `gaps` has one more element than `words`: whether something stands before each, and after the last.
    `example` is one whole line, of the later window where there is one, cut at 500 characters.
    """

    words: list[str]
    gaps: list[bool]
    counts: Counts = field(default_factory=Counts)
    level: str = ""
    example: str = ""

    @property
    def text(self) -> str:
        """The words, with one `<*>` wherever something varies."""
        out: list[str] = []
        for word, gap in zip(self.words, self.gaps, strict=False):
            if (gap or word == WILDCARD) and (not out or out[-1] != WILDCARD):
                out.append(WILDCARD)
            if word != WILDCARD:
                out.append(word + WILDCARD if word.endswith("=") else word)
        if self.gaps[-1] and (not out or out[-1] != WILDCARD):
            out.append(WILDCARD)
        return " ".join(out)


class Patterns:
    """Groups lines as they come, in memory that does not grow with them. Lines of two levels are never one
    pattern: an error among a thousand like lines that are none would not be seen.

    At most `most` patterns are kept; lines that would make more are counted in `others`.
    """

    def __init__(self, similarity: float = 0.8, depth: int = 2, most: int = 2000) -> None:
        self._similarity, self._depth, self._most = similarity, depth, most
        self._leaves: dict[tuple[object, ...], list[int]] = {}
        self._known: dict[tuple[str, str], int] = {}
        self.rows: list[Pattern] = []
        self.others = Counts()

    def add(self, line: str, ns: int, *, before: bool = False, level: str = "") -> None:
        """Count a line; `before` if it is of the window to compare with, `level` where labels say it."""
        own, text = content(line)
        masked = _VARIABLE.sub(WILDCARD, text[:_LONGEST])
        level = named(level) or own or said(line) or ""
        index = self._known.get((level, masked))
        if index is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            index = self._known[level, masked] = self._place(*words_of(masked), level)
        if index < 0:
            _count(self.others, ns, before)
            return
        pattern = self.rows[index]
        if not pattern.example or (not before and not pattern.counts.now):
            pattern.example = line[:_EXAMPLE]
        _count(pattern.counts, ns, before)

    def merge(self, pattern: Pattern) -> int:
        """Take in a pattern of other lines; the index of what it became one with, -1 for `others`."""
        index = self._place(list(pattern.words), list(pattern.gaps), pattern.level)
        if index < 0:
            self.others.add(pattern.counts)
            return index
        own = self.rows[index]
        if not own.example or (pattern.counts.now and not own.counts.now):
            own.example = pattern.example
        own.counts.add(pattern.counts)
        return index

    def _place(self, words: list[str], gaps: list[bool], level: str) -> int:
        key = (level, len(words), *words[: self._depth])
        leaf = self._leaves.get(key, [])
        best, best_share = -1, -1.0
        for index in leaf:
            same = sum(map(str.__eq__, self.rows[index].words, words))
            share = same / len(words) if words else 1.0
            if share > best_share:
                best, best_share = index, share
        full = len(leaf) >= _MOST_CHILDREN or len(self.rows) >= self._most
        if best < 0 or (best_share < self._similarity and not full):
            if len(self.rows) >= self._most:
                return -1
            self.rows.append(Pattern(words, gaps, level=level))
            self._leaves.setdefault(key, []).append(len(self.rows) - 1)
            return len(self.rows) - 1
        known = self.rows[best]
        for i, word in enumerate(words):
            if known.words[i] != word:
                known.words[i] = WILDCARD
        known.gaps = [a or b for a, b in zip(known.gaps, gaps, strict=True)]
        return best


def _count(counts: Counts, ns: int, before: bool) -> None:
    if before:
        counts.before += 1
        return
    counts.now += 1
    counts.first_ns = min(counts.first_ns or ns, ns)
    counts.last_ns = max(counts.last_ns, ns)


def words_of(masked: str) -> tuple[list[str], list[bool]]:
    """The words of a masked line that do not vary, and the gaps between them (see Pattern).

    No word: what was masked, holds a digit, is a host name or a path, or names a user. Of `key=value`
    the key is one.
    """
    words: list[str] = []
    gaps: list[bool] = []
    gap, naming = False, False
    for token in masked.split():
        key = _KEY.match(token)
        if key:
            word = key.group()
        elif token.isalpha():
            word = "" if naming and token not in _NOT_NAMES else token
        elif (
            WILDCARD in token
            or any(map(str.isdigit, token))
            or not any(map(str.isalpha, token))
            or (("." in token or "/" in token) and (_HOST.fullmatch(token) or _PATH.fullmatch(token)))
            or naming
        ):
            word = ""
        else:
            word = token
        naming = token in _NAMING
        if word:
            words.append(word)
            gaps.append(gap)
            gap = False
        else:
            gap = True
    gaps.append(gap)
    return words, gaps


def content(line: str) -> tuple[str, str]:
    """What of a line is told apart, and the level where a field of JSON says it: of JSON and logfmt the
    message and the error, else the first line that says something."""
    if line[:1] == "{" and (fields := _json(line)) is not None:
        return _of_json(fields)
    first = line if "\n" not in line else next((part for part in line.splitlines() if part.strip()), "")
    if "msg=" in first or "message=" in first:
        found = {
            "msg" if m[1] in ("msg", "message") else "err": _plain(m[2]) for m in _LOGFMT.finditer(first)
        }
        if "msg" in found:
            return "", ": ".join(found[k] for k in ("msg", "err") if k in found)
    return "", first


def _json(line: str) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _of_json(fields: dict[str, Any]) -> tuple[str, str]:
    levels = (named(str(fields[k])) for k in _LEVEL_KEYS if isinstance(fields.get(k), str | int))
    level = next((level for level in levels if level), "")
    message = next((fields[k] for k in _MESSAGE_KEYS if isinstance(fields.get(k), str)), None)
    if message is None:
        return level, " ".join(f"{key}={value}" for key, value in sorted(fields.items()))
    inner, text = content(message) if message[:1] != "{" else ("", message)
    errors = [fields[k] for k in _ERROR_KEYS if isinstance(fields.get(k), str)]
    return level or inner, ": ".join([text, *errors[:1]])


def _plain(value: str) -> str:
    return value[1:-1].replace('\\"', '"') if value.startswith('"') else value
