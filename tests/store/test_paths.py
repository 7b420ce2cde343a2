"""Where files go."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiops_cli.errors import StoreError
from aiops_cli.store.paths import cache_dir, config_dir, data_dir


def test_the_xdg_variables_are_honoured_and_relative_ones_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/joe")
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/cache")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert data_dir() == Path("/srv/data/aiops")
    assert cache_dir() == Path("/home/joe/.cache/aiops")
    assert config_dir() == Path("/home/joe/.config/aiops")


def test_without_a_home_there_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    with pytest.raises(StoreError, match="no home directory") as caught:
        cache_dir()
    assert "XDG_CACHE_HOME" in caught.value.hint
