"""What looks like a secret in text and attributes of clusters: the value goes, the key stays.

It errs on the side of leaving out. Two things give a secret away: the name before it (`DB_PASSWORD=`,
`"client_secret": `, `--password `) and a shape of its own (a JWT, a PEM key, a token of a known kind).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"

# Nothing stands before these words: what does (`DB_`, `aws_`) is kept without being matched, so that
# long words cost no more than short ones.
_NAME = (
    r"(?:passw(?:or)?d|passphrase|pwd|(?<=[_-])pass|secret|token|credentials?|authorization|(?<![a-z])psk"
    r"|(?:api|access|account|auth|client|encryption|private|secret|shared|signing|ssh)[_. -]?key"
    r"|cookie)(?:[_-]?(?:data|hash|value|base64|b64|string))?\d{0,3}"
)
# One value: in quotes, in quotes that JSON inside of JSON escapes, or a bare word.
_VALUE = (
    r"(?:\\{1,8}[\"'](?:(?!\\{1,8}[\"']).)*|\"(?:[^\"\\]|\\.)*|'(?:[^'\\]|\\.)*"
    r"|[^\s\"'\\&;,})\]]+(?:,(?!\s|$|[\w.-]{1,64}[=:])[^\s\"'\\&;,})\]]*)*)"
)
_SCHEME = r"(?:[\"']?(?:bearer|basic|negotiate|ntlm|token|apikey|splunk)\s+)?"
_AFTER_NAME = r"\\{0,8}[\"']?\s*(?:=>|:=|[:=])\s*"

_BY_NAME = re.compile(
    # headers whose value has many words
    rf"(?P<cookie>cookie{_AFTER_NAME}[\"']?)[^\r\n\"'\\]+"
    rf"|(?P<header>authorization{_AFTER_NAME}[\"']?)(?:digest|hawk|aws4)[^\r\n]*"
    # PWD=/srv is where a process runs
    rf"|(?P<pair>(?!pwd\s*=\s*/){_NAME}{_AFTER_NAME}{_SCHEME}){_VALUE}"
    # --password x, and "--password", "x" in a list of arguments
    rf"|(?P<flag>(?<![\w-])--?[\w-]{{0,40}}{_NAME}[\"']?,?\s+)(?!-){_VALUE}"
    r"|(?P<user>(?<!\S)(?:-u|--user)[\s=]+[^\s:]{1,128}:)\S+"
    # PASSWORD 'x' and IDENTIFIED BY 'x' of SQL
    r"|(?P<sql>(?:password|identified\s+by)\s+)'[^']*'",
    re.IGNORECASE | re.DOTALL,
)
_BY_SHAPE = re.compile(
    r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----.*?(?:-----END (?:[A-Z]+ ){0,3}PRIVATE KEY-----|\Z)"
    r"|\b(?i:bearer)\s+[\w.~+/-]{8,}=*"
    r"|\b(?i:basic)\s+[A-Za-z0-9+/]{8,}={0,2}(?![\w.-])"
    r"|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"
    r"|(?<=://)[^/\s:@\"']*:[^/\s\"']+(?=@)"  # user and password of a URL
    r"|(?<=://)[^/\s:@\"']{20,}(?=@)"  # a token in their place
    r"|(?<=[?&]sig=)[^&\s\"']+"
    r"|\b(?:gh[pousr]_\w{16,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|sk-[\w-]{20,}|sk_(?:live|test)_\w{10,}|AIza[\w-]{30,}|hv[sb]\.[\w-]{20,}|npm_\w{30,}|sha256~[\w-]{40,})",
    re.DOTALL,
)
_QUOTE = re.compile(r"\\{0,8}[\"']")
_SECRET_NAME = re.compile(rf"{_NAME}(?:[._-]\d+)?\Z|passw(?:or)?d|passphrase|authorization", re.IGNORECASE)


def scrub(text: str) -> str:
    """A text with what looks like a secret replaced."""
    return _BY_SHAPE.sub(REDACTED, _BY_NAME.sub(_keep_name, text))


def _keep_name(match: re.Match[str]) -> str:
    name = match[match.lastgroup or 0]
    quote = _QUOTE.match(match[0], len(name))
    return name + (quote[0] if quote else "") + REDACTED


def is_secret_name(name: str) -> bool:
    """Whether a label or attribute of this name holds a secret, such as `db.password`; a `secret_name`
    does not."""
    return _SECRET_NAME.search(name) is not None


def scrub_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations, without what their names or values give away."""
    return {k: REDACTED if v and is_secret_name(k) else scrub(v) for k, v in labels.items()}


def scrub_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """As scrub_labels, for values of any depth; what is no JSON value becomes text."""
    return {
        k: REDACTED if v not in (None, "", True, False) and is_secret_name(k) else _scrub_value(v)
        for k, v in values.items()
    }


def _scrub_value(value: Any) -> Any:
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, dict):
        return scrub_attributes(value)
    if isinstance(value, (list, tuple)):
        return [_scrub_value(v) for v in value]
    return scrub(str(value))
