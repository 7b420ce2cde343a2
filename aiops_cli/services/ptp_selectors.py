"""Selectors of `openshift_ptp_*`: bare, so that a bundle answers them from the raw series that it holds."""

from __future__ import annotations

from collections.abc import Sequence

from aiops_cli.analysis.ptp_readings import METRICS

OVER_TIME_METRICS = (
    "offset_ns",
    "max_offset_ns",
    "frequency_adjustment_ns",
    "clock_state",
    "clock_class",
    "interface_role",
    "process_status",
    "process_restart_count",
    "nmea_status",
    "gnss_status",
    "phase_status",
)


def selector(metrics: Sequence[str], *more: str) -> str:
    """All series of these metrics; `more` are further matchers."""
    return "{" + ",".join([f'__name__=~"openshift_ptp_({"|".join(metrics)})"', *more]) + "}"


NOW, OVER_TIME = selector(METRICS), selector(OVER_TIME_METRICS)
