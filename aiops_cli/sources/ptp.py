"""The PTP operator's objects (ptp.openshift.io/v1): PtpConfig, NodePtpDevice, PtpOperatorConfig.

Shapes: openshift/ptp-operator api/v1. Only what `cnf ptp` uses is decoded.
"""

from __future__ import annotations

import asyncio
import re
from typing import TypeVar

import msgspec

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.ptp import PtpProfile, PtpSetup
from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.sources.kubernetes_objects import Meta

T = TypeVar("T")
_API = "/apis/ptp.openshift.io/v1"
_SECTION = re.compile(r"^\s*\[([^\]\s]+)\]", re.M)
_NO_PORTS = ("global", "nmea")


class _Thresholds(msgspec.Struct, rename="camel"):
    hold_over_timeout: float | None = None
    max_offset_threshold: float | None = None
    min_offset_threshold: float | None = None


class _Profile(msgspec.Struct, rename="camel"):
    name: str = ""
    interface: str | None = None
    ptp4l_conf: str | None = msgspec.field(name="ptp4lConf", default=None)
    ts2phc_conf: str | None = msgspec.field(name="ts2phcConf", default=None)
    ptp_clock_threshold: _Thresholds | None = None
    ptp_settings: dict[str, str] | None = None


class _Match(msgspec.Struct, rename="camel"):
    node_name: str | None = None


class _Recommend(msgspec.Struct):
    profile: str | None = None
    match: list[_Match] | None = None


class _Matched(msgspec.Struct, rename="camel"):
    node_name: str = ""
    profile: str = ""


class _Spec(msgspec.Struct):
    profile: list[_Profile] | None = None
    recommend: list[_Recommend] | None = None


class _Status(msgspec.Struct, rename="camel"):
    match_list: list[_Matched] | None = None


class _Config(msgspec.Struct):
    metadata: Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _Device(msgspec.Struct):
    name: str = ""


class _DeviceStatus(msgspec.Struct):
    devices: list[_Device] | None = None


class _NodeDevice(msgspec.Struct):
    metadata: Meta
    status: _DeviceStatus = msgspec.field(default_factory=_DeviceStatus)


class _Events(msgspec.Struct, rename="camel"):
    enable_event_publisher: bool = False


class _OperatorSpec(msgspec.Struct, rename="camel"):
    ptp_event_config: _Events | None = None


class _OperatorConfig(msgspec.Struct):
    metadata: Meta
    spec: _OperatorSpec = msgspec.field(default_factory=_OperatorSpec)


async def read_setup(kube: KubernetesSource) -> PtpSetup | None:
    """What the operator was told, in all namespaces; None where the cluster has no PTP operator.

    Raises ClusterError for PtpConfigs that can't be listed; what else can't be is left out.
    """
    try:
        configs = (await kube.everywhere(_API, "ptpconfigs", _Config)).rows
    except ClusterError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return None
        raise
    devices, operators = await asyncio.gather(
        _listed(kube, "nodeptpdevices", _NodeDevice), _listed(kube, "ptpoperatorconfigs", _OperatorConfig)
    )
    told = [o.spec.ptp_event_config for o in operators]
    return PtpSetup(
        {p.name: _profile(p) for c in configs for p in c.spec.profile or []},
        _nodes(configs),
        {d.metadata.name: tuple(x.name for x in d.status.devices or []) for d in devices},
        any(e is not None and e.enable_event_publisher for e in told) if told else None,
    )


async def _listed(kube: KubernetesSource, resource: str, kind: type[T]) -> list[T]:
    try:
        return (await kube.everywhere(_API, resource, kind)).rows
    except ClusterError:
        return []


def _nodes(configs: list[_Config]) -> dict[str, tuple[str, ...]]:
    """Profiles by node: those that the operator matched, else those recommended to the node by name."""
    found: dict[str, dict[str, None]] = {}
    for config in configs:
        matched = [(m.node_name, m.profile) for m in config.status.match_list or []]
        named = [
            (m.node_name or "", r.profile or "") for r in config.spec.recommend or [] for m in r.match or []
        ]
        for node, profile in matched or named:
            if node and profile:
                found.setdefault(node, {})[profile] = None
    return {node: tuple(names) for node, names in found.items()}


def _profile(profile: _Profile) -> PtpProfile:
    threshold = profile.ptp_clock_threshold or _Thresholds()
    conf = profile.ptp4l_conf or ""
    ports = [s for s in _SECTION.findall(conf) if s not in _NO_PORTS]
    return PtpProfile(
        profile.name,
        tuple(dict.fromkeys([*([profile.interface] if profile.interface else []), *ports])),
        _clock_type(profile, ports),
        threshold.min_offset_threshold,
        threshold.max_offset_threshold,
        threshold.hold_over_timeout,
    )


def _clock_type(profile: _Profile, ports: list[str]) -> str | None:
    """T-GM, T-BC or OC, as the operator's documentation builds them; None where the text does not tell."""
    if told := (profile.ptp_settings or {}).get("clockType"):
        return told
    conf, satellites = profile.ptp4l_conf or "", profile.ts2phc_conf or ""
    if "nmea" in satellites:
        return "T-GM"
    if _option(conf, "boundary_clock_jbod", "1") or (_option(conf, "masterOnly", "1") and len(ports) > 1):
        return "T-BC"
    slave = _option(conf, "slaveOnly", "1") or _option(conf, "clientOnly", "1")
    return "OC" if slave or len(ports) == 1 or profile.interface else None


def _option(conf: str, name: str, value: str) -> bool:
    return re.search(rf"^\s*{name}\s+{value}\s*$", conf, re.M) is not None
