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


def group(binding: Binding) -> str:
    """The first part of the id: `table.faults` is of the group table."""
    return (binding.id or "").partition(".")[0]


def active(screen: Screen[object]) -> list[tuple[Binding, str]]:
    """(binding, keys as shown) of what can be done now, each id once: the screen's own, then the table's,
    then what can be done anywhere, and last the screens."""
    found: dict[str, tuple[Binding, list[str]]] = {}
    for entry in screen.active_bindings.values():
        if entry.binding.id is not None and entry.enabled:
            _, keys = found.setdefault(entry.binding.id, (entry.binding, []))
            keys.append(screen.app.get_key_display(entry.binding))
    order = {"table": 1, "app": 2, "go": 3}
    shown = [(binding, " ".join(sorted(keys, key=len))) for binding, keys in found.values()]
    return sorted(shown, key=lambda pair: order.get(group(pair[0]), 0))


async def run(screen: Screen[object], id: str) -> None:
    """Do what the action of this id does here."""
    for entry in screen.active_bindings.values():
        if entry.binding.id == id and entry.enabled:
            await screen.app.run_action(entry.binding.action, entry.node)
            return


def by_group(found: Iterable[tuple[Binding, str]]) -> dict[str, list[tuple[Binding, str]]]:
    """By group, each in order."""
    groups: dict[str, list[tuple[Binding, str]]] = {}
    for binding, shown in found:
        groups.setdefault(group(binding), []).append((binding, shown))
    return groups
