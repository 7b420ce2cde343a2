"""What is judged wrong with GPUs, from their rows and their past."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aiops_cli.analysis.gpu_codes import throttle_reasons, xid
from aiops_cli.analysis.gpu_findings import findings, job_of, key
from aiops_cli.analysis.gpu_gone import gone, gone_findings
from aiops_cli.analysis.gpu_history import Past, past
from aiops_cli.analysis.gpu_summary import share_of, summary
from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu, GpuThresholds, GpuUser
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from tests.gpu.pages import holder, labels, uuid_of

LIMITS = GpuThresholds()
WINDOW = TimeRange(0.0, 3600.0)
STEP = 60.0


def gpu(index: int = 0, **more: Any) -> Gpu:
    return Gpu(cluster="c", node="n", index=index, uuid=f"GPU-{index}", **more)


def codes(*gpus: Gpu, **pasts: Past) -> dict[str, Finding]:
    """Findings by code; `pasts` by GPU-… with an underscore for the dash."""
    found = findings(gpus, {(k.replace("_", "-"), ""): p for k, p in pasts.items()}, 3600.0, LIMITS)
    return {f.code: f for f in found}


def test_a_healthy_gpu_has_none() -> None:
    fine = gpu(
        utilization=97.0,
        memory_used_mib=100.0,
        memory_total_mib=1000.0,
        temperature_c=60.0,
        xid=0,
        throttle_reasons=["gpu_idle", "clocks_setting"],
        ecc_uncorrectable=0.0,
        row_remap_failed=False,
        row_remap_pending=False,
        nvlink_errors=5.0,
    )
    assert codes(fine, GPU_0=Past(nvlink_errors=0.0, throttled={"power": 0.01})) == {}
    assert codes(gpu()) == {}  # of which nothing is known


@pytest.mark.parametrize(
    ("fields", "then", "code", "severity"),
    [
        ({"memory_used_mib": 960.0, "memory_total_mib": 1000.0}, Past(), "GPU_MEMORY_FULL", "warning"),
        ({"temperature_c": 85.0}, Past(), "GPU_HOT", "warning"),
        ({"temperature_c": 91.0}, Past(), "GPU_HOT", "critical"),
        ({"throttle_reasons": ["hw_thermal"]}, Past(), "GPU_THROTTLED_THERMAL", "warning"),
        ({}, Past(throttled={"thermal": 0.2}), "GPU_THROTTLED_THERMAL", "warning"),
        ({"throttle_reasons": ["power_cap"]}, Past(), "GPU_THROTTLED_POWER", "info"),
        ({"throttle_reasons": ["hw_power_brake"]}, Past(), "GPU_THROTTLED_POWER", "warning"),
        ({"throttle_reasons": ["hw_slowdown"]}, Past(), "GPU_THROTTLED_HARDWARE", "warning"),
        ({"ecc_uncorrectable": 2.0}, Past(), "GPU_ECC_UNCORRECTABLE", "critical"),
        ({"row_remap_failed": True}, Past(), "GPU_ROW_REMAP_FAILED", "critical"),
        ({"row_remap_pending": True}, Past(), "GPU_ROW_REMAP_PENDING", "warning"),
        ({"pages_pending": 1.0}, Past(), "GPU_ROW_REMAP_PENDING", "warning"),
        ({}, Past(nvlink_errors=3.0), "GPU_NVLINK_ERRORS", "warning"),
        ({"health": {"MEM": "FAIL DCGM_FR_X"}}, Past(), "GPU_UNHEALTHY", "critical"),
        ({"pod": "p", "users": [GpuUser("ns", "p")]}, Past(idle_since=0.0), "GPU_IDLE_ALLOCATED", "warning"),
    ],
)
def test_each_threshold(fields: dict[str, Any], then: Past, code: str, severity: str) -> None:
    found = codes(gpu(**fields), GPU_0=then)
    assert list(found) == [code]
    assert found[code].severity == severity
    assert found[code].action


def test_idle_is_told_only_after_a_while_and_of_who_holds_it_now() -> None:
    held = {"pod": "p", "users": [GpuUser("ns", "p")]}
    assert codes(gpu(**held), GPU_0=Past(idle_since=3600.0 - 29 * 60)) == {}
    assert codes(gpu(), GPU_0=Past(idle_since=0.0)) == {}


def test_an_xid_of_the_window_an_old_one_and_a_counted_one() -> None:
    came = codes(gpu(xid=79), GPU_0=Past(xids=((1200.0, 79),)))["GPU_XID"]
    assert (came.severity, came.since) == ("critical", "1970-01-01T00:20:00Z")
    old = codes(gpu(xid=79), GPU_0=Past(xids=()))["GPU_XID"]
    assert (old.severity, old.since) == ("warning", None)
    assert "before the window" in old.text
    unknown = codes(gpu(xid=79))["GPU_XID"]  # of a page: it asks for a reset until there was one
    assert (unknown.severity, "when is not known" in unknown.text) == ("critical", True)
    assert codes(gpu(xid=31))["GPU_XID"].severity == "info"
    counted = codes(gpu(xid=31, xid_counts={"31": 4}))["GPU_XID"]
    assert "4 times" in counted.text


def test_a_board_is_told_once_and_not_for_each_instance() -> None:
    parts = [
        Gpu(cluster="c", node="n", index=0, uuid="GPU-0", mig_instance=i, temperature_c=95.0, xid=48)
        for i in "789"
    ]
    found = findings(parts, {}, 3600.0, LIMITS)
    assert sorted(f.code for f in found) == ["GPU_HOT", "GPU_XID"]


@pytest.mark.parametrize(
    ("pod", "job"),
    [
        ("train-0", "train"),
        ("fit-worker-12", "fit"),
        ("fit-master-0", "fit"),
        ("job-0-abcde", "job"),
        ("llm-7d9f8b6c54-x2x4z", "llm"),
        ("batch-x2x4z", "batch"),
        ("single", "single"),
    ],
)
def test_pods_of_one_job(pod: str, job: str) -> None:
    assert job_of(gpu(namespace="ml", pod=pod, users=[GpuUser("ml", pod)])) == ("ml", job)


def _job(clocks: list[float]) -> list[Gpu]:
    return [
        gpu(
            i,
            namespace="ml",
            pod=f"train-{i}",
            users=[GpuUser("ml", f"train-{i}")],
            model="H100",
            utilization=95.0 + i % 3,
            sm_clock_mhz=clock,
        )
        for i, clock in enumerate(clocks)
    ]


def test_a_straggler_differs_from_its_peers() -> None:
    found = findings(_job([1980, 1975, 1980, 1965, 1200, 1980, 1975, 1980]), {}, 3600.0, LIMITS)
    (one,) = found
    assert (one.code, one.entity.name, one.value) == ("GPU_STRAGGLER", "n/4", 1200)
    assert "SM clock 1200 MHz" in one.text


def test_peers_that_all_differ_and_too_few_have_none() -> None:
    assert findings(_job([1980, 1500, 1200, 1750, 1400, 1900]), {}, 3600.0, LIMITS) == []
    assert findings(_job([1980, 1980, 900]), {}, 3600.0, LIMITS) == []
    assert findings(_job([1980, 1980, 1980, 1979, 1900]), {}, 3600.0, LIMITS) == []  # within 5 %


def series(name: str, values: Callable[[float], float], named: dict[str, str], end: float = 3600.0) -> Series:
    times = np.arange(0.0, end + 1, STEP)
    return Series(named | {"__name__": name}, times, np.array([values(t) for t in times]))


def test_allocated_and_idle_time_of_one_gpu() -> None:
    named = labels("n", 0)
    found = past(
        [
            series("DCGM_FI_DEV_GPU_UTIL", lambda t: 90 if t < 1800 else 0, named | holder("a")),
            series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", lambda t: 0.9, named | holder("a")),
        ],
        WINDOW,
        STEP,
        5.0,
    )[uuid_of("n", 0), ""]
    assert found.allocated_seconds == 60 * STEP
    assert found.idle_seconds == 30 * STEP
    assert found.idle_since == 1800
    assert found.utilization == pytest.approx(90 * 30 / 61)


def test_idle_begins_anew_with_another_holder() -> None:
    named = labels("n", 0)
    first = series("DCGM_FI_DEV_GPU_UTIL", lambda t: 0, named | holder("a"), 1800)
    then = series("DCGM_FI_DEV_GPU_UTIL", lambda t: 0, named | holder("b"))
    cut = Series(then.labels, then.timestamps[31:], then.values[31:])
    found = past([first, cut], WINDOW, STEP, 5.0)[uuid_of("n", 0), ""]
    assert found.idle_since == 31 * STEP
    assert found.idle_seconds == 60 * STEP


def test_copies_of_time_slicing_do_not_double_the_time() -> None:
    named = labels("n", 0)
    copies = [series("DCGM_FI_DEV_GPU_UTIL", lambda t: 50, named | holder(pod)) for pod in "abc"]
    found = past(copies, WINDOW, STEP, 5.0)[uuid_of("n", 0), ""]
    assert (found.allocated_seconds, found.utilization) == (60 * STEP, 50)


def test_a_mig_instance_is_judged_by_its_engine() -> None:
    named = labels("n", 0, GPU_I_ID="7", GPU_I_PROFILE="1g.10gb") | holder("a")
    found = past(
        [
            series("DCGM_FI_DEV_GPU_UTIL", lambda t: 0, named),
            series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", lambda t: 0.5, named),
        ],
        WINDOW,
        STEP,
        5.0,
    )[uuid_of("n", 0), "7"]
    assert (found.idle_seconds, found.utilization) == (0, 50)


def test_an_xid_that_stays_is_no_new_one_and_counters_grow_over_resets() -> None:
    named = labels("n", 0)
    found = past(
        [
            series("DCGM_FI_DEV_XID_ERRORS", lambda t: 31 if t < 1200 else 48, named),
            series("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", lambda t: t / 60 if t < 1800 else 2, named),
            series("DCGM_FI_DEV_THERMAL_VIOLATION", lambda t: t * 1e9 / 4, named),
        ],
        WINDOW,
        STEP,
        5.0,
    )[uuid_of("n", 0), ""]
    assert found.xids == ((1200.0, 48),)
    assert found.nvlink_errors == 29
    assert found.throttled == {"thermal": pytest.approx(0.25)}
    assert found.idle_seconds is None  # nothing was said of its use


def _part(name: str, named: dict[str, str], values: dict[float, float]) -> Series:
    return Series(named | {"__name__": name}, np.array(list(values)), np.array(list(values.values())))


def test_an_xid_that_ends_the_pod_lies_between_two_series() -> None:
    named = labels("n", 0)
    found = past(
        [
            _part("DCGM_FI_DEV_XID_ERRORS", named | holder("a"), {0: 0, 60: 0, 120: 0}),
            _part("DCGM_FI_DEV_XID_ERRORS", named, {180: 79, 240: 79}),
            _part("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", named | holder("a"), {0: 1, 120: 1}),
            _part("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", named, {180: 3}),
        ],
        WINDOW,
        STEP,
        5.0,
    )[uuid_of("n", 0), ""]
    assert (found.xids, found.uncorrectable, found.seen) == (((180.0, 79),), 2, 240)


def test_an_xid_of_the_only_measurement_has_no_time() -> None:
    """A GPU that was measured for the first time: whether it had one before the window, nobody knows."""
    found = past([_part("DCGM_FI_DEV_XID_ERRORS", labels("n", 0), {3600: 79})], WINDOW, STEP, 5.0)
    assert found[uuid_of("n", 0), ""].xids is None


def test_of_two_series_at_once_the_one_that_began_last_has_the_xid() -> None:
    """A server that is not told of a series' end goes on with it for minutes."""
    named = labels("n", 0)
    before = _part("DCGM_FI_DEV_XID_ERRORS", named | holder("a"), {0: 79, 60: 79, 120: 79, 180: 79})
    after = _part("DCGM_FI_DEV_XID_ERRORS", named, {120: 31, 180: 31})
    found = past([after, before], WINDOW, STEP, 5.0)[uuid_of("n", 0), ""]
    assert found.xids == ((120.0, 31),)


