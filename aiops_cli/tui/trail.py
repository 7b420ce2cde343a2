"""The places one has been to, as a browser's history keeps them."""

from __future__ import annotations

from aiops_cli.tui.place import Place

_MOST = 50


class Trail:
    """`here` is where one is; `step` goes back and forth; a new place drops those that were ahead."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._at = -1

    @property
    def here(self) -> Place | None:
        return self._places[self._at] if self._places else None

    @property
    def way(self) -> list[Place]:
        """The last few places up to this one."""
        return self._places[max(self._at - 2, 0) : self._at + 1]

    def left_as(self, place: Place) -> None:
        """What the place that is left was like at the end."""
        if self._places:
            self._places[self._at] = place

    def visit(self, place: Place) -> None:
        if place != self.here:
            self._places = [*self._places[: self._at + 1], place][-_MOST:]
            self._at = len(self._places) - 1

    def step(self, by: int) -> Place | None:
        """The place so many further on, where one is then; None where there is none."""
        if not 0 <= self._at + by < len(self._places):
            return None
        self._at += by
        return self._places[self._at]

    def last_of(self, view: str) -> Place | None:
        """The newest place of a screen up to here."""
        return (
            next((p for p in self._places[self._at :: -1] if p.view == view), None) if self._places else None
        )
