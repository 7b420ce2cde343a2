"""Check files that are right, and every way in which one is not: the file and the key are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiops_cli.config.settings import Settings
from aiops_cli.errors import AiopsError, ErrorCode, ExitCode
from aiops_cli.services.assertions import AlertAssertion, MetricAssertion, inline, load, unique

SETTINGS = Settings(queries={"mine": "up"})


def write(folder: Path, text: str) -> Path:
    path = folder / "checks.yaml"
    path.write_text(text)
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
checks:
  - name: api
    severity: warning
    message: the API is down
    selector: {contexts: ["prod-*"], labels: {environment: prod, region: eu}}
    promql: {expr: 'up{job="api"}', op: ">=", threshold: 1, for: 5m, allowEmpty: true}
  - name: bare
    promql: up == 1
  - name: named
    promql: {expr: "@mine", op: "==", threshold: 1}
  - name: quiet
    alerts: {absent: {severity: critical}}
""",
    )
    api, bare, named, quiet = load(path, SETTINGS)
    assert (api.severity, api.description, api.contexts) == ("warning", "the API is down", ("prod-*",))
    assert api.labels == "environment=prod,region=eu"
    assert isinstance(api.assertion, MetricAssertion)
    assert (api.assertion.seconds, api.assertion.allow_empty) == (300.0, True)
    assert str(api.assertion) == 'up{job="api"} >= 1 for 300s'
    assert isinstance(bare.assertion, MetricAssertion) and bare.severity == "critical"
    assert isinstance(named.assertion, MetricAssertion) and named.assertion.claim.series == "up"
    assert isinstance(quiet.assertion, AlertAssertion)


@pytest.mark.parametrize(
    ("absent", "labels", "matches"),
    [
        ("{severity: critical}", {"severity": "critical"}, True),
        ("{severity: critical}", {"severity": "warning"}, False),
        ("""'severity=~"crit|warn", team!="x"'""", {"severity": "crit"}, True),
        ("""'severity=~"crit|warn", team!="x"'""", {"severity": "critical"}, False),
        ("""'{severity=~"crit.*", alertname!~"Watch.*"}'""", {"severity": "critical"}, True),
        ("""['severity=critical', 'alertname!="Watchdog"']""", {"severity": "critical"}, True),
        ("""['severity=critical', 'alertname!="Watchdog"']""", {"alertname": "Watchdog"}, False),
        ("[]", {}, True),
        ('\'summary="say \\"hi\\", {you}"\'', {"summary": 'say "hi", {you}'}, True),
    ],
)
def test_matchers(tmp_path: Path, absent: str, labels: dict[str, str], matches: bool) -> None:
    [check] = load(write(tmp_path, f"checks: [{{name: a, alerts: {{absent: {absent}}}}}]"), SETTINGS)
    assert isinstance(check.assertion, AlertAssertion)
    assert all(m(labels) for m in check.assertion.matchers) is matches


