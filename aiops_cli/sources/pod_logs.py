"""Pod logs by the Kubernetes API, asked as a Loki would be, for clusters that have none.

GET /api/v1/namespaces/NS/pods/POD/log, which the API server has of the node's kubelet: the log of a
container as it runs now, and of the one before its last restart; rotated files and deleted pods are gone.
`sinceTime` counts whole seconds. The clock is the node's.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

import msgspec

from aiops_cli.errors import AuthError, ClusterError, ErrorCode
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import LogEntry
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.base import Direction, Labels, LiveLines, LogRow
from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.sources.kubernetes_objects import Meta, unix
from aiops_cli.sources.pod_query import PodQuery, parse
from aiops_cli.sources.replies import error_text, failure
from aiops_cli.transport.client import HttpClient, Params

MOST_CONTAINERS = 50  # read at once, of one cluster
NOTE = "no Loki: pod logs by the Kubernetes API"
_READ_AT_ONCE = 10
_LOOK_SECONDS = 5.0  # between two looks at which pods there are
_AGAIN_SECONDS = 1.0
_QUEUED = 100
_LONGEST = 1 << 20
_NONE: Labels = {}


class _Terminated(msgspec.Struct, rename="camel"):
    finished_at: datetime | None = None


class _State(msgspec.Struct):
    running: dict[str, str] | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(msgspec.Struct, rename="camel"):
    name: str = ""
    restart_count: int = 0
    state: _State = msgspec.field(default_factory=_State)
    last_state: _State = msgspec.field(default_factory=_State)


class _Container(msgspec.Struct):
    name: str


class _Spec(msgspec.Struct, rename="camel"):
    containers: list[_Container] = []
    init_containers: list[_Container] = []


class _Status(msgspec.Struct, rename="camel"):
    phase: str = ""
    container_statuses: list[_ContainerStatus] = []
    init_container_statuses: list[_ContainerStatus] = []


class _Pod(msgspec.Struct):
    metadata: Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


@dataclass(frozen=True, slots=True)
class _Source:
    """A container whose log can be read. `ended` is when the one before its last restart ended, in unix
    seconds, 0 if there was none."""

    path: str
    labels: Labels
    running: bool
    restarts: int
    ended: float

    @property
    def name(self) -> str:
        return f"{self.labels['namespace']}/{self.labels['pod']}/{self.labels['container']}"


class _Unreadable(Exception):
    """One container's log can't be had; `error` says why, in case it is of interest."""

    def __init__(self, status: int, error: ClusterError) -> None:
        super().__init__(error.message)
        self.status, self.error = status, error

    @property
    def expected(self) -> bool:
        """It has no node yet or has not started, its log was rotated away, or its pod is gone."""
        return self.status in (204, 400, 404)


class PodLogSource:
    """The containers of one cluster. `streams` is a client of the API server for logs alone: those that are
    followed hold their connections."""

    leaves_out = False
    silent = False

    def __init__(self, kube: KubernetesSource, streams: HttpClient) -> None:
        self.kube = kube
        self.streams = streams

    async def query_range(
        self, expr: str, window: TimeRange, limit: int, direction: Direction = "backward"
    ) -> Answer[LogEntry]:
        """The first `limit` lines in [start, end) in the order of `direction`, over all containers."""
        answer: Answer[LogEntry] = Answer([])
        async with aclosing(self.pages(expr, window, limit, direction)) as pages:
            async for page in pages:
                answer.rows += [LogEntry(ns, labels, line, more) for ns, line, labels, more in page.rows]
                answer.warnings += page.warnings
                answer.partial |= page.partial
        return answer

    async def pages(
        self,
        expr: str,
        window: TimeRange,
        limit: int,
        direction: Direction = "backward",
        *,
        most: int = 5_000,
        lanes: int = 4,
    ) -> AsyncGenerator[Answer[LogRow], None]:
        """The same lines in pages of at most `most`. Raises UsageError for what pod logs can't answer, and
        ClusterError if no container's log can be had."""
        query = parse(expr)
        found = await self._containers(query)
        reading = _Reading(self, query, window, limit, found)
        if direction == "forward":
            async with aclosing(reading.forward(most)) as pages:
                async for page in pages:
                    yield Answer(page)
        else:
            rows = await reading.backward()
            for first in range(0, len(rows), most):
                yield Answer(rows[first : first + most])
        reading.check()
        yield Answer([], warnings=[NOTE, *reading.notes], partial=reading.partial)

    @asynccontextmanager
    async def follow(
        self, expr: str, delay_for: int = 0, since: int = 0
    ) -> AsyncIterator[AsyncIterator[LiveLines]]:
        """Lines from `since` (ns) on and as they come, of each container in order, for as long as the API
        server answers (ClusterError)."""
        query = parse(expr)
        following = _Following(self, query, since)
        try:
            await following.look()
            yield following.lines()
        finally:
            await following.close()

    async def _containers(self, query: PodQuery) -> Answer[_Source]:
        """The containers that are selected; running ones first, where they are too many."""
        names = query.exact
        params: list[tuple[str, str]] = [("resourceVersion", "0")]  # the API server's own memory will do
        if "pod" in names:
            params.append(("fieldSelector", f"metadata.name={names['pod']}"))
        if "namespace" in names:
            path = f"/api/v1/namespaces/{quote(names['namespace'], safe='')}/pods"
            pods: Answer[_Pod] = Answer(await self.kube.items(path, _Pod, params))
        else:
            pods = await self.kube.everywhere("/api/v1", "pods", _Pod)
        sources = [s for pod in pods.rows for s in _sources(pod) if query.selects(s.labels)]
        sources.sort(key=lambda s: (not s.running, s.name))
        notes = list(pods.warnings)
        if len(sources) > MOST_CONTAINERS:
            notes.append(
                f"{len(sources)} containers match, {MOST_CONTAINERS} are read: narrow the selector by namespace, app or pod"
            )
        elif not sources:
            notes.append("no container matches the selector")
        cut = len(sources) > MOST_CONTAINERS
        return Answer(sources[:MOST_CONTAINERS], warnings=notes, partial=pods.partial or cut)

    async def read(
        self, source: _Source, since: float, *, follow: bool = False, previous: bool = False, tail: int = 0
    ) -> AsyncGenerator[tuple[int, str], None]:
        """(ns, line) in the order of the log. Raises _Unreadable, or ClusterError if the way is cut."""
        params: list[tuple[str, str]] = [("container", source.labels["container"]), ("timestamps", "true")]
        if since > 0:
            moment = datetime.fromtimestamp(int(since), UTC)
            params.append(("sinceTime", moment.strftime("%Y-%m-%dT%H:%M:%SZ")))
        params += [("follow", "true")] if follow else []
        params += [("previous", "true")] if previous else []
        params += [("tailLines", str(tail))] if tail else []
        async with aclosing(self._lines(source, params, None if follow else self.streams.timeout)) as lines:
            async for raw in lines:
                stamp, _, text = raw.partition(b" ")
                ns = _nanoseconds(stamp)
                if ns is not None:
                    yield ns, text.decode("utf-8", "replace")

    async def _lines(
        self, source: _Source, params: Params, idle: float | None
    ) -> AsyncGenerator[bytes, None]:
        """Raises ClusterError also when nothing comes for `idle` seconds."""
        async with self.streams.stream(source.path, params, headers={"Accept": "*/*"}) as answer:
            if answer.status != 200:
                what = f"the log of {source.name}"
                error = failure(answer, what, self.streams.endpoint)
                if answer.status == 400:
                    error = ClusterError(error_text(answer), endpoint=self.streams.endpoint)
                raise _Unreadable(answer.status, error)
            rest = b""
            async with aclosing(answer.chunks()) as chunks:
                while chunk := await self._next(chunks, idle, source):
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        yield line
                    if len(rest) > _LONGEST:
                        yield rest
                        rest = b""
            if rest:
                yield rest

    async def _next(self, chunks: AsyncGenerator[bytes, None], idle: float | None, source: _Source) -> bytes:
        """What comes next of a body; nothing at its end."""
        try:
            async with asyncio.timeout(idle):
                return await anext(chunks, b"")
        except TimeoutError:
            raise ClusterError(
                f"nothing came of the log of {source.name} for {idle:g} s",
                hint="look at that node's kubelet, or ask for less",
                code=ErrorCode.QUERY_TIMEOUT,
                endpoint=self.streams.endpoint,
            ) from None


