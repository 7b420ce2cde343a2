"""What several clusters have in common: the same outside dependency failing in each at the same time."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from typing import TYPE_CHECKING

from aiops_cli.analysis.clues import Clue, sortable
from aiops_cli.analysis.graph import CallGraph
from aiops_cli.models.analysis import Entity

if TYPE_CHECKING:
    from collections.abc import Iterable

TOGETHER = 300.0
"""Clusters that share a cause are hit within so many seconds of each other."""


def is_shared_name(name: str) -> bool:
    """Whether a host name means the same in every cluster: fully qualified and not cluster-local."""
    host = name.split("/")[0].split(":")[0].rstrip(".").lower()
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        pass
    local = (".svc", ".local", ".internal", ".localdomain", ".localhost")
    return "." in host and not host.endswith(local) and ".svc." not in host


def shared_causes(clues: list[Clue], graph: CallGraph) -> tuple[list[Clue], CallGraph]:
    """Clues about one outside dependency from several clusters become clues about the dependency itself.

    Only a dependency that the clusters really share (the same fully qualified name, called from each) and
    only when the clues begin together; the others stay what they are. The entity has no cluster then.
    """
    clusters: dict[tuple[str, str], dict[str, list[Clue]]] = defaultdict(lambda: defaultdict(list))
    for clue in clues:
        entity = clue.entity
        if entity.kind in ("external", "database") and entity.cluster and is_shared_name(entity.name):
            clusters[entity.kind, entity.name][entity.cluster].append(clue)
    merged: dict[Entity, Entity] = {}
    for (kind, name), parts in clusters.items():
        if len(parts) >= 2 and _together(parts.values()):
            for cluster in parts:
                merged[Entity(kind, name, None, cluster)] = Entity(kind, name, None, None)
    if not merged:
        return clues, graph
    joined = [
        clue
        if clue.entity not in merged
        else Clue(
            merged[clue.entity],
            "origin",
            # Each cluster is a witness of its own.
            f"{clue.signal}@{clue.entity.cluster}",
            clue.indicator,
            clue.topic,
            clue.strength,
            clue.onset,
            clue.evidence,
            clue.change,
        )
        for clue in clues
    ]
    renamed = CallGraph()
    for caller in sorted(graph.entities(), key=sortable):
        for callee in graph.callees(caller):
            renamed.add(merged.get(caller, caller), merged.get(callee, callee))
    return joined, renamed


def _together(parts: Iterable[list[Clue]]) -> bool:
    onsets = []
    for clues in parts:
        times = [clue.onset for clue in clues if clue.onset is not None]
        if times:
            onsets.append(min(times))
    return len(onsets) < 2 or max(onsets) - min(onsets) <= TOGETHER
