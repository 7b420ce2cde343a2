"""Root-cause analysis: from observations around a moment to causes, best first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiops_cli.analysis.observations import Observations
    from aiops_cli.models.analysis import Cause


def analyze(obs: Observations, *, limit: int = 10) -> list[Cause]:
    """The causes that explain `obs` best, at most `limit`, ranked from 1; empty when nothing deviates."""
    raise NotImplementedError
