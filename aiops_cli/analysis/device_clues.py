"""Clues from findings about GPUs, clocks and network devices: what was wrong with one, and when it began."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from aiops_cli.analysis.clues import Clue, ClueKind
from aiops_cli.analysis.kube_clues import near
from aiops_cli.models.analysis import Entity, Evidence

if TYPE_CHECKING:
    from aiops_cli.analysis.entities import Directory
    from aiops_cli.analysis.observations import Observations
    from aiops_cli.models.findings import Finding

_LOUD = {"critical": 0.9, "warning": 0.6, "info": 0.15}
# What is usual at full load, or wasted, or told better by a series: no reason for trouble by itself.
_FAINT = frozenset({"GPU_MEMORY_FULL", "GPU_THROTTLED_POWER", "GPU_STRAGGLER", "SRIOV_VFS_EXHAUSTED"})
_NO_CLUE = frozenset({"GPU_IDLE_ALLOCATED", "SRIOV_VF_DROPS", "PTP_NODE_WITHOUT_METRICS"})
_TOPICS = {"GPU": "gpu", "PTP": "clock", "SRIOV": "loss"}
_LATE = 300.0
"""A finding is seen up to a scrape and a step after it began: later than this it follows from the trouble."""
_OLD, _OVER, _UNDATED = 0.25, 0.3, 0.7
"""Shares of a finding that began long before, that was over before the onset, and without a time."""


def clues(obs: Observations, directory: Directory, onset: float) -> list[Clue]:
    """One clue a finding. A system clock that is steered by a clock of its node which is bad too, only
    follows it."""
    bad = {
        (f.cluster, _node(f.entity)) for f in obs.findings if f.code.startswith("PTP_") and not _steered(f)
    }
    found = []
    for finding in obs.findings:
        if finding.code in _NO_CLUE:
            continue
        loud = 0.15 if finding.code in _FAINT else _LOUD[finding.severity]
        loud *= _timely(finding, onset)
        entity = directory.entity(entity_of(finding))
        follows = _steered(finding) and (finding.cluster, _node(finding.entity)) in bad
        kind: ClueKind = "symptom" if follows else "origin"
        topic = _TOPICS.get(finding.code.partition("_")[0], "other")
        evidence = Evidence(
            "metric",
            f"{finding.code}: {finding.text}{_times(finding)}",
            finding.since,
            finding.value,
            None,
            finding.unit or None,
            None,
            entity,
            round(loud, 4),
        )
        found.append(Clue(entity, kind, "metric", finding.code, topic, loud, _unix(finding.since), evidence))
    return found


def entity_of(finding: Finding) -> Entity:
    """What a finding is about, with its kind as analysis spells it. A device is of its node and of no
    namespace, whoever has it now."""
    e = finding.entity
    kind = e.kind.lower()
    return Entity(kind, e.name, e.namespace if kind == "pod" else None, e.cluster)


def _node(entity: Entity) -> str:
    return entity.name.partition("/")[0]


def _steered(finding: Finding) -> bool:
    """Whether it is about a clock that phc2sys sets by another of the node."""
    return "/phc2sys/" in finding.entity.name


def _timely(finding: Finding, onset: float) -> float:
    since, until = _unix(finding.since), _unix(finding.until)
    if until is not None and until < onset - _LATE:
        return _OVER
    if since is None:
        return _UNDATED
    if since > onset:
        return 1.0 if since <= onset + _LATE else 0.5
    return max(_OLD, near(since, onset))


def _times(finding: Finding) -> str:
    if finding.since is None:
        return ""
    return f", from {finding.since} to {finding.until}" if finding.until else f", since {finding.since}"


def _unix(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
