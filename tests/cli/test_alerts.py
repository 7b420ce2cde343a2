"""`alerts list` and `show` on a HA pair of Alertmanagers and Prometheis whose alerts have hostile labels."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.cli.alert_servers import HOSTILE, AlertPair, alerts_of, post_alerts
from tests.conftest import Aiops
from tests.faults.fixtures import Here


@pytest.fixture
def aiops(here: Here) -> Here:
    return here


@pytest.fixture
def env(pair: AlertPair, home: Path) -> dict[str, str]:
    return pair.config(home / "config.toml")


def test_an_alert_of_a_ha_pair_is_shown_once_beside_pending_ones(
    aiops: Aiops, pair: AlertPair, env: dict[str, str]
) -> None:
    assert sum(a["labels"]["alertname"] == "Always" for a in alerts_of(pair.a.url)) == 2
    listed = aiops("alerts", "list", "-o", "json", env=env)
    assert listed.returncode == 0, listed.stderr
    names = [a["name"] for a in listed.json["items"]]
    assert sorted(names) == sorted(["Always", "Slow", HOSTILE, "Scraped", "Scraped"])  # two instances
    states = {a["name"]: a["state"] for a in listed.json["items"]}
    assert (states["Always"], states["Slow"]) == ("FIRING", "PENDING")


def test_an_alert_has_the_same_fingerprint_in_prometheus_as_in_alertmanager(
    aiops: Aiops, pair: AlertPair, env: dict[str, str], home: Path
) -> None:
    at_alertmanager = {a["fingerprint"]: a["labels"] for a in alerts_of(pair.a.url)}
    alone = home / "alone.toml"
    alone.write_text(f'[clusters.east.endpoints]\nprometheus = "{pair.prometheus.url}"\n')
    of_prometheus = aiops("alerts", "list", "-o", "json", env={"AIOPS_CONFIG": str(alone)}).json["items"]
    firing = {a["fingerprint"]: a["labels"] for a in of_prometheus if a["state"] == "FIRING"}
    assert {a["labels"]["alertname"] for a in of_prometheus if a["state"] == "FIRING"} == {
        "Always",
        "Scraped",
        HOSTILE,
    }
    assert all(at_alertmanager[fingerprint] == labels for fingerprint, labels in firing.items())
    merged = aiops("alerts", "list", "--state", "firing", "-o", "name", env=env).stdout.split()
    assert set(firing) <= set(merged)


def test_states_severities_and_matchers_choose(aiops: Aiops, env: dict[str, str]) -> None:
    def names(*args: str) -> set[str]:
        found = aiops("alerts", "list", *args, "-o", "json", env=env)
        assert found.returncode == 0, found.stderr
        return {a["name"] for a in found.json["items"]}

    assert names("--severity", "CRITICAL") == names("--severity", "critical") == {"Always"}
    assert names("--state", "pending") == {"Slow"}
    assert names("-n", "shop") == {"Always"}
    assert names("severity=critical") == set()  # a matcher is exact, as amtool's
    assert names('severity=~"(?i)critical|page"', "namespace=") == {"Scraped"}
    assert names("Scraped") == names("alertname=Scraped") == {"Scraped"}
    assert names("severity!~.+") == {HOSTILE}


def test_an_unknown_severity_is_told_with_those_that_there_are(aiops: Aiops, env: dict[str, str]) -> None:
    found = aiops("alerts", "list", "--severity", "sev1", env=env)
    assert found.returncode == 0 and not found.stdout
    assert "no alert has severity 'sev1'; there are: 'Critical', 'page', 'warning'" in found.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Down", "foo"], "'foo' is no matcher"),
        (['a="b'], "quotes"),
        (["a=~("], "can't be read"),
        (["{a=b,c}"], "is no matcher"),
        (["--state", "odd"], "unknown state"),
    ],
)
def test_what_is_no_matcher_is_one_clear_line(
    aiops: Aiops, env: dict[str, str], words: list[str], said: str
) -> None:
    found = aiops("alerts", "list", *words, env=env)
    assert found.returncode == 2
    assert said in found.stderr.splitlines()[0] and found.stderr.splitlines()[1].startswith("hint: ")


def test_hostile_labels_reach_no_terminal(aiops: Aiops, env: dict[str, str]) -> None:
    for form in ("table", "wide", "json", "ndjson", "yaml", "csv", "md"):
        found = aiops("alerts", "list", "-o", form, env=env)
        assert "quoted" in found.stdout
        assert not set(found.stdout) & {"\x1b", "\x07", "\u202e"}, form
    fingerprint = aiops(
        "alerts", "list", f'alertname={HOSTILE.split()[0]} \\"quoted\\"', "-o", "name", env=env
    )
    shown = aiops("alerts", "show", fingerprint.stdout.strip(), env=env)
    assert 'path=C:\\x "q" ⏎,{a=b}' in shown.stdout and "\x1b" not in shown.stdout


def test_groups_count_over_states_and_clusters(aiops: Aiops, pair: AlertPair, home: Path) -> None:
    post_alerts(pair.apart.url, {"alertname": "Always", "severity": "critical", "zone": "groups"})
    env = pair.config(home / "config.toml", apart=True)
    groups = aiops("alerts", "list", "--group-by", "alertname", "-o", "json", env=env).json
    assert groups["kind"] == "AlertGroupList"
    by_name = {g["labels"]["alertname"]: g for g in groups["items"]}
    assert by_name["Always"]["clusters"] == ["east", "west"]
    assert (by_name["Slow"]["pending"], by_name["Slow"]["firing"]) == (1, 0)
    by_cluster = aiops("alerts", "list", "Scraped", "--group-by", "cluster", env=env).stdout
    assert by_cluster.splitlines()[1].split()[:2] == ["east", "2"]


def test_show_has_the_rule_its_series_and_the_runbook(
    aiops: Aiops, pair: AlertPair, env: dict[str, str]
) -> None:
    instance = pair.prometheus.url.removeprefix("http://")
    found = aiops("alerts", "list", "Scraped", f"instance={instance}", "-o", "name", env=env).stdout.strip()
    detail = aiops("alerts", "show", found, "-o", "json", env=env).json["items"][0]
    assert detail["rule"]["group"] == "pair" and detail["rule"]["forSeconds"] == 1
    assert detail["rule"]["expr"].startswith('up{job="prometheus"} == 1')
    assert detail["value"] == 1
    assert [m["selector"] for m in detail["metrics"]] == [
        'up{job="prometheus"}',
        "prometheus_tsdb_head_series",
    ]
    assert detail["metrics"][0]["value"] == 1 and detail["metrics"][1]["value"] > 10
    always = aiops("alerts", "list", "Always", "-o", "name", env=env).stdout.strip()
    shown = aiops("alerts", "show", always[:6], env=env).stdout
    assert "runbook      https://runbooks.example/always" in shown
    assert "vector(1)" in shown and "receivers    nowhere" in shown


def test_show_names_the_silence(aiops: Aiops, pair: AlertPair, env: dict[str, str]) -> None:
    made = aiops("alerts", "silence", "add", "Always", "--comment", "known one", "-o", "name", env=env)
    suppressed = aiops("alerts", "list", "--state", "suppressed", "-o", "json", env=env).json["items"]
    assert [a["name"] for a in suppressed] == ["Always"]
    shown = aiops("alerts", "show", suppressed[0]["fingerprint"], env=env).stdout
    assert "silenced by" in shown and made.stdout.strip() in shown and "known one" in shown


def test_one_alertmanager_of_the_pair_may_be_down(aiops: Aiops, pair: AlertPair, env: dict[str, str]) -> None:
    before = aiops("alerts", "list", "-o", "name", env=env).stdout
    pair.a.kill()
    after = aiops("alerts", "list", "-o", "name", env=env)
    assert (after.returncode, after.stdout) == (0, before)
    assert f"{pair.a.url}: could not connect" in after.stderr


def test_prometheus_answers_where_no_alertmanager_does(
    aiops: Aiops, pair: AlertPair, env: dict[str, str]
) -> None:
    pair.a.kill()
    pair.b.kill()
    found = aiops("alerts", "list", "-o", "json", env=env)
    assert found.returncode == 3
    assert {a["source"] for a in found.json["items"]} == {"prometheus"}
    assert "Always" in {a["name"] for a in found.json["items"]}
    assert "silences are not known" in found.stderr


def test_a_lost_prometheus_is_a_gap(aiops: Aiops, pair: AlertPair, home: Path) -> None:
    config = home / "half.toml"
    config.write_text(
        f'[clusters.east.endpoints]\nalertmanager = "{pair.a.url}"\nprometheus = "http://127.0.0.1:9"\n'
    )
    env = {"AIOPS_CONFIG": str(config)}
    everything = aiops("alerts", "list", env=env)
    assert everything.returncode == 3 and "pending alerts are not known" in everything.stderr
    config.write_text(f'[clusters.east.endpoints]\nalertmanager = "{pair.a.url}"\n')
    assert aiops("alerts", "list", env=env).returncode == 0
    assert aiops("alerts", "list", "--state", "pending", env=env).returncode == 3


def test_several_alertmanagers_and_what_is_wrong_with_them_in_the_config(aiops: Aiops, home: Path) -> None:
    config = home / "bad.toml"
    config.write_text(
        '[clusters.x.endpoints]\nalertmanager = ["http://a:1", { url = "http://b:1", tenat = "t" }]\n'
    )
    found = aiops("alerts", "list", env={"AIOPS_CONFIG": str(config)})
    assert found.returncode == 2
    assert "alertmanager.tenat" in found.stderr and "did you mean 'tenant'?" in found.stderr
    config.write_text(
        '[clusters.x.endpoints]\nalertmanager = [{ url = "http://b:1", headers = { X-Key = "hidden-one" } }]\n'
    )
    viewed = aiops("config", "view", env={"AIOPS_CONFIG": str(config)})
    assert viewed.returncode == 0 and "hidden-one" not in viewed.stdout and "http://b:1" in viewed.stdout


def test_the_fallback_is_told_from_a_404(aiops: Aiops, pair: AlertPair, home: Path) -> None:
    """A URL that is no Alertmanager is an error even beside a Prometheus that answers."""
    config = home / "wrong.toml"
    config.write_text(
        f'[clusters.east.endpoints]\nalertmanager = "{pair.a.url}/nowhere"\nprometheus = "{pair.prometheus.url}"\n'
    )
    found = aiops("alerts", "list", env={"AIOPS_CONFIG": str(config)})
    assert found.returncode == 3 and "Alertmanager answered 404" in found.stderr
    assert httpx2.get(f"{pair.a.url}/-/ready", trust_env=False).status_code == 200
