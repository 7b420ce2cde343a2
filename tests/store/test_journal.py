"""Joining the small files of a journal takes away nothing that it has not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiops_cli.store.journal import Journal
from aiops_cli.store.notices import Notices


def keys(journal: Journal) -> set[str]:
    return {entry.key for entry in journal.read()}


@pytest.mark.parametrize("latest_only", [True, False])
def test_a_file_that_cannot_be_read_outlives_every_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, latest_only: bool
) -> None:
    journal = Journal(tmp_path, notices := Notices(), latest_only=latest_only)
    journal.append([("mine", {"n": 0})])
    (locked,) = tmp_path.glob("j1_*")
    read_bytes = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)  # whoever runs the tests may read every file
        for n in range(200):
            journal.append([(f"k{n}", {"n": n})])
        assert "mine" not in keys(journal)
    assert len(list(tmp_path.glob("j1_*"))) < 100
    assert keys(journal) == {"mine", *(f"k{n}" for n in range(200))}
    assert len(notices.messages) == 1


def test_what_is_stored_is_stored_although_joining_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, notices := Notices())
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("j1_"):
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    for n in range(70):
        journal.append([(f"k{n}", {"n": n})])
    assert keys(journal) == {f"k{n}" for n in range(70)}
    assert len(notices.messages) == 1
