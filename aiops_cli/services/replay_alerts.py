"""Recorded alerts."""

from __future__ import annotations

from aiops_cli.models.alerts import AlertRule
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.bundle import not_recorded


class RecordedAlerts:
    def __init__(self, alerts: list[AlertItem]) -> None:
        self._alerts = alerts

    async def alerts(self, *, pending: bool = False) -> Answer[AlertItem]:
        return Answer(list(self._alerts), "bundle")

    async def rules(self) -> Answer[AlertRule]:
        raise not_recorded("alerting rules", [])

    async def external_labels(self) -> dict[str, str]:
        """Recorded alerts and series carry what they have."""
        return {}
