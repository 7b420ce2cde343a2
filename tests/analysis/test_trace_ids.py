"""Trace ids as lines and labels write them."""

from __future__ import annotations

import pytest

from aiops_cli.analysis.trace_ids import trace_id_in

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SHORT = "d6e9329d67b6146a"


@pytest.mark.parametrize(
    "line",
    [
        f"level=info traceID={ID} msg=done",
        f'{{"trace_id":"{ID}","msg":"x"}}',
        f'{{"body":"{{\\"traceId\\":\\"{ID}\\"}}"}}',
        f"TraceId: {ID.upper()}",
        f"otelTraceID={ID} otelSpanID=00f067aa0ba902b7",
        f"[trace {ID}] GET /cart",
        f"trace.id: '{ID}'",
        f"traceparent: 00-{ID}-00f067aa0ba902b7-01",
        f"headers: 00-{ID}-00f067aa0ba902b7-01",
    ],
)
def test_a_line_that_names_a_trace(line: str) -> None:
    assert trace_id_in(line) == ID


@pytest.mark.parametrize(
    "line",
    [
        f"sha={ID}",
        f"commit {ID}",
        f"trace_id={'0' * 32}",
        f"trace_id={ID}00",
        "trace_id=",
        f"stacktrace={SHORT}",
        f"backtrace {SHORT}",
        f"spanId={SHORT}",
        "",
    ],
)
def test_a_line_that_names_none(line: str) -> None:
    assert trace_id_in(line) is None


def test_ids_of_old_tracers_are_padded() -> None:
    assert trace_id_in(f"trace_id={SHORT}") == SHORT.zfill(32)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"trace_id": ID}, ID),
        ({"traceID": SHORT}, SHORT.zfill(32)),
        ({"traceparent": f"00-{ID}-00f067aa0ba902b7-01"}, ID),
        ({"uber-trace-id": f"{SHORT}:1:0:1"}, SHORT.zfill(32)),
        ({"b3": f"{ID}-{SHORT}-1"}, ID),
        ({"trace_id": "none", "pod": "a"}, None),
        ({"pod": ID}, None),
    ],
)
def test_labels_go_first(labels: dict[str, str], expected: str | None) -> None:
    assert trace_id_in("", labels) == expected
    other = "f" * 32
    assert trace_id_in(f"trace_id={other}", labels) == (expected or other)


def test_a_long_gap_after_the_word_trace_takes_no_long_time() -> None:
    """Minutes, where each blank is tried as the end of each run of blanks before it."""
    gap = " " * 30_000
    assert trace_id_in(f"stack trace{gap}none") is None
    assert trace_id_in(f"trace{gap}{ID}") == ID
