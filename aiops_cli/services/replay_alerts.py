"""Recorded alerts."""

from __future__ import annotations

from aiops_cli.models.result import Answer
from aiops_cli.models.signals import AlertItem


class RecordedAlerts:
    def __init__(self, alerts: list[AlertItem]) -> None:
        self._alerts = alerts

    async def alerts(self) -> Answer[AlertItem]:
        return Answer(list(self._alerts), "bundle")
