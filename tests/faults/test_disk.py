"""A full disk: answers are shown all the same, what the user wanted kept is refused aloud, nothing is torn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.disk import Disk, LimitedWrites, small_disk
from tests.faults.files import write_config
from tests.faults.fixtures import HOUR, Here, hour
from tests.faults.stub import Stub, answer


@pytest.fixture(params=["disk", "limit"])
def full(request: pytest.FixtureRequest, home: Path) -> Iterator[Callable[[str], Disk]]:
    """`full("cache")`: a disk under that folder of the home, not yet full; and a limit on file sizes."""
    with ExitStack() as made:

        def make(name: str) -> Disk:
            folder = home / name
            disk = small_disk(folder) if request.param == "disk" else LimitedWrites(folder)
            made.callback(disk.close)
            return disk

        yield make


def test_an_answer_that_can_not_be_cached_is_shown(
    home: Path, stub: Stub, full: Callable[[str], Disk]
) -> None:
    stub.on("/", answer(hour()))
    write_config(home, {"a": {"prometheus": stub.url}})
    disk = full("cache")
    disk.fill()

    done = disk.aiops("metrics", "range", "up", *HOUR, "-o", "json")

    assert done.returncode == 0
    assert len(done.json["items"][0]["samples"]) == 61
    (note,) = done.stderr.splitlines()
    assert note.startswith("note: local store in ") and disk.reason in note
    assert set(disk.files().values()) <= {0}


def test_what_is_in_the_cache_is_still_served(home: Path, stub: Stub, full: Callable[[str], Disk]) -> None:
    stub.on("/", answer(hour()))
    write_config(home, {"a": {"prometheus": stub.url}})
    disk = full("cache")
    first = disk.aiops("metrics", "range", "up", *HOUR, "-o", "json")
    disk.fill()

    again = disk.aiops("metrics", "range", "up", *HOUR, "-o", "json")

    assert again.json["items"] == first.json["items"]
    assert again.json["clusters"][0]["source"] == "cache"
    assert len(stub.asked) == 1


def test_a_label_that_can_not_be_kept_is_refused_and_the_old_ones_stay(
    home: Path, full: Callable[[str], Disk]
) -> None:
    write_config(home, {"a": {"prometheus": "http://p.example"}})
    disk = full("data")
    assert disk.aiops("clusters", "label", "a", "team=core").returncode == 0
    before = disk.files()
    disk.fill()

    done = disk.aiops("clusters", "label", "a", "team=other")

    assert done.returncode == 4
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: can't save labels in ") and disk.reason in error
    assert "free some space" in hint
    assert disk.files() == before
    assert disk.aiops("clusters", "list", "-l", "team=core", "-o", "name").stdout == "a\n"
    disk.empty()
    assert disk.aiops("clusters", "label", "a", "team=other").returncode == 0


def test_health_is_shown_though_it_can_not_be_kept(
    home: Path, well: Stub, full: Callable[[str], Disk]
) -> None:
    write_config(home, {"a": {"prometheus": well.url}})
    disk = full("data")
    disk.fill()

    done = disk.aiops("clusters", "health", "-o", "json")

    assert done.returncode == 0
    assert done.json["items"][0]["state"] == "ONLINE"
    (note,) = done.stderr.splitlines()
    assert disk.reason in note


def test_a_bundle_that_does_not_fit_is_not_there(home: Path, well: Stub, full: Callable[[str], Disk]) -> None:
    write_config(home, {"a": {"prometheus": well.url}})
    disk = full("full")
    disk.fill()

    done = disk.aiops("bundle", "record", str(home / "full" / "incident.aiops"), "--since", "10m")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    error = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "incident.aiops" in error and disk.reason in error
    assert disk.files() == {}


def test_a_file_where_the_cache_should_be(here: Here, home: Path, stub: Stub) -> None:
    stub.on("/", answer(hour()))
    write_config(home, {"a": {"prometheus": stub.url}})
    (home / "cache").write_text("not a folder")

    done = here("metrics", "range", "up", *HOUR, "-o", "json")

    assert done.returncode == 0
    assert len(done.json["items"][0]["samples"]) == 61
    assert "Not a directory" in done.stderr


@pytest.mark.parametrize("harm", ["cut", "flipped", "emptied", "replaced"])
def test_a_damaged_cache_file_is_set_aside_and_fetched_again(
    here: Here, home: Path, stub: Stub, harm: str
) -> None:
    stub.on("/", answer(hour()))
    write_config(home, {"a": {"prometheus": stub.url}})
    first = here("metrics", "range", "up", *HOUR, "-o", "json")
    (segment,) = [p for p in (home / "cache").rglob("*") if p.is_file() and p.stat().st_size > 0]
    data, middle = segment.read_bytes(), segment.stat().st_size // 2
    damaged = {
        "cut": data[:middle],
        "flipped": data[:middle] + bytes([data[middle] ^ 0x40]) + data[middle + 1 :],
        "emptied": b"",
        "replaced": b"PAR1" * 50,
    }
    segment.write_bytes(damaged[harm])

    again = here("metrics", "range", "up", *HOUR, "-o", "json")

    assert again.returncode == 0
    assert again.json["items"] == first.json["items"]
    assert again.json["clusters"][0]["source"] == "live"
    assert len(stub.asked) == 2
    (note,) = again.stderr.splitlines()
    assert note.startswith("note: damaged cache file set aside as ") and "fetched again" in note
    assert here("metrics", "range", "up", *HOUR).stderr == ""
    assert len(stub.asked) == 2


def test_a_damaged_state_file_costs_only_its_damaged_record(here: Here, home: Path) -> None:
    write_config(home, {"a": {"prometheus": "http://p.example"}, "b": {"prometheus": "http://p.example"}})
    here("clusters", "label", "a", "team=core")
    here("clusters", "label", "b", "team=edge")
    files = sorted((home / "data").rglob("j1_*.ndjson"))
    files[0].write_bytes(files[0].read_bytes()[:-20])

    done = here("clusters", "list", "-l", "team=edge", "-o", "name")

    assert (done.returncode, done.stdout) == (0, "b\n")
    assert "damaged file set aside" in done.stderr
