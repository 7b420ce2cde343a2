"""Which clusters are asked: globs, exclusions, labels, groups, the configured default."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Aiops
from tests.faults.files import write_config
from tests.faults.fixtures import Here


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


FLEET = """
[clusters.prod-eu]
labels = { environment = "prod", region = "eu" }
[clusters.prod-us]
labels = { environment = "prod", region = "us" }
[clusters.prod-old]
labels = { environment = "prod", region = "eu", retired = "yes" }
[clusters.edge-7]
labels = { environment = "lab", region = "eu" }

[groups.europe]
selector = "region=eu"
[groups.live]
contexts = ["prod-*", "!prod-old"]
[groups.live-europe]
contexts = ["prod-*", "!prod-old"]
selector = "region=eu"
"""
ALL = ["prod-eu", "prod-us", "prod-old", "edge-7"]


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        ("", ALL),
        ("-c edge-7", ["edge-7"]),
        ("-c prod-*", ["prod-eu", "prod-us", "prod-old"]),
        ("-c edge-7 -c prod-eu", ["prod-eu", "edge-7"]),
        ("-c !prod-old", ["prod-eu", "prod-us", "edge-7"]),
        ("-c prod-* -c !*-old", ["prod-eu", "prod-us"]),
        ("-c prod-[eu]*", ["prod-eu", "prod-us"]),
        ("-c ?dge-7", ["edge-7"]),
        ("-l environment=lab", ["edge-7"]),
        ("-l environment=prod,region=eu", ["prod-eu", "prod-old"]),
        ("-l environment=prod,region!=eu", ["prod-us"]),
        ("-l environment==lab", ["edge-7"]),
        ("-l retired!=yes", ["prod-eu", "prod-us", "edge-7"]),
        ("-c prod-* -l region=us", ["prod-us"]),
        ("-g europe", ["prod-eu", "prod-old", "edge-7"]),
        ("-g live", ["prod-eu", "prod-us"]),
        ("-g live-europe", ["prod-eu"]),
        ("-g europe -l environment=lab", ["edge-7"]),
        ("--context=edge-7", ["edge-7"]),
        ("-cedge-7", ["edge-7"]),
    ],
)
def test_what_is_chosen(aiops: Aiops, home: Path, flags: str, chosen: list[str]) -> None:
    write_config(home, {}, FLEET)

    done = aiops("clusters", "list", "-o", "name", *flags.split())

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == chosen


def test_the_configured_default(aiops: Aiops, home: Path) -> None:
    write_config(home, {}, '[defaults]\ncontexts = ["prod-*"]\n' + FLEET)

    assert aiops("clusters", "list", "-o", "name").stdout.split() == ["prod-eu", "prod-us", "prod-old"]
    assert aiops("clusters", "list", "-o", "name", "-c", "edge-*").stdout.split() == ["edge-7"]
    assert aiops("clusters", "list", "-o", "name", "-l", "environment=lab").stdout.split() == ["edge-7"]


@pytest.mark.parametrize(
    ("flags", "error", "hint"),
    [
        ("-c edge-8", "no context or cluster matches 'edge-8'", "did you mean 'edge-7'?"),
        (
            "-c prod-eu,edge-7",
            "no context or cluster matches 'prod-eu,edge-7'",
            "repeat -c for each: -c prod-eu -c edge-7",
        ),
        ("-c zzz", "no context or cluster matches 'zzz'", "aiops clusters list shows what there is"),
        ("-c prod-eu -c zz*", "no context or cluster matches 'zz*'", "aiops clusters list"),
        ("-g europa", "unknown group 'europa'", "did you mean 'europe'?"),
        ("-g zzz", "unknown group 'zzz'", "there are: 'europe', 'live', 'live-europe'"),
        ("-l environment=moon", "no cluster matches the selection", "aiops clusters list"),
        ("-c edge-7 -c !edge-*", "no cluster matches the selection", "aiops clusters list"),
        ("-l environment", "selector 'environment' is no key=value", "environment=lab,region!=eu"),
    ],
)
def test_what_can_not_be_chosen(aiops: Aiops, home: Path, flags: str, error: str, hint: str) -> None:
    write_config(home, {}, FLEET)

    done = aiops("metrics", "query", "up", *flags.split())

    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first == f"error: {error}"
    assert second.startswith("hint: ") and hint in second


def test_labels_are_set_and_removed_and_select(aiops: Aiops, home: Path) -> None:
    write_config(home, {}, FLEET)

    set_ = aiops("clusters", "label", "edge-7", "team=core", "tier=1")
    assert (set_.returncode, set_.stdout) == (0, "edge-7 labeled: team=core,tier=1\n")
    assert aiops("clusters", "list", "-l", "team=core", "-o", "name").stdout == "edge-7\n"

    removed = aiops("clusters", "label", "edge-7", "team-")
    assert removed.stdout == "edge-7 labeled: tier=1\n"
    assert aiops("clusters", "list", "-l", "team=core", "-o", "name").returncode == 2
    (item,) = aiops("clusters", "show", "edge-7", "-o", "json").json["items"]
    assert item["labels"] == {"environment": "lab", "region": "eu", "tier": "1"}


def test_a_label_that_is_none(aiops: Aiops, home: Path) -> None:
    write_config(home, {}, FLEET)

    done = aiops("clusters", "label", "edge-7", "team")

    assert done.returncode == 2
    assert done.stderr.startswith("error: 'team' is neither key=value nor key-\nhint: ")


def test_a_label_of_a_cluster_that_is_not_there(aiops: Aiops, home: Path) -> None:
    write_config(home, {}, FLEET)

    done = aiops("clusters", "label", "edge-9", "team=core")

    assert done.returncode == 2
    assert "did you mean 'edge-7'?" in done.stderr


def test_a_list_asks_nobody(aiops: Aiops, home: Path) -> None:
    write_config(home, {"a": {"prometheus": "http://127.0.0.1:1"}})

    done = aiops("clusters", "list", "--debug")

    assert done.returncode == 0
    assert done.stderr == ""


def test_a_config_without_groups_is_told_how_to_make_one(aiops: Aiops, home: Path) -> None:
    write_config(home, {}, "[clusters.edge-7]\n")
    done = aiops("clusters", "list", "-g", "zzz")
    assert done.returncode == 2
    assert "hint: the config has no group: [groups.NAME] makes one" in done.stderr
