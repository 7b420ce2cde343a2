"""Matchers as amtool takes them: bare arguments, each `name=value` with =, !=, =~ or !~.

The syntax is Alertmanager's (pkg/labels/parse.go): quotes around a value may be left out, `\\n`, `\\"`
and `\\\\` are escapes, a regex matches the whole value, a missing label equals "".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiops_cli.errors import UsageError
from aiops_cli.models.alerts import SilenceMatcher
from aiops_cli.sources.re2 import compiled

_MATCHER = re.compile(r'\s*([a-zA-Z_:][\w:]*|"(?:[^"\\]|\\.)+")\s*(=~|!~|!=|=)\s*(.*?)\s*', re.S | re.A)
_ATTEMPT = re.compile(r'\s*(?:[a-zA-Z_:][\w:]*|".*")\s*(=|!)|\s*\{', re.S | re.A)
_ESCAPE = re.compile(r'\\([n"\\])')
_HINT = 'write alertname="Down", severity=~"critical|warning", team!=web'


@dataclass(frozen=True, slots=True)
class Matcher:
    """One matcher; `pattern` is set for a regex."""

    name: str
    op: str
    value: str
    pattern: re.Pattern[str] | None = None

    def matches(self, labels: dict[str, str]) -> bool:
        own = labels.get(self.name, "")
        same = own == self.value if self.pattern is None else self.pattern.fullmatch(own) is not None
        return same is (self.op in ("=", "=~"))

    @property
    def wire(self) -> SilenceMatcher:
        """As Alertmanager's silences hold it; its text is what `filter` takes."""
        return SilenceMatcher(self.name, self.value, "~" in self.op, self.op[0] == "=")


def parse_matchers(words: Sequence[str]) -> list[Matcher]:
    """The matchers of bare arguments; a first one that is none is an alertname. Raises UsageError.

    A word in braces may hold several, separated by commas.
    """
    found = []
    for i, word in enumerate(words):
        text = word.strip()
        if text.startswith("{") and text.endswith("}"):
            found += [_matcher(part) for part in _split(text[1:-1])]
        elif i == 0 and not _ATTEMPT.match(word):
            found.append(Matcher("alertname", "=", word))
        else:
            found.append(_matcher(word))
    return found


def matcher(name: str, op: str, value: str) -> Matcher:
    """Raises UsageError for a regex that can't be read here."""
    return Matcher(name, op, value, _regex(value) if "~" in op else None)


def _matcher(text: str) -> Matcher:
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no matcher", hint=_HINT)
    name = found[1]
    if name.startswith('"'):
        name = _ESCAPE.sub(_unescape, name[1:-1])
    raw = found[3]
    if raw.startswith('"'):
        raw = raw[1:]
        if not re.fullmatch(r'(?:[^"\\]|\\.)*"', raw, re.S):
            raise UsageError(f"the quotes of the matcher {text!r} do not match", hint=_HINT)
        raw = raw[:-1]
    elif re.search(r'(?<!\\)(?:\\\\)*"', raw):
        raise UsageError(f"the value of the matcher {text!r} holds a bare quote", hint='write it as \\"')
    return matcher(name, found[2], _ESCAPE.sub(_unescape, raw))


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _split(text: str) -> list[str]:
    """The parts between commas that stand outside of quotes."""
    parts = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+', text, re.S)
    return [p for p in parts if p.strip()]


def _regex(value: str) -> re.Pattern[str]:
    """A regex in RE2's syntax. Raises UsageError."""
    try:
        return compiled(value)
    except ValueError as error:
        raise UsageError(
            f"the regex {value!r} can't be read: {error}",
            hint="fix the regex; \\p{…} classes are not known here",
        ) from None
