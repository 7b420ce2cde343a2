"""Who a process of the shop is, from its environment, as a pod knows it by the downward API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

PREFIX = "SHOP_"


@dataclass(frozen=True)
class Identity:
    """`version` is the image's tag, `port` where the service listens, `admin_port` where metrics are.

    `hosts` says where each service listens ("ledger=127.0.0.1:21001,…"), as a cluster's DNS would.
    `volume` is a folder for the pod's own data, `data` one that outlives the pod.
    """

    service: str
    version: str
    cluster: str
    namespace: str
    pod: str
    node: str
    port: int
    admin_port: int
    hosts: str
    loki: str
    otlp: str
    volume: str
    data: str

    def environment(self) -> dict[str, str]:
        """What to start a process with for it to be this one."""
        return {PREFIX + name.upper(): str(value) for name, value in asdict(self).items()}

    def address_of(self, service: str) -> tuple[str, int]:
        """Host and port of a service. Raises KeyError for one the shop does not have."""
        known = dict(pair.split("=", 1) for pair in self.hosts.split(","))
        host, _, port = known[service].rpartition(":")
        return host, int(port)


def from_environment(environ: Mapping[str, str] = os.environ) -> Identity:
    """The identity that `environment` wrote. Raises KeyError when a part is missing."""
    fields = {name: environ[PREFIX + name.upper()] for name in Identity.__dataclass_fields__}
    return Identity(**{**fields, "port": int(fields["port"]), "admin_port": int(fields["admin_port"])})  # type: ignore[arg-type]