@pytest.mark.parametrize(
    ("text", "said", "advice"),
    [
        ("checks: [", "checks.yaml:1:10 is no valid YAML", "fix the syntax"),
        ("a: b: c", "checks.yaml:1:5 is no valid YAML", ""),
        ("checks: []\nchecks: []", "key 'checks' twice", ""),
        ("", "has to be a mapping with `checks:`", "docs/check.md"),
        ("[1, 2]", "has to be a mapping with `checks:`", "docs/check.md"),
        ("checks: []", "checks: List should have at least 1 item", ""),
        ("cheks: []", "unknown key 'cheks'", "did you mean 'checks'?"),
        ("checks: [{name: a, promq: up}]", "unknown key 'checks[0].promq'", "did you mean 'promql'?"),
        (
            "checks: [{name: a, promql: {expr: up, fro: 5m}}]",
            "unknown key 'checks[0].promql.fro'",
            "did you mean 'for'?",
        ),
        ("checks: [{name: a, alerts: {abs: {}}}]", "unknown key 'checks[0].alerts.abs'", "'absent'"),
        (
            "checks: [{name: a, selector: {zzz: 1}, promql: up}]",
            "'checks[0].selector.zzz'",
            "contexts, labels",
        ),
        ("checks: [{name: a}]", "checks[0]: a check has one of promql and alerts", ""),
        ("checks: [{name: a, promql: up, alerts: {absent: []}}]", "a check has one of promql and alerts", ""),
        ("checks: [{promql: up}]", "checks[0].name: Field required", ""),
        ("checks: [{name: 7, promql: up}]", "checks[0].name: Input should be a valid string", ""),
        (
            "checks: [{name: a, severity: bad, promql: up}]",
            "checks[0].severity: Input should be 'critical'",
            "",
        ),
        ("checks: [{name: a, promql: {expr: up, op: '>'}}]", "checks[0].promql: op and threshold belong", ""),
        ("checks: [{name: a, promql: {expr: up, op: '=', threshold: 1}}]", "checks[0].promql.op:", ""),
        (
            "checks: [{name: a, promql: {expr: up, op: '>', threshold: '1'}}]",
            "checks[0].promql.threshold: Input should be a valid number",
            "",
        ),
        ("checks: [{name: a, promql: {expr: up, for: soon}}]", "checks[0] (a).promql.for: ", "5m"),
        ("checks: [{name: a, promql: 'sum(up'}]", "checks[0] (a).promql.expr: invalid PromQL", "^"),
        ("checks: [{name: a, promql: '@min'}]", "checks[0] (a).promql.expr: unknown named query", "@mine"),
        ("checks: [{name: a, alerts: {absent: 'a='}}]", "checks[0] (a).alerts.absent: can't read", "write"),
        ("checks: [{name: a, alerts: {absent: 'a=~\"(\"'}}]", "checks[0] (a).alerts.absent: the regex", ""),
        ("checks: [{name: a, alerts: {absent: 5}}]", "checks[0].alerts.absent: ", ""),
        ("checks: [{name: a, selector: {labels: nope}, promql: up}]", "checks[0] (a).selector.labels: ", ""),
    ],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, text: str, said: str, advice: str) -> None:
    with pytest.raises(AiopsError) as caught:
        load(write(tmp_path, text), SETTINGS)
    assert said in caught.value.message
    assert "checks.yaml" in caught.value.message
    assert advice in caught.value.hint
    assert caught.value.exit_code == ExitCode.USAGE


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    deep = write(tmp_path, "[" * 5000)
    for path, said in (
        (tmp_path / "none.yaml", "does not exist"),
        (tmp_path, "can't be read"),
        (binary, "no UTF-8"),
        (deep, "nested too deeply"),
    ):
        with pytest.raises(AiopsError, match=said) as caught:
            load(path, SETTINGS)
        assert caught.value.code == ErrorCode.FILE_INVALID


def test_control_characters_in_yaml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AiopsError, match="no valid YAML"):
        load(write(tmp_path, "checks: \x07"), SETTINGS)


def test_two_checks_of_one_name_are_refused(tmp_path: Path) -> None:
    checks = load(write(tmp_path, "checks: [{name: a, promql: up}, {name: a, promql: up}]"), SETTINGS)
    with pytest.raises(AiopsError, match="two checks are called 'a'"):
        unique(checks)


def test_inline_checks() -> None:
    check = inline("up == 1", "5m", None, None, SETTINGS)
    assert (check.name, check.severity) == ("up == 1", "critical")
    assert isinstance(check.assertion, MetricAssertion) and check.assertion.seconds == 300.0
    with pytest.raises(AiopsError, match="unknown severity 'bad'"):
        inline("up", None, None, "bad", SETTINGS)
    with pytest.raises(AiopsError, match="--for 'soon'"):
        inline("up", "soon", None, None, SETTINGS)
