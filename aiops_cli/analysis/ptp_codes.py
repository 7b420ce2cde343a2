"""What the numbers of `openshift_ptp_*` mean, and the names under which they hide.

From openshift/linuxptp-daemon (pkg/daemon/metrics.go, pkg/event, pkg/dpll, pkg/alias) and
redhat-cne/cloud-event-proxy (plugins/ptp_operator); clock classes: IEEE 1588 and ITU-T G.8275.1 Table 3.
"""

from __future__ import annotations

import re
from functools import lru_cache

from aiops_cli.models.ptp import ClockState

PREFIX = "openshift_ptp_"
OS_CLOCK = "CLOCK_REALTIME"
# |ns| from here on is no measurement but a sentinel (999999 a faulty port, 99999999999 no value,
# -9999999999999999 FREERUN), or an offset that no statistic of a locked clock should hold.
UNUSABLE_NS = 999_999.0
SENTINELS = frozenset({999_999.0, -999_999.0, -9_999_999_999_999_999.0, 99_999_999_999.0})

STATES: dict[int, ClockState] = {0: "FREERUN", 1: "LOCKED", 2: "HOLDOVER"}
ROLES = {0: "PASSIVE", 1: "SLAVE", 2: "MASTER", 3: "FAULTY", 4: "UNKNOWN", 5: "LISTENING"}
FAULTY = 3
GNSS_FIX = 3  # 3 is a 3D fix, 4 GPS and dead reckoning, 5 time only
GNSS = {0: "no fix", 1: "dead reckoning only", 2: "a 2D fix only"}
DPLL_HOLDOVER = 4
GRANDMASTER_PROCESSES = frozenset({"ts2phc", "gnss", "dpll", "gm", "GM", "T-GM"})
CLASSLESS = frozenset({"phc2sys", "chronyd", "synce4l", "gnss"})
OFFSET_SOURCES = ("master", "phc", "sys", "gnss", "dpll", "ts2phc")  # which of several is the clock's own
APART = 600.0  # s for which all has to be well until a finding is over
GNSS_HOLDOVER_SECONDS = 14_400.0  # LocalHoldoverTimeout of pkg/dpll
HOLDOVER_SECONDS = 5.0  # holdOverTimeout of a PtpConfig

CLASSES = {
    6: ("locked", "locked to a primary reference (GNSS)"),
    7: ("holdover", "grandmaster in holdover, within specification"),
    13: ("locked", "locked to an application-specific time source"),
    14: ("holdover", "application-specific time source in holdover, within specification"),
    52: ("degraded", "primary reference out of specification, alternative A"),
    58: ("degraded", "application-specific time source out of specification, alternative A"),
    135: ("holdover", "boundary clock in holdover, within specification"),
    140: ("degraded", "grandmaster in holdover, out of specification, category 1 frequency"),
    150: ("degraded", "grandmaster in holdover, out of specification, category 2 frequency"),
    160: ("degraded", "grandmaster in holdover, out of specification, category 3 frequency"),
    165: ("degraded", "boundary clock in holdover, out of specification"),
    187: ("degraded", "primary reference out of specification, alternative B"),
    193: ("degraded", "application-specific time source out of specification, alternative B"),
    248: ("freerun", "free running, or never synchronised"),
    255: ("slave only", "slave-only clock"),
    0: ("unset", "not yet set"),
}


def class_text(value: int) -> str:
    return CLASSES[value][1] if value in CLASSES else f"clock class {value}, of no known meaning"


def class_word(value: int) -> str:
    return CLASSES[value][0] if value in CLASSES else "?"


def degraded(value: int) -> bool:
    """Whether who this clock follows is not locked to a reference."""
    return class_word(value) in ("holdover", "degraded", "freerun", "?")


_LAST_DIGITS = re.compile(r"(\D*)\d+")


@lru_cache(4096)
def aliases(port: str) -> frozenset[str]:
    """The names under which a port's clock may be exported: ports of a NIC share one.

    The last run of digits is an x (ens1f0 is ens1fx, and a `np0` or VLAN behind it is cut or kept); older
    releases put an x for the last character; where aliases collide the real name is kept.
    """
    base, dot, vlan = port.partition(".")
    names = {port}
    for stem in (base, re.sub(r"np\d+$", "", base)):
        if match := _LAST_DIGITS.match(stem[::-1]):  # from the end: a hostile name costs its length, no more
            names.add(f"{stem[: len(stem) - match.end()]}x{match[1][::-1]}{dot}{vlan}")
    names.add(port[:-1] + "x")
    return frozenset(names)
