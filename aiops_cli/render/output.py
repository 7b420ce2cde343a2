"""The output formats. A `View` says how items of one kind look; every format shows the same items."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from aiops_cli.errors import UsageError
from aiops_cli.models.result import API_VERSION, FleetResult
from aiops_cli.render.colour import level_of_word, paint, rank
from aiops_cli.render.text import OBEYED, cells, cut, escaped, one_line

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
_LEAST, _LEGIBLE = 4, 7  # cells of a column that was cut
_NAME = 10  # cells of a name or an id that are shown as long as can be
_WORD = 12  # cells of what is no free text: a state, an age
_SEVERITIES = ("SEVERITY", "WORST")  # sorted by how bad they are, the worst first
_JUDGED = ("SEVERITY", "WORST", "STATE", "STATUS")  # columns whose words have colours
FORMATS = ("table", "wide", "json", "ndjson", "yaml", "csv", "md", "name")


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of tables: `value` for people; `plain`, if given, for CSV and for sorting, in the unit that
    CSV's title then ends with.

    `keep` is for what a row is known by (names, ids): it is cut after all else.
    """

    title: str
    value: Callable[[T], str | None]
    right: bool = False
    wide: bool = False
    plain: Callable[[T], Any] | None = None
    unit: str = ""
    keep: bool = False


@runtime_checkable
class Encoded(Protocol):
    """An item that writes its own JSON, for what would be a million objects on the way."""

    def encode(self) -> bytes: ...

    def pretty(self) -> bytes:
        """The same with line breaks, indented as a part of the list of items."""
        ...


class Long(Protocol[T_contra]):
    """CSV where one item is many rows.

    `blocks` gives, for each item, a value for each title: a list has one text for each row, and anything
    else is the same in all of them.
    """

    def titles(self, items: Sequence[T_contra]) -> list[str]: ...

    def blocks(self, items: Sequence[T_contra]) -> Iterable[Sequence[Any]]: ...


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """How items of a kind are shown. `name` is what `-o name` prints.

    `own_fields` is for a view whose columns were made from --fields already.
    """

    kind: str
    columns: Sequence[Column[T]]
    name: Callable[[T], str]
    long: Long[T] | None = None
    own_fields: bool = False


@dataclass(frozen=True, slots=True)
class Style:
    """What the shared output flags say. `width` is None when stdout is no terminal: nothing is cut."""

    format: str = "table"
    width: int | None = None
    headers: bool = True
    columns: tuple[str, ...] = ()
    sort: str | None = None
    fields: tuple[str, ...] = ()
    colour: bool = False


def render(
    view: View[T], result: FleetResult[T], style: Style, *, extra: dict[str, Any] | None = None
) -> str:
    """The whole text for stdout. Raises UsageError for an unknown format, column or field."""
    return "".join(pieces(view, result, style, extra=extra))


def pieces(
    view: View[T], result: FleetResult[T], style: Style, *, extra: dict[str, Any] | None = None
) -> Iterable[str]:
    """The text for stdout, so that a large answer need not be held as one. Raises as `render` does,
    before there is a piece."""
    if style.format not in FORMATS:
        raise UsageError(f"unknown output format {style.format!r}", hint=f"one of: {', '.join(FORMATS)}")
    items = _sorted(view, result.rows, style)
    if style.format in ("json", "ndjson", "yaml"):
        return _machine(view.kind, items, result, style, extra or {})
    if style.format == "name":
        return ["".join(one_line(view.name(i)) + "\n" for i in items)]
    if style.format == "csv" and view.long is not None:
        return _long_csv(view.long, items, style, view.own_fields)
    columns = _columns(view, style)
    if style.format == "csv":
        return [_csv(columns, items, style)]
    rows = [[one_line(c.value(i) or "-") for c in columns] for i in items]
    if style.format == "md":
        return [_markdown(columns, rows)]
    return [_table(columns, rows, style)]


def _machine(
    kind: str, items: list[T], result: FleetResult[T], style: Style, extra: dict[str, Any]
) -> Iterable[str]:
    """The contract's envelope. Items are encoded one by one, as they are: a copy of each as builtins
    would take several times their memory. NaN and infinities become null."""
    rows: list[Any] = list(items)
    if style.fields:
        rows = [_pick(_builtins(i), style.fields) for i in rows]
    if style.format == "ndjson":
        return (_escaped(_encoded(i)) + "\n" for i in rows)
    head: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "partial": result.partial,
        "clusters": list(result.clusters),
    }
    if style.format == "json":
        return _document(head, rows, extra)
    return [_yaml(_builtins(head) | {"items": [_builtins(i) for i in rows]} | _builtins(extra))]


