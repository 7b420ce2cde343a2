"""nvidia-smi's XML and CSV, and every line that makes no sense."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops_cli.sources import nvidia_smi as smi
from tests.gpu.smi_text import DIVIDED, GPUS_CSV, PROCESSES_CSV, WHOLE, XML, cgroup_v1, cgroup_v2

UID = "0c1b2a3d-0000-4000-8000-123456789abc"


def test_xml_of_a_whole_gpu() -> None:
    found = smi.parse_xml(XML, "east", "n1")
    gpu = found.gpus[0]
    assert (gpu.uuid, gpu.index, gpu.model, gpu.driver, gpu.cuda) == (
        WHOLE,
        0,
        "NVIDIA L40S",
        "550.90.07",
        "12.4",
    )
    assert (gpu.utilization, gpu.memory_used_mib, gpu.memory_total_mib, gpu.memory_reserved_mib) == (
        97,
        40_000,
        46_068,
        600,
    )
    assert (gpu.temperature_c, gpu.memory_temperature_c, gpu.fan_percent) == (64, None, None)
    assert (gpu.power_w, gpu.power_limit_w, gpu.sm_clock_mhz) == (312.5, 350, 2520)
    assert gpu.throttle_reasons == ["power_cap", "hw_thermal"]
    assert (gpu.ecc_uncorrectable, gpu.ecc_corrected) == (2, 2)
    assert (gpu.row_remap_pending, gpu.row_remap_failed, gpu.remapped_rows_uncorrectable) == (True, False, 1)
    assert gpu.xid is None  # nvidia-smi does not tell it
    assert gpu.source == "nvidia-smi"


def test_xml_of_a_divided_gpu_has_a_row_an_instance() -> None:
    rows = [g for g in smi.parse_xml(XML, "east", "n1").gpus if g.uuid == DIVIDED]
    assert [(g.index, g.mig_instance, g.memory_used_mib, g.memory_total_mib) for g in rows] == [
        (1, "7", 1203, 4864),
        (1, "9", None, 4864),
    ]
    assert [(g.utilization, g.power_w, g.power_limit_w, g.temperature_c) for g in rows] == [
        (None, None, 400, 33)
    ] * 2
    assert rows[0].throttle_reasons == ["gpu_idle"]  # the older name of the element


def test_xml_processes() -> None:
    found = smi.parse_xml(XML, "east", "n1")
    assert [(p.index, p.mig_instance, p.pid, p.memory_used_mib) for p in found.processes] == [
        (0, None, 4242, 39_000),
        (1, "7", 4343, 1190),
    ]
    assert found.processes[0].name == "/usr/bin/python3 train.py --lr=0,5, --gpus 1"
    assert found.skipped == 1  # a process without a pid


@pytest.mark.parametrize(
    "text", ["", "NVIDIA-SMI has failed", "<nvidia_smi_log><gpu>", '<!DOCTYPE a [<!ENTITY b "c">]><a/>']
)
def test_what_is_no_xml(text: str) -> None:
    with pytest.raises(smi.NoXml):
        smi.parse_xml(text, "east", "n1")


def test_csv_of_gpus() -> None:
    found = smi.parse_gpus_csv(GPUS_CSV, "east", "n1")
    one, two = found.gpus
    assert (one.index, one.utilization, one.memory_used_mib, one.power_w, one.model) == (
        0,
        97,
        40_000,
        312.5,
        "NVIDIA L40S",
    )
    assert (two.utilization, two.memory_utilization, two.power_w, two.fan_percent) == (None, None, None, None)
    assert two.model == "NVIDIA A100, of a name, with commas"
    assert found.skipped == 2


def test_csv_of_processes() -> None:
    found = smi.parse_processes_csv(PROCESSES_CSV, "east", "n1")
    assert [(p.pid, p.memory_used_mib, p.name) for p in found.processes] == [
        (4242, 39_000, "/usr/bin/python3 train.py --lr=0,5, --gpus 1"),
        (4343, None, "?"),
    ]
    assert found.skipped == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("312.50 W", 312.5),
        ("0,5", 0.5),
        ("1.234,5 MiB", 1234.5),
        ("1,234.5", 1234.5),
        ("1,234", 1234),
        ("12,34", 12.34),
        ("0,123", 0.123),
        ("1.234.567", 1234567),
        ("1.234", 1.234),
        ("97 %", 97),
        ("-5 C", -5),
        ("[N/A]", None),
        ("N/A", None),
        ("[Not Supported]", None),
        ("[Insufficient Permissions]", None),
        ("[Unknown Error]", None),
        ("Requested functionality has been deprecated", None),
        ("", None),
        (None, None),
        ("9" * 400, None),
    ],
)
def test_numbers_in_any_locale(text: str | None, value: float | None) -> None:
    assert smi.number(text) == value


def test_localised_numbers_in_a_line() -> None:
    line = f"0, {WHOLE}, 0:3B, 550, 97, 41, 40000, 5468, 46068, 64, 312,50, 1.350,00, 2520, 9001, 0,5, L40S"
    (gpu,) = smi.parse_gpus_csv(line, "east", "n1").gpus
    assert (gpu.power_w, gpu.power_limit_w, gpu.fan_percent) == (312.5, 1350, 0.5)


def test_cgroups_of_both_versions() -> None:
    text = cgroup_v2(4242, UID, 1) + cgroup_v1(4343, UID, 2) + "/proc/1/cgroup:0::/init.scope\nnonsense\n"
    assert smi.parse_cgroups(text) == {4242: (UID, f"{1:064x}"), 4343: (UID, f"{2:064x}")}


@pytest.mark.parametrize(
    "argv",
    [
        ("nvidia-smi", "-r"),
        ("nvidia-smi", "-q", "-x", "-pl", "100"),
        ("sh", "-c", "nvidia-smi"),
        ("grep", "-sH", "kubepods", "/etc/shadow"),
        ("grep", "-sH", "kubepods", "/proc/1/cgroup/../environ"),
        ("grep", "-sH", "kubepods"),
        ("grep", "-sH", "", "/proc/1/cgroup"),
        (),
    ],
)
def test_nothing_else_is_ever_run(argv: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="never run"):
        smi.check(argv)
    smi.check(smi.QUERY_XML)
    for argv in smi.cgroups_of(range(1, 500)):
        smi.check(argv)


_WORDS = st.sampled_from(
    [
        "[N/A]",
        "[Not Supported]",
        WHOLE,
        DIVIDED,
        "0",
        "1.234,5",
        ", ",
        ",",
        "\n",
        "9" * 30,
        "NVIDIA L40S",
        "MIG-x",
    ]
)
_LINES = st.one_of(
    st.text(), st.lists(_WORDS, max_size=60).map(", ".join), st.lists(_WORDS, max_size=60).map("".join)
)


@given(_LINES)
def test_no_output_breaks_the_parsers(text: str) -> None:
    smi.parse_gpus_csv(text, "c", "n")
    smi.parse_processes_csv(text, "c", "n")
    smi.parse_cgroups(text)
    smi.number(text)


@given(st.integers(0, len(XML) - 1), st.text(max_size=20), st.integers(0, 200))
def test_no_damage_to_the_xml_breaks_its_parser(at: int, instead: str, length: int) -> None:
    with contextlib.suppress(smi.NoXml):
        smi.parse_xml(XML[:at] + instead + XML[at + length :], "c", "n")


def test_compute_instances_of_one_gpu_instance_are_one_row() -> None:
    second = "<mig_device><index>2</index><gpu_instance_id>7</gpu_instance_id><compute_instance_id>1</compute_instance_id></mig_device>"
    found = smi.parse_xml(XML.replace("    </mig_devices>", second + "</mig_devices>"), "c", "n")
    assert [(g.index, g.mig_instance, g.memory_used_mib) for g in found.gpus if g.mig_instance] == [
        (1, "7", 1203),
        (1, "9", None),
    ]
