"""Clocks read from the exporters' own pages, where there is no Prometheus; and who has none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Aiops
from tests.ptp.exporter import Daemon, Sidecar
from tests.servers.network import free_port

# From the comments of linuxptp-daemon's pkg/daemon/metrics.go and from its documentation, not captured.
DOCUMENTED = """\
ptp4l[74737.942]: [ptp4l.0.config] rms 53 max 74 freq -16642 +/- 40 delay 1089 +/- 20
phc2sys[4268818.286]: [ptp4l.0.config] CLOCK_REALTIME phc offset -62 s2 freq -78368 delay 1100
phc2sys[4268818.287]: [ptp4l.0.config] ens5f1 phc offset -92 s0 freq -890 delay 2464
"""
SLAVE = "ptp4l[1.0]: [ptp4l.0.config] port 1 (ens1f0): UNCALIBRATED to SLAVE on MASTER_CLOCK_SELECTED"


def documented(node: Daemon) -> str:
    for line in (SLAVE, *DOCUMENTED.splitlines()):
        node.line(line)
    node.process("ptp4l", True)
    node.process("phc2sys", True)
    node.clock_class(6)
    return node.text()


def test_documented_lines_become_clocks(exporter: Any, aiops: Aiops) -> None:
    done = aiops("cnf", "ptp", "-o", "json", env=exporter(documented(Daemon("du-1"))))
    assert done.returncode == 0, done.stderr
    ptp4l, phc2sys = done.json["items"]
    assert (ptp4l["interface"], ptp4l["offsetNs"], ptp4l["maxOffsetNs"], ptp4l["state"]) == (
        "ens1fx",
        53,
        74,
        None,
    )
    assert (phc2sys["interface"], phc2sys["offsetNs"], phc2sys["state"]) == ("CLOCK_REALTIME", -62, "LOCKED")
    assert ptp4l["offsetKind"] == "rms"
    assert ptp4l["verdict"] is phc2sys["verdict"] is None
    assert "; one sample is no verdict" in ptp4l["reason"]
    assert {r["source"] for r in done.json["items"]} == {"exporter"}
    assert ptp4l["timeInState"] is None, "a page knows no past"
    assert ptp4l["p99OffsetNs"] is None


def test_one_broken_exporter_leaves_the_others(exporter: Any, aiops: Aiops) -> None:
    done = aiops(
        "cnf", "ptp", "-o", "json", env=exporter(documented(Daemon("du-1")), "<html>no metrics</html>")
    )
    assert done.returncode == 3
    assert {r["node"] for r in done.json["items"]} == {"du-1"}
    assert "metrics page" in done.stderr


def test_exporters_take_the_place_of_a_prometheus_that_is_down(exporter: Any, aiops: Aiops) -> None:
    env = exporter(documented(Daemon("du-1")), more=f'prometheus = "http://127.0.0.1:{free_port()}"\n')
    done = aiops("cnf", "ptp", "-o", "json", env=env)
    assert done.returncode == 3
    assert {r["source"] for r in done.json["items"]} == {"exporter"}
    assert "what was before now is missing" in done.stderr


def test_a_page_of_now_does_not_answer_for_the_past(exporter: Any, aiops: Aiops) -> None:
    text = 'openshift_ptp_clock_state{process="ptp4l",node="n",iface="ens1fx"} 0\n'
    past = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T01:00:00Z", "--fail-on", "critical")
    done = aiops("cnf", "ptp", *past, env=exporter(text))
    assert done.returncode == 4 and "know only now" in done.stderr and "FREERUN" not in done.stdout
    assert aiops("cnf", "ptp", "--fail-on", "critical", env=exporter(text)).returncode == 1


def test_the_sidecar_alone_says_holdover(exporter: Any, aiops: Aiops) -> None:
    pages = []
    for node in (Daemon("plain"), Sidecar("events", timeout=600)):
        documented(node)
        node.line("ptp4l[2.0]: [ptp4l.0.config] master offset -1 s2 freq -3972 path delay 89")
        node.line("ptp4l[3.0]: [ptp4l.0.config] port 1: SLAVE to FAULTY on FAULT_DETECTED (FT_UNSPECIFIED)")
        pages.append(node.text())
    done = aiops("cnf", "ptp", "--process", "ptp4l", "-o", "json", env=exporter(*pages))
    states = {r["node"]: (r["state"], r["verdict"]) for r in done.json["items"]}
    assert states == {"plain": ("FREERUN", "FAIL"), "events": ("HOLDOVER", "FAIL")}
    codes = {(f["entity"]["name"].partition("/")[0], f["code"]) for f in done.json["findings"]}
    assert {("plain", "PTP_FREERUN"), ("events", "PTP_HOLDOVER")} <= codes


@pytest.mark.parametrize(
    ("iface", "port", "role"),
    [
        ("enox", "eno12409", 1),
        ("enP2s2fx", "enP2s2f0np0", 1),
        ("ens1fx.100", "ens1f0.100", 1),
        ("ens1f0", "ens1f0", 1),  # where aliases collide the real name is kept
        ("ens1fx", "ens1f1", 3),
    ],
)
def test_an_alias_leads_to_its_port(exporter: Any, aiops: Aiops, iface: str, port: str, role: int) -> None:
    text = (
        f'openshift_ptp_clock_state{{process="ptp4l",node="n",iface="{iface}"}} 1\n'
        f'openshift_ptp_interface_role{{process="ptp4l",node="n",iface="{port}"}} {role}\n'
        'openshift_ptp_interface_role{process="ptp4l",node="n",iface="ens9f0"} 1\n'
    )
    (row,) = aiops("cnf", "ptp", "-o", "json", env=exporter(text)).json["items"]
    assert (row["interface"], row["port"]) == (iface, port)
    assert row["role"] == {1: "SLAVE", 3: "FAULTY"}[role]


def test_nodes_without_a_node_label_are_told_apart_by_their_address(exporter: Any, aiops: Aiops) -> None:
    text = 'openshift_ptp_clock_state{process="ptp4l",iface="ens1fx"} 1\n'
    done = aiops("cnf", "ptp", "-o", "json", env=exporter(text))
    assert done.json["items"][0]["node"]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e308", "-5", "7.5"])
def test_impossible_values_are_unknown(exporter: Any, aiops: Aiops, value: str) -> None:
    names = [
        "offset_ns",
        "max_offset_ns",
        "frequency_adjustment_ns",
        "clock_state",
        "clock_class",
        "interface_role",
        "process_status",
        "process_restart_count",
        "nmea_status",
        "gnss_status",
        "phase_status",
    ]
    labels = 'process="ptp4l",node="n",iface="ens1fx",from="master",config="c"'
    text = "".join(f"openshift_ptp_{name}{{{labels}}} {value}\n" for name in names)
    text += 'openshift_ptp_threshold{node="n",profile="p",threshold="MaxOffsetThreshold"} NaN\n'
    text += 'openshift_ptp_clock_state{process="ptp4l",node="other",iface="ens1fx"} 1\n'
    done = aiops("cnf", "ptp", "-o", "json", env=exporter(text))
    assert done.returncode == 0, done.stderr
    states = {r["node"]: r["state"] for r in done.json["items"]}
    assert states.pop("other") == "LOCKED"
    assert not any(states.values())


def test_a_cluster_without_clocks_says_so_and_fails_nothing(exporter: Any, aiops: Aiops) -> None:
    done = aiops("cnf", "ptp", "-o", "json", env=exporter("up 1\n"))
    assert (done.returncode, done.json["items"], done.json["partial"]) == (0, [], False)
    assert "NO_PTP_CLOCKS" in done.json["clusters"][0]["warnings"][0]
    assert aiops("cnf", "ptp", "--require-data", env=exporter("up 1\n")).returncode == 6


@pytest.mark.parametrize("flags", [("--node", "du-9"), ("--process", "ptp5"), ("--interface", "ens7f*")])
def test_what_matches_nothing_is_said_and_passes_no_check(
    exporter: Any, aiops: Aiops, flags: tuple[str, str]
) -> None:
    done = aiops("cnf", "ptp", *flags, "--fail-on", "critical", env=exporter(documented(Daemon("du-1"))))
    assert (done.returncode, done.stdout) == (4, "")
    assert f"nothing in the chosen clusters matches {flags[0]} {flags[1]}" in done.stderr


def test_an_interface_has_its_own_findings_and_no_others(exporter: Any, aiops: Aiops) -> None:
    text = "".join(
        f'openshift_ptp_clock_state{{process="{process}",node="n",iface="{iface}"}} 0\n'
        f'openshift_ptp_process_status{{process="{process}",node="n",config="c"}} {up}\n'
        for process, iface, up in (("ptp4l", "ens1fx", 1), ("ts2phc", "ens2fx", 0))
    )
    for port in ("ens1f1", "ens2f0"):
        text += f'openshift_ptp_interface_role{{process="ptp4l",node="n",iface="{port}"}} 3\n'
    text += 'openshift_ptp_gnss_status{process="gnss",node="n",iface="ens2f0"} 0\n'

    def found(*flags: str) -> set[tuple[str, str]]:
        answer = aiops("cnf", "ptp", *flags, "-o", "json", env=exporter(text)).json
        return {(f["code"], f["entity"]["name"]) for f in answer["findings"]}

    first = {("PTP_FREERUN", "n/ptp4l/ens1fx"), ("PTP_PORT_FAULTY", "n/ens1f1")}
    second = {
        ("PTP_PROCESS_DOWN", "n/ts2phc"),
        ("PTP_PORT_FAULTY", "n/ens2f0"),
        ("PTP_GNSS_LOST", "n/ens2f0"),
    }
    assert found() == first | second
    told = aiops("cnf", "ptp", "-o", "json", env=exporter(text)).json["findings"]
    assert {(f["since"], f["until"]) for f in told} == {(None, None)}, "a page knows only now"
    assert found("-i", "ens1fx") == first == found("--process", "ptp4l")
    assert found("-i", "ens2f*") == second == found("--process", "ts2phc")
    assert found("--node", "n") == first | second


def test_config_sets_threshold_and_profile(exporter: Any, aiops: Aiops) -> None:
    text = documented(Daemon("du-1"))
    tight = aiops("cnf", "ptp", "-o", "json", env=exporter(text, more="[ptp]\nmax_offset_ns = 50\n")).json
    assert {r["limitNs"] for r in tight["items"]} == {50}
    assert {r["verdict"] for r in tight["items"]} == {"FAIL"}
    named = aiops("cnf", "ptp", "-o", "json", env=exporter(text, more='[ptp]\nprofile = "oran-c3"\n')).json
    assert {r["budget"] for r in named["items"]} == {"oran-c3"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('profile = "best"', "no such profile"),
        ("flaps = 1", "ptp.flaps"),
        ("max_offset_ns = inf", "ptp.max_offset_ns"),
        ("max_offset_ns = nan", "ptp.max_offset_ns"),
        ("holdover_timeout = inf", "ptp.holdover_timeout"),
        ("[sriov]\ndrops_per_second = inf", "sriov.drops_per_second"),
        ("[dpdk]\nimissed_per_second = nan", "dpdk.imissed_per_second"),
        ("[defaults]\ntimeout = nan", "defaults.timeout"),
    ],
)
def test_wrong_settings_are_named(exporter: Any, aiops: Aiops, line: str, said: str) -> None:
    done = aiops("cnf", "ptp", env=exporter("up 1\n", more=f"[ptp]\n{line}\n"))
    assert done.returncode == 2
    assert said in done.stderr
