"""Exporter samples to rows: the names, labels, units and traps of dcgm-exporter 1.x to 4.x."""

from __future__ import annotations

import pytest

from aiops_cli.analysis import gpu_inference
from aiops_cli.analysis.gpu import METRICS, rows
from aiops_cli.models.gpu import Gpu
from aiops_cli.models.samples import Sample
from aiops_cli.sources.exposition import parse
from tests.gpu.pages import BUSY, IDLE, MIB, NOBODY, holder, labels, page, uuid_of


def read(text: str) -> list[Gpu]:
    found = parse(text)
    assert found.skipped == 0
    return rows(found.samples, "east", "dcgm")


def test_a_whole_gpu_with_units_and_holder() -> None:
    (gpu,) = read(page((labels("n1", 0) | holder("train-0"), BUSY)))
    assert (gpu.cluster, gpu.node, gpu.index, gpu.uuid) == ("east", "n1", 0, uuid_of("n1", 0))
    assert (gpu.model, gpu.driver, gpu.source) == ("NVIDIA H100 80GB HBM3", "550.90.07", "dcgm")
    assert (gpu.namespace, gpu.pod, gpu.container) == ("ml", "train-0", "main")
    assert (gpu.utilization, gpu.utilization_of) == (97, "GPU_UTIL")
    assert (gpu.temperature_c, gpu.power_w, gpu.sm_clock_mhz) == (64, 612.5, 1980)
    assert gpu.pcie_tx_bytes_per_second == 12_500_000
    assert (gpu.mig_profile, gpu.mig_instance) == (None, None)


def test_profiling_metrics_are_ratios_and_utilisation_is_percent() -> None:
    (gpu,) = read(page((labels("n1", 0), BUSY)))
    assert gpu.utilization == 97
    assert (gpu.tensor_active, gpu.dram_active, gpu.sm_active) == (0.55, 0.31, None)


def test_without_plain_utilisation_the_engine_tells_it_in_percent() -> None:
    values = {k: v for k, v in BUSY.items() if k != "DCGM_FI_DEV_GPU_UTIL"}
    (gpu,) = read(page((labels("n1", 0), values)))
    assert (gpu.utilization, gpu.utilization_of) == (pytest.approx(96), "GR_ENGINE_ACTIVE")


@pytest.mark.parametrize("host", ["Hostname", "hostname"])
def test_both_spellings_of_the_host_label(host: str) -> None:
    (gpu,) = read(page((labels("n1", 0, host=host), BUSY)))
    assert gpu.node == "n1"


def test_without_a_host_label_the_node_is_what_scraping_added() -> None:
    bare = {k: v for k, v in labels("n1", 0).items() if k != "Hostname"}
    (by_address,) = read(page((bare | {"instance": "10.0.0.5:9400"}, BUSY)))
    (by_node,) = read(page((bare | {"instance": "10.0.0.5:9400", "node": "worker-7"}, BUSY)))
    assert (by_address.node, by_node.node) == ("10.0.0.5", "worker-7")


def test_target_labels_that_win_leave_the_holder_in_exported_labels() -> None:
    own = {"pod": "nvidia-dcgm-exporter-x2x4z", "namespace": "nvidia-gpu-operator", "container": "exporter"}
    held = {f"exported_{k}": v for k, v in holder("train-0").items()}
    busy, idle = read(page((labels("n1", 0) | own | held, BUSY), (labels("n1", 1) | own, IDLE)))
    assert (busy.namespace, busy.pod, busy.container) == ("ml", "train-0", "main")
    assert (idle.namespace, idle.pod, idle.container, idle.users) == (None, None, None, [])


def test_the_exporters_own_pod_holds_nothing_even_when_every_gpu_is_idle() -> None:
    own = {"pod": "nvidia-dcgm-exporter-x2x4z", "namespace": "nvidia-gpu-operator", "container": "exporter"}
    (gpu,) = read(page((labels("n1", 0) | own, IDLE)))
    assert gpu.pod is None


def test_an_exporter_of_another_name_is_known_by_the_labels_of_its_neighbours() -> None:
    own = {"pod": "gpu-metrics-abcde", "namespace": "monitoring", "container": "exporter"}
    held = {f"exported_{k}": v for k, v in holder("train-0").items()}
    blocks = (
        (labels("n1", 0) | own | held, BUSY),
        (labels("n1", 1) | own, IDLE),
        (labels("n2", 0) | own | {"pod": "gpu-metrics-fghij"}, IDLE),
        (labels("n3", 0) | holder("train-1"), BUSY),  # of a scrape that honours the exporter's labels
    )
    assert [g.pod for g in read(page(*blocks))] == ["train-0", None, None, "train-1"]


