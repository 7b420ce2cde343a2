"""Servers that refuse a request may quote its headers; what lets us in must not come back in a message."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote

HIDDEN = "[hidden]"
_SHORTEST = 4  # shorter values are no secrets, and replacing them would shred every message
_PUBLIC = frozenset({"x-scope-orgid", "accept", "content-type", "user-agent"})


def secrets_of(headers: Mapping[str, str], token: str | None) -> list[bytes]:
    """What to hide of a request with these own headers: the values, whole and without the scheme before
    them, and the token; each as it may stand in text, JSON, HTML or a URL; the longest first."""
    values = {token or ""}
    for name, value in headers.items():
        if name.lower() not in _PUBLIC:
            values |= {value, value.partition(" ")[2].strip()}
    shapes: set[str] = set()
    for value in values:
        if len(value) >= _SHORTEST:
            quoted = json.dumps(value)[1:-1]
            # Go's encoding/json also escapes these three.
            go = quoted.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
            shapes |= {value, quoted, go, html.escape(value), quote(value, safe="")}
    return sorted((shape.encode() for shape in shapes), key=len, reverse=True)


def without(body: bytes | bytearray, secrets: Iterable[bytes]) -> bytes | bytearray:
    """The body with every secret replaced."""
    for secret in secrets:
        if secret in body:
            body = body.replace(secret, HIDDEN.encode())
    return body
