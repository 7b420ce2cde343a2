"""The windows that commands look at unless --since, --from or --to says otherwise, as their help tells them."""

from __future__ import annotations

_HOUR = "the last hour"

WINDOWS: dict[str, str] = {
    "metrics range": _HOUR,
    "metrics series": _HOUR,
    "metrics labels": _HOUR,
    "metrics values": _HOUR,
    "metrics exemplars": _HOUR,
    "logs query": _HOUR,
    "logs patterns": _HOUR,
    "logs labels": _HOUR,
    "logs series": _HOUR,
    "logs stats": _HOUR,
    "logs tail": "the last 10 lines of the last hour, then what comes",
    "traces search": _HOUR,
    "traces services": _HOUR,
    "traces operations": _HOUR,
    "traces graph": _HOUR,
    "traces metrics": _HOUR,
    "alerts list": "now; with --all those too that were resolved in the last hour",
    "alerts history": "the last day",
    "events": _HOUR,
    "related": "half an hour before --at (or now) to a quarter of an hour after it",
    "gpu nodes": _HOUR,
    "gpu summary": _HOUR,
    "cnf ptp": _HOUR,
    "cnf summary": _HOUR,
    "anomalies detect": "the last day",
    "rca analyze": _HOUR,
    "report generate": _HOUR,
    "bundle record": _HOUR,
    "clusters health": "now; with --history the last 90 days",
}
"""What comes after `aiops`, and the window in words. docs/configuration.md has the same list."""


def told(command: str) -> str:
    """The sentence for a command's help; empty for one that looks at no window."""
    window = WINDOWS.get(command)
    return f"Default window: {window} (--since, --from, --to)." if window else ""
