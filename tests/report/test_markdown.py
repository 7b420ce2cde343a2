"""Markdown from hostile text: a CommonMark parser gives back the text and finds nothing else in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from aiops_cli.render.markdown import block, code, table, text
from aiops_cli.render.text import one_line, sanitize

PARSER = MarkdownIt("commonmark").enable("table")
HOSTILE = [
    "plain",
    "a | b || c",
    "`code` and ``more``",
    "\\ trailing \\",
    "*bold* _em_ __init__ snake_case ~~gone~~",
    "<script>alert(1)</script> <!-- x --> &amp; &#35;",
    "[link](http://evil.example) ![img](x) <http://auto.example>",
    "# heading",
    "###### six",
    "- item",
    "+ item",
    "1. one",
    "12) twelve",
    "0.05 is no list",
    "---",
    "===",
    "> quote",
    "    indented",
    "line\nbreak\r\nmore",
    "\x1b]0;owned\x07\x00\u202eevil",
    "tab\there",
    "[x]: http://reference.example 'title'",
    "www.example.com http://example.com",
    "a\\|b",
    "hard break  ",
    "",
]
anything = st.text(
    alphabet=st.one_of(st.sampled_from("\\`*_[]<>&|~#-+=.)(!:/1 aé\n\t"), st.characters(codec="utf-8")),
    max_size=40,
)


def inline(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens if token.type == "inline" for child in token.children or []]


def shown(value: str) -> str:
    """What a reader should see of it; blanks around it count for nothing in Markdown."""
    return one_line(value).strip()


def check_text(value: str) -> None:
    tokens = PARSER.parse(text(value))
    assert {t.type for t in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    children = inline(tokens)
    assert {c.type for c in children} <= {"text", "text_special"}
    assert "".join(c.content for c in children) == shown(value)


@pytest.mark.parametrize("value", HOSTILE)
def test_text_shows_itself_and_nothing_else(value: str) -> None:
    check_text(value)


@given(anything)
def test_any_text_shows_itself_and_nothing_else(value: str) -> None:
    check_text(value)


@given(anything)
def test_any_code_span_holds_its_text(value: str) -> None:
    children = inline(PARSER.parse(f"x {code(value)}"))
    if not one_line(value).strip():
        assert [c.content for c in children] == ["x -"]
        return
    assert [c.type for c in children if c.content] == ["text", "code_inline"]
    assert children[-1].content.strip() == one_line(value).strip()


@given(anything)
def test_any_block_holds_its_lines(value: str) -> None:
    tokens = PARSER.parse(block(value))
    assert [t.type for t in tokens] == ["fence"]
    assert tokens[0].content == sanitize(value.replace("\r\n", "\n")) + "\n"


@given(anything, anything)
def test_any_cell_stays_in_its_column(first: str, second: str) -> None:
    tokens = PARSER.parse(table(("one", "two"), [(text(first), code(second, cell=True))]))
    cells = [t for t in tokens if t.type == "inline"]
    assert [t.content for t in cells[:2]] == ["one", "two"] and len(cells) == 4
    left, right = cells[2].children or [], cells[3].children or []
    assert "".join(c.content for c in left) == (shown(first) or "-")
    assert "".join(c.content for c in right).strip() == (one_line(second).strip() or "-")


def test_web_addresses_are_not_made_into_links() -> None:
    forge = MarkdownIt("gfm-like", {"linkify": False}).enable("table")
    rendered = forge.render(text("see http://evil.example and www.evil.example"))
    assert "<a" not in rendered and "://" not in text("http://evil.example")
    assert "www.evil" not in text("www.evil.example")
