"""Bundles that are missing, damaged, hostile or of another time: one clear error, exit code 2."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aiops, Clusters, Finished
from tests.faults.files import write_config
from tests.faults.fixtures import Here
from tests.faults.stub import Stub

Change = Callable[[dict[str, bytes]], None]


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, clusters: Clusters) -> Path:
    """A bundle of ten minutes of a real Prometheus."""
    prometheus = clusters("lab1", {"prometheus"}).prometheus
    prometheus.wait_for("up")
    home = tmp_path_factory.mktemp("recorder")
    config = write_config(home, {"lab1": {"prometheus": prometheus.url}})
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("DATA", "CACHE")}
    path = home / "good.aiops"
    done = Aiops(home)(
        *(
            "--config",
            str(config),
            "bundle",
            "record",
            str(path),
            "--since",
            "10m",
            "--query",
            "vector(7)",
            "-q",
        ),
        env={"HOME": str(home), "KUBECONFIG": os.devnull, **folders},
    )
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def good(recorded: Path, home: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copy(recorded, home / "good.aiops"))


def refused(done: Finished) -> tuple[str, str]:
    assert (done.returncode, done.stdout) == (2, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ")
    return error, hint


def rewritten(good: Path, change: Change) -> Path:
    """The same bundle with some of its parts changed."""
    with zipfile.ZipFile(good) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    path = good.with_name("changed.aiops")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def manifest(**changes: Any) -> Change:
    def change(parts: dict[str, bytes]) -> None:
        parts["manifest.json"] = json.dumps(json.loads(parts["manifest.json"]) | changes).encode()

    return change


def part(data: Callable[[bytes], bytes], *, honest: bool = False) -> Change:
    """The first cluster's part, with a checksum that fits if `honest`."""

    def change(parts: dict[str, bytes]) -> None:
        name = "clusters/0000.msgpack"
        parts[name] = data(parts[name])
        if honest:
            described = json.loads(parts["manifest.json"])
            described["parts"][name] = {
                "sha256": hashlib.sha256(parts[name]).hexdigest(),
                "size": len(parts[name]),
            }
            parts["manifest.json"] = json.dumps(described).encode()

    return change


def without(name: str) -> Change:
    return lambda parts: parts.__delitem__(name)


DAMAGE: dict[str, tuple[Change, str, str]] = {
    "a newer format": (manifest(format=99), "has format 99, newer than this aiops reads", "upgrade aiops"),
    "no manifest": (without("manifest.json"), "manifest is missing", "record it again"),
    "a manifest of another shape": (manifest(clusters="lab1"), "manifest can't be read", "record it again"),
    "impossible times": (manifest(start=5, end=1), "impossible times", "record it again"),
    "a step of nothing": (manifest(step=0), "impossible times", "record it again"),
    "a part that is missing": (without("clusters/0000.msgpack"), "missing or unreadable", "record it again"),
    "a part that was changed": (
        part(lambda d: d[:-1] + b"!"),
        "does not match its checksum",
        "record it again",
    ),
    "a part that is shorter": (part(lambda d: d[:-9]), "another size", "record it again"),
    "a part that is none": (part(lambda d: b"\x93hello", honest=True), "can't be decoded", "record it again"),
}


