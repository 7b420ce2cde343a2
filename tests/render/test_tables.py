"""What a narrow terminal still shows, and what a table colours."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from aiops_cli.models.result import FleetResult
from aiops_cli.render.output import Column, Style, View, render


@dataclass
class Row:
    name: str
    state: str
    at: str
    text: str


VIEW: View[Row] = View(
    "RowList",
    [
        Column("name", lambda r: r.name, keep=True),
        Column("state", lambda r: r.state),
        Column("at", lambda r: r.at, right=True, keep=True),
        Column("text", lambda r: r.text),
    ],
    lambda r: r.name,
)
ROWS = FleetResult([Row("FrontendErr", "critical", "02:00:00", "a long text " * 9)], [])


@pytest.mark.parametrize("width", [200, 80, 60, 45, 40, 38])
def test_names_times_and_short_words_are_cut_last(width: int) -> None:
    lines = render(VIEW, ROWS, Style(width=width)).splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[1].split()[:3] == ["FrontendErr", "critical", "02:00:00"]


@pytest.mark.parametrize("width", [30, 22, 16])
def test_however_narrow_it_fits(width: int) -> None:
    assert all(len(line) <= width for line in render(VIEW, ROWS, Style(width=width)).splitlines())


@pytest.mark.parametrize("width", [60, 45, 30, 20, 8])
def test_a_number_is_left_out_and_never_cut(width: int) -> None:
    view: View[float] = View(
        "NumberList",
        [
            Column("name", lambda n: "a-name-that-is-longer"),
            Column("state", lambda n: "FREERUN"),
            *(Column(f"title{i}", lambda n: f"{n:.0f}ns", right=True) for i in range(5)),
        ],
        str,
    )
    lines = render(view, FleetResult([2590.0], []), Style(width=width)).splitlines()
    assert all(len(line) <= width for line in lines)
    assert not re.search(r"\d…", lines[1])


def test_a_severity_is_sorted_by_how_bad_it_is() -> None:
    rows = [Row(s, s, "", "") for s in ("info", "warning", "critical")]
    view = View("RowList", [Column("severity", lambda r: r.state)], VIEW.name)
    told = render(view, FleetResult(rows, []), Style(sort="severity", headers=False)).split()
    assert told == ["critical", "warning", "info"]


def test_names_get_the_room_of_what_was_left_out() -> None:
    """Shortening the name is not enough here: the state goes too, and the name takes of its room."""
    row = Row("a-name-that-is-longer", "critical", "02:00:00", "a long text " * 9)
    lines = render(VIEW, FleetResult([row], []), Style(width=28)).splitlines()
    assert lines[1] == "a-name-that-i…  02:00:00"


def test_states_are_coloured_where_colour_is_wanted() -> None:
    plain, coloured = (render(VIEW, ROWS, Style(width=80, colour=c)) for c in (False, True))
    assert "\033" not in plain
    assert "\033[1;31mcritical\033[0m" in coloured
    assert coloured.replace("\033[1;31m", "").replace("\033[0m", "") == plain
