"""Root causes that are a GPU, a clock or a VF: findings and series as the views tell them."""

from __future__ import annotations

from aiops_cli.analysis.clues import rfc3339
from aiops_cli.analysis.observations import Indicator, Observations
from aiops_cli.analysis.rca import analyze
from aiops_cli.models.analysis import Cause, Entity
from aiops_cli.models.findings import Finding, FindingSeverity
from aiops_cli.models.signals import Workload
from tests.analysis.incidents import ONSET, START, alert, indicator, log, observations, service, stepped

GPU, NEIGHBOUR = (Entity("gpu", f"gpu-node-1/{i}", None, "east") for i in (3, 4))
CLOCK = Entity("clock", "ran-1/ptp4l/ens1fx", None, "east")
SYSTEM = Entity("clock", "ran-1/phc2sys/CLOCK_REALTIME", None, "east")
OTHER_CLOCK = Entity("clock", "ran-2/ptp4l/ens1fx", None, "east")
VF = Entity("vf", "ran-1/0000:3b:02.1", None, "east")


def finding(
    entity: Entity,
    code: str,
    severity: FindingSeverity,
    text: str,
    since: float | None = None,
    until: float | None = None,
) -> Finding:
    return Finding("east", code, severity, entity, text, "", rfc3339(since), rfc3339(until))


def pod(name: str, owner: str, node: str) -> tuple[str, Workload]:
    return "east", Workload(name, "shop", node, "StatefulSet", owner, "Running")


def of(name: str) -> Entity:
    return Entity("pod", name, "shop", "east")


def gpu_incident(*more: Finding) -> Observations:
    """llm-0 runs on GPU 3, which falls off the bus; embed-0 on GPU 4, which is busy now and then."""
    llm, chat = service("llm"), service("chat")
    return observations(
        indicators=[
            indicator(chat, "latency_p95", 0.4, 9.0, unit="s", onset=ONSET + 30),
            indicator(chat, "error_rate", 0.001, 0.5, unit="ratio", onset=ONSET + 30),
            indicator(of("llm-0"), "first_token_latency_p95", 0.2, 6.0, unit="s", onset=ONSET + 15),
            indicator(llm, "error_rate", 0.001, 0.6, unit="ratio", onset=ONSET + 15),
            indicator(service("embed"), "latency_p95", 0.05, 0.05, unit="s"),
        ],
        findings=[
            finding(GPU, "GPU_XID", "critical", "XID 79: GPU has fallen off the bus", ONSET + 15),
            finding(NEIGHBOUR, "GPU_THROTTLED_POWER", "info", "clocks were lowered; for 40 % of the window"),
            finding(NEIGHBOUR, "GPU_MEMORY_FULL", "warning", "97 % of memory used"),
            finding(NEIGHBOUR, "GPU_XID", "info", "last XID 13: engine exception; before the window"),
            *more,
        ],
        edges=[(chat, llm), (of("llm-0"), GPU), (of("embed-0"), NEIGHBOUR)],
        workloads=[pod("llm-0", "llm", "gpu-node-1"), pod("embed-0", "embed", "gpu-node-1")],
        logs=[log(llm, ONSET + 20 + i, "ERROR request failed: CUDA error") for i in range(20)],
        alerts=[alert("ChatErrorRateHigh", "chat", ONSET + 120)],
    )


def clock_incident() -> Observations:
    """The master of ran-1 is lost; the vDU there fails calls. The clock of ran-2 flapped an hour ago."""
    return observations(
        indicators=[
            indicator(service("vdu"), "error_rate", 0.001, 0.4, unit="ratio", onset=ONSET + 30),
            indicator(service("vcu"), "error_rate", 0.001, 0.3, unit="ratio", onset=ONSET + 45),
            indicator(service("vcu"), "cpu", 0.4, 0.41, unit="ratio"),
        ],
        findings=[
            finding(SYSTEM, "PTP_FREERUN", "critical", "FREERUN for 9 min", ONSET + 15),
            finding(CLOCK, "PTP_HOLDOVER", "warning", "HOLDOVER for 9 min of 4 h", ONSET),
            finding(OTHER_CLOCK, "PTP_FREERUN", "critical", "FREERUN for 1 min", START, START + 60),
        ],
        edges=[
            (service("vcu"), service("vdu")),
            (of("vdu-0"), CLOCK),
            (of("vdu-0"), SYSTEM),
            (SYSTEM, CLOCK),
            (of("vdu-1"), OTHER_CLOCK),
        ],
        workloads=[pod("vdu-0", "vdu", "ran-1")],
        alerts=[alert("CellErrorRateHigh", "vcu", ONSET + 120)],
    )


