"""Lines are held by how many and how long they are."""

from __future__ import annotations

from typing import Any

from aiops_cli.tui.widgets.log_buffer import Buffer, held
from aiops_cli.tui.widgets.log_following import Following


def _lines(first: int, count: int, size: int) -> list[Any]:
    return [("east", (n, "x" * size, {}, {})) for n in range(first, first + count)]


def test_long_lines_leave_before_there_are_many() -> None:
    buffer = Buffer(most=1000, most_size=1000)
    for first in range(0, 100, 10):
        buffer.append(held(_lines(first, 10, 100)))
    assert (len(buffer), buffer.dropped, buffer.first, buffer[buffer.end - 1][1][0]) == (10, 90, 90, 99)
    buffer.append(held(_lines(100, 1, 5000)))
    assert len(buffer) == 1, "the newest is always held"
    buffer.append(held(_lines(101, 10, 10)))
    assert len(buffer) == 10


def test_older_lines_come_as_far_as_there_is_room() -> None:
    buffer = Buffer(most=1000, most_size=1000)
    buffer.append(held(_lines(100, 5, 100)))
    buffer.prepend(held(_lines(50, 50, 90)))
    assert (len(buffer), buffer.room, buffer[buffer.first][1][0]) == (10, 0, 95)
    buffer.clear()
    assert buffer.room


def test_what_is_held_back_is_bounded_by_size_too() -> None:
    following = Following(None, [], "{}", None, most=1000, most_size=1000)  # type: ignore[arg-type]
    following._hold(_lines(0, 25, 100))
    assert (following.waiting, following.lost) == (10, 15)
    assert [line.ns for line in following.take()] == list(range(15, 25))
    following._hold(_lines(25, 10, 100))
    assert (following.waiting, following.lost) == (10, 15)
