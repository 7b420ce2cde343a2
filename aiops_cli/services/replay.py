"""A cluster of a bundle: the same questions as a live one, answered from what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiops_cli.errors import AiopsError
from aiops_cli.models.fleet import Cluster
from aiops_cli.services.bundle import ClusterParts, RecordedCluster, not_recorded
from aiops_cli.services.replay_alerts import RecordedAlerts
from aiops_cli.services.replay_kube import RecordedKubeSource
from aiops_cli.services.replay_logs import RecordedLogSource
from aiops_cli.services.replay_metrics import RecordedMetrics
from aiops_cli.services.replay_traces import RecordedTraces

if TYPE_CHECKING:
    from aiops_cli.models.cnf_objects import CnfObjects
    from aiops_cli.services.bundle import Bundle


class RecordedMember:
    """A cluster of a bundle."""

    def __init__(self, cluster: Cluster, recorded: RecordedCluster, bundle: Bundle) -> None:
        self._cluster, self._recorded, self._bundle = cluster, recorded, bundle

    @property
    def name(self) -> str:
        return self._cluster.name

    @property
    def cluster(self) -> Cluster:
        return self._cluster

    @property
    def origin(self) -> str:
        return "bundle"

    @property
    def recorded(self) -> RecordedCluster:
        return self._recorded

    async def recover(self, error: AiopsError) -> bool:
        return False

    def _parts(self) -> ClusterParts:
        return self._bundle.parts_of(self.name)

    async def metrics(self) -> RecordedMetrics:
        parts = self._parts()
        if not parts.queries:
            raise not_recorded("any metric", [])
        return RecordedMetrics(parts.queries, self._bundle.end)

    async def alerts(self) -> RecordedAlerts:
        return RecordedAlerts(self._parts().alerts)

    async def logs(self) -> RecordedLogSource:
        return RecordedLogSource(self._parts().logs)

    async def log_lines(self) -> RecordedLogSource:
        return await self.logs()

    async def traces(self) -> RecordedTraces:
        return RecordedTraces(self._parts().spans)

    def cnf_objects(self) -> CnfObjects:
        """Objects of telecom APIs. Raises NotAvailableError (NOT_RECORDED) where there are none."""
        kube = self._parts().kube
        if kube is None or kube.cnf is None:
            raise not_recorded("any SR-IOV or data plane", [])
        return kube.cnf

    async def kube(self) -> RecordedKubeSource:
        kube = self._parts().kube
        if kube is None:
            raise not_recorded("the Kubernetes API", [])
        return RecordedKubeSource(kube.version, kube.events, kube.changes, kube.workloads, kube.states)
