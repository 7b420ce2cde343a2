"""`aiops report` on real servers: written, kept, listed, shown; with a cluster down, and with bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.conftest import Aiops, Clusters
from tests.faults.files import write_config
from tests.faults.fixtures import Serve, stub, stubs
from tests.faults.stub import Stub, answer
from tests.servers.fleet import Fleet

__all__ = ["stub", "stubs"]


@pytest.fixture(scope="session")
def lab(clusters: Clusters) -> Fleet:
    fleet = Fleet([clusters(name, {"prometheus", "node"}) for name in ("lab1", "lab2")])
    fleet.write()
    for cluster in fleet.clusters:
        cluster.prometheus.wait_for('up{job="node-exporter"} == 1')
    return fleet


def reports(home: Path) -> list[Path]:
    return sorted((home / "data" / "aiops" / "reports").glob("*"))


def test_a_report_is_printed_kept_listed_and_shown(aiops: Aiops, lab: Fleet, home: Path) -> None:
    done = aiops("report", "generate", "--type", "incident", "--since", "5m", env=lab.env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# Incident report: ")
    assert MarkdownIt("commonmark").enable("table").parse(done.stdout)
    assert "| lab1 |" in done.stdout and "| lab2 |" in done.stdout
    assert "aiops metrics range up -c lab1 -c lab2 --from " in done.stdout
    [kept] = reports(home)
    assert kept.stem in done.stderr and kept.stem in done.stdout
    listed = aiops("report", "list", "-o", "json")
    assert listed.json["kind"] == "ReportList"
    assert [(i["id"], i["clusters"]) for i in listed.json["items"]] == [(kept.stem, ["lab1", "lab2"])]
    assert aiops("report", "show", kept.stem).stdout == done.stdout
    shown = aiops("report", "show", kept.stem[:-1], "-o", "json").json
    assert (shown["kind"], shown["partial"]) == ("Report", False)
    assert [c["name"] for c in shown["clusters"]] == ["lab1", "lab2"]
    assert shown["items"][0]["id"] == kept.stem


def test_out_takes_the_place_of_stdout_and_its_name_the_place_of_the_format(
    aiops: Aiops, lab: Fleet, home: Path
) -> None:
    done = aiops("report", "generate", "--since", "5m", "--out", "r.json", "-c", "lab1", env=lab.env)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert '"kind": "Report"' in (home / "r.json").read_text()
    again = aiops("report", "generate", "--since", "5m", "--out", "r.md", "-c", "lab1", "-q", env=lab.env)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (home / "r.md").read_text().startswith("# Incident report")
    assert len(reports(home)) == 2
    assert sorted(p.name for p in home.glob("*r*.*")) == ["r.json", "r.md"]


def test_a_cluster_that_is_down_is_a_gap(aiops: Aiops, lab: Fleet, home: Path) -> None:
    lab["lab2"].prometheus.kill()
    done = aiops("report", "generate", "--since", "5m", env=lab.env)
    assert done.returncode == 3
    assert "Nothing could be read from lab2" in done.stdout
    assert "CLUSTER_UNREACHABLE" in done.stdout.split("## Data gaps")[1]
    assert "lab2: CLUSTER_UNREACHABLE" in done.stderr
    assert aiops("report", "list", "-o", "json").json["items"][0]["partial"] is True
    alone = aiops("report", "generate", "--since", "5m", "-c", "lab2", "--out", "no.md", env=lab.env)
    assert (alone.returncode, alone.stdout) == (4, "")
    assert not (home / "no.md").exists() and len(reports(home)) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--type", "novel"), "unknown report type 'novel'"),
        (("-o", "csv"), "a report can't be written as csv"),
        (("-o", "pdf"), "unknown output format 'pdf'"),
        (("--out", "none/r.md"), "--out none/r.md can't be written: there is no folder none"),
        (("--out", "."), "it is a folder"),
        (("--at", "yesterday-ish"), "time 'yesterday-ish' can't be read"),
    ],
)
def test_wrong_usage_exits_2_before_anything_is_asked(
    aiops: Aiops, stub: Stub, home: Path, args: tuple[str, ...], said: str
) -> None:
    write_config(home, {"a": {"prometheus": stub.url}})
    done = aiops("report", "generate", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "hint: " in done.stderr and "Traceback" not in done.stderr
    assert stub.asked == [] and reports(home) == []


def test_access_denied_exits_5_and_keeps_nothing(aiops: Aiops, stub: Stub, home: Path) -> None:
    stub.on("/", answer("Unauthorized", status=401, kind="text/plain"))
    write_config(home, {"a": {"prometheus": stub.url}})
    done = aiops("report", "generate", "--out", "r.md")
    assert (done.returncode, done.stdout) == (5, "")
    assert reports(home) == [] and not (home / "r.md").exists()


def test_a_full_disk_is_told_of_and_the_report_is_still_kept(aiops: Aiops, lab: Fleet, home: Path) -> None:
    done = aiops("report", "generate", "--since", "5m", "-c", "lab1", "--out", "/dev/full", env=lab.env)
    assert done.returncode == 2
    assert "--out /dev/full can't be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr and len(reports(home)) == 1


def test_a_report_of_a_recording_says_so(aiops: Aiops, lab: Fleet, home: Path) -> None:
    recorded = aiops("bundle", "record", "-o", "x.aiops", "--since", "2m", "-c", "lab1", env=lab.env)
    assert (home / "x.aiops").exists(), recorded.stderr
    done = aiops("report", "generate", "--bundle", "x.aiops", env=lab.env)
    assert done.returncode == 0, done.stderr
    assert "Read from the recording `x.aiops`" in done.stdout
    assert "--bundle x.aiops" in done.stdout.split("## Appendix")[1]
    assert "| lab1 |" in done.stdout and "| bundle |" in done.stdout


def test_an_existing_file_is_replaced_whole_and_a_link_is_followed(
    aiops: Aiops, lab: Fleet, home: Path
) -> None:
    target = home / "target.md"
    target.write_text("old")
    (home / "link.md").symlink_to(target)
    done = aiops("report", "generate", "--since", "5m", "-c", "lab1", "--out", "link.md", env=lab.env)
    assert done.returncode == 0, done.stderr
    assert (home / "link.md").is_symlink() and target.read_text().startswith("# Incident")


def test_a_report_that_is_not_there_exits_2(aiops: Aiops) -> None:
    done = aiops("report", "show", "../../etc/passwd")
    assert done.returncode == 2
    assert "no report '../../etc/passwd'" in done.stderr and "aiops report list" in done.stderr


def test_a_damaged_report_is_warned_of_in_the_list(aiops: Aiops, home: Path) -> None:
    folder = home / "data" / "aiops" / "reports"
    folder.mkdir(parents=True)
    (folder / "incident-x.json").write_text('{"items": []')
    listed = aiops("report", "list")
    assert listed.returncode == 0
    assert "incident-x.json can't be read" in listed.stderr
    assert aiops("report", "show", "incident-x").returncode == 2


def test_the_data_folder_that_cannot_be_written_is_an_error(aiops: Aiops, stubs: Serve, home: Path) -> None:
    server = stubs()
    server.on("/", answer({"status": "success", "data": {"resultType": "matrix", "result": []}}))
    write_config(home, {"a": {"prometheus": server.url}})
    (home / "file").write_text("")
    done = aiops("report", "generate", env={"XDG_DATA_HOME": str(home / "file")})
    assert done.returncode != 0
    assert "can't save the report" in done.stderr and "hint: " in done.stderr
    assert "Traceback" not in done.stderr
