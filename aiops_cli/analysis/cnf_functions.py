"""Which network function a workload is, by words of its names and labels.

Names split at everything but letters and digits, so that `oai-amf-0` has the word amf, and `smfd` is no
SMF. Names: 3GPP TS 23.501 (5G core), TS 38.401 (gNB-CU, gNB-DU), O-RAN WG1 (O-DU, O-CU, RIC).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

FUNCTIONS: dict[str, tuple[str, ...]] = {
    "vDU": ("du", "vdu", "odu", "du[0-9]*", "vdu[0-9]*", "gnbdu", "odu[0-9]*"),
    "vCU": ("cu", "vcu", "ocu", "cucp", "cuup", "vcu[0-9]*", "cu[0-9]*", "gnbcu", "vcucp", "vcuup"),
    "gNB": ("gnb", "gnodeb", "enb", "enodeb", "gnb[0-9]*"),
    "RIC": ("ric", "nearrtric", "nonrtric"),
    "UPF": ("upf", "upf[0-9]*", "iupf", "psaupf", "vupf"),
    "AMF": ("amf", "amf[0-9]*"),
    "SMF": ("smf", "smf[0-9]*"),
    "NRF": ("nrf", "nrf[0-9]*"),
    "AUSF": ("ausf", "ausf[0-9]*"),
    "UDM": ("udm", "udm[0-9]*"),
    "UDR": ("udr", "udr[0-9]*"),
    "UDSF": ("udsf",),
    "PCF": ("pcf", "pcf[0-9]*"),
    "NSSF": ("nssf", "nssf[0-9]*"),
    "NEF": ("nef",),
    "NWDAF": ("nwdaf",),
    "BSF": ("bsf", "bsf[0-9]*"),
    "CHF": ("chf",),
    "SCP": ("scp", "scp[0-9]*"),
    "SEPP": ("sepp", "sepp[0-9]*"),
    "N3IWF": ("n3iwf",),
    "MME": ("mme", "mme[0-9]*"),
    "SGW": ("sgw", "sgwc", "sgwu"),
    "PGW": ("pgw", "pgwc", "pgwu"),
    "HSS": ("hss",),
    "PCRF": ("pcrf",),
    "IMS": ("pcscf", "icscf", "scscf", "ims"),
}

LABELS = (
    "app.kubernetes.io/component",
    "app.kubernetes.io/name",
    "component",
    "network-function",
    "networkFunction",
    "nf",
    "nf-type",
    "nfType",
    "cnf",
    "app",
    "k8s-app",
    "app.kubernetes.io/instance",
)
"""Labels that say what a pod is, the surest first."""

_WORD = re.compile(r"[A-Za-z0-9]+")
Patterns = Mapping[str, tuple[str, ...]]


def patterns(own: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """The known functions with the config's, which replace those of the same name."""
    return FUNCTIONS | {name: tuple(p.lower() for p in globs) for name, globs in own.items()}


def function_of(labels: Mapping[str, str], names: tuple[str, ...], known: Patterns) -> tuple[str, str] | None:
    """The function and by what it was found, such as ("UPF", "label app=oai-upf"); None for no function."""
    for label in LABELS:
        if (value := labels.get(label)) and (found := _of(value, known)):
            return found, f"label {label}={value}"
    for name in names:
        if found := _of(name, known):
            return found, f"name {name}"
    return None


def _of(text: str, known: Patterns) -> str | None:
    """By its last word that fits: a chart's name comes first (`open5gs-upf`)."""
    for word in reversed(_WORD.findall(text.lower())):
        for function, globs in known.items():
            if any(fnmatchcase(word, glob) for glob in globs):
                return function
    return None
