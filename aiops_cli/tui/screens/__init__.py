"""The screens, one file each; `SCREENS` names them without importing any."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiops_cli.tui.board import Board


@dataclass(frozen=True, slots=True)
class Entry:
    """A screen: its name in the prompt, the key that opens it, its title, and other names it answers to."""

    name: str
    key: str
    title: str
    meaning: str
    aliases: tuple[str, ...] = ()

    def load(self) -> type[Board]:
        """Its class: `screens/NAME.py` has it as `SCREEN`."""
        found: type[Board] = importlib.import_module(f"aiops_cli.tui.screens.{self.name}").SCREEN
        return found


SCREENS: dict[str, Entry] = {
    e.name: e
    for e in (
        Entry("fleet", "1", "Fleet", "The clusters, what is wrong with them, alerts, GPUs.", ("clusters", "fl")),
        Entry("cluster", "2", "Cluster", "One cluster: health, endpoints, nodes, namespaces, events.", ("cl", "events")),
        Entry("metrics", "3", "Metrics", "PromQL over the fleet, plotted.", ("m", "query")),
        Entry("logs", "4", "Logs", "Log lines of the fleet: query, live tail, patterns.", ("l", "tail")),
        Entry("traces", "5", "Traces", "Search, waterfall, critical path, service graph.", ("t",)),
        Entry("alerts", "6", "Alerts", "Alerts, their rules, silences.", ("a", "silences")),
        Entry("gpu", "7", "GPU", "GPUs, what runs on them, findings.", ("g", "gpus")),
        Entry("cnf", "8", "CNF", "PTP clocks, SR-IOV, DPDK, workloads.", ("c", "ptp", "sriov", "dpdk")),
        Entry("rca", "9", "RCA", "Anomalies and ranked root causes, with evidence.", ("anomalies", "causes")),
        Entry("chat", "0", "Chat", "Ask a local model about the fleet.", ("ask",)),
        Entry("reports", "comma", "Reports", "Kept reports and analyses; settings.", ("settings", "config")),
    )
}  # fmt: skip


def named(word: str) -> Entry | None:
    """The screen of this name or alias; of a prefix where only one begins so."""
    said = word.lower()
    for entry in SCREENS.values():
        if said == entry.name or said in entry.aliases:
            return entry
    near = [e for e in SCREENS.values() if said and e.name.startswith(said)]
    return near[0] if len(near) == 1 else None
