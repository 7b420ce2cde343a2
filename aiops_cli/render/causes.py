"""Root causes for people: the first in full, the others shorter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from aiops_cli.models.analysis import WEAK_CONFIDENCE, Cause, Entity, Evidence
from aiops_cli.render.text import clock, cut, one_line


def entity_text(entity: Entity) -> str:
    """cluster/namespace/name, with the kind in front where it is no service."""
    path = "/".join(p for p in (entity.cluster, entity.namespace, entity.name) if p)
    return path if entity.kind == "service" else f"{entity.kind} {path}"


def moment(text: str | None, zone: tzinfo | None) -> str:
    """An RFC 3339 time for people."""
    if not text:
        return "-"
    try:
        return clock(datetime.fromisoformat(text).timestamp(), zone)
    except ValueError:
        return text


def unread_text(unread: Mapping[str, Sequence[str]], most: int = 3) -> str:
    """`east without logs, alerts; west without metrics`; nothing where all was read."""
    said = [f"{cluster} without {', '.join(sources)}" for cluster, sources in unread.items()]
    rest = [f"{len(said) - most} more without a part"] if len(said) > most else []
    return one_line("; ".join([*said[:most], *rest]))


def nothing_text(unread: str) -> str:
    """That no cause was found, and in how much; `unread` is what could not be read, in words."""
    if unread:
        return f"nothing deviates in what could be read: no cause found there ({unread})"
    return "nothing deviates: no cause found in this window"


def causes_text(
    causes: Sequence[Cause], zone: tzinfo | None, width: int, *, full: int = 3, unread: str = ""
) -> str:
    """The ranking as text. `full` causes come with all evidence, the rest with their best; `unread` says what
    could not be read."""
    if not causes:
        return f"{nothing_text(unread)}\n"
    lines: list[str] = []
    if causes[0].confidence < WEAK_CONFIDENCE:
        lines += ["no clear cause: nothing in this window deviates much. The weak hints there are:", ""]
    if unread:
        lines += [f"not all could be read: {unread}", ""]
    for cause in causes:
        lines.append(
            f"{cause.rank}. {entity_text(cause.entity)}: {cause.indicator}   score {cause.score:.2f}, confidence "
            f"{cause.confidence:.2f}, since {moment(cause.onset, zone)}"
        )
        if cause.rank > full:
            lines += [f"   {evidence_text(e, zone)}" for e in cause.evidence[:1]]
            continue
        lines += [f"   + {evidence_text(e, zone)}" for e in cause.evidence]
        lines += [f"   - {evidence_text(e, zone)}" for e in cause.against]
        if len(cause.chain) > 1:
            lines.append("   way: " + " → ".join(e.name for e in cause.chain))
        if cause.blast_radius:
            names = [entity_text(e) for e in cause.blast_radius]
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            lines.append(f"   affects: {', '.join(names[:6])}{more}")
        lines += [f"   next: {step}" for step in cause.next_steps]
        lines.append("")
    return "\n".join(cut(one_line(line), width) for line in lines).rstrip() + "\n"


def evidence_text(evidence: Evidence, zone: tzinfo | None) -> str:
    at = moment(evidence.at, zone)[11:] if evidence.at else ""
    return f"{evidence.signal:<8} {at:<8} {evidence.text}"
