"""One look at an endpoint: does it answer as the signal's API does?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aiops_cli.sources.alertmanager import AlertmanagerSource
from aiops_cli.sources.jaeger import JaegerSource
from aiops_cli.sources.korrel8r import Korrel8rSource
from aiops_cli.sources.loki import LokiSource
from aiops_cli.sources.prometheus import PrometheusSource
from aiops_cli.sources.tempo import TempoSource
from aiops_cli.transport.client import HttpClient


class _Source(Protocol):
    async def ready(self) -> None: ...


_SOURCES: dict[str, Callable[[HttpClient], _Source]] = {
    "prometheus": PrometheusSource,
    "alertmanager": AlertmanagerSource,
    "loki": LokiSource,
    "tempo": TempoSource,
    "jaeger": JaegerSource,
    "korrel8r": Korrel8rSource,
}


async def ready(signal: str, client: HttpClient) -> None:
    """Raises ClusterError unless the signal's own API answers there."""
    await _SOURCES[signal](client).ready()
