"""Where colour is shown, and a waterfall in it."""

from __future__ import annotations

import io

import pytest

from aiops_cli.render.colour import level_of_word, wanted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wanted(Terminal())
    assert not wanted(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wanted(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not wanted(Terminal())


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("critical", "fatal"),
        ("WARNING", "warn"),
        ("error", "error"),
        ("info", None),
        ("ONLINE", None),
        (None, None),
    ],
)
def test_words_of_severity_and_state_have_levels(word: str | None, level: str | None) -> None:
    assert level_of_word(word) == level
