"""Files and tests that the traceability pages name exist, and no feature or finding is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRACEABILITY = "specs/traceability.md"
ISSUES = "debug/issues.md"

# How many features each family of the original specification set has; ids run from 01 without a gap.
FAMILIES = {
    "CR": 20,
    "MET": 9,
    "ALR": 4,
    "LOG": 4,
    "TRC": 6,
    "GPU": 6,
    "CNF": 5,
    "LLM": 3,
    "PER": 4,
    "CHT": 5,
    "ANO": 5,
    "RCA": 5,
    "RPT": 4,
    "MCP": 8,
    "RT": 12,
    "GW": 16,
    "UI": 12,
    "DEP": 8,
    "XC": 9,
}
FEATURES = [f"{family}-{n:02}" for family, count in FAMILIES.items() for n in range(1, count + 1)]
FEATURES += ["OBS-EV", "INT-EV"]
FINDINGS = [f"I-{n:03}" for n in range(1, 23)]

_REFERENCE = re.compile(r"`((?:aiops_cli|tests|specs|docs|debug|benchmarks)/[^`\s]*)`")


def table_rows(text: str) -> list[list[str]]:
    """The cells of every Markdown table row that starts with an id such as CR-01, I-001 or OBS-EV."""
    rows = [[cell.strip() for cell in line.strip("| \n").split(" | ")] for line in text.splitlines()]
    return [row for row in rows if re.fullmatch(r"[A-Z]{1,3}-(\d{2,3}|EV)", row[0])]


def missing_references(text: str) -> list[str]:
    """References in backticks (`path` or `path::name`) to what isn't in the repository."""
    return [r for r in _REFERENCE.findall(text) if not exists(r)]


def exists(reference: str) -> bool:
    """Whether `path` is there and, for `path::name`, defines `name`."""
    path, *names = reference.split("::")
    file = ROOT / path
    if not names:
        return file.exists()
    if not file.is_file():
        return False
    source = file.read_text(encoding="utf-8")
    return all(
        re.search(rf"^\s*(?:(?:async )?def|class) {re.escape(name)}\b", source, re.MULTILINE)
        for name in names
    )


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [TRACEABILITY, ISSUES])
def test_every_file_and_test_named_on_the_page_exists(page: str) -> None:
    assert missing_references(read(page)) == []


def test_a_reference_to_nothing_is_found() -> None:
    here = "tests/docs/test_traceability.py"
    assert missing_references(f"`{here}` `{here}::exists`") == []
    assert missing_references(f"`{here}::no_such_name` `tests/no_such_file.py` `aiops_cli/gone.py::f`") == [
        f"{here}::no_such_name",
        "tests/no_such_file.py",
        "aiops_cli/gone.py::f",
    ]


def test_every_feature_has_exactly_one_row() -> None:
    ids = [row[0] for row in table_rows(read(TRACEABILITY))]
    assert sorted(ids) == sorted(FEATURES)


def test_every_audit_finding_has_exactly_one_row() -> None:
    assert [row[0] for row in table_rows(read(ISSUES))] == FINDINGS


def problem(row: list[str]) -> str | None:
    """What is wrong with a row: a feature is planned, has no meaning here (then with its equivalent), or
    names its file and a test."""
    if len(row) != 4:
        return "needs id, feature, where met, test"
    _, _, where, test = row
    if where == "planned":
        return None if test == "planned" else "planned, yet tested"
    if where.startswith("no meaning on a client"):
        return None if where.removeprefix("no meaning on a client").strip(": ") else "names no equivalent"
    if not _REFERENCE.findall(where):
        return "names no file"
    tested = test == "planned" or any(r.startswith("tests/") for r in _REFERENCE.findall(test))
    return None if tested else "names no test"


def test_every_row_says_where_it_is_met_or_that_it_is_not() -> None:
    found = {row[0]: problem(row) for row in table_rows(read(TRACEABILITY))}
    assert {id_: what for id_, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "row",
    [
        ["CR-01", "a", "somewhere", "planned"],
        ["CR-01", "a", "`aiops_cli/errors.py`", "by hand"],
        ["CR-01", "a", "planned", "`tests/x.py`"],
        ["CR-01", "a", "no meaning on a client", "–"],
        ["CR-01", "a", "planned"],
    ],
)
def test_a_row_that_says_neither_is_found(row: list[str]) -> None:
    assert problem(row)
