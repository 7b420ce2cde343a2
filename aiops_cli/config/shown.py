"""The settings as they may be shown: nothing secret in them, and each with where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiops_cli.config.settings import Settings

HIDDEN = "[hidden]"


def document(settings: Settings) -> dict[str, Any]:
    """The settings in force as plain values. Headers may hold what lets one in: their values are hidden."""
    found: dict[str, Any] = settings.model_dump(mode="json", exclude_none=True)
    _hide(found)
    return found


def _hide(value: Any) -> None:
    if isinstance(value, dict):
        if isinstance(headers := value.get("headers"), dict):
            value["headers"] = dict.fromkeys(headers, HIDDEN)
        for inner in value.values():
            _hide(inner)
    elif isinstance(value, list):
        for inner in value:
            _hide(inner)


def leaves(settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """Each setting: its path with dots, its value, and whether the config file says so; else it is a default."""
    given = settings.model_dump(mode="json", exclude_unset=True)
    yield from _leaves("", document(settings), given)


def _leaves(path: str, value: Any, given: Any) -> Iterator[tuple[str, str, bool]]:
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            known = given.get(name) if isinstance(given, dict) else None
            yield from _leaves(f"{path}.{name}" if path else name, inner, known)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for i, inner in enumerate(value):
            known = given[i] if isinstance(given, list) and i < len(given) else None
            yield from _leaves(f"{path}.{i}", inner, known)
    else:
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield path, shown if value not in ({}, []) else "-", given is not None
