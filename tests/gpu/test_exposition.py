"""Pages of exporters, read directly."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from aiops_cli.sources.exposition import parse

PAGE = r"""# HELP a help text {with="braces"} 1
# TYPE a gauge
a 1
a{x="1"} 2.5
a{x="}",y="# {",} -3 1700000000000
a{x="a \"quoted\" \\ back\nline"} +Inf
a{ x = "spaced" , y = "z" }	NaN
b_bucket{le="0.5"} 7 # {trace_id="abc"} 0.4 1700000000
# EOF
"""


def test_labels_escapes_times_and_exemplars() -> None:
    page = parse(PAGE)
    assert page.skipped == 0
    assert [(s.name, s.labels, s.value) for s in page.samples[:4]] == [
        ("a", {}, 1),
        ("a", {"x": "1"}, 2.5),
        ("a", {"x": "}", "y": "# {"}, -3),
        ("a", {"x": 'a "quoted" \\ back\nline'}, math.inf),
    ]
    assert page.samples[4].labels == {"x": "spaced", "y": "z"}
    assert math.isnan(page.samples[4].value)
    assert page.samples[5] == ("b_bucket", {"le": "0.5"}, 7)


@pytest.mark.parametrize(
    "line", ["a{", 'a{x="1} 2', "a", 'a{x="1"}', 'a{x="1"} x', "a{x=1} 2", "1a 2", '{x="1"} 2', "a 1_0"]
)
def test_broken_lines_are_counted_and_the_others_read(line: str) -> None:
    page = parse(f"good 1\n{line}\ngood 2\n")
    assert [s.value for s in page.samples] == [1, 2]
    assert page.skipped == 1


_TEXT = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e")
)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True), _TEXT), st.floats(allow_nan=False))
def test_it_reads_what_the_official_parser_reads(labels: dict[str, str], value: float) -> None:
    def escaped(text: str) -> str:
        return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

    block = ",".join(f'{k}="{escaped(v)}"' for k, v in labels.items())
    text = f"metric{{{block}}} {value!r}\n"
    (family,) = text_string_to_metric_families(text)
    assert parse(text).samples == [(s.name, s.labels, s.value) for s in family.samples]


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    parse(text)
