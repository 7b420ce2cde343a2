"""JUnit XML that CI systems read."""

from __future__ import annotations

from xml.etree import ElementTree

from junitparser import Error, Failure, JUnitXml

from aiops_cli.models.result import ErrorInfo
from aiops_cli.render.junit import junit
from aiops_cli.services.check import CheckItem
from aiops_cli.services.verdicts import Offender

HOSTILE = 'a\x00b\x1b[31m<&>"]]>\ud800\ufffe\x85 c'

ITEMS = [
    CheckItem("up", "east", "PASS", "critical", "holds", 1.0, duration_ms=12.5),
    CheckItem(
        "up",
        "west",
        "FAIL",
        "warning",
        "1 of 2 series does not hold",
        0.0,
        [Offender({"instance": "b"}, 0.0, "2026-11-24T14:00:00Z")],
        3,
        "the API is down",
        "up == 1",
    ),
    CheckItem(
        "quiet",
        "west",
        "ERROR",
        "critical",
        "no connection",
        error=ErrorInfo("CLUSTER_UNREACHABLE", "no connection", "check the URL", "http://prom:9090"),
    ),
]


def test_each_check_is_a_suite_and_each_cluster_a_case() -> None:
    suites = list(JUnitXml.fromstring(junit(ITEMS).encode()))
    assert [(s.name, s.tests, s.failures, s.errors) for s in suites] == [("up", 2, 1, 0), ("quiet", 1, 0, 1)]
    passed, failed = list(suites[0])
    [lost] = list(suites[1])
    assert (passed.name, passed.classname, passed.time, passed.result) == ("east", "up", 0.013, [])
    assert isinstance(failed.result[0], Failure) and isinstance(lost.result[0], Error)
    assert failed.result[0].message == "the API is down: 1 of 2 series does not hold"
    assert failed.result[0].type == "warning"
    assert failed.result[0].text.splitlines()[1:] == [
        "assertion: up == 1",
        '{instance="b"} 0 since 2026-11-24T14:00:00Z',
        "… 2 more",
    ]
    assert (lost.result[0].type, lost.result[0].message) == ("CLUSTER_UNREACHABLE", "no connection")
    assert "http://prom:9090" in lost.result[0].text and "check the URL" in lost.result[0].text


def test_totals_stand_at_the_root() -> None:
    root = ElementTree.fromstring(junit(ITEMS))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")


def test_text_that_xml_cannot_carry_becomes_visible() -> None:
    item = CheckItem(
        HOSTILE,
        HOSTILE,
        "FAIL",
        "critical",
        HOSTILE,
        None,
        [Offender({"x": HOSTILE}, None, None)],
        1,
        HOSTILE,
    )
    text = junit([item])
    text.encode("utf-8")
    case = ElementTree.fromstring(text.encode()).find("testsuite/testcase")
    assert case is not None
    assert case.get("name") == 'a\\x00b\\x1b[31m<&>"]]>\\xd800\\xfffe\\x85 c'
    assert len(list(JUnitXml.fromstring(text.encode()))) == 1


def test_no_results_are_a_valid_document() -> None:
    assert JUnitXml.fromstring(junit([]).encode()).tests == 0
