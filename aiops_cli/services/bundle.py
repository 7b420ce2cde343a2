"""Bundles read: a recorded stretch of a fleet in one file, which answers like the live clusters did.

A bundle is a zip of `manifest.json` and, for each cluster, msgpack parts. Nothing in it is executed,
names are looked up rather than unpacked to disk, and sizes are checked before anything is inflated.
Queries that were recorded are answered exactly; a bare selector is answered from any recorded one that
has its series; for others the error lists what is there.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from aiops_cli.errors import ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.cnf_objects import CnfObjects
from aiops_cli.models.fleet import Cluster
from aiops_cli.models.signals import AlertItem, Change, KubeEvent, Workload
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.times import LATEST, datable, rfc3339, unix

if TYPE_CHECKING:
    from aiops_cli.services.replay import RecordedMember

FORMAT = 1
_MAX_PARTS = 10_000
_MAX_PART = 512 << 20
_MAX_TOTAL = 4 << 30
_MIN_STEP = 0.001  # seconds, the finest that Prometheus knows
_MAX_POINTS = 10_000_000


class RecordedSeries(msgspec.Struct, array_like=True):
    """One series: label pairs, and float64 little-endian bytes of the times (unix s) and values."""

    labels: dict[str, str]
    times: bytes
    values: bytes


class RecordedQuery(msgspec.Struct):
    """A range query as it was answered, at `step` seconds."""

    expr: str
    step: float
    series: list[RecordedSeries]


class RecordedLine(msgspec.Struct, array_like=True):
    ns: int
    stream: int
    line: str
    metadata: dict[str, str] = {}


class RecordedLogs(msgspec.Struct):
    """Log lines in time order; `stream` of a line is an index into `streams`."""

    expr: str
    streams: list[dict[str, str]]
    lines: list[RecordedLine]
    truncated: bool = False


class RecordedSpan(msgspec.Struct, array_like=True):
    trace_id: str
    span_id: str
    parent_id: str | None
    service: str
    name: str
    kind: str
    start_ns: int
    duration_ns: int
    status: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[dict[str, Any]] = []
    follows: bool = False


class RecordedKube(msgspec.Struct):
    version: str = ""
    events: list[KubeEvent] = []
    changes: list[Change] = []
    workloads: list[Workload] = []
    states: list[Change] | None = None
    cnf: CnfObjects | None = None


class ClusterParts(msgspec.Struct):
    """Everything of one cluster. What could not be read is in the manifest's failures."""

    queries: list[RecordedQuery] = []
    logs: list[RecordedLogs] = []
    spans: list[RecordedSpan] = []
    alerts: list[AlertItem] = []
    kube: RecordedKube | None = None


class Part(msgspec.Struct):
    sha256: str
    size: int


class Failure(msgspec.Struct):
    """A source that could not be recorded, and why."""

    cluster: str
    source: str
    code: str
    message: str


class RecordedCluster(msgspec.Struct):
    name: str
    server: str | None = None
    labels: dict[str, str] = {}
    sources: dict[str, str] = {}


class Manifest(msgspec.Struct, rename="camel"):
    """What, when, from where, what failed, checksums. `scenario` names an injected fault; the analysis
    never reads it. Times are unix seconds."""

    format: int
    created_by: str
    start: float
    end: float
    step: float
    clusters: list[RecordedCluster]
    parts: dict[str, Part]
    failures: list[Failure] = []
    redacted: list[str] = []
    scenario: dict[str, Any] | None = None


@dataclass(slots=True)
class Bundle:
    """An open bundle. `members` answer like live clusters."""

    path: str
    manifest: Manifest
    members: list[RecordedMember]
    archive: zipfile.ZipFile
    _loaded: dict[str, ClusterParts] = field(default_factory=dict)

    @property
    def end(self) -> float:
        """Now, under a bundle."""
        return self.manifest.end

    @property
    def step(self) -> float:
        return self.manifest.step

    def within(self, window: TimeRange) -> TimeRange:
        """The part of a window that was recorded. Raises UsageError (INVALID_TIME) if there is none."""
        start, end = max(window.start, self.manifest.start), min(window.end, self.manifest.end)
        if start >= end:
            raise self._outside("the window", "leave out --from, --to and --since for all of it")
        return TimeRange(start, end)

    def holds(self, at: float) -> None:
        """Raises UsageError (INVALID_TIME) for a time that was not recorded."""
        if not self.manifest.start <= at <= self.manifest.end:
            raise self._outside("the time", "leave out --time for its end")

    def _outside(self, what: str, advice: str) -> UsageError:
        recorded = f"{rfc3339(self.manifest.start)} to {rfc3339(self.manifest.end)}"
        return UsageError(
            f"{what} lies outside of what bundle {self.path} recorded",
            hint=f"it holds {recorded}; {advice}",
            code=ErrorCode.INVALID_TIME,
        )

    def close(self) -> None:
        self.archive.close()

    def parts_of(self, cluster: str) -> ClusterParts:
        """A cluster's parts, read and checked when first asked for. Raises UsageError (BUNDLE_INVALID)."""
        if cluster not in self._loaded:
            name = part_name(self.manifest, cluster)
            data = read_part(self.archive, self.manifest, name, self.path)
            try:
                parts = msgspec.msgpack.decode(data, type=ClusterParts)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise damaged(self.path, f"{name} can't be decoded: {error}") from None
            if problem := _impossible(parts):
                raise damaged(self.path, f"{name} has {problem}")
            self._loaded[cluster] = parts
        return self._loaded[cluster]


