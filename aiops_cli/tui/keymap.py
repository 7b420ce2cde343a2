"""`[keys]` of the config: which action has which keys. Ids and keys are checked, and clashes told."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key
from textual.screen import Screen

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.tui.board import Board
from aiops_cli.tui.widgets.grid import Grid

_MODIFIERS = frozenset({"ctrl", "alt", "shift", "super", "meta", "hyper"})
_NAMED = frozenset({*(k.value for k in Keys), *KEY_NAME_REPLACEMENTS.values()})
Owned = tuple[type[DOMNode], Binding]


def registry() -> list[Owned]:
    """Every action and the app, screen or widget that has it. Imports them all: some tenths of a second."""
    for package in ("aiops_cli.tui.screens", "aiops_cli.tui.widgets"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{module.name}")
    importlib.import_module("aiops_cli.tui.app")
    return [
        (owner, binding)
        for owner in dict.fromkeys(_below(DOMNode))
        if owner.__module__.startswith("aiops_cli.")
        for binding in vars(owner).get("BINDINGS", ())
        if isinstance(binding, Binding) and binding.id
    ]


def _below(kind: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for found in kind.__subclasses__():
        yield found
        yield from _below(found)


def check(keys: Mapping[str, str], file: object) -> list[str]:
    """What to tell of clashes: keys that two actions have at the same time. `keys` are ids and their keys,
    several by commas. Raises UsageError (CONFIG_INVALID) for an id or a key that there is not."""
    known = registry()
    ids = {binding.id or "" for _, binding in known}
    for id, written in keys.items():
        if id not in ids:
            near = difflib.get_close_matches(id, ids, n=1)
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
    return [
        f"[keys]: {a} and {b} both have {', '.join(sorted(both))}: the one nearer to the focus acts"
        for a, b, both in clashes(known, keys)
        if a in keys or b in keys
    ]


def split(written: str) -> list[str]:
    """The keys of a comma list, as Textual names them."""
    return [_character_to_key(k) if len(k) == 1 else k for k in (p.strip() for p in written.split(","))]


def is_key(key: str) -> bool:
    """Whether a terminal can send a key of this name."""
    *modifiers, last = key.split("+")
    known = len(last) == 1 or last in _NAMED or last in {_character_to_key(chr(c)) for c in range(33, 127)}
    return known and _MODIFIERS.issuperset(modifiers)


def clashes(known: list[Owned], keys: Mapping[str, str]) -> list[tuple[str, str, set[str]]]:
    """Pairs of actions, as rebound by `keys`, with the keys that they have in common where both can be meant."""
    found: dict[tuple[str, str], set[str]] = {}
    for i, (owner, one) in enumerate(known):
        for other, two in known[i + 1 :]:
            a, b = str(one.id), str(two.id)
            both = set(split(keys.get(a, one.key))) & set(split(keys.get(b, two.key)))
            if both and a != b and _meet(owner, other):
                found[a, b] = both
    return [(a, b, both) for (a, b), both in found.items()]


def _meet(one: type[DOMNode], other: type[DOMNode]) -> bool:
    """Whether two owners' actions can be meant by one key. Of two screens only one is seen, of two widgets
    one has the focus, nothing acts below a dialog, and only tables are known to be on every screen."""
    if one is other:
        return True
    kinds = {_kind(one), _kind(other)}
    return "dialog" not in kinds and ("anywhere" in kinds or kinds == {"screen", "table"})


def _kind(owner: type[DOMNode]) -> str:
    if owner is Board or issubclass(owner, App):
        return "anywhere"
    if issubclass(owner, Board):
        return "screen"
    if owner is Grid:
        return "table"
    return "dialog" if issubclass(owner, Screen) else "widget"
