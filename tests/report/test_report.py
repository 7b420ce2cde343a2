"""The incident report from findings, and its Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt

from aiops_cli.errors import AiopsError
from aiops_cli.models.analysis import Anomaly, Cause, Entity, Evidence
from aiops_cli.models.findings import Finding
from aiops_cli.models.fleet import ClusterHealth
from aiops_cli.models.result import ClusterStatus, ErrorInfo, FleetResult
from aiops_cli.models.signals import AlertItem, Change, KubeEvent
from aiops_cli.models.timerange import TimeRange
from aiops_cli.render.markdown_report import markdown
from aiops_cli.services import evidence
from aiops_cli.services.queries import CATALOGUE
from aiops_cli.services.rca import Investigation
from aiops_cli.services.report import Findings, Report, incident
from aiops_cli.services.report_files import ReportDocument, find, folder, kept, save
from aiops_cli.services.times import parse_zone, rfc3339

AT = 1_764_000_000.0
WINDOW = TimeRange(AT - 1800, AT + 600)
LEDGER = Entity("service", "ledger", "shop", "west")
SHOP = Entity("service", "frontend", "shop", "west")
HOSTILE = "a|b `c` <img src=x onerror=y> \x1b[31m *d*\n# e"


def cause(rank: int, confidence: float, entity: Entity = LEDGER, text: str = "pool is full") -> Cause:
    return Cause(
        rank,
        0.9,
        confidence,
        entity,
        "pool_in_use",
        "2025-11-24T15:55:00Z",
        [Evidence("metric", text, "2025-11-24T15:55:00Z", 6, 0, "connections", "pool_in_use", entity)],
        [Evidence("event", "no event stands out")],
        [entity, SHOP],
        ["Look at the pool."],
        [SHOP],
    )


def alert(name: str, state: str = "FIRING", severity: str = "critical", **labels: str) -> AlertItem:
    return AlertItem(
        "west", name, name, state, severity, {"alertname": name, **labels}, {}, "2025-11-24T15:58:00Z"
    )


def findings(**changes: Any) -> Findings:
    part = evidence.Evidence(
        "west",
        alerts=[alert("Watchdog", severity="none"), alert("ShopDown"), alert("Old", "SUPPRESSED")],
        events=[
            KubeEvent(AT - 60, "Warning", "BackOff", "Pod", "ledger-1", "shop", "back-off", 4),
            KubeEvent(AT - 50, "Normal", "Pulled", "Pod", "ledger-1", "shop", "pulled"),
        ],
        changes=[Change(AT - 300, "Deployment", "ledger", "shop", "rollout", "1 → 2")],
    )
    asked = [
        evidence.AskedQuery(c, "prometheus", q, WINDOW)
        for q in ("up", CATALOGUE["pool-in-use"].expr)
        for c in ("east", "west")
    ]
    statuses = [
        ClusterStatus("east", "SUCCESS"),
        ClusterStatus("west", "PARTIAL"),
        ClusterStatus("north", "ERROR", error=ErrorInfo("CLUSTER_UNREACHABLE", "no connection")),
    ]
    investigation = Investigation(
        causes=FleetResult([cause(1, 0.8), cause(2, 0.3, SHOP)], statuses),
        evidence=[part],
        window=WINDOW,
        at=AT,
        step=15.0,
        gaps=[
            ("west", "loki", ErrorInfo("QUERY_TIMEOUT", "no answer", "raise --timeout")),
            ("north", "all", ErrorInfo("CLUSTER_UNREACHABLE", "no connection")),
        ],
        queries=asked,
    )
    unusual = Anomaly(
        "a1",
        "west",
        {"job": "ledger"},
        "2025-11-24T15:55:00Z",
        "2025-11-24T16:00:00Z",
        "SPIKE",
        "HIGH",
        0.9,
        0,
        6,
        "6 where 0 is usual",
        CATALOGUE["pool-in-use"].expr,
    )
    made = Findings(
        investigation=investigation,
        anomalies=FleetResult(
            [unusual], [ClusterStatus("east", "SUCCESS", "cache", 12.0), ClusterStatus("west", "SUCCESS")]
        ),
        health=[ClusterHealth("east", "ONLINE", 100, "CONNECTED", {}, None, "2025-11-24T16:00:00Z")],
        created=AT + 700,
    )
    for name, value in changes.items():
        setattr(made.investigation if hasattr(made.investigation, name) else made, name, value)
    return made


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    assert found is not None, title
    return found[1]


def rendered(report: Report) -> str:
    return markdown(report, parse_zone("UTC", machine=True))


def test_the_summary_comes_first_and_names_cause_and_gaps() -> None:
    report = incident(findings())
    text = rendered(report)
    assert report.title == "service shop/ledger in west: pool_in_use"
    titles = re.findall(r"^## (.*)", text, re.M)
    assert titles == [
        "Summary",
        "Root causes",
        "Alerts",
        "Anomalies",
        "Clusters",
        "Timeline",
        "Data gaps",
        "Appendix: queries",
        "Provenance",
    ]
    summary = section(text, "Summary")
    assert "Most likely cause: service shop/ledger in west, pool_in_use" in summary
    assert "2 firing alerts and 1 anomaly (1 of high severity) in 3 clusters" in summary
    assert "Nothing could be read from north" in summary


def test_findings_about_devices_have_a_section_and_stand_in_the_timeline() -> None:
    made = findings()
    gpu = Entity("gpu", "n1/0", "ml", "west")
    late = Finding("west", "GPU_XID", "critical", gpu, "XID 79: | off the bus", "drain", rfc3339(AT - 30))
    state = Finding("west", "PTP_FLAPPING", "warning", Entity("clock", "n2/ptp4l/x", None, "west"), "4 times")
    made.investigation.evidence[0].devices.findings = [state, late]
    report = incident(made)
    assert report.findings == [late, state]
    shown = section(rendered(report), "GPUs, clocks and network devices")
    assert "off the bus" in shown and shown.index("n1/0") < shown.index("n2/ptp4l")
    assert [e.subject for e in report.timeline if e.kind == "finding"] == ["gpu ml/n1/0 in west"]


def test_a_weak_cause_is_called_a_hint() -> None:
    report = incident(findings(causes=FleetResult([cause(1, 0.05)], [])))
    assert report.title == "no clear cause"
    assert "No clear cause" in report.summary[0]


def test_no_cause_is_said() -> None:
    report = incident(findings(causes=FleetResult([], [])))
    assert (report.title, report.causes) == ("no clear cause", [])
    assert (
        report.summary[0]
        == "No cause was found: nothing in what could be read of the window deviates enough."
    )
    assert "None: nothing in what could be read" in section(rendered(report), "Root causes")
    whole = incident(findings(causes=FleetResult([], []), gaps=[]))
    assert whole.summary[0] == "No cause was found: nothing in the window deviates enough."
    assert "None: nothing in the window deviates" in section(rendered(whole), "Root causes")


def test_what_could_not_be_asked_is_not_said_to_be_well() -> None:
    gap = ("north", "all", ErrorInfo("CLUSTER_UNREACHABLE", "no connection"))
    report = incident(findings(causes=FleetResult([], []), evidence=[], gaps=[gap]))
    assert report.summary[0] == "No cause can be told: no cluster could be asked."
    assert "None is known of; north could not be asked." in section(rendered(report), "Alerts")


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("s", 0.000208, "208µs"),
        ("seconds", 2.9, "2.9s"),
        ("ratio", 1.0, "100 %"),
        ("bytes", 1.2e9, "1.2GB"),
        ("calls", 1.0, "1 call"),
        ("cores", 0.000208, "0.000208 cores"),
        (None, 6.0, "6"),
    ],
)
def test_what_was_seen_has_its_unit(unit: str | None, value: float, shown: str) -> None:
    seen = Evidence("metric", "it moved", "2025-11-24T15:55:00Z", value, 0.0, unit)
    made = findings(causes=FleetResult([msgspec.structs.replace(cause(1, 0.8), evidence=[seen])], []))
    assert f"| it moved | {shown} | 0" in section(rendered(incident(made)), "Root causes")


def test_the_summary_names_the_way_of_the_trouble() -> None:
    way = [LEDGER, Entity("service", "payment", "shop", "west"), SHOP]
    made = findings(causes=FleetResult([msgspec.structs.replace(cause(1, 0.8), chain=way)], []))
    assert "From there it reached service shop/frontend in west by way of payment." in incident(made).summary


def test_causes_come_with_evidence_what_speaks_against_them_and_next_steps() -> None:
    text = section(rendered(incident(findings())), "Root causes")
    assert "### 1. service shop/ledger in west: pool_in_use" in text
    assert "| metric | 2025-11-24 15:55:00 | pool is full | 6 connections | 0 connections |" in text
    assert "- no event stands out (event)" in text
    assert "Way of the trouble: service shop/ledger in west → service shop/frontend in west" in text
    assert "1. Look at the pool." in text and "- `pool_in_use`" in text


def test_later_causes_are_listed_shortly() -> None:
    many = FleetResult([cause(n, 0.5 / n) for n in range(1, 7)], [])
    text = section(rendered(incident(findings(causes=many))), "Root causes")
    assert text.count("### ") == 4 and "### Less likely" in text
    assert "| 6 | service shop/ledger in west | pool_in_use | 0.08 |" in text


def test_firing_alerts_come_first_by_severity() -> None:
    assert [a.name for a in incident(findings()).alerts] == ["ShopDown", "Watchdog", "Old"]


def test_the_timeline_is_in_order_with_changes_warnings_alerts_and_onsets() -> None:
    entries = incident(findings()).timeline
    assert [e.at for e in entries] == sorted(e.at for e in entries)
    assert {e.kind for e in entries} == {"trigger", "onset", "alert", "change", "event", "anomaly"}
    assert [e.text for e in entries if e.kind == "event"] == ["BackOff: back-off (4 times)"]
    assert [e.text for e in entries if e.kind == "change"] == ["rollout: 1 → 2"]


def test_a_long_timeline_keeps_what_is_near_and_counts_the_rest() -> None:
    part = evidence.Evidence(
        "west",
        events=[KubeEvent(AT - n, "Warning", "R", "Pod", f"p{n}", "shop", "m") for n in range(1, 500)],
    )
    report = incident(findings(evidence=[part]))
    assert len(report.timeline) == 200
    assert report.timeline_omitted > 290
    events = [e.subject for e in report.timeline if e.kind == "event"]
    assert "Pod shop/p1" in events and "Pod shop/p499" not in events
    assert f"{report.timeline_omitted} more" in section(rendered(report), "Timeline")


def test_clusters_show_state_source_and_what_is_missing() -> None:
    text = section(rendered(incident(findings())), "Clusters")
    assert "| east | ONLINE | 100 | SUCCESS | live; metrics cache (12 s old) | - |" in text
    assert "| west | not probed | - | PARTIAL | live | loki |" in text
    assert "| north | not probed | - | ERROR | live | all |" in text


def test_gaps_say_why_and_what_to_do() -> None:
    text = section(rendered(incident(findings())), "Data gaps")
    assert "| west | loki | QUERY_TIMEOUT | no answer | raise --timeout |" in text
    complete = section(rendered(incident(findings(gaps=[]))), "Data gaps")
    assert "every source that was asked has answered" in complete


def test_what_a_recording_lost_is_a_gap() -> None:
    lost = [("east", "traces", ErrorInfo("QUERY_TIMEOUT", "late"))]
    report = incident(findings(lost=lost, bundle="x.aiops"))
    assert ("east", "traces") in [(m.cluster, m.source) for m in report.missing]
    assert "| east | traces | QUERY_TIMEOUT | late |" in section(rendered(report), "Data gaps")


def test_queries_are_commands_that_ask_the_same_again() -> None:
    text = section(rendered(incident(findings())), "Appendix: queries")
    assert (
        "aiops metrics range up -c east -c west --from 2025-11-24T15:30:00.000Z "
        "--to 2025-11-24T16:10:00.000Z --step 15\n" in text
    )
    assert "prometheus on east, west, 2025-11-24 15:30:00 to 2025-11-24 16:10:00, step 15 s:" in text
    bundled = section(rendered(incident(findings(bundle="my file.aiops"))), "Appendix: queries")
    assert "--bundle 'my file.aiops'" in bundled


def test_secrets_in_texts_are_replaced() -> None:
    leaky = "login failed: password=hunter2 Bearer abcdefghijklmnop"
    part = evidence.Evidence(
        "west",
        alerts=[alert("Leak", note=leaky)],
        events=[KubeEvent(AT, "Warning", "R", "Pod", "p", "shop", leaky)],
        changes=[Change(AT, "ConfigMap", "c", "shop", "config", leaky)],
    )
    report = incident(
        findings(
            evidence=[part],
            causes=FleetResult([cause(1, 0.8, text=leaky)], []),
            gaps=[("west", "loki", ErrorInfo("SERVER_ERROR", leaky))],
        )
    )
    for text in (msgspec.json.encode(report).decode(), rendered(report)):
        assert "hunter2" not in text and "abcdefghijklmnop" not in text


def test_hostile_text_changes_nothing_of_the_structure() -> None:
    def shape(entity: Entity, text: str) -> list[str]:
        part = evidence.Evidence("west", alerts=[alert(text, note=text)])
        report = incident(findings(evidence=[part], causes=FleetResult([cause(1, 0.8, entity, text)], [])))
        source = rendered(report)
        assert "\x1b" not in source
        tokens = MarkdownIt("commonmark").enable("table").parse(source)
        assert not [c for t in tokens for c in t.children or [] if c.type == "html_inline"]
        return [t.type for t in tokens if not t.type.startswith("heading")]

    plain = shape(Entity("service", "x", "shop", "west"), "plain")
    assert shape(Entity("service", HOSTILE, "shop", HOSTILE), HOSTILE) == plain


def test_a_report_is_kept_listed_and_found_by_its_start(home: Path) -> None:
    first = ReportDocument([], [incident(findings(created=AT))])
    second = ReportDocument([], [incident(findings(created=AT + 86400))])
    paths = [save(first), save(second)]
    assert [p.parent for p in paths] == [home / "data" / "aiops" / "reports"] * 2
    documents, problems = kept()
    assert [d.items[0].id for d in documents] == [second.items[0].id, first.items[0].id]
    assert problems == []
    assert find(first.items[0].id) == first
    assert find(first.items[0].id[:20]).items[0].id == first.items[0].id
    with pytest.raises(AiopsError, match="ambiguous"):
        find("incident")
    for unknown in ("nope", "", "../state", "*"):
        with pytest.raises(AiopsError, match="no report"):
            find(unknown)


def test_a_damaged_report_is_told_of_and_left_alone(home: Path) -> None:
    good = ReportDocument([], [incident(findings())])
    save(good)
    broken = folder() / "incident-broken.json"
    broken.write_text("{")
    documents, problems = kept()
    assert [d.items[0].id for d in documents] == [good.items[0].id]
    assert len(problems) == 1 and "incident-broken.json can't be read" in problems[0]
    with pytest.raises(AiopsError, match="can't be read"):
        find("incident-broken")
    assert broken.read_text() == "{"