def part_name(manifest: Manifest, cluster: str) -> str:
    """Parts are numbered, so that no cluster name ever becomes a path."""
    index = next(i for i, c in enumerate(manifest.clusters) if c.name == cluster)
    return f"clusters/{index:04d}.msgpack"


def open_bundle(name: str) -> Bundle:
    """Open a file, or the shipped one for `demo`. Raises UsageError (BUNDLE_INVALID)."""
    from aiops_cli.services.replay import RecordedMember

    if name == "demo":
        path = Path(str(resources.files("aiops_cli").joinpath("data/demo.aiops")))
    else:
        path = Path(name).expanduser()
    if not path.exists():
        raise UsageError(
            f"bundle {name} does not exist",
            hint="aiops bundle record makes one; `demo` ships with aiops",
            code=ErrorCode.BUNDLE_INVALID,
        )
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise damaged(name, f"it is no bundle ({error})") from None
    try:
        manifest = _manifest(archive, name)
    except UsageError:
        archive.close()
        raise
    bundle = Bundle(name, manifest, [], archive)
    for cluster in manifest.clusters:
        described = Cluster(cluster.name, server=None, labels=cluster.labels)
        bundle.members.append(RecordedMember(described, cluster, bundle))
    return bundle


def _manifest(archive: zipfile.ZipFile, name: str) -> Manifest:
    entries = archive.infolist()
    if (
        len(entries) > _MAX_PARTS
        or any(e.file_size > _MAX_PART for e in entries)
        or sum(e.file_size for e in entries) > _MAX_TOTAL
    ):
        raise damaged(name, "it would inflate beyond what a bundle may hold")
    try:
        raw = archive.read("manifest.json")
    except (KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError):
        raise damaged(name, "its manifest is missing or unreadable") from None
    try:
        version = msgspec.json.decode(raw, type=dict[str, Any]).get("format")
        if isinstance(version, int) and version > FORMAT:
            raise UsageError(
                f"bundle {name} has format {version}, newer than this aiops reads",
                hint="upgrade aiops",
                code=ErrorCode.BUNDLE_INVALID,
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise damaged(name, f"its manifest can't be read: {error}") from None
    start, end, step = manifest.start, manifest.end, manifest.step
    if not 0 <= start <= end <= LATEST or not step >= _MIN_STEP or (end - start) / step > _MAX_POINTS:
        raise damaged(name, "its manifest has impossible times")
    if len({c.name for c in manifest.clusters}) < len(manifest.clusters):
        raise damaged(name, "its manifest names a cluster twice")
    return manifest


def _impossible(parts: ClusterParts) -> str | None:
    """What no recording can have, and an answer would fail on."""
    for logs in parts.logs:
        if not all(0 <= line.stream < len(logs.streams) for line in logs.lines):
            return "a log line of no stream"
    if any(s.duration_ns < 0 for s in parts.spans):
        return "a span that ends before it starts"
    if any(a.starts_at and unix(a.starts_at) is None for a in parts.alerts):
        return "an alert with an impossible time"
    kube = parts.kube or RecordedKube()
    if not all(
        map(datable, [*(e.at for e in kube.events), *(c.at for c in [*kube.changes, *(kube.states or [])])])
    ):
        return "an event or change with an impossible time"
    return None


def read_part(archive: zipfile.ZipFile, manifest: Manifest, name: str, path: str) -> bytes:
    """A part's bytes, of the size and checksum that the manifest says. Raises UsageError."""
    part = manifest.parts.get(name)
    if part is None:
        raise damaged(path, f"{name} is not in the manifest")
    try:
        info = archive.getinfo(name)
        if info.file_size != part.size:
            raise damaged(path, f"{name} has another size than the manifest says")
        with archive.open(info) as stream:
            data = stream.read(part.size + 1)
    except (
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        NotImplementedError,
        EOFError,
        OSError,
    ) as error:
        raise damaged(path, f"{name} is missing or unreadable ({error})") from None
    if len(data) != part.size or hashlib.sha256(data).hexdigest() != part.sha256:
        raise damaged(path, f"{name} does not match its checksum")
    return data


def damaged(path: str, why: str) -> UsageError:
    return UsageError(
        f"bundle {path} is damaged: {why}",
        hint="record it again, or copy it again from where it came",
        code=ErrorCode.BUNDLE_INVALID,
    )


def verify(bundle: Bundle) -> list[str]:
    """What is wrong with a bundle's parts, one line each; empty if all is well."""
    problems = []
    for cluster in bundle.manifest.clusters:
        try:
            for query in bundle.parts_of(cluster.name).queries:
                for series in query.series:
                    arrays(series)
        except UsageError as error:
            problems.append(error.message)
    stray = sorted(set(bundle.archive.namelist()) - set(bundle.manifest.parts) - {"manifest.json"})
    problems += [f"{name} is not in the manifest" for name in stray]
    return problems


def arrays(
    series: RecordedSeries,
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Times and values as float64 arrays of one length. Raises UsageError if they are not."""
    if len(series.times) != len(series.values) or len(series.times) % 8:
        raise UsageError(
            "a recorded series is damaged", hint="aiops bundle verify FILE", code=ErrorCode.BUNDLE_INVALID
        )
    return np.frombuffer(series.times, "<f8"), np.frombuffer(series.values, "<f8")


def not_recorded(what: str, there: list[str]) -> NotAvailableError:
    """What a bundle can't answer, and what it could."""
    listed = "; ".join(there[:8]) + (f"; … {len(there) - 8} more" if len(there) > 8 else "")
    return NotAvailableError(
        f"this bundle does not hold {what}",
        hint=f"recorded: {listed}" if there else "nothing of that kind was recorded",
        code=ErrorCode.NOT_RECORDED,
    )