def test_empty_labels_of_an_idle_gpu_are_nobody() -> None:
    (gpu,) = read(page((labels("n1", 0) | NOBODY, IDLE)))
    assert (gpu.namespace, gpu.pod, gpu.container, gpu.users) == (None, None, None, [])
    assert gpu.utilization == 0  # which is known


def test_old_names_of_the_pod_labels() -> None:
    old = {"pod_name": "train-0", "pod_namespace": "ml", "container_name": "main"}
    (gpu,) = read(page((labels("n1", 0) | old, BUSY)))
    assert (gpu.namespace, gpu.pod, gpu.container) == ("ml", "train-0", "main")


def test_memory_in_total_is_used_free_and_reserved() -> None:
    (gpu,) = read(page((labels("n1", 0), BUSY)))
    assert (gpu.memory_used_mib, gpu.memory_total_mib) == (40_000, 81_559)
    without = {k: v for k, v in MIB.items() if k != "DCGM_FI_DEV_FB_RESERVED"}  # exporters of DCGM 2
    (older,) = read(page((labels("n1", 0), without)))
    assert older.memory_total_mib == 80_559
    (told,) = read(page((labels("n1", 0), MIB | {"DCGM_FI_DEV_FB_TOTAL": 81_920})))
    assert told.memory_total_mib == 81_920
    (half,) = read(page((labels("n1", 0), {"DCGM_FI_DEV_FB_USED": 5})))
    assert half.memory_total_mib is None


def mig(
    index: int, instance: str, profile: str, active: float, used: float
) -> tuple[dict[str, str], dict[str, float]]:
    names = labels("n1", index, GPU_I_PROFILE=profile, GPU_I_ID=instance)
    values = {
        "DCGM_FI_DEV_GPU_UTIL": 0.0,  # not supported on MIG: it says nothing
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": active,
        "DCGM_FI_DEV_FB_USED": used,
        "DCGM_FI_DEV_FB_FREE": 9_000.0,
    }
    return names, values


def test_mig_instances_join_on_uuid_and_instance() -> None:
    board = {"DCGM_FI_DEV_POWER_USAGE": 300.0, "DCGM_FI_DEV_GPU_TEMP": 55.0, "DCGM_FI_DEV_XID_ERRORS": 0.0}
    first, one = mig(0, "7", "1g.10gb", 0.5, 1_000)
    second, two = mig(0, "9", "1g.10gb", 0.0, 10)
    other, three = mig(1, "7", "3g.40gb", 0.25, 20_000)  # the same instance number on another GPU
    found = read(
        page(
            (labels("n1", 0), board), (first | holder("a"), one), (second, two), (other | holder("b"), three)
        )
    )
    assert [(g.index, g.mig_instance, g.mig_profile, g.utilization, g.pod) for g in found] == [
        (0, "7", "1g.10gb", 50, "a"),
        (0, "9", "1g.10gb", 0, None),
        (1, "7", "3g.40gb", 25, "b"),
    ]
    assert [g.memory_used_mib for g in found] == [1_000, 10, 20_000]
    assert [g.utilization_of for g in found] == ["GR_ENGINE_ACTIVE"] * 3
    # power and temperature are the board's
    assert [(g.power_w, g.temperature_c) for g in found] == [(300, 55), (300, 55), (None, None)]


def test_time_slicing_copies_are_one_gpu() -> None:
    """`--kubernetes-virtual-gpus`: the whole GPU's value is stamped on each pod that shares it."""
    found = read(page(*((labels("n1", 0) | holder(pod), BUSY) for pod in ("a", "b", "c"))))
    assert len(found) == 1
    assert (found[0].utilization, found[0].memory_used_mib, found[0].power_w) == (97, 40_000, 612.5)
    assert [(u.pod, u.memory_used_mib) for u in found[0].users] == [("a", None), ("b", None), ("c", None)]


def test_device_values_beside_those_of_each_pod() -> None:
    """4.5: GPU_UTIL and FB_USED for the device, and again for each pod from its processes."""

    def share(pod: str, busy: float, used: float) -> tuple[dict[str, str], dict[str, float]]:
        return labels("n1", 0) | holder(pod), {"DCGM_FI_DEV_GPU_UTIL": busy, "DCGM_FI_DEV_FB_USED": used}

    (gpu,) = read(page((labels("n1", 0), BUSY), share("a", 30, 9_000), share("b", 60, 30_000)))
    assert (gpu.utilization, gpu.memory_used_mib) == (97, 40_000)
    assert [(u.pod, u.utilization, u.memory_used_mib) for u in gpu.users] == [
        ("b", 60, 30_000),
        ("a", 30, 9_000),
    ]
    assert gpu.pod == "b"