def _document(head: dict[str, Any], rows: list[Any], extra: dict[str, Any]) -> Iterator[str]:
    """One JSON object, indented by two, an item a piece."""
    opened = msgspec.json.format(msgspec.json.encode(head), indent=2).removesuffix(b"\n}")
    yield _escaped(opened + b',\n  "items": [')
    between = ""
    for row in rows:
        yield between + "\n    " + _escaped(_pretty(row))
        between = ","
    yield "\n  ]" if rows else "]"
    if extra:
        rest = msgspec.json.format(msgspec.json.encode(extra), indent=2)
        yield "," + _escaped(rest.removeprefix(b"{").removesuffix(b"\n}"))
    yield "\n}\n"


def _encoded(item: Any) -> bytes:
    return item.encode() if isinstance(item, Encoded) else msgspec.json.encode(item)


def _pretty(item: Any) -> bytes:
    if isinstance(item, Encoded):
        return item.pretty()
    return msgspec.json.format(msgspec.json.encode(item), indent=2).replace(b"\n", b"\n    ")


def _builtins(item: Any) -> Any:
    return msgspec.json.decode(_encoded(item))


def _escaped(document: bytes) -> str:
    """JSON that says the same and holds nothing a terminal would obey."""
    if document.isascii() and b"\x7f" not in document:  # the encoder has escaped the rest
        return document.decode("ascii")
    return escaped(document.decode())


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Puts text that needs escapes in double quotes: YAML has them nowhere else."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, '"' if OBEYED.search(value) else None)

    Dumper.add_representer(str, text)
    return escaped(yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def _pick(item: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    unknown = [f for f in fields if f.split(".")[0] not in item]
    if unknown:
        raise UsageError(f"unknown field {unknown[0]!r}", hint=f"fields here: {', '.join(item)}")
    picked: dict[str, Any] = {}
    for name in fields:
        value: Any = item
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        picked[name] = value
    return picked


def _columns(view: View[T], style: Style) -> list[Column[T]]:
    names = _named(style, view.own_fields)
    if not names:
        return [c for c in view.columns if style.format in ("wide", "csv") or not c.wide]
    known = {c.title.lower(): c for c in view.columns}
    return [known[name] for name in _known(names, known)]


def _named(style: Style, own_fields: bool) -> tuple[str, ...]:
    """The columns that are asked for: by --columns, or by --fields, which names parts of JSON items."""
    if style.columns or own_fields:
        return style.columns
    return tuple(f.removeprefix("labels.") for f in style.fields)


def _known(names: Iterable[str], known: Iterable[str]) -> list[str]:
    known = list(known)
    for name in names:
        if name.lower() not in known:
            raise UsageError(f"unknown column {name!r}", hint=f"columns here: {', '.join(known)}")
    return [name.lower() for name in names]


def _sorted(view: View[T], items: Sequence[T], style: Style) -> list[T]:
    if not style.sort:
        return list(items)
    name = style.sort.lstrip("-").lower()
    column = next((c for c in view.columns if c.title.lower() == name), None)
    if column is None:
        raise UsageError(
            f"can't sort by {name!r}",
            hint=f"columns here: {', '.join(c.title.lower() for c in view.columns)}",
        )
    key: Callable[[T], Any] = column.plain or column.value
    if column.title.upper() in _SEVERITIES:
        key = _by_rank(key)
    known = [i for i in items if key(i) is not None]
    unknown = [i for i in items if key(i) is None]
    descending = style.sort.startswith("-")
    try:
        return sorted(known, key=key, reverse=descending) + unknown
    except TypeError:  # maps, lists with gaps, a column of many types: what SQL may answer
        return sorted(known, key=lambda i: str(key(i)), reverse=descending) + unknown


def _by_rank(word: Callable[[T], Any]) -> Callable[[T], Any]:
    def key(item: T) -> tuple[int, str] | None:
        said = word(item)
        return None if said is None else (rank(said), said)

    return key


def _csv(columns: list[Column[T]], items: list[T], style: Style) -> str:
    titles = [one_line("_".join(filter(None, (c.title.lower(), c.unit)))) for c in columns]
    head = [titles] if style.headers else []
    return _lines([*head, *([_cell((c.plain or c.value)(i)) for c in columns] for i in items)])


def _long_csv(long: Long[T], items: list[T], style: Style, own_fields: bool) -> Iterable[str]:
    """Rows of many items, an item a piece. Raises UsageError for an unknown column."""
    titles = [one_line(t) for t in long.titles(items)]
    by_title = {title.lower(): i for i, title in reversed(list(enumerate(titles)))}
    names = _named(style, own_fields)
    places = [by_title[n] for n in _known(names, by_title)] if names else list(range(len(titles)))

    def written() -> Iterator[str]:
        if style.headers:
            yield _lines([[titles[i] for i in places]])
        for block in long.blocks(items):
            count = max((len(c) for c in block if isinstance(c, list)), default=1)
            columns = [c if isinstance(c, list) else repeat(_cell(c), count) for c in block]
            yield _lines(zip(*(columns[i] for i in places), strict=True))

    return written()


def _lines(rows: Iterable[Iterable[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    return "" if value is None else one_line(str(value))


def _markdown(columns: list[Column[T]], rows: list[list[str]]) -> str:
    def line(values: Sequence[str]) -> str:
        return "| " + " | ".join(v.replace("\\", "\\\\").replace("|", "\\|") for v in values) + " |\n"

    rule = ["---:" if c.right else "---" for c in columns]
    return line([one_line(c.title.lower()) for c in columns]) + line(rule) + "".join(line(r) for r in rows)


def _table(columns: list[Column[T]], rows: list[list[str]], style: Style) -> str:
    titles = [one_line(c.title.upper()) for c in columns]
    if not rows:
        return ""
    shown = ([titles] if style.headers else []) + rows
    widths = [max(cells(r[i]) for r in shown) for i in range(len(columns))]
    if style.width:
        content = [max(cells(r[i]) for r in rows) for i in range(len(columns))]
        widths = fit(widths, columns, [len(t) for t in titles], content, style.width)
    lines = []
    heads = len(shown) - len(rows)
    for number, row in enumerate(shown):
        parts = []
        for i, (text, column) in enumerate(zip(row, columns, strict=True)):
            if not widths[i]:
                continue
            text = cut(text, widths[i])
            pad = " " * (widths[i] - cells(text))
            if style.colour and number >= heads and titles[i] in _JUDGED:
                text = paint(text, level_of_word(row[i]))
            parts.append(pad + text if column.right else text + pad)
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines) + "\n"


def fit(
    widths: list[int], columns: Sequence[Column[Any]], least: list[int], content: list[int], total: int
) -> list[int]:
    """Shrink the widest free text until the row fits, to its title, then below it; then leave it out
    (width 0), the last columns first. Names, ids and short words keep their cells so long.

    Where that is not enough, all text shrinks in the same way. A number is never cut, for it would be another one:
    it is left out, the last first. The first column always stays, for who a row is about stands there.
    """
    every = range(len(widths))
    text = [i for i in every if not columns[i].right]
    free = [i for i in text if widths[i] > _WORD and not columns[i].keep]
    widths = [min(w, max(total // 2, _LEGIBLE) if columns[i].keep else total) for i, w in enumerate(widths)]
    wanted = list(widths)

    def over() -> bool:
        shown = [w for w in widths if w]
        return sum(shown) + 2 * (len(shown) - 1) > total

    def shrink(some: list[int], bound: Callable[[int], int]) -> None:
        while over() and (candidates := [i for i in some if widths[i] > bound(i)]):
            widths[max(candidates, key=lambda i: widths[i])] -= 1

    def leave_out(some: list[int]) -> None:
        for i in reversed(some):
            if over() and i:
                widths[i] = 0

    shrink(free, lambda i: max(least[i], _LEAST))
    shrink(free, lambda i: _LEGIBLE)
    leave_out(free)
    kept = [i for i in text if columns[i].keep]
    shrink(kept, lambda i: max(least[i], _NAME))
    shrink(text, lambda i: max(content[i], _LEAST))  # titles before what stands below them
    numbers = [i for i in every if columns[i].right]
    shrink(numbers, lambda i: content[i])
    if kept:
        leave_out([i for i in text if not columns[i].keep])
        leave_out([i for i in numbers if not columns[i].keep])
    shrink(text, lambda i: max(least[i], _LEAST))
    shrink(text, lambda i: _LEGIBLE)
    shrink(text, lambda i: max(least[i], _LEAST))
    leave_out([i for i in numbers if not columns[i].keep])
    leave_out(text)
    shrink(text, lambda i: _LEAST)
    leave_out(list(every))
    shrink(list(every), lambda i: 1)
    # What was left out may have taken more than was needed: names get it back first.
    for i in sorted((i for i in every if 0 < widths[i] < wanted[i]), key=lambda i: not columns[i].keep):
        room = total - sum(w + 2 for w in widths if w) + 2
        widths[i] += min(max(room, 0), wanted[i] - widths[i])
    return widths
