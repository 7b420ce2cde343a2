"""Findings on terminals: codes and reasons can be read at any width, and no column is empty."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from aiops_cli.models.analysis import Entity
from aiops_cli.models.findings import Finding
from aiops_cli.render.finding_views import finding_text
from aiops_cli.render.output import Style
from aiops_cli.render.text import cells

NODE = "worker-0.a-long-domain.example.com"
LONG = Finding(
    "edge",
    "DPDK_HUGEPAGES_OVERCOMMITTED",
    "critical",
    Entity("Pod", "upf-data-plane-0", "core", "edge"),
    f"pods of {NODE} ask for 4096 MiB of 1Gi pages more than it has",
)
TIMED = Finding(
    "edge",
    "PTP_FREERUN",
    "warning",
    Entity("clock", f"{NODE}/phc2sys/CLOCK_REALTIME", None, "edge"),
    "not locked for 12 min: FREERUN or HOLDOVER, the daemon's own metrics do not tell",
    since="2026-11-25T04:00:00.000Z",
    until="2026-11-25T04:12:00.000Z",
)


@pytest.mark.parametrize("width", [50, 80, 100])
def test_nothing_of_a_finding_is_cut(width: int) -> None:
    text = finding_text([LONG, TIMED], Style(width=width), None)
    assert max(map(cells, text.splitlines())) <= width
    flat = " ".join(text.split())
    for finding in (LONG, TIMED):
        assert finding.code in flat and finding.text in flat
    if width >= 80:
        assert TIMED.entity.name in flat and "since 04:00:00 until 04:12:00" in flat.replace("  ", " ")


def test_a_table_has_no_empty_column() -> None:
    head, row = finding_text([LONG], Style(width=200), None).splitlines()
    assert head.split() == ["SEVERITY", "CODE", "ABOUT", "FINDING"]
    assert LONG.text in row
    head = finding_text([LONG, TIMED], Style(width=240), None).splitlines()[0]
    assert head.split() == ["SEVERITY", "CODE", "ABOUT", "SINCE", "UNTIL", "FINDING"]


def test_what_to_do_stands_where_there_is_room() -> None:
    told = replace(LONG, action="drain it")
    wide, narrow = (finding_text([told], Style(width=w), None) for w in (200, 100))
    assert wide.splitlines()[0].split()[-1] == "DO" and "drain it" in wide
    assert "drain it" not in narrow


def test_two_clusters_are_named() -> None:
    other = Finding(
        "west", "SRIOV_PF_DOWN", "critical", Entity("PF", "w/ens1f0", None, "west"), "no \x1b[31mlink"
    )
    text = finding_text([LONG, other], Style(width=60), None)
    assert "west  w/ens1f0" in text and "edge  core/upf-data-plane-0" in text
    assert "\x1b" not in text
