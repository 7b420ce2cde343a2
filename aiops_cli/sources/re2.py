"""Regular expressions in RE2's syntax, which servers read, as far as Python's `re` can say the same.

https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z",
    "space": r"\t\n\v\f\r ", "word": r"0-9A-Za-z_", "xdigit": "0-9A-Fa-f", "blank": r"\t ",
    "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip
_CLASS = re.compile(r"\[:(\^?\w+):\]")


def compiled(text: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """Raises ValueError for what can't be read here: `\\p{…}`, negated POSIX classes, what is no regex."""
    said = _CLASS.sub(lambda m: _POSIX.get(m[1], m[0]), text)
    if unknown := _CLASS.search(said):
        raise ValueError(f"the class {unknown[0]} is not known here")
    said = re.sub(r"\\Q(.*?)(?:\\E|$)", lambda m: re.escape(m[1]), said, flags=re.S)
    said = re.sub(r"(?<!\\)((?:\\\\)*)\\z", r"\1\\Z", said)
    try:
        return re.compile(said, flags | re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None
