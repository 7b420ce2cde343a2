"""SR-IOV on the CNF screen: PFs, and of the chosen one its node's state, policies, and VFs with who has them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from textual.app import ComposeResult
from textual.widget import Widget

from aiops_cli.models.cnf import SriovPf, SriovVf
from aiops_cli.models.findings import Finding
from aiops_cli.models.result import FleetResult
from aiops_cli.render.output import View
from aiops_cli.render.sriov_views import PFS, VFS, detail
from aiops_cli.render.text import cells
from aiops_cli.services.log_syntax import quoted
from aiops_cli.services.session import Session
from aiops_cli.tui.widgets.device_tab import NARROW, Answer, DeviceTab, Thing, narrowed
from aiops_cli.tui.widgets.document import Document
from aiops_cli.tui.widgets.grid import Grid

DAEMON = "sriov-network-config-daemon"
_OF_PF = replace(VFS, columns=[c for c in VFS.columns if c.title not in ("cluster", "node", "pf")])
_BRIEF = replace(
    _OF_PF,
    columns=[
        replace(c, wide=c.wide or c.title in ("name", "vlan", "mtu", "resource")) for c in _OF_PF.columns
    ],
)
_LINES = 9  # of the text at most


class SriovTab(DeviceTab[SriovPf]):
    DEFAULT_CSS = """
    SriovTab #pf-text { height: 5; }
    """
    NAME = "sriov"
    TITLE = "SR-IOV PFs"
    EMPTY = "no SriovNetworkNodeState in these clusters, and no sriov_vf_* series in their Prometheus"
    WELL = "no PF, VF or node of the operator is wrong"

    def __init__(self) -> None:
        super().__init__(PFS)
        self.vfs: Grid[tuple[SriovPf, SriovVf]] = Grid(_OF_PF, id="vfs")
        self._wanted_vf = ""
        self._of_nodes: dict[tuple[str, str], list[SriovPf]] = {}

    def inside(self) -> ComposeResult:
        self._text = Document(id="pf-text")
        yield self._text
        yield self.vfs

    async def ask(self, session: Session) -> Answer[SriovPf]:
        """As `aiops cnf sriov`."""
        from aiops_cli.services.sriov import limits_of, list_pfs

        return await list_pfs(session.members, limits_of(session.settings.sriov))

    def view(self, rows: Sequence[SriovPf], zone: tzinfo | None, *, narrow: bool) -> View[SriovPf]:
        """Where there is room, with more of what `-o wide` has of a PF; its pods and errors stand in the detail."""
        if narrow:
            return narrowed(PFS, len({r.cluster for r in rows}), ("node",), ("mtu",))
        shown = ("driver", "rx", "tx", "numa", "drain", "policies")
        columns = [replace(c, wide=False) if c.title in shown else c for c in PFS.columns]
        return replace(PFS, columns=columns)

    def follow(self, item: SriovPf | None) -> None:
        text = "" if item is None else detail(item)
        width = max(self.dashboard.size.width - 1, 1)
        lines = sum(-(-cells(line) // width) for line in text.splitlines())
        self._text.styles.height = min(max(lines, 1), _LINES)
        self._text.show(text.rstrip(), top=False)
        if item is not None and self.second is not None:
            rated = self.second.reading.value  # of the same PF: its VFs have rates
            if rated is not None and (more := self._same(item, rated.rows)) is not None:
                item = more
        self._show_vfs(item)

    def _show_vfs(self, item: SriovPf | None) -> None:
        view = _BRIEF if self.dashboard.size.width < NARROW else _OF_PF
        self.vfs.show([] if item is None else [(item, vf) for vf in item.vfs], view)
        if self._wanted_vf and self.vfs.select(self._wanted_vf):
            self._wanted_vf = ""

    def ask_more(self) -> Callable[[Session], Coroutine[Any, Any, Any]]:
        return self._ask_rates

    async def _ask_rates(self, session: Session) -> FleetResult[SriovPf]:
        """The rates of the chosen PF's VFs: the exporter has them of each."""
        from aiops_cli.services.sriov import limits_of, list_pfs

        pf = self.chosen
        members = [m for m in session.members if pf is not None and m.name == pf.cluster]
        found, _ = await list_pfs(members, limits_of(session.settings.sriov), vfs=True)
        rows = [r for r in found.rows if pf is not None and self.key(r) == self.key(pf)]
        return found.with_rows(rows)

    def show_more(self, answer: FleetResult[SriovPf]) -> None:
        if self.chosen is not None and (pf := self._same(self.chosen, answer.rows)) is not None:
            self._show_vfs(pf)

    def _same(self, item: SriovPf, rows: Sequence[SriovPf]) -> SriovPf | None:
        return next((r for r in rows if self.key(r) == self.key(item)), None)

    def within(self) -> Widget:
        return self.vfs

    # What is what

    def places(self, item: SriovPf) -> tuple[set[str], set[str]]:
        return {item.node}, set()

    def index(self, rows: Sequence[SriovPf]) -> None:
        self._of_nodes = {}
        for row in rows:
            self._of_nodes.setdefault((row.cluster, row.node), []).append(row)

    def concerned(self, finding: Finding) -> SriovPf | None:
        """The PF, or the one whose VF it is, else the first of the node."""
        node, _, rest = finding.entity.name.partition("/")
        if finding.entity.kind == "Pod":
            return None
        pfs = self._of_nodes.get((finding.cluster, node), [])
        if finding.entity.kind == "VF":
            return next((p for p in pfs if any(v.pci_address == rest for v in p.vfs)), None)
        return next((p for p in pfs if p.pf == rest), None) if rest else next(iter(pfs), None)

    def lead_inside(self, finding: Finding) -> None:
        if finding.entity.kind == "VF":
            self._wanted_vf = f"{finding.cluster}/{finding.entity.name}"
            self.vfs.select(self._wanted_vf)

    def thing(self, item: SriovPf) -> Thing:
        query = f"rate(sriov_vf_rx_packets{{node={quoted(item.node)}, pf={quoted(item.pf)}}}[5m])"
        return Thing(item.cluster, "Node", item.node, daemon=DAEMON, query=query)

    def thing_inside(self, grid: Grid[Any]) -> Thing | None:
        """The pod that has the VF under the cursor."""
        if grid is not self.vfs or (pair := self.vfs.selected) is None or pair[1].used_by is None:
            return None
        pf, vf = pair
        assert vf.used_by is not None
        query = f"rate(sriov_vf_rx_packets{{node={quoted(pf.node)}, pciAddr={quoted(vf.pci_address)}}}[5m])"
        return Thing(pf.cluster, "Pod", vf.used_by.pod, vf.used_by.namespace, query=query)
