"""From a row of any signal to the others: same cluster, same workload, same time."""

from __future__ import annotations

from collections.abc import Sequence

from aiops_cli.models.related import RelatedItem, Signal, Subject
from aiops_cli.models.result import FleetResult
from aiops_cli.services.fleet import Member


def subject_of(
    cluster: str, origin: Signal, labels: dict[str, str], at: float, start: float, end: float
) -> Subject:
    """What a row with these labels (Prometheus, Loki or span attributes) is about. Times in unix seconds."""
    return Subject(
        cluster=cluster,
        origin=origin,
        at=at,
        start=start,
        end=end,
        namespace=labels.get("namespace"),
        pod=labels.get("pod"),
        labels=labels,
    )


async def related(members: Sequence[Member], subjects: Sequence[Subject]) -> FleetResult[RelatedItem]:
    """What the other signals know of each subject."""
    raise NotImplementedError
