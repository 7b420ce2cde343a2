"""Who depends on whom: a directed graph of callers and callees."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiops_cli.models.analysis import Entity


class CallGraph:
    """Edges (caller, callee) with how often each was seen. A node of the fleet may be a callee: a service
    depends on the machine it runs on."""

    def __init__(self, edges: Iterable[tuple[Entity, Entity]] = ()) -> None:
        self._callees: dict[Entity, dict[Entity, int]] = {}
        self._callers: dict[Entity, dict[Entity, int]] = {}
        for caller, callee in edges:
            self.add(caller, callee)

    def add(self, caller: Entity, callee: Entity, count: int = 1) -> None:
        if caller == callee:
            return
        callees = self._callees.setdefault(caller, {})
        callees[callee] = callees.get(callee, 0) + count
        callers = self._callers.setdefault(callee, {})
        callers[caller] = callers.get(caller, 0) + count

    def __len__(self) -> int:
        return sum(map(len, self._callees.values()))

    def callees(self, entity: Entity) -> list[Entity]:
        return sorted(self._callees.get(entity, ()), key=_order)

    def callers(self, entity: Entity) -> list[Entity]:
        return sorted(self._callers.get(entity, ()), key=_order)

    def entities(self) -> set[Entity]:
        return set(self._callees) | set(self._callers)

    def upstream(self, entity: Entity, depth: int = 8) -> dict[Entity, int]:
        """All that call `entity`, directly or through others, and over how many hops."""
        return _reach(entity, self.callers, depth)

    def downstream(self, entity: Entity, depth: int = 8) -> dict[Entity, int]:
        """All that `entity` calls, directly or through others, and over how many hops."""
        return _reach(entity, self.callees, depth)

    def path(self, start: Entity, goal: Entity) -> list[Entity]:
        """The shortest way from `start` up the callers to `goal`, both included; [start] without one."""
        came: dict[Entity, Entity] = {}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            if here == goal:
                way = [goal]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            for other in self.callers(here):
                if other not in came and other != start:
                    came[other] = here
                    queue.append(other)
        return [start]


def _order(entity: Entity) -> tuple[str, str, str, str]:
    return (entity.cluster or "", entity.namespace or "", entity.kind, entity.name)


def _reach(entity: Entity, step: Callable[[Entity], list[Entity]], depth: int) -> dict[Entity, int]:
    found: dict[Entity, int] = {}
    queue = deque([(entity, 0)])
    while queue:
        here, hops = queue.popleft()
        if hops == depth:
            continue
        for other in step(here):
            if other != entity and other not in found:
                found[other] = hops + 1
                queue.append((other, hops + 1))
    return found
