"""`[keys]` of the config: which action has which keys. Ids and keys are checked, and clashes told."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping

from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.tui.actions import REGISTRY, SHARED

_MODIFIERS = frozenset({"ctrl", "alt", "shift", "super", "meta", "hyper"})
_NAMED = frozenset({*(k.value for k in Keys), *KEY_NAME_REPLACEMENTS.values()})
_ALONE = frozenset({"dialog", "prompt", "jump"})  # groups that act while nothing else does


def load_all() -> None:
    """Import every screen and widget, so that REGISTRY has every action. Takes some tenths of a second."""
    for package in ("aiops_cli.tui.screens", "aiops_cli.tui.widgets"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{module.name}")
    importlib.import_module("aiops_cli.tui.app")


def check(keys: Mapping[str, str], file: object) -> list[str]:
    """What to tell of clashes: keys that two actions have at the same time. `keys` are ids and their keys,
    several by commas. Raises UsageError (CONFIG_INVALID) for an id or a key that there is not."""
    load_all()
    for id, written in keys.items():
        if id not in REGISTRY:
            near = difflib.get_close_matches(id, REGISTRY, n=1)
            raise UsageError(
                f"config file {file}: [keys] has no action {id!r}",
                hint=f"did you mean {near[0]!r}?" if near else "`?` in the dashboard shows every id",
                code=ErrorCode.CONFIG_INVALID,
            )
        for key in split(written):
            if not is_key(key):
                raise UsageError(
                    f"config file {file}: keys.{id}: {key!r} is no key",
                    hint="write f, F, f5, ctrl+f, alt+f, space, slash, pageup; several by commas",
                    code=ErrorCode.CONFIG_INVALID,
                )
    return [f"[keys]: {clash}" for clash in clashes(keys)]


def split(written: str) -> list[str]:
    """The keys of a comma list, as Textual names them."""
    return [_character_to_key(k) if len(k) == 1 else k for k in (p.strip() for p in written.split(","))]


def is_key(key: str) -> bool:
    """Whether a terminal can send a key of this name."""
    *modifiers, last = key.split("+")
    known = len(last) == 1 or last in _NAMED or last in {_character_to_key(chr(c)) for c in range(33, 127)}
    return known and _MODIFIERS.issuperset(modifiers)


def clashes(keys: Mapping[str, str]) -> list[str]:
    """Pairs of actions that have a key in common where both can be meant, one of them from `keys`."""
    taken = {
        id: set(split(keys[id])) if id in keys else {k for b in known for k in split(b.key)}
        for id, known in REGISTRY.items()
    }
    found = []
    for id in keys:
        for other, theirs in taken.items():
            both = sorted(taken[id] & theirs)
            if both and other != id and _meet(id, other) and not (other in keys and other < id):
                found.append(
                    f"{id} and {other} both have {', '.join(both)}: the one nearer to the focus acts"
                )
    return found


def _meet(a: str, b: str) -> bool:
    """Whether two actions can be meant by one key: those of one group, and of a screen and what all share."""
    one, two = a.partition(".")[0], b.partition(".")[0]
    if one == two:
        return True
    return not _ALONE & {one, two} and bool({*SHARED, "go"} & {one, two})
