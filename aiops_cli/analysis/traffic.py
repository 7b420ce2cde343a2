"""What traffic says: how much each entity serves, and who stopped calling whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiops_cli.analysis.clues import Clue
from aiops_cli.analysis.deviations import FAINT, LEAST_POINTS, Deviation, by_name, clean, step_of
from aiops_cli.analysis.indicators import classify, words
from aiops_cli.analysis.robust import strength
from aiops_cli.models.analysis import Entity, Evidence

if TYPE_CHECKING:
    from aiops_cli.analysis.entities import Directory
    from aiops_cli.analysis.graph import CallGraph
    from aiops_cli.analysis.observations import Observations

FAR_LESS = 0.4
"""Share of the usual traffic below which an entity has gone quiet."""


def lost_calls(found: list[Deviation], directory: Directory, graph: CallGraph) -> list[Clue]:
    """Callers that went on while several signs say that they no longer call what they used to.

    Falling traffic is not the fault of whom it fails to reach: a callee gone quiet points at its callers.
    """
    quiet: dict[Entity, float] = {}
    for deviation in found:
        clear = deviation.kind == "traffic" and deviation.sigmas >= FAINT
        if clear and deviation.usual > 0 and deviation.value <= FAR_LESS * deviation.usual:
            entity = directory.entity(deviation.indicator.entity)
            quiet[entity] = max(quiet.get(entity, 0.0), min(deviation.sigmas, 20.0))
    missing: dict[Entity, list[Entity]] = {}
    for callee in sorted(quiet):
        for caller in graph.callers(callee):
            if caller not in quiet:
                missing.setdefault(caller, []).append(callee)
    clues = []
    for caller, callees in missing.items():
        # Independent signs add up as variances do.
        sigmas = float(np.sqrt(sum(quiet[callee] ** 2 for callee in callees)))
        share = len(callees) / max(len(graph.callees(caller)), 1)
        loud = float(strength(sigmas, start=FAINT, full=20.0)) * 0.6 * min(1.0, 0.5 + share)
        names = ", ".join(callee.name for callee in callees[:4])
        text = f"{caller.name} goes on, but what it calls gets far less traffic: {names}"
        evidence = Evidence("metric", text, entity=caller, score=round(loud, 4))
        clues.append(Clue(caller, "origin", "metric", "lost_calls", "call_pattern", loud, None, evidence))
    return clues


_REQUESTS = frozenset({"requests", "request", "rps", "qps", "calls", "workload", "ops"})


def volumes(obs: Observations, onset: float, directory: Directory) -> tuple[dict[Entity, float], set[Entity]]:
    """Requests that each entity serves after the onset (median), by its request-rate indicator, and the
    entities that usually serve none: what is called only now is called because something else changed."""
    served: dict[Entity, float] = {}
    usually: dict[Entity, float] = {}
    reference = by_name(obs.reference)
    for indicator in obs.indicators:
        if classify(indicator.name)[0] != "traffic" or not words(indicator.name) & _REQUESTS:
            continue
        times, values = clean(indicator)
        after = times > onset - step_of(times)
        entity = directory.entity(indicator.entity)
        known = reference.get((indicator.entity, indicator.name), values[~after])
        if values[after].size:
            served[entity] = served.get(entity, 0.0) + max(float(np.median(values[after])), 0.0)
        if known.size >= LEAST_POINTS:
            usually[entity] = usually.get(entity, 0.0) + float(np.median(known))
    return served, {entity for entity, usual in usually.items() if usual <= 0}
