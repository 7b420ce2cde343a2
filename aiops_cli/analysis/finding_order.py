"""The order in which findings are shown."""

from __future__ import annotations

from collections.abc import Iterable

from aiops_cli.models.findings import Finding

_RANK = {"critical": 0, "warning": 1, "info": 2}


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """By severity, then cluster, code, what it is about, and time."""
    return sorted(
        findings, key=lambda f: (_RANK[f.severity], f.cluster, f.code, f.entity.name, f.since or "")
    )
