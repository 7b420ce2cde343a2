"""A trace as a tree: order, self time, the critical path, and what does not fit together.

Critical path: the walk back from the end over the child that finished last, as Jaeger's UI does it
(packages/jaeger-ui, TracePage/CriticalPath) after CRISP (Zhang et al., USENIX ATC 2022). Children that
overlap their parent's borders are clipped to them, those wholly outside are left out. Two differences: a
child that ends in the very moment the next one starts is on the path too, and of two that end together
the one that began first. A span that its parent did not wait for (FOLLOWS_FROM, or a consumer below its
producer) is on no path and takes no self time from its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiops_cli.models.signals import Span

Interval = tuple[int, int]
Row = tuple[str, Span]
"""A span and the cluster it was found in."""


@dataclass(slots=True)
class Node:
    """A span in its place. `self_ns` is the part of its time that no child covers; `sections` are the
    stretches (unix nanoseconds) in which it is the critical path; `orphan` says that its parent is named
    but was not found. Clusters of `copies` hold the span too."""

    cluster: str
    span: Span
    depth: int = 0
    self_ns: int = 0
    sections: list[Interval] = field(default_factory=list)
    orphan: bool = False
    copies: list[str] = field(default_factory=list)

    @property
    def critical_ns(self) -> int:
        return sum(end - start for start, end in self.sections)


@dataclass(frozen=True, slots=True)
class Skew:
    """The least that the clock of `cluster` must differ from that of `other` for children to lie within
    their parents, in nanoseconds: more than 0 is ahead. `spans` show it."""

    cluster: str
    other: str
    ns: int
    spans: int


@dataclass(slots=True)
class Tree:
    """Nodes in the order they are shown: a parent before its children, those by start."""

    nodes: list[Node]
    start_ns: int = 0
    end_ns: int = 0
    missing_parents: int = 0
    rooted: bool = True
    after_root_ns: int = 0
    skews: list[Skew] = field(default_factory=list)


def build(rows: Sequence[Row]) -> Tree:
    """The tree of one trace's spans, of whatever clusters; a span that several have is taken once."""
    nodes: dict[str, Node] = {}
    for cluster, span in rows:
        if (known := nodes.get(span.span_id)) is None:
            nodes[span.span_id] = Node(cluster, span)
        elif cluster != known.cluster:
            known.copies.append(cluster)
    if not nodes:
        return Tree([])
    children: dict[str, list[str]] = {}
    roots: list[str] = []
    missing: set[str] = set()
    for span_id, node in sorted(nodes.items(), key=lambda item: (item[1].span.start_ns, item[0])):
        parent = node.span.parent_id
        if parent is not None and parent in nodes and parent != span_id:
            children.setdefault(parent, []).append(span_id)
            continue
        roots.append(span_id)
        if parent is not None and parent != span_id:
            node.orphan = True
            missing.add(parent)
    order = _ordered(nodes, roots, children)
    for node in order:
        below = [nodes[c].span for c in children.get(node.span.span_id, [])]
        node.self_ns = self_ns(node.span, [c for c in below if _waited_for(c, node.span)])
    first = [r for r in roots if not nodes[r].orphan]
    for root in first or roots:
        _walk(root, nodes, children)
    start = min(n.span.start_ns for n in order)
    end = max(_end(n.span) for n in order)
    ends = [_end(nodes[r].span) for r in first]
    return Tree(
        order,
        start,
        end,
        len(missing),
        bool(first),
        max(end - max(ends), 0) if ends else 0,
        _skews(order, nodes),
    )


def self_ns(span: Span, children: Sequence[Span]) -> int:
    """The part of a span's time that none of its children covers, in nanoseconds."""
    end = _end(span)
    covered, reached = 0, span.start_ns
    for child in sorted(children, key=lambda c: c.start_ns):
        start, stop = max(child.start_ns, reached), min(_end(child), end)
        if stop > start:
            covered += stop - start
            reached = stop
    return span.duration_ns - covered


