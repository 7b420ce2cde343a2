"""Times of day: the last one that was, in the zone asked for; the next one where something is yet to begin."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from aiops_cli.errors import UsageError
from aiops_cli.services.times import parse_time, parse_window, rfc3339

NOW = datetime(2026, 11, 24, 23, 55, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("23:40", "2026-11-24T23:40:00.000Z"),
        ("9:05", "2026-11-24T09:05:00.000Z"),
        ("23:40:05", "2026-11-24T23:40:05.000Z"),
        ("23:55", "2026-11-24T23:55:00.000Z"),
        ("23:56", "2026-11-23T23:56:00.000Z"),
    ],
)
def test_a_time_of_day_is_the_last_that_was(said: str, meant: str) -> None:
    assert rfc3339(parse_time(said, NOW, UTC)) == meant


def test_a_time_of_day_is_of_the_zone_and_ahead_where_it_is_yet_to_come() -> None:
    berlin = ZoneInfo("Europe/Berlin")  # 00:55 there
    assert rfc3339(parse_time("00:40", NOW, berlin)) == "2026-11-24T23:40:00.000Z"
    assert rfc3339(parse_time("22:00", NOW, UTC, ahead=True)) == "2026-11-25T22:00:00.000Z"


@pytest.mark.parametrize("said", ["25:99", "24:00", "7:60", "23:40:99"])
def test_a_time_of_day_that_there_is_not_is_refused(said: str) -> None:
    with pytest.raises(UsageError, match="no time of day") as refused:
        parse_time(said, NOW, UTC)
    assert "23:59" in refused.value.hint


@pytest.mark.parametrize(
    ("start", "end", "meant"),
    [
        ("23:20", "23:22", ("2026-11-24T23:20:00.000Z", "2026-11-24T23:22:00.000Z")),
        ("23:50", "00:10", ("2026-11-24T23:50:00.000Z", "2026-11-25T00:10:00.000Z")),
        ("23:20", None, ("2026-11-24T23:20:00.000Z", "2026-11-24T23:55:00.000Z")),
        (None, "9:05", ("2026-11-24T08:05:00.000Z", "2026-11-24T09:05:00.000Z")),
    ],
)
def test_a_window_by_times_of_day(start: str | None, end: str | None, meant: tuple[str, str]) -> None:
    window = parse_window(None, start, end, NOW, zone=UTC)
    assert (rfc3339(window.start), rfc3339(window.end)) == meant


def test_a_window_by_times_of_day_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(UsageError, match="ends before"):
        parse_window(None, "23:22", "23:20", NOW, zone=UTC)