def test_exporter_1_names() -> None:
    old = {
        "dcgm_gpu_utilization": 80.0,
        "dcgm_fb_used": 100.0,
        "dcgm_fb_free": 900.0,
        "dcgm_gpu_temp": 50.0,
        "dcgm_power_usage": 120.0,
        "dcgm_xid_errors": 31.0,
        "dcgm_fi_prof_gr_engine_active": 85.0,  # 1.x says that it is in percent
    }
    (gpu,) = read(page(({"gpu": "3", "uuid": "GPU-1", "instance": "n9:9400"}, old)))
    assert (gpu.index, gpu.uuid, gpu.node) == (3, "GPU-1", "n9")
    assert (gpu.utilization, gpu.memory_total_mib, gpu.temperature_c, gpu.power_w) == (80, 1_000, 50, 120)
    assert (gpu.xid, gpu.xid_meaning) == (31, "GPU memory page fault")


def test_the_legacy_uuid_label_of_newer_exporters() -> None:
    (gpu,) = read(page((labels("n1", 0, uuid="uuid"), BUSY)))
    assert gpu.uuid == uuid_of("n1", 0)


def test_what_no_sample_says_is_unknown_and_zero_is_zero() -> None:
    (gpu,) = read(page((labels("n1", 0), {"DCGM_FI_DEV_GPU_TEMP": 40.0})))
    assert (gpu.utilization, gpu.memory_used_mib, gpu.power_w, gpu.xid) == (None, None, None, None)
    assert (gpu.throttle_reasons, gpu.row_remap_failed, gpu.nvlink_errors) == (None, None, None)
    (gpu,) = read(
        page((labels("n1", 0), {"DCGM_FI_DEV_XID_ERRORS": 0.0, "DCGM_FI_DEV_ROW_REMAP_FAILURE": 0.0}))
    )
    assert (gpu.xid, gpu.xid_meaning, gpu.row_remap_failed) == (0, None, False)


def test_xid_is_the_last_code_and_counts_come_from_their_own_metric() -> None:
    text = page((labels("n1", 0), {"DCGM_FI_DEV_XID_ERRORS": 79.0}))
    text += f'DCGM_EXP_XID_ERRORS_COUNT{{gpu="0",UUID="{uuid_of("n1", 0)}",window_size_in_ms="300000",xid="79"}} 3\n'
    (gpu,) = read(text)
    assert (gpu.xid, gpu.xid_meaning) == (79, "GPU has fallen off the bus")
    assert gpu.xid_counts == {"79": 3}


@pytest.mark.parametrize("name", ["DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"])
def test_throttle_reasons_by_both_names(name: str) -> None:
    (gpu,) = read(page((labels("n1", 0), {name: float(0x4 | 0x40 | 0x1000)})))
    assert gpu.throttle_reasons == ["power_cap", "hw_thermal", "0x1000"]


def test_nvlink_metrics_have_labels_of_their_own_and_are_added_up() -> None:
    text = page((labels("n1", 0), BUSY))
    for link in range(2):
        text += f'DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL{{nvlink="{link}",gpu_uuid="{uuid_of("n1", 0)}",model_name="x"}} 2\n'
    (gpu,) = read(text)
    assert gpu.nvlink_errors == 4
    assert gpu.model == "NVIDIA H100 80GB HBM3"


def test_switches_and_processors_are_no_gpus() -> None:
    text = 'DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL{nvswitch="nvswitch0",Hostname="n1"} 0\n'
    assert read(text) == []


def test_health_checks() -> None:
    text = page((labels("n1", 0), BUSY))
    for watch, value, code in (("MEM", 20, "DCGM_FR_VOLATILE_DBE_DETECTED"), ("PCIE", 0, "")):
        text += f'DCGM_EXP_GPU_HEALTH_STATUS{{UUID="{uuid_of("n1", 0)}",health_watch="{watch}",health_error_code="{code}"}} {value}\n'
    (gpu,) = read(text)
    assert gpu.health == {"MEM": "FAIL DCGM_FR_VOLATILE_DBE_DETECTED"}


def test_blanks_of_dcgm_and_nan_are_no_numbers() -> None:
    blank = float(0x7FFFFFFFFFFFFFF0)
    (gpu,) = read(
        page(
            (labels("n1", 0), BUSY | {"DCGM_FI_DEV_POWER_USAGE": blank, "DCGM_FI_DEV_GPU_TEMP": float("nan")})
        )
    )
    assert (gpu.power_w, gpu.temperature_c) == (None, None)


def test_cuda_by_its_number() -> None:
    (gpu,) = read(page((labels("n1", 0, DCGM_FI_CUDA_DRIVER_VERSION="12040"), BUSY)))
    assert gpu.cuda == "12.4"


