"""Where series of sriov-network-metrics-exporter belong: their nodes, PFs and VFs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from aiops_cli.models.cnf import VfRates
from aiops_cli.models.cnf_objects import CnfNode, SriovNodeState
from aiops_cli.models.numbers import amount, whole

Labels = Mapping[str, str]
Readings = Sequence[tuple[Labels, float]]
Place = tuple[str, str]
"""A node, and a PCI address or the name of a PF on it."""


class Places:
    """Finds the node of a series: its `node` label, else the address that it was scraped from."""

    def __init__(self, nodes: Iterable[CnfNode], states: Iterable[SriovNodeState]) -> None:
        self._by_address = {a.address: n.metadata.name for n in nodes for a in n.status.addresses}
        self._by_address |= {n.metadata.name: n.metadata.name for n in nodes}
        names = {s.metadata.name for s in states}
        self._only = next(iter(names)) if len(names) == 1 else None
        self._blind = not self._by_address and not names
        self.unplaced = 0

    def node(self, labels: Labels) -> str | None:
        if named := labels.get("exported_node") or labels.get("node"):
            return named
        instance = labels.get("instance", "")
        host = instance.rpartition(":")[0].strip("[]")
        found = self._by_address.get(instance) or self._by_address.get(host) or self._only
        if found is None and self._blind:  # nothing to join with: the address tells nodes apart
            found = host or instance or None
        self.unplaced += found is None
        return found


def counted(readings: Readings, places: Places) -> dict[Place, int]:
    """Of each PF; an exporter that is scraped in two ways has no more VFs."""
    scraped: Counter[tuple[Place, str]] = Counter()
    for labels, value in readings:
        if node := places.node(labels):
            scraped[(node, labels.get("pf", "")), labels.get("instance", "")] += amount(value) or 0
    counts: dict[Place, int] = {}
    for (place, _), count in scraped.items():
        counts[place] = max(counts.get(place, 0), count)
    return counts


def known_vfs(of: Mapping[str, Readings], places: Places) -> dict[Place, list[tuple[int | None, str]]]:
    """Numbers and PCI addresses of the VFs of each PF that have series of their own."""
    found: dict[Place, dict[str, int | None]] = defaultdict(dict)
    for readings in of.values():
        for labels, _ in readings:
            if (node := places.node(labels)) and (pci := labels.get("pciAddr")):
                found[node, labels.get("pf", "")][pci] = whole(labels.get("vf", ""))
    return {
        place: sorted(((vf, pci) for pci, vf in vfs.items()), key=lambda v: (v[0] is None, v))
        for place, vfs in found.items()
    }


def rates_of(of: Mapping[str, Readings], places: Places, label: str) -> dict[Place, VfRates]:
    """By node and this label; of an exporter that is scraped in two ways the larger."""
    found: dict[Place, dict[str, float]] = defaultdict(dict)
    for name, readings in of.items():
        for labels, value in readings:
            if (node := places.node(labels)) and labels.get(label):
                there = found[node, labels[label]]
                there[name] = max(there.get(name, 0.0), round(value, 6))  # no 4.999999999999999 of a rate
    return {place: VfRates(**values) for place, values in found.items()}