def _end(span: Span) -> int:
    return span.start_ns + span.duration_ns


def _waited_for(span: Span, parent: Span) -> bool:
    return not span.follows and not (span.kind == "consumer" and parent.kind == "producer")


def _ordered(nodes: dict[str, Node], roots: list[str], children: dict[str, list[str]]) -> list[Node]:
    """Depth first, with depths. Spans that are each other's parents hang from no root: they come last."""
    order: list[Node] = []
    visited: set[str] = set()
    rest = sorted(nodes, key=lambda i: (nodes[i].span.start_ns, i))
    for top in [*roots, *rest]:
        stack = [(top, 0)]
        while stack:
            span_id, depth = stack.pop()
            if span_id in visited:
                continue
            visited.add(span_id)
            nodes[span_id].depth = depth
            order.append(nodes[span_id])
            stack += [(c, depth + 1) for c in reversed(children.get(span_id, []))]
    return order


def _walk(root: str, nodes: dict[str, Node], children: dict[str, list[str]]) -> None:
    """Give every span on the critical path below `root` its sections."""

    def entered(span_id: str, bounds: Interval) -> _Frame:
        return _Frame(span_id, bounds, _waiting(span_id, bounds, nodes, children))

    top = nodes[root].span
    frames = [entered(root, (top.start_ns, _end(top)))]
    while frames:
        frame = frames[-1]
        child = frame.last_before()
        begin = frame.bounds[0] if child is None else child[1][1]
        if frame.until > begin:
            nodes[frame.span_id].sections.append((begin, frame.until))
        if child is None:
            nodes[frame.span_id].sections.reverse()
            frames.pop()
        else:
            frame.until = child[1][0]
            frames.append(entered(*child))


@dataclass(slots=True)
class _Frame:
    """A span on the walk: the children not yet met, the last to end at last, and the time reached."""

    span_id: str
    bounds: Interval
    waiting: list[tuple[str, Interval]]
    until: int = 0

    def __post_init__(self) -> None:
        self.until = self.bounds[1]

    def last_before(self) -> tuple[str, Interval] | None:
        while self.waiting:
            child = self.waiting.pop()
            if child[1][1] <= self.until:
                return child
        return None


def _waiting(
    span_id: str, bounds: Interval, nodes: dict[str, Node], children: dict[str, list[str]]
) -> list[tuple[str, Interval]]:
    """The children that the span waited for, clipped to it, in the order of their ends."""
    parent = nodes[span_id].span
    found = []
    for child in children.get(span_id, []):
        span = nodes[child].span
        start, stop = max(span.start_ns, bounds[0]), min(_end(span), bounds[1])
        if start < stop and _waited_for(span, parent):
            found.append((child, (start, stop)))
    return sorted(found, key=lambda c: (c[1][1], -c[1][0], c[0]))


def _skews(order: Sequence[Node], nodes: dict[str, Node]) -> list[Skew]:
    """What the clocks of two clusters must differ by at least. A child starts no earlier than its parent,
    and what a client waits for ends no later than the client."""
    latest: dict[tuple[str, str], int] = {}
    earliest: dict[tuple[str, str], int] = {}
    counts: dict[tuple[str, str], int] = {}
    for node in order:
        parent = nodes.get(node.span.parent_id or "")
        if parent is None or parent.cluster == node.cluster or parent is node:
            continue
        pair = (node.cluster, parent.cluster)
        child, above = node.span, parent.span
        counts[pair] = counts.get(pair, 0) + 1
        latest[pair] = min(latest.get(pair, child.start_ns - above.start_ns), child.start_ns - above.start_ns)
        if above.kind == "client" and child.kind == "server" and not child.follows:
            over = _end(child) - _end(above)
            earliest[pair] = max(earliest.get(pair, over), over)
    found = []
    for pair, most in sorted(latest.items()):
        least = earliest.get(pair, 0)
        ns = most if most < 0 else least if 0 < least <= most else 0
        if ns:
            found.append(Skew(*pair, ns, counts[pair]))
    return found