def test_replicas_of_a_series_are_one_gpu() -> None:
    found = rows(
        [Sample("DCGM_FI_DEV_FB_USED", labels("n1", 0) | {"prometheus_replica": r}, 5.0) for r in "ab"],
        "east",
        "prometheus",
    )
    assert [g.memory_used_mib for g in found] == [5]


def test_every_metric_that_is_read_is_asked_for() -> None:
    assert {"DCGM_FI_DEV_FB_RESERVED", "DCGM_EXP_XID_ERRORS_COUNT", "dcgm_fb_used"} <= set(METRICS)


def test_a_ratio_a_little_above_one_is_no_percent() -> None:
    (gpu,) = read(page((labels("n1", 0), {"DCGM_FI_PROF_SM_ACTIVE": 1.002})))
    assert gpu.sm_active == pytest.approx(1.002)
    (old,) = read(page(({"gpu": "3", "uuid": "GPU-1"}, {"dcgm_fi_prof_sm_active": 0.8})))
    assert old.sm_active == pytest.approx(0.008)  # 1.x says percent


def test_the_node_of_scraping_wins_over_a_host_label_that_is_the_exporters_pod() -> None:
    own = {"pod": "gpu-metrics-abcde", "node": "worker-7"}
    bare = {k: v for k, v in labels("x", 0).items() if k != "Hostname"}
    (by_pod,) = read(page((bare | own | {"Hostname": "gpu-metrics-abcde"}, BUSY)))
    held = holder("train-0") | {"node": "worker-7", "hostname": "nvidia-dcgm-exporter-x2x4z"}
    (by_name,) = read(page((bare | held, BUSY)))
    (real,) = read(page((labels("n1", 0) | {"node": "ip-10-0-0-5"}, BUSY)))
    assert (by_pod.node, by_name.node, real.node) == ("worker-7", "worker-7", "n1")


def test_a_warning_that_comes_later_does_not_hide_a_failed_health_check() -> None:
    named = labels("n1", 0)
    checks = [({**named, "health_watch": "MEM", "health_error_code": code}, value)
              for code, value in (("A", 20.0), ("B", 10.0))]  # fmt: skip
    (gpu,) = read(page(*((found, {"DCGM_EXP_GPU_HEALTH_STATUS": value}) for found, value in checks)))
    assert gpu.health == {"MEM": "FAIL A"}


@pytest.mark.parametrize(
    "number", [2147483632.0, 2147483635.0, 140737488355328.0, 140737488355330.0, 9223372036854775792.0]
)
def test_dcgms_blanks_of_every_size_are_unknown(number: float) -> None:
    (gpu,) = read(page((labels("n1", 0), {"DCGM_FI_DEV_GPU_TEMP": 40.0, "DCGM_FI_DEV_POWER_USAGE": number})))
    assert (gpu.temperature_c, gpu.power_w) == (40, None)
    (fast,) = read(page((labels("n1", 0), {"DCGM_FI_PROF_PCIE_TX_BYTES": 6.4e10})))
    assert fast.pcie_tx_bytes_per_second == 6.4e10


def test_labels_that_are_absurd_numbers_are_none() -> None:
    digits = "9" * 5_000
    named = labels("n1", 0) | {"gpu": digits, "DCGM_FI_CUDA_DRIVER_VERSION": digits}
    text = page((named, BUSY)) + f'DCGM_EXP_XID_ERRORS_COUNT{{UUID="{named["UUID"]}",xid="{digits}"}} 1\n'
    (gpu,) = read(text)
    assert (gpu.index, gpu.utilization, gpu.xid_counts) == (None, 97, {})


def test_a_holder_that_one_of_two_jobs_names_without_its_container_is_one() -> None:
    bare = {k: v for k, v in holder("train-0").items() if k != "container"}
    (gpu,) = read(page((labels("n1", 0) | holder("train-0"), BUSY), (labels("n1", 0) | bare, BUSY)))
    assert [(u.pod, u.container) for u in gpu.users] == [("train-0", "main")]


def test_activity_that_rounding_makes_more_than_whole_is_100_percent() -> None:
    (gpu,) = rows([Sample("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels("n", 0), 1.004)], "c", "prometheus")
    assert gpu.utilization == 100


def test_what_a_server_computed_is_rounded() -> None:
    named = {"namespace": "ml", "pod": "llm-0", "model_name": "llama"}
    gauge = Sample("vllm:num_requests_running", named, 1.0)
    late, many = Sample("", named, 1.7499999999999991), Sample("", named, 499.99999999999994)
    (row,) = gpu_inference.rows(gpu_inference.Answers([gauge], [many], [late], [late]), [], "c")
    assert (row.first_token_p95_seconds, row.tokens_per_second) == (1.75, 500)
