"""What the dashboard asks: the session, the clusters in scope, the time range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App

from aiops_cli.errors import AiopsError, UsageError
from aiops_cli.models.options import Options
from aiops_cli.services.session import Session
from aiops_cli.tui import clock, ranges
from aiops_cli.tui.telling import error_line

if TYPE_CHECKING:
    from aiops_cli.services.fleet import Member

_NAMED = 6  # clusters that a refusal names


class Asking(App[AiopsError]):
    """The part of the app that knows of whom and about when is asked."""

    options: Options
    session: Session | None = None
    contexts: tuple[str, ...] = ()
    _chosen: tuple[str, ...] = ()  # by `@`; a place may narrow it to its own cluster
    _members: Sequence[Member] = ()

    @property
    def live(self) -> bool:
        """Whether clusters are asked, not a bundle."""
        return self.options.bundle is None

    @property
    def now(self) -> float:
        """Unix seconds; on a bundle its end."""
        return (
            self.session.now if self.session is not None and self.session.bundle is not None else clock.now()
        )

    @property
    def zone(self) -> tzinfo | None:
        """The time zone of what is shown; None for this machine's."""
        return self.session.zone if self.session is not None else None

    @property
    def members(self) -> Sequence[Member]:
        """The clusters in scope."""
        return self._members

    @property
    def cluster_names(self) -> list[str]:
        """All clusters, in scope or not."""
        return [c.name for c in self.session.clusters] if self.session is not None else []

    def asked(self) -> Session:
        """The session as it is asked now: the clusters in scope, the time range up to now."""
        assert self.session is not None, "feeds wait for `ready`"
        return replace(
            self.session,
            now=self.now,
            options=self.options,
            members=self._members,
            clusters=[m.cluster for m in self._members],
        )

    # Clusters

    @property
    def scope_text(self) -> str:
        """The scope, with what leads out of it where a place chose it."""
        return (
            f"only {self.scope_name} · {self.way_out}" if self.narrowed and self.way_out else self.scope_name
        )

    @property
    def scope_name(self) -> str:
        """The globs, or how many clusters there are."""
        if self.contexts:
            return " ".join(f"@{c}" for c in self.contexts)
        n = len(self._members)
        return f"{n} cluster{'s' * (n != 1)}" if self.session else ""

    @property
    def narrowed(self) -> bool:
        """Whether a place narrowed the clusters, and not the one who looks."""
        return self.contexts not in ((), self._chosen)

    def choose_scope(self, contexts: Sequence[str]) -> None:
        """Only these clusters, until others are chosen."""
        self.set_scope(contexts)
        self._chosen = self.contexts

    def set_scope(self, contexts: Sequence[str]) -> None:
        """Ask only clusters that match; none, all again. Clusters that there are not are told."""
        chosen = () if tuple(contexts) in ((), ("*",)) else tuple(contexts)
        if chosen == self.contexts:
            return
        if self.session is not None:
            try:
                self._members = self.matching(chosen)
            except AiopsError as error:
                self.notify(error_line(error), severity="warning", markup=False)
                return
        self.contexts = chosen
        self.scope_changed()

    def matching(self, contexts: Sequence[str]) -> Sequence[Member]:
        """The clusters of these globs; all of the session without any. Raises UsageError (CONTEXT_UNKNOWN)."""
        from aiops_cli.services.selection import select

        if (session := self.session) is None:
            return ()
        if not contexts or tuple(contexts) == ("*",):
            return session.members
        try:
            names = {c.name for c in select(session.clusters, session.settings, contexts=contexts)}
        except AiopsError as error:
            more = ", …" * (len(self.cluster_names) > _NAMED)
            known = f"there are {', '.join(self.cluster_names[:_NAMED])}{more}"
            hint = error.hint if error.hint.startswith("did you") else known
            raise UsageError(error.message, hint=hint, code=error.code) from None
        return [m for m in session.members if m.name in names]

    def scope_changed(self) -> None:
        """Clusters or range are others than before."""

    @property
    def way_out(self) -> str:
        """The key that leads to all clusters, and where; nothing where no key does."""
        return ""

    # Range

    @property
    def range_text(self) -> str:
        if said := ranges.shown(self.options, self.now, self.zone):
            return said
        if self.session is None or self.session.bundle is None:
            return ""
        manifest = self.session.bundle.manifest
        return f"{clock.text(manifest.start, self.zone)} to {clock.text(manifest.end, self.zone)}"

    @property
    def origin_text(self) -> str:
        return "" if self.live else f"bundle {Path(str(self.options.bundle)).name}"

    def set_range(self, text: str) -> None:
        """`1h`, or `FROM to TO`; one that can't be asked is told."""
        try:
            self.options = ranges.with_range(self.options, text, self.now, self.zone)
        except AiopsError as error:
            self.notify(error_line(error), severity="warning", markup=False)
            return
        self.range_chosen()
        self.scope_changed()

    def range_chosen(self) -> None:
        """Another range was taken."""

    def check_range(self, text: str) -> None:
        """Raises UsageError (INVALID_TIME) for a range that can't be asked, also of this bundle."""
        options = ranges.with_range(self.options, text, self.now, self.zone)
        if self.session is not None and self.session.bundle is not None:
            try:
                replace(self.session, options=options).window()
            except AiopsError as error:
                raise UsageError(error.message, hint=ranges.FORMS, code=error.code) from None