class _Reading:
    """One query: what there is to read, and what could not be."""

    def __init__(
        self, source: PodLogSource, query: PodQuery, window: TimeRange, limit: int, found: Answer[_Source]
    ) -> None:
        self._source, self._query, self._limit = source, query, limit
        self._window = window
        self._found = found.rows
        self.notes, self.partial = found.warnings, found.partial
        self._errors: list[ClusterError] = []

    async def forward(self, most: int) -> AsyncGenerator[list[LogRow], None]:
        """The oldest lines, merged as they are read: one of each container is held."""
        streams = [self._rows(source) for source in self._found]
        try:
            heads = await asyncio.gather(*(anext(s, None) for s in streams))
            heap = [(row[0], i, row) for i, row in enumerate(heads) if row is not None]
            heapq.heapify(heap)
            page: list[LogRow] = []
            given = 0
            while heap and given < self._limit:
                _, i, row = heap[0]
                page.append(row)
                given += 1
                following = await anext(streams[i], None)
                if following is None:
                    heapq.heappop(heap)
                else:
                    heapq.heapreplace(heap, (following[0], i, following))
                if len(page) >= most:
                    yield page
                    page = []
            if page:
                yield page
        finally:
            for stream in streams:
                await stream.aclose()

    async def backward(self) -> list[LogRow]:
        """The newest lines, newest first."""
        slots = asyncio.Semaphore(_READ_AT_ONCE)
        # The kubelet counts before any filter of ours, and from the end of the log.
        recent = self._window.end >= datetime.now(UTC).timestamp() - 5
        tail = self._limit if recent and not self._query.filters else 0

        async def newest(source: _Source) -> deque[LogRow]:
            rows: deque[LogRow] = deque(maxlen=self._limit)
            try:
                async with (
                    slots,
                    asyncio.timeout(self._source.streams.timeout),
                    aclosing(self._rows(source, tail)) as found,
                ):
                    async for row in found:
                        rows.append(row)
            except TimeoutError:
                self.partial = True
                self.notes.append(f"the log of {source.name} was not read to its end in time: ask for less")
            return rows

        parts = await asyncio.gather(*(newest(source) for source in self._found))
        rows = [row for part in parts for row in part]
        rows.sort(key=lambda row: row[0], reverse=True)
        return rows[: self._limit]

    def check(self) -> None:
        """Raises ClusterError if every container refused; else what refused is told."""
        if self._errors and len(self._errors) == len(self._found):
            raise _forbidden(self._errors[0])
        for error in self._errors:
            self.partial = True
            self.notes.append(error.message)

    async def _rows(self, source: _Source, tail: int = 0) -> AsyncGenerator[LogRow, None]:
        """A container's lines in the window, of before its last restart too."""
        begin, end = self._window.start * 1e9, self._window.end * 1e9
        for previous in [True, False] if source.ended >= self._window.start else [False]:
            lines = self._source.read(source, self._window.start, previous=previous, tail=tail)
            try:
                async with aclosing(lines):
                    async for ns, line in lines:
                        if ns >= end:
                            break
                        if ns >= begin and self._query.shows(line):
                            yield ns, line, source.labels, _NONE
            except _Unreadable as unreadable:
                if not unreadable.expected:
                    self._errors.append(unreadable.error)
            except ClusterError as error:
                self._errors.append(error)