@pytest.mark.parametrize(("change", "said", "advice"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_bundle(aiops: Aiops, good: Path, change: Change, said: str, advice: str) -> None:
    error, hint = refused(aiops("metrics", "query", "up", "--bundle", str(rewritten(good, change))))

    assert "changed.aiops" in error and said in error
    assert advice in hint


@pytest.mark.parametrize("command", ["metrics query up --bundle", "bundle info", "bundle verify"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is no bundle"),
        (b"hello" * 1000, "it is no bundle"),
        (b"PK\x03\x04" + b"\0" * 60, "it is no bundle"),
    ],
    ids=["empty", "text", "the head of a zip"],
)
def test_a_file_that_is_no_bundle(aiops: Aiops, home: Path, command: str, data: bytes, said: str) -> None:
    path = home / "x.aiops"
    path.write_bytes(data)

    error, _ = refused(aiops(*command.split(), str(path)))

    assert str(path) in error and said in error


@pytest.mark.parametrize("command", ["metrics query up --bundle", "bundle info", "bundle verify"])
def test_a_bundle_that_is_not_there(aiops: Aiops, command: str) -> None:
    error, hint = refused(aiops(*command.split(), "gone.aiops"))

    assert error == "error: bundle gone.aiops does not exist"
    assert "aiops bundle record" in hint and "demo" in hint


def test_a_folder_is_no_bundle(aiops: Aiops, home: Path) -> None:
    assert "it is no bundle" in refused(aiops("bundle", "info", str(home)))[0]


def test_a_bundle_cut_by_a_broken_copy(aiops: Aiops, good: Path) -> None:
    good.write_bytes(good.read_bytes()[: good.stat().st_size // 2])

    assert "it is no bundle" in refused(aiops("bundle", "info", str(good)))[0]


def bomb(path: Path, size: int, *, parts: int = 1) -> Path:
    """`parts` entries of `size` zero bytes each, of which a file of a thousandth is made."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("manifest.json", "{}")
        for index in range(parts):
            with archive.open(f"clusters/{index:04d}.msgpack", "w", force_zip64=True) as entry:
                for _ in range(size >> 20):
                    entry.write(bytes(1 << 20))
    return path


def test_a_zip_bomb_is_not_inflated(aiops: Aiops, home: Path) -> None:
    path = bomb(home / "bomb.aiops", 600 << 20)

    error, _ = refused(aiops("metrics", "query", "up", "--bundle", str(path)))

    assert "would inflate beyond what a bundle may hold" in error


def test_a_bundle_of_too_many_parts(aiops: Aiops, home: Path) -> None:
    path = home / "many.aiops"
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(10_001):
            archive.writestr(f"clusters/{index}.msgpack", b"")

    assert "would inflate beyond" in refused(aiops("bundle", "info", str(path)))[0]


def test_a_bundle_whose_directory_lies_about_a_size(aiops: Aiops, good: Path) -> None:
    """The central directory says ten bytes; what is inflated stops there."""
    changed = rewritten(
        good, lambda parts: parts.update({"manifest.json": parts["manifest.json"] + b" " * 5_000_000})
    )
    raw = bytearray(changed.read_bytes())
    at = raw.rfind(b"PK\x01\x02", 0, raw.rfind(b"manifest.json"))
    raw[at + 24 : at + 28] = (10).to_bytes(4, "little")
    changed.write_bytes(raw)

    assert "manifest" in refused(aiops("bundle", "info", str(changed)))[0]


def test_names_that_lead_out_of_the_bundle_write_nothing(aiops: Aiops, good: Path) -> None:
    outside = rewritten(good, lambda parts: parts.update({"../../escaped": b"x", "/tmp/aiops-escaped": b"x"}))

    done = aiops("bundle", "verify", str(outside))

    assert done.returncode == 2
    assert "../../escaped is not in the manifest" in done.stderr
    assert not (good.parent / "../../escaped").exists()


def test_a_whole_one_is_verified_and_answers(aiops: Aiops, good: Path) -> None:
    assert aiops("bundle", "verify", str(good)).returncode == 0

    done = aiops("metrics", "query", "vector(7)", "--bundle", str(good), "-o", "json")

    assert done.returncode == 0
    assert done.json["clusters"][0]["source"] == "bundle"
    (item,) = done.json["items"]
    assert (item["cluster"], item["samples"][0][1]) == ("lab1", 7)


def test_what_was_not_recorded_is_said_with_what_was(aiops: Aiops, good: Path) -> None:
    done = aiops("metrics", "query", "histogram_quantile(0.5, x)", "--bundle", str(good))

    assert done.returncode == 4
    assert "lab1: NOT_RECORDED: " in done.stderr


def test_an_output_file_in_a_folder_that_is_not_there(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    done = aiops("bundle", "record", str(home / "no" / "such" / "x.aiops"), "--since", "10m")

    assert done.returncode == 2
    assert "x.aiops" in done.stderr and "Traceback" not in done.stderr
    assert well.asked == []
