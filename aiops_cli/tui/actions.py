"""Actions and their keys. One `Binding` with an id is the whole registry: keys, footer, `?`, the palette and
the `:` prompt all read the bindings that are active, and `[keys]` of the config rebinds them by id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.binding import Binding

if TYPE_CHECKING:
    from textual.screen import Screen


def act(
    id: str, keys: str, run: str, label: str, help: str = "", *, show: bool = False, priority: bool = False
) -> Binding:
    """An action: its id in the config, its keys, the Textual action that runs, a label of a word or two for
    footer and palette, and a sentence for help. `show` puts it in the footer."""
    return Binding(keys, run, label, show=show, id=id, tooltip=help or label, priority=priority)


def active(screen: Screen[object]) -> list[tuple[Binding, str]]:
    """(binding, key as shown) of what can be done now, the most particular first, each id once."""
    found: dict[str, tuple[Binding, str]] = {}
    for entry in screen.active_bindings.values():
        binding = entry.binding
        if binding.id is None or not entry.enabled:
            continue
        shown = screen.app.get_key_display(binding)
        if binding.id in found:
            shown = f"{found[binding.id][1]} {shown}"
        found[binding.id] = (binding, shown)
    return list(found.values())


def by_group(found: Iterable[tuple[Binding, str]]) -> dict[str, list[tuple[Binding, str]]]:
    """By the first part of the id: `table.faults` is of the group table."""
    groups: dict[str, list[tuple[Binding, str]]] = {}
    for binding, shown in found:
        groups.setdefault((binding.id or "").partition(".")[0], []).append((binding, shown))
    return groups
