"""How earlier analyses look in tables."""

from __future__ import annotations

from aiops_cli.render.output import Column, View
from aiops_cli.store.state import Analysis


def _first(analysis: Analysis) -> str | None:
    if not analysis.causes:
        return None
    entity = analysis.causes[0].entity
    return f"{entity.cluster}/{entity.name} {analysis.causes[0].indicator}"


ANALYSES: View[Analysis] = View(
    "AnalysisList",
    [
        Column("id", lambda a: a.id),
        Column("at", lambda a: a.at),
        Column("clusters", lambda a: ",".join(a.clusters)),
        Column("first cause", _first),
        Column("causes", lambda a: str(len(a.causes)), right=True, plain=lambda a: len(a.causes)),
    ],
    lambda a: a.id,
)
