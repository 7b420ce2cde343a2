"""What servers say when they refuse."""

from __future__ import annotations

import pytest

from aiops_cli.errors import UsageError
from aiops_cli.sources.loki import invalid_logql
from aiops_cli.sources.prometheus import invalid_promql
from aiops_cli.sources.tempo import invalid_traceql


@pytest.mark.parametrize("column", ["300000000", "9" * 5000, "0"])
@pytest.mark.parametrize("line", ["1", "7", "0"])
def test_a_place_that_is_not_in_the_query_makes_no_long_hint(line: str, column: str) -> None:
    errors: list[UsageError] = [
        invalid_promql("up", f"{line}:{column}: parse error: no"),
        invalid_logql("{}", f"parse error at line {line}, col {column}: no"),
        invalid_traceql("{}", f"invalid TraceQL query: parse error at line {line}, col {column}: no"),
    ]
    assert all(len(error.hint) < 20 for error in errors)