def test_the_xid_of_a_gpu_that_was_divided_within_the_window_is_of_its_board() -> None:
    named = labels("n", 0)
    divided = named | {"GPU_I_ID": "7", "GPU_I_PROFILE": "1g.10gb"}
    found = past(
        [
            _part("DCGM_FI_DEV_XID_ERRORS", named, {0: 0, 60: 0}),
            _part("DCGM_FI_DEV_XID_ERRORS", divided, {120: 48}),
        ],
        WINDOW,
        STEP,
        5.0,
    )
    assert found[uuid_of("n", 0), ""].xids == ((120.0, 48),)


def test_an_engine_that_is_a_little_more_than_fully_active_is_no_percent() -> None:
    named = labels("n", 0) | holder("a")
    found = past(
        [series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", lambda t: 1.002 if t == 600 else 0.9, named)],
        WINDOW,
        STEP,
        5.0,
    )[uuid_of("n", 0), ""]
    assert (found.idle_seconds, found.utilization) == (0, pytest.approx(90, abs=0.2))
    old = past(
        [series("dcgm_fi_prof_gr_engine_active", lambda t: 0.9, {"uuid": "GPU-1"} | holder("a"))],
        WINDOW,
        STEP,
        5.0,
    )["GPU-1", ""]
    assert old.utilization == pytest.approx(0.9)  # 1.x says percent


def test_idle_time_does_not_bridge_what_nobody_measured() -> None:
    named = labels("n", 0) | holder("a")
    times = [*range(0, 601, 60), *range(1800, 3601, 60)]
    found = past(
        [_part("DCGM_FI_DEV_GPU_UTIL", named, dict.fromkeys(map(float, times), 0.0))], WINDOW, STEP, 5.0
    )[uuid_of("n", 0), ""]
    assert (found.idle_since, found.idle_seconds) == (1800, 600 + 1800)
    ended = past(
        [_part("DCGM_FI_DEV_GPU_UTIL", named, dict.fromkeys(map(float, range(0, 2401, 60)), 0.0))],
        WINDOW,
        STEP,
        5.0,
    )[uuid_of("n", 0), ""]
    assert ended.idle_since is None  # and whether it still is, nobody knows


def test_two_jobs_that_scrape_one_exporter_see_one_holder() -> None:
    named = labels("n", 0)
    target = {"pod": "nvidia-dcgm-exporter-x", "namespace": "gpu"}
    first = _part("DCGM_FI_DEV_GPU_UTIL", named | holder("a"), dict.fromkeys(np.arange(0, 3601, 60.0), 0.0))
    moved = {f"exported_{k}": v for k, v in holder("a").items()}
    second = _part(
        "DCGM_FI_DEV_GPU_UTIL", named | target | moved, dict.fromkeys(np.arange(0, 1801, 60.0), 0.0)
    )
    found = past([first, second], WINDOW, STEP, 5.0)[uuid_of("n", 0), ""]
    assert (found.idle_since, found.holders) == (0, (("ml", "a", "main"),))


def test_blanks_of_the_past_are_no_numbers() -> None:
    named = labels("n", 0)
    found = past(
        [_part("DCGM_FI_DEV_XID_ERRORS", named, {0: 0, 60: 2147483632.0, 120: 0})], WINDOW, STEP, 5.0
    )[uuid_of("n", 0), ""]
    assert found.xids == ()


def test_a_gpu_whose_metrics_ended_is_told_with_what_came_before() -> None:
    named = labels("n", 1)
    pasts = past(
        [
            _part("DCGM_FI_DEV_XID_ERRORS", named | holder("a"), {0: 0, 60: 0}),
            _part("DCGM_FI_DEV_XID_ERRORS", named, {120: 79}),
            _part("DCGM_FI_DEV_GPU_UTIL", named | holder("a"), {0: 90, 60: 90}),
        ],
        WINDOW,
        STEP,
        5.0,
    )
    there = [Gpu(cluster="c", node="n", index=0, uuid="GPU-0")]
    lost = gone([named], there, pasts, "c")
    told = gone_findings(lost, there)
    assert [(f.code, f.severity, f.entity.name, f.since) for f in told] == [
        ("GPU_XID", "critical", "n/1", "1970-01-01T00:02:00Z"),
        ("GPU_GONE", "critical", "n/1", "1970-01-01T00:02:00Z"),
    ]
    assert lost[0].gpu.pod == "a"
    (node,) = [f for f in gone_findings(lost, []) if f.code == "GPU_GONE"]
    assert (node.severity, "whole node" in node.text) == ("warning", True)


def test_a_gpu_that_is_divided_now_is_not_gone() -> None:
    uuid = uuid_of("n", 0)
    there = [Gpu(cluster="c", node="n", index=0, uuid=uuid, mig_instance="7")]
    assert gone([labels("n", 0)], there, {(uuid, ""): Past(seen=60.0)}, "c") == []


def test_absurd_names_cost_no_time() -> None:
    long = "-1" * 50_000 + "x"
    assert job_of(gpu(pod=long, users=[GpuUser("ns", long)])) is None
    assert share_of(gpu(mig_profile="9" * 5_000 + "g.5gb")) == 1


def test_summary_weighs_instances_and_counts_boards_once() -> None:
    parts = [
        Gpu(
            cluster="c",
            node="n",
            index=0,
            uuid="GPU-0",
            model="A100",
            mig_instance=i,
            mig_profile="1g.5gb",
            power_w=300.0,
            utilization=0.0,
            pod="p",
            users=[GpuUser("ns", "p")],
        )
        for i in "78"
    ]
    whole = gpu(1, model="A100", power_w=100.0, utilization=50.0, temperature_c=85.0)
    pasts = {("c", key(g)): Past(allocated_seconds=3600.0, idle_seconds=3600.0) for g in parts}
    rows, total = summary([*parts, whole], pasts, [], LIMITS)
    assert len(rows) == 1
    assert (total.gpus, total.mig_instances, total.power_w, total.hot) == (2, 2, 400, 1)
    assert (total.allocated, total.idle_allocated, total.used, total.free) == (2, 2, 1, 1)
    assert total.units == total.allocated + total.free
    assert total.idle_gpu_hours == pytest.approx(2 / 7, abs=0.001)
    _, unknown = summary([whole], {}, [], LIMITS)
    assert unknown.idle_gpu_hours is None


@pytest.mark.parametrize(
    ("profile", "model", "share"),
    [
        ("1g.10gb", "H100", 1 / 7),
        ("3g.40gb", "H100", 3 / 7),
        ("2g.12gb", "NVIDIA A30", 0.5),
        (None, "H100", 1.0),
    ],
)
def test_share_of_an_instance(profile: str | None, model: str, share: float) -> None:
    assert share_of(gpu(mig_profile=profile, model=model)) == pytest.approx(share)


def test_codes_in_words() -> None:
    assert throttle_reasons(0) == []
    assert throttle_reasons(0x1 | 0x8 | 0x80) == ["gpu_idle", "hw_slowdown", "hw_power_brake"]
    assert (xid(48).severity, xid(31).severity) == ("critical", "warning")
    assert "not in our table" in xid(999).meaning


def _parts(**second: Any) -> list[Gpu]:
    """A board of two instances; what is told is told of the second."""
    first: dict[str, Any] = {"mig_instance": "1", "mig_profile": "3g.40gb", "namespace": "team-a", "pod": "a"}
    return [gpu(**first), gpu(**first | {"mig_instance": "2", "namespace": "team-b", "pod": "b"} | second)]


def test_what_is_wrong_with_any_instance_is_told_of_its_board() -> None:
    told = findings(
        _parts(
            xid=79, ecc_uncorrectable=3.0, health={"MEM": "FAIL"}, temperature_c=97.0, row_remap_failed=True
        ),
        {},
        3600.0,
        LIMITS,
    )
    assert {f.code for f in told} == {
        "GPU_XID", "GPU_ECC_UNCORRECTABLE", "GPU_UNHEALTHY", "GPU_HOT", "GPU_ROW_REMAP_FAILED",
    }  # fmt: skip
    assert {(f.entity.name, f.entity.namespace) for f in told} == {("n/0", None)}


def test_each_instance_has_its_own_xids_whatever_the_order() -> None:
    named = labels("n", 0)

    def gauge(instance: str, last: float) -> Series:
        values = {0.0: 0.0, 60.0: 0.0, 120.0: last, 180.0: last}
        return _part("DCGM_FI_DEV_XID_ERRORS", named | {"GPU_I_ID": instance}, values)

    for order in ([("1", 0), ("2", 79)], [("2", 79), ("1", 0)]):
        found = past([gauge(i, v) for i, v in order], WINDOW, STEP, 5.0)[uuid_of("n", 0), ""]
        assert found.xids == ((120.0, 79),)


def test_a_summary_counts_a_board_whose_second_instance_has_errors() -> None:
    parts = _parts(xid=79)
    told = findings(parts, {}, 3600.0, LIMITS)
    rows, _ = summary(parts, {}, told, LIMITS)
    assert [r.erroring for r in rows] == [1]


def test_a_gpu_without_uuid_that_is_there_is_not_gone() -> None:
    there = [Gpu(cluster="c", node="n", index=0)]
    assert gone([{"gpu": "0", "Hostname": "n"}], there, {("n/0", ""): Past(seen=60.0)}, "c") == []


def test_a_job_is_compared_since_its_pods_hold_the_gpus() -> None:
    """What held GPU 0 before was idle: that is not the job's pace."""
    job = _job([1980.0] * 4)
    pasts = {}
    for i in range(4):
        named = labels("n", i)
        pace = 0.0 if i == 0 else 95.0
        first = _part(
            "DCGM_FI_DEV_GPU_UTIL", named | holder("old"), dict.fromkeys(np.arange(0.0, 3001, STEP), pace)
        )
        times = np.arange(3060.0, 3601, STEP)
        then = Series(
            named | holder(f"train-{i}") | {"__name__": "DCGM_FI_DEV_GPU_UTIL"}, times, times * 0 + 95
        )
        found = past([first, then], WINDOW, STEP, 5.0)[uuid_of("n", i), ""]
        assert found.held_utilization == 95
        pasts[key(job[i])] = found
    assert findings(job, pasts, 3600.0, LIMITS) == []
