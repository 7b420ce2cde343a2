"""The cache of small answers."""

from __future__ import annotations

from pathlib import Path

from aiops_cli.store.answers import AnswerCache, Kept
from aiops_cli.store.notices import Notices


def test_an_answer_lives_as_long_as_its_ttl(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put("labels edge-7", b'["up"]', 1000.0)
    assert cache.get("labels edge-7", 30, 1030.0) == Kept(b'["up"]', 30.0)
    assert cache.get("labels edge-7", 30, 1030.1) is None
    assert cache.get("labels edge-8", 30, 1000.0) is None
    assert cache.get("labels edge-7", 30, 900.0) is None  # asked by a clock that ran ahead
    cache.put("labels edge-7", b"[]", 1040.0)
    assert cache.get("labels edge-7", 30, 1041.0) == Kept(b"[]", 1.0)


def test_damage_is_set_aside_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    cache = AnswerCache(tmp_path, notices=Notices(told.append))
    for keep in (0, 5, 14, 40):
        cache.put("k", b"x" * 100, 1000.0)
        (file,) = (path for path in tmp_path.glob("a1_*") if not path.suffix)
        file.write_bytes(file.read_bytes()[:keep])
        assert cache.get("k", 30, 1000.0) is None
        assert cache.get("k", 30, 1000.0) is None
        assert "set aside" in told[0]
    assert len(told) == 1
    assert cache.info().damaged == 1


def test_no_place_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told: list[str] = []
    cache = AnswerCache(tmp_path / "file" / "x", notices=Notices(told.append))
    for _ in range(2):
        cache.put("k", b"x", 1000.0)
        assert cache.get("k", 30, 1000.0) is None
    assert len(told) == 1


def test_the_size_cap_is_kept(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, max_bytes=10_000)
    for n in range(200):
        cache.put(f"k{n}", b"x" * 1000, 1000.0)
    assert cache.info().bytes < 12_000
    assert cache.get("k199", 30, 1000.0)
    cache.clear()
    assert cache.info().entries == 0
