"""Pod logs by the Kubernetes API, asked as a Loki would be, for clusters that have none.

GET /api/v1/namespaces/NS/pods/POD/log, which the API server has of the node's kubelet: the log of a
container as it runs now, and of the one before its last restart; rotated files and deleted pods are gone.
`sinceTime` counts whole seconds. The clock is the node's.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import quote

from aiops_cli.errors import AuthError, ClusterError, ErrorCode
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import LogEntry
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.base import Direction, Labels, LiveLines, LogRow
from aiops_cli.sources.kubernetes import KubernetesSource
from aiops_cli.sources.pod_containers import Container, Pod, Unreadable, containers_of, nanoseconds
from aiops_cli.sources.pod_follow import Following
from aiops_cli.sources.pod_query import PodQuery, parse
from aiops_cli.sources.replies import error_text, failure
from aiops_cli.transport.client import HttpClient, Params

MOST_CONTAINERS = 50  # read at once, of one cluster
NOTE = "no Loki: pod logs by the Kubernetes API"
_READ_AT_ONCE = 10
_LONGEST = 1 << 20
_NONE: Labels = {}


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
        found = await self.containers(query)
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
        following = Following(self, query, since)
        try:
            await following.look()
            yield following.lines()
        finally:
            await following.close()

    async def containers(self, query: PodQuery) -> Answer[Container]:
        """The containers that are selected; running ones first, where they are too many."""
        names = query.exact
        params: list[tuple[str, str]] = [("resourceVersion", "0")]  # the API server's own memory will do
        if "pod" in names:
            params.append(("fieldSelector", f"metadata.name={names['pod']}"))
        if "namespace" in names:
            path = f"/api/v1/namespaces/{quote(names['namespace'], safe='')}/pods"
            pods: Answer[Pod] = Answer(await self.kube.items(path, Pod, params))
        else:
            pods = await self.kube.everywhere("/api/v1", "pods", Pod)
        sources = [s for pod in pods.rows for s in containers_of(pod) if query.selects(s.labels)]
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
        self, source: Container, since: float, *, follow: bool = False, previous: bool = False, tail: int = 0
    ) -> AsyncGenerator[tuple[int, str], None]:
        """(ns, line) in the order of the log. Raises Unreadable, or ClusterError if the way is cut."""
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
                ns = nanoseconds(stamp)
                if ns is not None:
                    yield ns, text.decode("utf-8", "replace")

    async def _lines(
        self, source: Container, params: Params, idle: float | None
    ) -> AsyncGenerator[bytes, None]:
        """Raises ClusterError also when nothing comes for `idle` seconds."""
        async with self.streams.stream(source.path, params, headers={"Accept": "*/*"}) as answer:
            if answer.status != 200:
                what = f"the log of {source.name}"
                error = failure(answer, what, self.streams.endpoint)
                if answer.status == 400:
                    error = ClusterError(error_text(answer), endpoint=self.streams.endpoint)
                raise Unreadable(answer.status, error)
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

    async def _next(
        self, chunks: AsyncGenerator[bytes, None], idle: float | None, source: Container
    ) -> bytes:
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
        self, source: PodLogSource, query: PodQuery, window: TimeRange, limit: int, found: Answer[Container]
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

        async def newest(source: Container) -> deque[LogRow]:
            rows: deque[LogRow] = deque(maxlen=self._limit)
            try:
                async with slots, asyncio.timeout(self._source.streams.timeout):
                    whole = await self._fill(rows, source, tail)
                    if not whole:  # the last lines came after the window, while we asked
                        rows.clear()
                        await self._fill(rows, source, 0)
            except TimeoutError:
                self.partial = True
                self.notes.append(f"the log of {source.name} was not read to its end in time: ask for less")
            return rows

        parts = await asyncio.gather(*(newest(source) for source in self._found))
        rows = [row for part in parts for row in part]
        rows.sort(key=lambda row: row[0], reverse=True)
        return rows[: self._limit]

    async def _fill(self, rows: deque[LogRow], source: Container, tail: int) -> bool:
        """Read a container's lines; False if its last `tail` ones don't reach down to the first wanted."""
        beyond = False

        def past() -> None:
            nonlocal beyond
            beyond = True

        async with aclosing(self._rows(source, tail, past)) as found:
            async for row in found:
                rows.append(row)
        return not (tail and beyond and len(rows) < self._limit)

    def check(self) -> None:
        """Raises ClusterError if every container refused; else what refused is told."""
        if self._errors and len(self._errors) == len(self._found):
            raise _forbidden(self._errors[0])
        for error in self._errors:
            self.partial = True
            self.notes.append(error.message)

    async def _rows(
        self, source: Container, tail: int = 0, past: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[LogRow, None]:
        """A container's lines in the window, of before its last restart too; `past` is called where the log
        goes on after it."""
        begin, end = self._window.start * 1e9, self._window.end * 1e9
        for previous in [True, False] if source.ended >= self._window.start else [False]:
            lines = self._source.read(source, self._window.start, previous=previous, tail=tail)
            try:
                async with aclosing(lines):
                    async for ns, line in lines:
                        if ns >= end:
                            past()
                            break
                        if ns >= begin and self._query.shows(line):
                            yield ns, line, source.labels, _NONE
            except Unreadable as unreadable:
                if not unreadable.expected:
                    self._errors.append(unreadable.error)
            except ClusterError as error:
                self._errors.append(error)


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
