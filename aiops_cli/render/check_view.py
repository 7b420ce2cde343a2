"""How check results look in tables."""

from __future__ import annotations

from aiops_cli.render.output import Column, View
from aiops_cli.render.text import duration, si
from aiops_cli.services.check import CheckItem


def _message(item: CheckItem) -> str:
    if item.status != "PASS" and item.description:
        return f"{item.description}: {item.message}"
    return item.message


CHECKS: View[CheckItem] = View(
    "CheckList",
    [
        Column("status", lambda i: i.status),
        Column("check", lambda i: i.check),
        Column("cluster", lambda i: i.cluster),
        Column("severity", lambda i: i.severity),
        Column("value", lambda i: si(i.value), right=True, plain=lambda i: i.value),
        Column("message", _message),
        Column("assertion", lambda i: i.assertion, wide=True),
        Column(
            "took", lambda i: duration(i.duration_ms), right=True, wide=True, plain=lambda i: i.duration_ms
        ),
    ],
    lambda i: f"{i.cluster}/{i.check}",
)
