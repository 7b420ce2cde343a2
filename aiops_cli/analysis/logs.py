"""Log lines as templates: variables masked, like lines grouped, and what is new at which entity."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aiops_cli.analysis.clues import sortable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Set

    from aiops_cli.models.analysis import Entity
    from aiops_cli.models.signals import LogEntry

WILDCARD = "<*>"
_VARIABLE = re.compile(
    r"(?=[\"'0-9a-fA-F+-])(?:"  # most characters start no variable: fail on them at once
    r"\"(?:[^\"\\]|\\.){0,400}\"(?!:)|'[^']{1,200}'"  # quoted strings, JSON keys kept
    r"|\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(?:Z|[+-]\d\d:?\d\d)?|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|\b0[xX][0-9a-fA-F]+\b|\b(?=[a-fA-F]*\d)[0-9a-fA-F]{8,}\b"
    r"|(?<![\w#])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?:ns|us|µs|ms|s|m|h|B|KB|MB|GB|KiB|MiB|GiB|%)?\b"
    r")"
)
_ERROR = re.compile(
    r"\b(?:ERROR|FATAL|CRITICAL|PANIC|panic|SEVERE|Exception|exception|Traceback|error|failed|failure"
    r"|refused|timed out|timeout|exhausted|unavailable|denied|OOM|killed)\b|[a-z]Exception\b|[a-z]Error\b"
)
_ERROR_LEVELS = frozenset({"error", "err", "fatal", "critical", "crit", "panic", "severe", "emerg", "alert"})
_LOCATION = re.compile(
    r"(?<![\w.$/])[A-Za-z_$][\w.$/-]*[A-Za-z_](?:\.(?:go|py|java|kt|js|ts|rb|rs|cc|cpp|c))?[#:]\d+\b"
)
"""A code location as loggers print it: `pkg.Class#31`, `main.go:123`, `caller=store/db.go:45`."""
_LOCATION_WITHIN = 160
_LONGEST = 2000
_LONGEST_PATH = 60
"""Paths of more templates than this are background loops; their pairs say nothing and cost much."""


def mask(line: str) -> str:
    """The line with what varies (numbers, ids, addresses, times, quoted strings) as `<*>`."""
    return _VARIABLE.sub(WILDCARD, line[:_LONGEST])


def is_error(entry: LogEntry) -> bool:
    """Whether a line is at error level: by its level label where it has one, else by its words."""
    known = _labelled_error(entry)
    return bool(_ERROR.search(entry.line)) if known is None else known


def _labelled_error(entry: LogEntry) -> bool | None:
    for source in (entry.labels, entry.metadata):
        level = source.get("level") or source.get("detected_level") or source.get("severity")
        if level and level.lower() != "unknown":
            return level.lower() in _ERROR_LEVELS
    return None


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
        self._known: dict[tuple[str, bool | None], tuple[int, bool]] = {}
        self._located: dict[str, int] = {}
        self._tokens: list[list[str]] = []

    def tokens(self, index: int) -> list[str]:
        """The tokens of a template."""
        return self._tokens[index]

    @property
    def texts(self) -> list[str]:
        return [" ".join(tokens) for tokens in self._tokens]

    def add(self, line: str, *, error: bool | None = None) -> tuple[int, bool]:
        """The template's index and whether the line is an error (`error` where that is known already).

        Lines that name their code location are one template a location, however their texts differ in
        length; but for errors: a catch-all handler logs every exception from one place.
        """
        masked = mask(line)
        known = self._known.get((masked, error))
        if known is not None:
            return known
        failed = bool(_ERROR.search(line)) if error is None else error
        place = None if failed else _LOCATION.search(masked, 0, _LOCATION_WITHIN)
        if place is None:
            index = self._place(masked.split())
        else:
            found = self._located.get(place.group())
            if found is None:
                self._tokens.append(masked.split())
                found = self._located[place.group()] = len(self._tokens) - 1
            index = found
        self._known[masked, error] = (index, failed)
        return index, failed

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


class Mined:
    """Both sides' lines as templates, counted per entity and, where lines carry a trace id, per code path.

    A code path is what one entity logs in one span (or trace): the set of its templates, and the span's
    operation. `operations` are (entity, path id, operation) of spans, for both sides.
    """

    def __init__(
        self,
        current: Sequence[tuple[Entity, LogEntry]],
        reference: Iterable[tuple[Entity, LogEntry]],
        operations_now: Iterable[tuple[Entity, str, str]] = (),
        operations_ref: Iterable[tuple[Entity, str, str]] = (),
    ) -> None:
        self._operation_ids: dict[str, int] = {}
        self._miner = Templates()
        self.now: dict[Entity, Counter[int]] = {}
        self.ref: dict[Entity, Counter[int]] = {}
        self.first: dict[tuple[Entity, int], LogEntry] = {}
        self.errors: set[int] = set()
        self.paths_now: dict[Entity, list[set[int]]] = {}
        self.paths_ref: dict[Entity, list[set[int]]] = {}
        runs_ref = self._mine(reference, self.ref, self.paths_ref, None)
        runs_now = self._mine(current, self.now, self.paths_now, self.first)
        logging = self.now.keys() | self.ref.keys()
        self._add_operations(operations_ref, self.paths_ref, runs_ref, logging)
        self._add_operations(operations_now, self.paths_now, runs_now, logging)

    def _mine(
        self,
        lines: Iterable[tuple[Entity, LogEntry]],
        counts: dict[Entity, Counter[int]],
        paths: dict[Entity, list[set[int]]],
        first: dict[tuple[Entity, int], LogEntry] | None,
    ) -> dict[tuple[Entity, str], set[int]]:
        open_paths: dict[tuple[Entity, str], set[int]] = {}
        for entity, entry in lines:
            index, error = self._miner.add(entry.line, error=_labelled_error(entry))
            counts.setdefault(entity, Counter())[index] += 1
            if error:
                self.errors.add(index)
            if first is not None:
                seen = first.get((entity, index))
                if seen is None or entry.ns < seen.ns:
                    first[entity, index] = entry
            run = path_id(entry)
            if run:
                path = open_paths.get((entity, run))
                if path is None:
                    path = open_paths[entity, run] = set()
                    paths.setdefault(entity, []).append(path)
                path.add(index)
        return open_paths

    def _add_operations(
        self,
        operations: Iterable[tuple[Entity, str, str]],
        paths: dict[Entity, list[set[int]]],
        open_paths: dict[tuple[Entity, str], set[int]],
        logging: Set[Entity],
    ) -> None:
        """A span joins the path of its lines as a negative index, or makes a path without lines."""
        for entity, run, operation in operations:
            if entity not in logging:
                continue
            path = open_paths.get((entity, run))
            if path is None:
                path = open_paths[entity, run] = set()
                paths.setdefault(entity, []).append(path)
            path.add(-1 - self._operation_ids.setdefault(operation, len(self._operation_ids)))

    def text(self, index: int) -> str:
        return " ".join(self._miner.tokens(index))


def path_id(entry: LogEntry) -> str:
    """What ties the lines of one request at one entity together; empty without a trace id."""
    for source in (entry.metadata, entry.labels):
        trace = source.get("trace_id") or source.get("traceID") or source.get("traceid")
        if trace:
            return f"{trace}/{source.get('span_id') or source.get('spanID') or ''}".lower()
    return ""


def changes(mined: Mined, *, least: float = 3.0) -> list[LogChange]:
    """Templates whose share of their entity's lines changed, clearest first.

    An entity's own volume is the yardstick: twice the load doubles all of its templates and says nothing.
    Without any reference line of an entity only its error lines are reported.
    """
    found: list[LogChange] = []
    for entity, now_counts in mined.now.items():
        ref_counts = mined.ref.get(entity, Counter())
        total_now, total_ref = sum(now_counts.values()), sum(ref_counts.values())
        # The median ratio over common templates is the load; a storm of new lines does not move it.
        common = [now_counts[t] / ref_counts[t] for t in ref_counts if now_counts[t] and ref_counts[t] >= 3]
        ratio = float(np.median(common)) if common else (total_now / total_ref if total_ref else 0.0)
        for index in now_counts.keys() | ref_counts.keys():
            now, error = now_counts[index], index in mined.errors
            expected = ratio * ref_counts[index]
            if not total_ref and not error:
                continue
            sigmas = _rate_change(now, ref_counts[index], ratio)
            if abs(sigmas) < least and not (error and not expected):
                continue
            seen = mined.first.get((entity, index))
            found.append(
                LogChange(
                    entity,
                    mined.text(index),
                    now,
                    float(expected),
                    float(sigmas),
                    error,
                    seen.ns if seen else 0,
                    seen.line[:_LONGEST] if seen else "",
                )
            )
    return sorted(found, key=lambda c: (not c.error, -abs(c.sigmas), c.template, sortable(c.entity)))


def broken_paths(mined: Mined, *, least_runs: int = 3, follows: float = 0.9) -> list[LogChange]:
    """Lines that used to appear on a code path whenever another did, and no longer do: per entity and
    missing line the clearest pair. The path is interrupted between the two (an early return, an exception).

    After the event pairs of Nezha (Yu et al., FSE 2023), without their order.
    """
    found = []
    for entity, paths in mined.paths_now.items():
        usual = mined.paths_ref.get(entity)
        if not usual:
            continue
        ref_alone, ref_both = _pairs(usual)
        now_alone, now_both = _pairs(paths)
        clearest: dict[int, tuple[float, int, float]] = {}
        for (given, then), both in ref_both.items():
            runs = now_alone.get(given, 0)
            if (
                then < 0
                or then in mined.errors
                or both < follows * ref_alone[given]
                or ref_alone[given] < least_runs
                or runs < least_runs
            ):
                continue
            kept = now_both.get((given, then), 0)
            # Laplace: a pair seen n times without fail fails once in n + 2.
            share = (both + 1) / (ref_alone[given] + 2)
            expected = share * runs
            # A mere drop may be another mix of requests: what counts is that it hardly ever follows now.
            gone = max(0.0, 1 - kept / expected) ** 3
            sigmas = gone * (expected - kept) / math.sqrt(expected * (1 - share) + 1.0)
            if sigmas > clearest.get(then, (1.0, 0, 0.0))[0]:
                clearest[then] = (sigmas, kept, expected)
        for then, (sigmas, kept, expected) in clearest.items():
            found.append(LogChange(entity, mined.text(then), kept, expected, -sigmas, False, 0))
    return sorted(found, key=lambda c: (c.sigmas, c.template, sortable(c.entity)))


def _pairs(paths: list[set[int]]) -> tuple[Counter[int], Counter[tuple[int, int]]]:
    alone: Counter[int] = Counter()
    both: Counter[tuple[int, int]] = Counter()
    for path in paths:
        if len(path) > _LONGEST_PATH:
            continue
        alone.update(path)
        both.update(itertools.permutations(path, 2))
    return alone, both


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
