"""GPUs whose metrics ended within the window: fallen off the bus, or with their node or exporter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aiops_cli.analysis.gpu import Key, Labels, key_of, rows
from aiops_cli.analysis.gpu_findings import finding, key, xids
from aiops_cli.analysis.gpu_history import Past
from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu, GpuUser
from aiops_cli.models.samples import Sample

_SHOWN = "DCGM_FI_DEV_FB_USED"  # any metric that makes a row


class Gone(NamedTuple):
    """A GPU as a whole, by what its labels said, with who held it when it was measured last, and its past."""

    gpu: Gpu
    past: Past


def gone(
    labels: Iterable[Labels],
    there: Sequence[Gpu],
    pasts: Mapping[Key, Past],
    cluster: str,
    last: Mapping[str, float] | None = None,
) -> list[Gone]:
    """Of the GPUs with these labels those that are not there any more; a GPU that is divided differently
    is. `last` is when they were measured last, by UUID, else what their past says."""
    known = {key(gpu)[0] for gpu in there}
    lost = [Sample(_SHOWN, one, 0.0) for one in labels if (of := key_of(one)) and of[0] not in known]
    boards: dict[str, Gpu] = {}
    for gpu in rows(lost, cluster, "prometheus"):
        boards.setdefault(key(gpu)[0], gpu)
    parts_of: dict[str, list[Past]] = {}
    for (board, _), past in pasts.items():
        if board in boards:
            parts_of.setdefault(board, []).append(past)
    found = []
    for uuid, gpu in boards.items():
        parts = parts_of.get(uuid, [])
        whole = pasts.get((uuid, "")) or Past()
        whole.seen = max((p.seen for p in parts if p.seen is not None), default=None)
        whole.seen = (last or {}).get(uuid, whole.seen)
        users = [
            GpuUser(namespace or None, pod, container or None)
            for namespace, pod, container in dict.fromkeys(user for p in parts for user in p.holders)
        ]
        found.append(Gone(_bare(gpu, users), whole))
    return found


def _bare(gpu: Gpu, users: list[GpuUser]) -> Gpu:
    """What stays true of a GPU that nobody measures: which it is, and whose it was."""
    first = users[0] if users else None
    return Gpu(
        cluster=gpu.cluster,
        node=gpu.node,
        index=gpu.index,
        uuid=gpu.uuid,
        model=gpu.model,
        pci_bus_id=gpu.pci_bus_id,
        driver=gpu.driver,
        namespace=first.namespace if first else None,
        pod=first.pod if first else None,
        container=first.container if first else None,
        users=users,
        source=gpu.source,
    )


def gone_findings(lost: Sequence[Gone], there: Sequence[Gpu]) -> list[Finding]:
    """One finding a GPU: critical where its node's exporter still tells of others; and the XIDs that came
    before."""
    alive = {gpu.node for gpu in there}
    found: list[Finding] = []
    for gpu, past in lost:
        alone = gpu.node in alive
        found += xids(gpu, past)
        found.append(
            finding(
                gpu,
                "GPU_GONE",
                "critical" if alone else "warning",
                "its metrics ended, those of its node's other GPUs go on"
                if alone
                else "its metrics ended, and so did those of its whole node",
                "look at the node's kernel log (NVRM: Xid): mostly it fell off the bus; reboot the node"
                if alone
                else "see whether node and exporter still run; a node that was taken away is no trouble",
                since=past.seen,
            )
        )
    return found
