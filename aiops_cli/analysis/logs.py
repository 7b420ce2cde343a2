"""Log lines as templates: variables masked, like lines grouped, and what is new at which entity."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiops_cli.models.analysis import Entity
    from aiops_cli.models.signals import LogEntry

WILDCARD = "<*>"
_VARIABLE = re.compile(
    r"\"(?:[^\"\\]|\\.){0,400}\"(?!:)|'[^']{1,200}'"  # quoted strings, JSON keys kept
    r"|\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(?:Z|[+-]\d\d:?\d\d)?|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|\b0[xX][0-9a-fA-F]+\b|\b(?=[a-fA-F]*\d)[0-9a-fA-F]{8,}\b"
    r"|(?<![\w#])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?:ns|us|µs|ms|s|m|h|B|KB|MB|GB|KiB|MiB|GiB|%)?\b"
)
_ERROR = re.compile(
    r"\b(?:ERROR|FATAL|CRITICAL|PANIC|panic|SEVERE|Exception|exception|Traceback|error|failed|failure"
    r"|refused|timed out|timeout|exhausted|unavailable|denied|OOM|killed)\b|[a-z]Exception\b|[a-z]Error\b"
)
_WARN = re.compile(r"\b(?:WARN|WARNING|warn|warning)\b")
_ERROR_LEVELS = frozenset({"error", "err", "fatal", "critical", "crit", "panic", "severe", "emerg", "alert"})
_LONGEST = 2000


def mask(line: str) -> str:
    """The line with what varies (numbers, ids, addresses, times, quoted strings) as `<*>`."""
    return _VARIABLE.sub(WILDCARD, line[:_LONGEST])


def is_error(entry: LogEntry) -> bool:
    """Whether a line is at error level: by its level label where it has one, else by its words."""
    for source in (entry.labels, entry.metadata):
        level = source.get("level") or source.get("detected_level") or source.get("severity")
        if level and level.lower() != "unknown":
            return level.lower() in _ERROR_LEVELS
    return bool(_ERROR.search(entry.line))


class Templates:
    """Groups masked lines as Drain does (He et al., ICWS 2017): by token count and first tokens, then by
    the share of equal tokens; the tokens that differ become wildcards.

    `add` returns the template's index; `texts[index]` is its current text.
    """

    def __init__(self, similarity: float = 0.6, depth: int = 2, most_children: int = 100) -> None:
        self._similarity = similarity
        self._depth = depth
        self._most = most_children
        self._leaves: dict[tuple[object, ...], list[int]] = {}
        self._known: dict[str, int] = {}
        self._tokens: list[list[str]] = []

    @property
    def texts(self) -> list[str]:
        return [" ".join(tokens) for tokens in self._tokens]

    def add(self, line: str) -> int:
        masked = mask(line)
        index = self._known.get(masked)
        if index is None:
            index = self._known[masked] = self._place(masked.split())
        return index

    def _place(self, tokens: list[str]) -> int:
        head = [WILDCARD if WILDCARD in token else token for token in tokens[: self._depth]]
        leaf = self._leaves.setdefault((len(tokens), *head), [])
        best, best_share = -1, self._similarity
        for index in leaf[: self._most]:
            known = self._tokens[index]
            same = sum(a == b and a != WILDCARD for a, b in zip(known, tokens, strict=True))
            share = same / max(sum(token != WILDCARD for token in tokens), 1)
            if share >= best_share and (share > best_share or best < 0):
                best, best_share = index, share
        if best < 0:
            self._tokens.append(tokens)
            leaf.append(len(self._tokens) - 1)
            return len(self._tokens) - 1
        known = self._tokens[best]
        for i, token in enumerate(tokens):
            if known[i] != token:
                known[i] = WILDCARD
        return best


@dataclass(frozen=True, slots=True)
class LogChange:
    """A template of one entity that is new, more frequent or missing: counts now and expected.

    `first_ns` is when it was first seen in the incident (0 for a missing one), `example` a line of it.
    """

    entity: Entity
    template: str
    now: int
    expected: float
    sigmas: float
    error: bool
    first_ns: int
    example: str = ""


@dataclass(slots=True)
class _Tally:
    now: Counter[int] = field(default_factory=Counter)
    ref: Counter[int] = field(default_factory=Counter)


def changes(
    current: Sequence[tuple[Entity, LogEntry]],
    reference: Iterable[tuple[Entity, LogEntry]],
    *,
    least: float = 3.0,
) -> list[LogChange]:
    """Templates whose share of their entity's lines changed, clearest first.

    An entity's own volume is the yardstick: twice the load doubles all of its templates and says nothing.
    Without any reference line of an entity only its error lines are reported.
    """
    miner = Templates()
    tallies: dict[Entity, _Tally] = {}
    first: dict[tuple[Entity, int], LogEntry] = {}
    errors: set[int] = set()
    for entity, entry in reference:
        tallies.setdefault(entity, _Tally()).ref[miner.add(entry.line)] += 1
    for entity, entry in current:
        index = miner.add(entry.line)
        tallies.setdefault(entity, _Tally()).now[index] += 1
        seen = first.get((entity, index))
        if seen is None:
            if is_error(entry):
                errors.add(index)
            first[entity, index] = entry
        elif entry.ns < seen.ns:
            first[entity, index] = entry
    texts = miner.texts
    found: list[LogChange] = []
    for entity, tally in tallies.items():
        total_now, total_ref = sum(tally.now.values()), sum(tally.ref.values())
        if not total_now:
            continue
        # The median ratio over common templates is the load; a storm of new lines does not move it.
        common = [tally.now[t] / tally.ref[t] for t in tally.ref if tally.now[t] and tally.ref[t] >= 3]
        ratio = float(np.median(common)) if common else (total_now / total_ref if total_ref else 0.0)
        for index in tally.now.keys() | tally.ref.keys():
            now, error = tally.now[index], index in errors
            expected = ratio * tally.ref[index]
            if not total_ref and not error:
                continue
            sigmas = _rate_change(now, tally.ref[index], ratio)
            if abs(sigmas) < least and not (error and not expected):
                continue
            entry_seen = first.get((entity, index))
            found.append(
                LogChange(
                    entity,
                    texts[index],
                    now,
                    float(expected),
                    float(sigmas),
                    error,
                    entry_seen.ns if entry_seen else 0,
                    entry_seen.line[:_LONGEST] if entry_seen else "",
                )
            )
    return sorted(found, key=lambda c: (not c.error, -abs(c.sigmas), c.template, c.entity))


def _rate_change(now: int, ref: int, ratio: float) -> float:
    """How clearly two Poisson counts differ, `now` taken over `ratio` times the exposure of `ref`: the
    signed root of the likelihood ratio, with 20 % of spread between like stretches allowed for."""
    ratio = ratio or 1.0
    rate = (now + ref) / (1 + ratio)
    likelihood = 0.0
    for count, expected in ((now, rate * ratio), (ref, rate)):
        if count:
            likelihood += count * math.log(count / expected)
    sigmas = math.sqrt(max(2 * likelihood, 0.0) / (1 + 0.04 * rate * ratio))
    return sigmas if now >= rate * ratio else -sigmas
