"""Matchers as amtool takes them; what amtool does with the same words is compared in tests/cli."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops_cli.errors import UsageError
from aiops_cli.models.alerts import SilenceMatcher
from aiops_cli.services.matchers import matcher, parse_matchers


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["Down"], ['alertname="Down"']),
        (["Down", "a!=b"], ['alertname="Down"', 'a!="b"']),
        ([' a =~ "x y" '], ['a=~"x y"']),
        (["a="], ['a=""']),
        (['{a="b,c", d!~e}'], ['a="b,c"', 'd!~"e"']),
        (['"http.code"="500"'], ['"http.code"="500"']),
        (["a=b=c"], ['a="b=c"']),
        (["KubeJob: not done"], ['alertname="KubeJob: not done"']),
    ],
)
def test_words_become_matchers(words: list[str], text: list[str]) -> None:
    assert [str(m.wire) for m in parse_matchers(words)] == text


@given(st.text(), st.sampled_from(["=", "!="]))
def test_what_is_written_is_read_again(value: str, op: str) -> None:
    wire = SilenceMatcher("a", value, False, op == "=")
    (read,) = parse_matchers([str(wire)])
    assert (read.name, read.op, read.value) == ("a", op, value)
    assert read.matches({"a": value}) is (op == "=")


@pytest.mark.parametrize(
    "words", [["a=b", "Down"], ['a="b'], ['a=b"c'], ['a="b"c'], ["a=~["], ["a=~\\pL"], ["{x}"]]
)
def test_what_is_none_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_matchers(words)


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("a.*", ["a", "abc"], ["ba", "a\nb"]),
        ("a|b", ["a", "b"], ["ab"]),
        ("[[:alpha:]]+", ["xY"], ["x1", ":a"]),
        (r"\Qa.b\E", ["a.b"], ["axb"]),
        (r"\d+\z", ["12"], ["٣", "12\n"]),
        ("(?i)DISK", ["disk"], ["disks"]),
        ("|x", ["", "x"], ["y"]),
    ],
)
def test_regexes_match_whole_values_as_re2_does(pattern: str, fits: list[str], not_: list[str]) -> None:
    regex = matcher("a", "=~", pattern)
    assert all(regex.matches({"a": value}) for value in fits)
    assert not any(regex.matches({"a": value}) for value in not_)
