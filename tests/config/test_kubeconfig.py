"""Kubeconfigs as kubectl reads them: merged, relative paths, broken ones named, bad contexts failing alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Aiops, Clusters, Finished
from tests.faults.files import cluster_entry, write_config, write_kubeconfig
from tests.faults.stub import Stub


def refused(done: Finished) -> tuple[str, str]:
    assert done.returncode == 2
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ")
    return error, hint


def names(done: Finished) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


BROKEN = {
    "no YAML": ("contexts: [\n", "is broken at line"),
    "a list": ("- a\n- b\n", "its top level is no mapping"),
    "a text": ("hello\n", "its top level is no mapping"),
    "contexts no list": ("contexts: {a: b}\n", "`contexts` is no list of named entries"),
    "cluster without a name": ("clusters: [{cluster: {}}]\n", "`clusters` is no list of named entries"),
    "not text": (b"\xff\xfe\x00", "can't be read"),
}


@pytest.mark.parametrize("way", ["default", "flag", "environment"])
@pytest.mark.parametrize(("text", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_kubeconfig_is_named(
    aiops: Aiops, home: Path, text: str | bytes, said: str, way: str
) -> None:
    path = home / ".kube" / "config" if way == "default" else home / "broken.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    flag = ["--kubeconfig", str(path)] if way == "flag" else []
    env = {"KUBECONFIG": str(path)} if way == "environment" else {}

    error, _ = refused(aiops("clusters", "list", *flag, env=env))

    assert str(path) in error
    assert said in error


@pytest.mark.parametrize("text", ["", "---\n", "apiVersion: v1\nkind: Config\n", "contexts: []\n"])
def test_an_empty_kubeconfig_says_what_to_do(aiops: Aiops, home: Path, text: str) -> None:
    (home / ".kube").mkdir()
    (home / ".kube" / "config").write_text(text)

    error, hint = refused(aiops("metrics", "query", "up"))

    assert "no clusters" in error
    assert "KUBECONFIG" in hint and "aiops demo" in hint


def test_no_kubeconfig_at_all_says_the_same(aiops: Aiops) -> None:
    assert "no clusters" in refused(aiops("metrics", "query", "up"))[0]


def test_a_named_kubeconfig_must_exist(aiops: Aiops, home: Path) -> None:
    error, hint = refused(aiops("clusters", "list", "--kubeconfig", str(home / "gone")))

    assert "gone does not exist" in error
    assert "--kubeconfig" in hint


def test_several_files_are_merged_and_the_first_wins(aiops: Aiops, home: Path) -> None:
    first = write_kubeconfig(
        home / "first",
        clusters=[cluster_entry("shared", "https://first.example")],
        users={"me": {}},
        contexts={"a": ("shared", "me"), "both": ("shared", "me")},
    )
    second = write_kubeconfig(
        home / "second",
        clusters=[
            cluster_entry("shared", "https://second.example"),
            cluster_entry("own", "https://own.example"),
        ],
        users={"me": {}},
        contexts={"b": ("own", "me"), "both": ("own", "me")},
    )
    env = {"KUBECONFIG": f"{first}:{home / 'missing'}:{second}"}

    done = aiops("clusters", "list", "-c", "a", "-c", "b", "-c", "both", "-o", "json", env=env)

    assert [(c["name"], c["server"]) for c in done.json["items"]] == [
        ("a", "https://first.example"),
        ("both", "https://first.example"),
        ("b", "https://own.example"),
    ]
    assert "missing does not exist" in done.stderr


def test_a_broken_file_beside_a_good_one_is_noted_and_the_good_one_used(aiops: Aiops, home: Path) -> None:
    broken = home / "broken"
    broken.write_text("contexts: [\n")
    good = write_kubeconfig(
        home / "good",
        clusters=[cluster_entry("c", "https://a.example")],
        users={"me": {}},
        contexts={"a": ("c", "me")},
    )

    done = aiops("clusters", "list", "-o", "name", env={"KUBECONFIG": f"{broken}:{good}"})

    assert names(done) == ["a"]
    assert f"kubeconfig {broken} is broken" in done.stderr


def test_the_flag_names_one_file_and_none_is_merged(aiops: Aiops, home: Path) -> None:
    one, two = (
        write_kubeconfig(
            home / name,
            clusters=[cluster_entry("c", f"https://{name}.example")],
            users={"me": {}},
            contexts={name: ("c", "me")},
        )
        for name in ("one", "two")
    )

    done = aiops("clusters", "list", "-o", "name", "--kubeconfig", str(one), env={"KUBECONFIG": str(two)})

    assert names(done) == ["one"]


def test_two_contexts_of_one_server_are_one_cluster_unless_named(aiops: Aiops, home: Path) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[
            cluster_entry("c", "https://a.example:6443"),
            cluster_entry("d", "https://a.example:6443/"),
        ],
        users={"me": {}, "root": {}},
        contexts={"as-me": ("c", "me"), "as-root": ("c", "root"), "other-entry": ("d", "me")},
    )

    assert names(aiops("clusters", "list", "-o", "name")) == ["as-me"]
    assert names(aiops("clusters", "list", "-c", "as-*", "-o", "name")) == ["as-me"]
    assert names(aiops("clusters", "list", "-c", "as-me", "-c", "as-root", "-o", "name")) == [
        "as-me",
        "as-root",
    ]
    assert names(aiops("clusters", "list", "-c", "as-root", "-o", "name")) == ["as-root"]


def test_of_two_contexts_of_one_server_the_one_with_endpoints_counts(aiops: Aiops, home: Path) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", "https://a.example:6443")],
        users={"me": {}, "root": {}},
        contexts={"as-me": ("c", "me"), "as-root": ("c", "root")},
    )
    write_config(home, {"as-root": {"prometheus": "http://p.example"}})

    assert names(aiops("clusters", "list", "-o", "name")) == ["as-root"]


BAD_CONTEXTS = {
    "cluster not defined": ({}, ("gone", "me"), "names cluster 'gone', which no kubeconfig defines"),
    "user not defined": ({}, ("fine", "gone"), "names user 'gone', which no kubeconfig defines"),
    "no server": ({"server": ""}, ("bad", "me"), "has no usable server URL"),
    "a server that is no address": (
        {"server": "https://[::1:6443"},
        ("bad", "me"),
        "has no usable server URL",
    ),
    "CA gone": (
        {"server": "https://x.example", "certificate-authority": "gone.crt"},
        ("bad", "me"),
        "certificate-authority of 'bad' in",
    ),
    "CA no base64": (
        {"server": "https://x.example", "certificate-authority-data": "%%%"},
        ("bad", "me"),
        "certificate-authority-data of 'bad' in",
    ),
}


@pytest.mark.parametrize(("cluster", "context", "said"), BAD_CONTEXTS.values(), ids=BAD_CONTEXTS.keys())
def test_a_bad_context_fails_alone(
    aiops: Aiops, home: Path, well: Stub, cluster: dict[str, str], context: tuple[str, str], said: str
) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[
            cluster_entry("good", "https://good.example"),
            cluster_entry("fine", "https://fine.example"),
            {"name": "bad", "cluster": cluster},
        ],
        users={"me": {}},
        contexts={"ill": context, "well": ("good", "me")},
    )
    write_config(home, {"well": {"prometheus": well.url}})

    done = aiops("metrics", "query", "up", "-o", "json")

    assert done.returncode == 3
    assert [i["cluster"] for i in done.json["items"]] == ["well"]
    assert done.json["clusters"][0]["error"]["code"] == "KUBECONFIG_INVALID"
    (line,) = done.stderr.splitlines()
    assert said in line and "fix the kubeconfig" in line


def test_paths_are_relative_to_the_file_that_names_them(aiops: Aiops, home: Path, clusters: Clusters) -> None:
    real = clusters("east", {"apiserver"})
    folder = home / "team"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(real.apiserver.authority.certificate)
    (folder / "me.crt").write_bytes(real.apiserver.admin.certificate)
    (folder / "me.key").write_bytes(real.apiserver.admin.key)
    write_kubeconfig(
        folder / "kubeconfig",
        clusters=[
            {"name": "c", "cluster": {"server": real.apiserver.url, "certificate-authority": "ca.crt"}}
        ],
        users={"me": {"client-certificate": "me.crt", "client-key": "me.key"}},
        contexts={"east": ("c", "me")},
    )

    done = aiops(
        "clusters", "health", "-o", "json", env={"KUBECONFIG": str(folder / "kubeconfig")}, cwd=Path("/")
    )

    assert done.json["items"][0]["components"]["apiServer"] == "OK"