def vf_incident() -> Observations:
    return observations(
        indicators=[
            indicator(service("upf"), "error_rate", 0.001, 0.3, unit="ratio", onset=ONSET + 15),
            Indicator(VF, "rx_dropped_packets", stepped(0, 4000), "rate(sriov_vf_rx_dropped[2m])", "1/s"),
            Indicator(
                Entity("vf", "ran-1/0000:3b:02.2", None, "east"),
                "rx_dropped_packets",
                stepped(900, 905, noise=0.2, seed=4),
                unit="1/s",
            ),
        ],
        findings=[finding(VF, "SRIOV_VF_DROPS", "warning", "4000 dropped packets a second")],
        edges=[(of("upf-0"), VF)],
        workloads=[pod("upf-0", "upf", "ran-1")],
        alerts=[alert("UpfErrorRateHigh", "upf", ONSET + 120)],
    )


def first(found: list[Cause]) -> Cause:
    return found[0]


def test_a_gpu_that_fell_off_the_bus_explains_its_model_server() -> None:
    found = analyze(gpu_incident())
    assert first(found).entity == GPU and first(found).indicator == "GPU_XID"
    assert "XID 79: GPU has fallen off the bus, since" in first(found).evidence[0].text
    assert [e.name for e in first(found).chain] == ["gpu-node-1/3", "llm", "chat"]
    assert not [e.text for e in first(found).against if e.signal == "metric"]
    assert {e.name for e in first(found).blast_radius} == {"llm", "chat"}
    assert first(found).onset == rfc3339(ONSET + 15)


def test_a_busy_gpu_beside_it_is_not_blamed() -> None:
    found = analyze(gpu_incident())
    scores = {c.entity: c.score for c in found}
    assert scores.get(NEIGHBOUR, 0.0) < 0.5 * scores[GPU]
    assert scores.get(NEIGHBOUR, 0.0) < scores[service("llm")]


def test_an_idle_gpu_is_waste_and_no_cause() -> None:
    idle = Entity("gpu", "gpu-node-9/0", None, "east")
    found = analyze(gpu_incident(finding(idle, "GPU_IDLE_ALLOCATED", "warning", "idle for 90 min", START)))
    assert idle not in {c.entity for c in found}


def test_its_steps_name_the_node() -> None:
    steps = first(analyze(gpu_incident())).next_steps
    assert "aiops -c east gpu nodes --node gpu-node-1" in steps[0]
    assert "kubectl --context east cordon gpu-node-1" in steps[2]


def test_a_lost_master_explains_the_vdu_and_the_system_clock() -> None:
    found = analyze(clock_incident())
    assert first(found).entity == CLOCK and first(found).indicator == "PTP_HOLDOVER"
    assert {"vdu", "vcu"} <= {e.name for e in first(found).blast_radius}
    assert "cnf ptp --node ran-1" in first(found).next_steps[0]


def test_a_clock_that_was_bad_and_over_before_is_not_blamed() -> None:
    scores = {c.entity: c.score for c in analyze(clock_incident())}
    assert scores[OTHER_CLOCK] < 0.5 * scores[CLOCK]


def test_a_vf_that_drops_explains_its_pod_and_one_that_always_did_does_not() -> None:
    found = analyze(vf_incident())
    assert first(found).entity == VF and first(found).indicator == "rx_dropped_packets"
    assert first(found).evidence[0].baseline == 0.0
    assert "ran-1/0000:3b:02.2" not in {c.entity.name for c in found[:2]}
    assert "cnf sriov --node ran-1" in first(found).next_steps[0]


def test_a_finding_from_long_before_is_weaker_than_what_fails_now() -> None:
    obs = gpu_incident()
    obs.findings = [finding(GPU, "GPU_XID", "critical", "XID 79", START - 7200)]
    old = {c.entity: c.score for c in analyze(obs)}
    new = {c.entity: c.score for c in analyze(gpu_incident())}
    assert old.get(GPU, 0.0) < 0.5 * new[GPU]


def test_without_findings_the_answer_is_what_it_was() -> None:
    obs = gpu_incident()
    obs.findings, obs.edges = [], obs.edges[:1]
    assert first(analyze(obs)).entity == service("llm")
