"""The `/` filter of tables: what it keeps, and what it says where it can't be read."""

from __future__ import annotations

import pytest

from aiops_cli.errors import UsageError
from aiops_cli.tui.filtering import compile_filter

LABELS = {"severity": "critical", "app": "front end"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("front", True),
        ("!front", False),
        ("-l severity=critical -f fnt", True),
        ("-f fnt -l severity=critical", True),
        ("front -l severity=critical", True),
        ("!back -l severity!=warning", True),
        ("-l severity=warning -f fnt", False),
        ("-l severity=critical -f fxt", False),
        ("-l app=front end,severity=critical", True),
        ("-l severity=critical -l", True),
        ("frontend-db", False),
        ("-db", False),
    ],
)
def test_filters_hold_together(text: str, kept: bool) -> None:
    test = compile_filter(text)
    assert test is not None
    assert test("FrontendDown critical", LABELS) is kept


@pytest.mark.parametrize("text", ["", "!", "-l", "-f", " -l -f "])
def test_an_empty_filter_keeps_all(text: str) -> None:
    assert compile_filter(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-x foo", "-x is no filter"),
        ("front -x", "-x is no filter"),
        ("-l severity=~crit.*", "is a regex"),
        ("-l severity", "no key=value"),
        ("(", "regex"),
    ],
)
def test_what_is_no_filter_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compile_filter(text)
