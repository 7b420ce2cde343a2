"""Where aiops keeps its files: the XDG base directories, as the user set them, on every system."""

from __future__ import annotations

import os
from pathlib import Path

from aiops_cli.errors import StoreError

_DEFAULTS = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_CACHE_HOME": ".cache",
}


def config_dir() -> Path:
    """`$XDG_CONFIG_HOME/aiops`: what the user writes."""
    return _base("XDG_CONFIG_HOME") / "aiops"


def data_dir() -> Path:
    """`$XDG_DATA_HOME/aiops`: what must not be lost."""
    return _base("XDG_DATA_HOME") / "aiops"


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/aiops`: what may be thrown away at any time."""
    return _base("XDG_CACHE_HOME") / "aiops"


def _base(variable: str) -> Path:
    """A relative path in the variable is ignored, as the XDG specification asks."""
    value = Path(os.environ.get(variable, ""))
    if value.is_absolute():
        return value
    try:
        return Path.home() / _DEFAULTS[variable]
    except RuntimeError as error:
        raise StoreError(
            "no home directory is known, so there is no place for aiops's files",
            hint=f"set HOME or {variable}",
        ) from error
