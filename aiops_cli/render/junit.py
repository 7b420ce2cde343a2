"""JUnit XML of check results: a suite for each check, a test case for each cluster.

The form is what Jenkins, GitLab and GitHub's reporters read
(https://github.com/testmoapp/junitxml): `failure` for what does not hold, `error` for what could not
be asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from aiops_cli.services.check import CheckItem

# Beyond these XML 1.0 has no way to write a character, not even as a reference.
_NOT_XML = re.compile("[^\t\n\r\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(items: Sequence[CheckItem]) -> str:
    """A whole document, in the order of `items`."""
    root = ElementTree.Element("testsuites", {"name": "aiops check", **_totals(items)})
    by_check: dict[str, list[CheckItem]] = {}
    for item in items:
        by_check.setdefault(item.check, []).append(item)
    for name, mine in by_check.items():
        suite = ElementTree.SubElement(root, "testsuite", {"name": _text(name), **_totals(mine)})
        properties = ElementTree.SubElement(suite, "properties")
        for key, value in (("severity", mine[0].severity), ("assertion", mine[0].assertion)):
            ElementTree.SubElement(properties, "property", {"name": key, "value": _text(value)})
        for item in mine:
            _case(suite, item)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _case(suite: ElementTree.Element, item: CheckItem) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {"classname": _text(item.check), "name": _text(item.cluster), "time": _seconds(item.duration_ms)},
    )
    if item.status == "PASS":
        return
    message = f"{item.description}: {item.message}" if item.description else item.message
    kind = item.severity if item.error is None else item.error.code
    told = ElementTree.SubElement(
        case,
        "failure" if item.status == "FAIL" else "error",
        {"message": _text(message), "type": _text(kind)},
    )
    lines = [message, f"assertion: {item.assertion}"]
    if item.error is not None:
        lines += [f"{k}: {v}" for k, v in (("endpoint", item.error.endpoint), ("hint", item.error.hint)) if v]
    for offender in item.offenders:
        labels = ", ".join(f'{k}="{v}"' for k, v in sorted(offender.labels.items()))
        value = "" if offender.value is None else f" {offender.value:.6g}"
        since = f" since {offender.at}" if offender.at else ""
        lines.append(f"{{{labels}}}{value}{since}")
    if item.offender_count > len(item.offenders):
        lines.append(f"… {item.offender_count - len(item.offenders)} more")
    told.text = _text("\n".join(lines))


def _totals(items: Sequence[CheckItem]) -> dict[str, str]:
    return {
        "tests": str(len(items)),
        "failures": str(sum(i.status == "FAIL" for i in items)),
        "errors": str(sum(i.status == "ERROR" for i in items)),
        "skipped": "0",
        "time": _seconds(sum(i.duration_ms for i in items)),
    }


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.3f}"


def _text(text: str) -> str:
    """What XML can't carry, and other control characters, as visible \\xNN."""
    return _NOT_XML.sub(lambda m: f"\\x{ord(m[0]):02x}", text)