class _Following:
    """The followed containers of one cluster, and the look at which there are."""

    def __init__(self, source: PodLogSource, query: PodQuery, since: int) -> None:
        self._source, self._query, self._since = source, query, since
        self._queue: asyncio.Queue[LiveLines | ClusterError] = asyncio.Queue(_QUEUED)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places: dict[str, _Place] = {}
        self._now: dict[str, _Source] = {}
        self._looked = asyncio.Event()
        self._watch = asyncio.create_task(self._guarded(self._look_on()))

    async def lines(self) -> AsyncIterator[LiveLines]:
        while True:
            found = await self._queue.get()
            if isinstance(found, ClusterError):
                raise found
            yield found

    async def look(self) -> None:
        """See which containers there are now, and follow the new ones."""
        found = await self._source._containers(self._query)
        self._now = {s.name: s for s in found.rows}
        for name, source in self._now.items():
            if name not in self._tasks or self._tasks[name].done():
                self._tasks[name] = asyncio.create_task(self._guarded(self._one(source)))
        for name in self._tasks.keys() - self._now.keys():
            if self._tasks[name].done():
                del self._tasks[name]
                self._places.pop(name, None)
        if found.warnings:
            await self._queue.put(LiveLines([], warnings=found.warnings))
        self._looked.set()

    async def close(self) -> None:
        tasks = [self._watch, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_on(self) -> None:
        pause = _LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = asyncio.get_running_loop().time()
            await self.look()
            pause = max(_LOOK_SECONDS, 10 * (asyncio.get_running_loop().time() - began))

    async def _guarded(self, work: Awaitable[None]) -> None:
        """What cuts us from the API server ends all."""
        try:
            await work
        except ClusterError as error:
            await self._queue.put(error)
        except Exception as error:
            message = f"its pod logs could not be handled: {type(error).__name__}: {error}"
            await self._queue.put(ClusterError(message, hint="report this", code=ErrorCode.INTERNAL))

    async def _one(self, source: _Source) -> None:
        """One container until it is gone for good. The stream ends with the container, with a rotated file
        and after hours: then it is opened again, and what was shown of that second is left out."""
        place = self._places.setdefault(source.name, _Place(self._since))
        restarts = source.restarts
        told = ""
        previous = False
        while True:
            place.again()
            try:
                if previous:
                    await self._show(source, place, previous=True)
                await self._show(source, place, follow=True)
            except _Unreadable as unreadable:
                if unreadable.status == 404:
                    return
                if not unreadable.expected and unreadable.error.message != told:
                    told = unreadable.error.message
                    await self._queue.put(LiveLines([], warnings=[told]))
            await asyncio.sleep(_AGAIN_SECONDS)
            while (now := self._now.get(source.name)) and not now.running and now.restarts == restarts:
                self._looked.clear()
                await self._looked.wait()
            if now is None:
                return
            previous = now.restarts > restarts + 1  # one came and went unseen
            restarts = now.restarts

    async def _show(
        self, source: _Source, place: _Place, *, follow: bool = False, previous: bool = False
    ) -> None:
        lines = self._source.read(source, place.last / 1e9, follow=follow, previous=previous)
        async with aclosing(lines):
            async for ns, line in lines:
                if place.passes(ns, line) and self._query.shows(line):
                    await self._queue.put(LiveLines([(ns, line, source.labels, _NONE)]))


class _Place:
    """How far a container's log was read: the time of its last line, and the lines of that second."""

    def __init__(self, since: int) -> None:
        self.last = self._since = since
        self._seen: Counter[tuple[int, str]] = Counter()
        self._left: Counter[tuple[int, str]] = Counter()

    def again(self) -> None:
        """It is read again from the second of the last line."""
        self._left = self._seen.copy()

    def passes(self, ns: int, line: str) -> bool:
        """Whether the line is a new one."""
        if ns < self._since:
            return False
        if self._left.get((ns, line), 0) > 0:
            self._left[ns, line] -= 1
            return False
        if ns // 10**9 > self.last // 10**9:
            self._seen.clear()
        self._seen[ns, line] += 1
        self.last = max(self.last, ns)
        return True


def _forbidden(error: ClusterError) -> ClusterError:
    """What all containers answered; where logs may not be read, with what to ask for."""
    if error.code is ErrorCode.FORBIDDEN:
        return AuthError(
            f"no Loki, and {error.message}",
            hint="ask for the verb get on pods/log (the view role has it), or configure a Loki",
            code=ErrorCode.FORBIDDEN,
            endpoint=error.endpoint,
        )
    return error


def _sources(pod: _Pod) -> list[_Source]:
    meta, labels = pod.metadata, pod.metadata.labels
    app = labels.get("app.kubernetes.io/name") or labels.get("app")
    path = f"/api/v1/namespaces/{quote(meta.namespace, safe='')}/pods/{quote(meta.name, safe='')}/log"
    statuses = {s.name: s for s in (*pod.status.container_statuses, *pod.status.init_container_statuses)}
    found = []
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        status = statuses.get(container.name, _ContainerStatus())
        before = status.last_state.terminated
        own = {"namespace": meta.namespace, "pod": meta.name, "container": container.name}
        found.append(
            _Source(
                path,
                own | ({"app": app} if app else {}),
                status.state.running is not None,
                status.restart_count,
                unix(before.finished_at) if before else 0.0,
            )
        )
    return found


def _nanoseconds(stamp: bytes) -> int | None:
    """RFC 3339 with up to nine digits of a second, in unix nanoseconds; None for what is no time."""
    try:
        text = stamp.decode("ascii")
        whole, rest = text[:19], text[19:]
        digits = ""
        if rest[:1] == ".":
            digits = rest[1:].rstrip("Z").partition("+")[0].partition("-")[0]
            rest = rest[1 + len(digits) :]
        return _second(whole + rest) * 10**9 + int((digits + "000000000")[:9])
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _second(text: str) -> int:
    """Unix seconds of RFC 3339 without a fraction. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return int(moment.timestamp())
