"""A service map as an indented tree of calls, and as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from aiops_cli.render.text import cells, duration, one_line, si

Node = tuple[str, str, str]
"""Cluster, name, and for what sends no spans of its own (a database may be named as its service), its kind."""
_SILENT = ("database", "virtual_node")


class Call(Protocol):
    """What is shown of an edge: calls, calls a second, failed share (0 to 1), latencies in milliseconds."""

    @property
    def cluster(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def server_cluster(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def connection_type(self) -> str: ...
    @property
    def calls(self) -> float: ...
    @property
    def rate(self) -> float | None: ...
    @property
    def error_share(self) -> float | None: ...
    @property
    def p50_ms(self) -> float | None: ...
    @property
    def p95_ms(self) -> float | None: ...


C = TypeVar("C", bound=Call)


def percent(share: float | None) -> str:
    """A share for people: 0%, 0.12%, 12%."""
    if share is None:
        return "-"
    return f"{share * 100:.3g}%"


def per_second(rate: float | None) -> str:
    """A rate for people; without milli, which reads as metres."""
    if rate is None:
        return "-"
    return si(rate, "/s") if rate >= 1000 else f"{rate:.3g}/s"


def call_tree(edges: Sequence[C]) -> str:
    """`call_rows` with the numbers of each call."""
    lines = call_rows(edges)
    width = max((cells(text) for text, _ in lines), default=0)
    head = f"{'SERVICE':<{width}} {'CALLS':>8} {'RATE':>9} {'ERRORS':>7} {'P50':>8} {'P95':>8}"
    return "\n".join([head, *(_line(text, edge, width) for text, edge in lines)]) + "\n" if lines else ""


def call_rows(edges: Sequence[C]) -> list[tuple[str, C | None]]:
    """The tree's lines, each with the call it stands for (None: a service that nobody calls), from those
    down; what a service calls is shown where it is met first."""
    below: dict[Node, list[C]] = {}
    called: set[Node] = set()
    for edge in edges:
        below.setdefault(_client(edge), []).append(edge)
        if _server(edge) != _client(edge):
            called.add(_server(edge))
    for calls in below.values():
        calls.sort(key=lambda e: (-e.calls, _server(e)))
    several = len({c for e in edges for c in (e.cluster, e.server_cluster)}) > 1
    tops = sorted(n for n in below if n not in called)
    rest = sorted(below, key=lambda n: (-sum(e.calls for e in below[n]), n))  # circles have no top
    lines: list[tuple[str, C | None]] = []
    shown: set[Node] = set()
    for top in [*tops, *rest]:
        if top not in shown:
            shown.add(top)
            lines.append((_name(top, several), None))
            _branch(top, below, shown, lines, several)
    return lines


def _branch(
    top: Node,
    below: dict[Node, list[C]],
    shown: set[Node],
    lines: list[tuple[str, C | None]],
    several: bool,
) -> None:
    stack = [(edge, "", i == len(below[top]) - 1) for i, edge in enumerate(below[top])][::-1]
    while stack:
        edge, indent, last = stack.pop()
        node = _server(edge)
        again = node in shown
        kind = f" [{edge.connection_type}]" if edge.connection_type else ""
        more = " (see above)" if again and below.get(node) else ""
        lines.append(
            (f"{indent}{'└─ ' if last else '├─ '}{_name(node, several)}{one_line(kind)}{more}", edge)
        )
        if again:
            continue
        shown.add(node)
        deeper = indent + ("   " if last else "│  ")
        calls = below.get(node, [])
        stack += [(e, deeper, i == len(calls) - 1) for i, e in enumerate(calls)][::-1]


def _line(text: str, edge: Call | None, width: int) -> str:
    if edge is None:
        return text
    pad = " " * (width - cells(text))
    return (
        f"{text}{pad} {si(float(edge.calls)):>8} {per_second(edge.rate):>9} {percent(edge.error_share):>7} "
        f"{duration(edge.p50_ms):>8} {duration(edge.p95_ms):>8}"
    )


def mermaid(edges: Sequence[Call]) -> str:
    """A fenced Mermaid flowchart, a subgraph for each cluster if there are several."""
    nodes: dict[Node, str] = {}
    for edge in edges:
        for node in (_client(edge), _server(edge)):
            nodes.setdefault(node, f"n{len(nodes)}")
    clusters = sorted({node[0] for node in nodes})
    lines = ["```mermaid", "flowchart LR"]
    for i, cluster in enumerate(clusters):
        if len(clusters) > 1:
            lines.append(f'  subgraph c{i}["{_quoted(cluster)}"]')
        for node, name in nodes.items():
            if node[0] == cluster:
                open_, close = ("[(", ")]") if node[2] == "database" else ("[", "]")
                lines.append(f'  {name}{open_}"{_quoted(node[1])}"{close}')
        if len(clusters) > 1:
            lines.append("  end")
    for edge in edges:
        said = (
            f"{si(float(edge.calls))} calls, {percent(edge.error_share)} failed, p95 {duration(edge.p95_ms)}"
        )
        lines.append(f'  {nodes[_client(edge)]} -->|"{_quoted(said)}"| {nodes[_server(edge)]}')
    return "\n".join([*lines, "```"]) + "\n"


def _client(edge: Call) -> Node:
    return edge.cluster, edge.client, ""


def _server(edge: Call) -> Node:
    kind = edge.connection_type
    return edge.server_cluster, edge.server, kind if kind in _SILENT else ""


def _name(node: Node, several: bool) -> str:
    return one_line(f"{node[0]}/{node[1]}" if several else node[1])


def _quoted(text: str) -> str:
    """Text inside a quoted Mermaid label: nothing that ends it, no markup."""
    plain = one_line(text)
    for sign, code in (
        ("#", "#35;"),
        ('"', "#quot;"),
        ("<", "#lt;"),
        (">", "#gt;"),
        ("`", "#96;"),
        ("&", "#amp;"),
    ):
        plain = plain.replace(sign, code)
    return plain
