"""Times that no date can say, and characters that a terminal obeys: shown, never obeyed, never fatal."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.render.alert_views import alert_view
from aiops_cli.render.output import Column, Style, View, render
from aiops_cli.render.text import clock, duration, sanitize, sparkline
from aiops_cli.render.views import when
from aiops_cli.services.rca import alert_time
from aiops_cli.services.times import rfc3339, rfc3339_ns

GO_ZERO = "0001-01-01T00:00:00Z"
NEW_YORK = ZoneInfo("America/New_York")


def alert(starts_at: str | None, state: str = "FIRING") -> AlertItem:
    return AlertItem("lab", "f", "Slow", state, None, {}, {}, starts_at)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1e300, "9999-12-31T23:59:59.000Z"),
        (float("inf"), "9999-12-31T23:59:59.000Z"),
        (-1e300, "0001-01-01T00:00:00.000Z"),
        (float("nan"), "0001-01-01T00:00:00.000Z"),
        (1764000000.25, "2025-11-24T16:00:00.250Z"),
    ],
)
def test_every_number_is_some_date(seconds: float, said: str) -> None:
    assert rfc3339(seconds) == said


def test_every_count_of_nanoseconds_is_some_date() -> None:
    assert rfc3339_ns(int("9" * 25)) == "9999-12-31T23:59:59.000000000Z"
    assert rfc3339_ns(-(10**25)) == "0001-01-01T00:00:00.000000000Z"
    assert rfc3339_ns(1764000000_000000007) == "2025-11-24T16:00:00.000000007Z"


def test_the_first_alert_is_found_among_starts_that_are_no_time() -> None:
    good = alert("2025-11-24T16:00:00Z")
    assert alert_time([alert("soon"), alert(GO_ZERO), alert(None), good]) == 1764000000
    assert alert_time([alert("soon")]) is None


def test_clocks_show_what_no_date_can_say() -> None:
    assert clock(1e15, NEW_YORK) == "1e+15"
    assert clock(-62135596800, NEW_YORK) == "0001-01-01 00:00:00"
    assert clock(253402300799, ZoneInfo("Asia/Tokyo")) == "9999-12-31 23:59:59"
    assert when(GO_ZERO, NEW_YORK) == when("soon", NEW_YORK) == "-"
    assert duration(float("inf")) == "+Inf"
    assert sparkline([-1.7e308, 1.7e308]) == "▁█"


def test_an_alert_without_a_start_has_no_age() -> None:
    text = render(alert_view(1764000000), FleetResult([alert(GO_ZERO)], []), Style(columns=("age",)))
    assert text.split() == ["AGE", "-"]


HOSTILE = "a\u009b31mRED\u202ex\u2028y\u2029\u061cz\x7f\u200f\U000e0041ü"
VIEW: View[dict[str, Any]] = View("Things", [Column("v", lambda i: i["v"])], lambda i: str(i["v"]))


@pytest.mark.parametrize("form", ["table", "wide", "json", "ndjson", "yaml", "csv", "md", "name"])
def test_no_format_lets_a_terminal_obey(form: str) -> None:
    text = render(VIEW, FleetResult([{"v": HOSTILE, HOSTILE: 1}], []), Style(form))
    assert not set(text) & (set(HOSTILE) - set("a31mREDxyzü"))
    assert "ü" in text


def test_escaped_text_says_the_same() -> None:
    result = FleetResult([{"v": HOSTILE, HOSTILE: [f"{HOSTILE}: '\"\\", "plain"]}], [])
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        assert read(render(VIEW, result, Style(form)))["items"] == result.rows
    assert json.loads(render(VIEW, result, Style("ndjson"))) == result.rows[0]


def test_sanitized_text_shows_what_it_hides() -> None:
    assert sanitize("a\x1bb\u2028c\u061cd\U000e0001e") == "a\\x1bb\\u2028c\\u061cd\\U000e0001e"


def test_rows_are_sorted_by_values_that_have_no_order() -> None:
    view: View[dict[str, Any]] = View("X", [Column("m", lambda i: str(i["m"]), plain=lambda i: i["m"])], str)
    rows = [{"m": {"b": 1}}, {"m": None}, {"m": {"a": 2}}]
    text = render(view, FleetResult(rows, []), Style(sort="m", headers=False))
    assert text.splitlines() == ["{'a': 2}", "{'b': 1}", "None"]
