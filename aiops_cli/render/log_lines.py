"""Log lines printed as they come, in every format, in memory that does not grow with them.

The widths of a table are those of its first page. JSON has the contract's envelope, its `items` first,
one a line, since how the clusters fared is known last.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, TextIO

import msgspec

from aiops_cli.errors import UsageError
from aiops_cli.models.result import API_VERSION, FleetResult
from aiops_cli.render.colour import paint
from aiops_cli.render.output import Style
from aiops_cli.render.text import cells, clock, cut, escaped, one_line, visible
from aiops_cli.services.log_fields import FieldReader, as_text, level_of
from aiops_cli.services.logs import shown_labels
from aiops_cli.services.times import LATEST, rfc3339_ns
from aiops_cli.sources.base import Labels, LogRow

STREAMED = ("table", "wide", "json", "ndjson", "csv", "md", "name", "raw")
_OWNERS = ("pod", "service_name", "app", "job", "container")
_MOST_FIXED = 40  # cells of a column before the line, on a terminal
_LEAST_LINE = 20

Rows = Sequence[tuple[str, LogRow]]
Text = Callable[[str, LogRow], str | None]


@dataclass(frozen=True, slots=True)
class LogColumn:
    """A column: `text` of (cluster, row); `plain`, if given, for CSV."""

    title: str
    text: Text
    wide: bool = False
    plain: Text | None = None


class Clock:
    """Times of rows for tables, to the millisecond. A second is worked out once.

    `day` False leaves the date out.
    """

    def __init__(self, zone: tzinfo | None, *, day: bool = True) -> None:
        self._zone = zone
        self._day = day
        self._second = -1
        self._text = ""

    def __call__(self, ns: int) -> str:
        second, rest = divmod(ns, 10**9)
        if second != self._second:
            text = clock(second, self._zone)
            self._second, self._text = second, text if self._day else text.rpartition(" ")[2]
        return f"{self._text}.{rest // 10**6:03d}"


class Stamp:
    """RFC 3339 with nanoseconds. A second is worked out once."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, ns: int) -> str:
        second, rest = divmod(ns, 10**9)
        if second == self._second:
            return f"{self._text}.{rest:09d}Z"
        text = rfc3339_ns(ns)
        if 0 < second < LATEST:
            self._second, self._text = second, text[:-11]
        return text


def source_of(labels: Labels) -> str | None:
    """Who wrote a line, as short as it can be said."""
    return next((labels[k] for k in _OWNERS if k in labels), None)


def log_columns(zone: tzinfo | None, *, labels: bool = True, day: bool = True) -> list[LogColumn]:
    """The columns of log tables; without those made of labels, or the date, where these are False."""
    shown = Clock(zone, day=day)
    stamp = Stamp()
    columns = [
        LogColumn("cluster", lambda c, r: c),
        LogColumn("time", lambda c, r: shown(r[0]), plain=lambda c, r: stamp(r[0])),
        LogColumn("source", lambda c, r: source_of(r[2])),
        LogColumn("level", lambda c, r: level_of(r), wide=True),
        LogColumn("labels", lambda c, r: _labels(r), wide=True),
        LogColumn("line", lambda c, r: r[1]),
    ]
    return columns if labels else [c for c in columns if c.title not in ("source", "labels")]


def _labels(row: LogRow) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(shown_labels(row[2], row[3]).items()))


class LogWriter:
    """Prints rows as they come: `write` for each page, `finish` once."""

    def __init__(
        self,
        out: TextIO,
        style: Style,
        zone: tzinfo | None,
        *,
        clusters: Sequence[str] = (),
        labels: bool = True,
        day: bool = True,
        marked: bool = False,
        colour: bool = False,
        unsafe: bool = False,
        growing: bool = False,
    ) -> None:
        """`clusters` are those whose rows may come, `marked` is for rows that matched among rows that did
        not, `day` False for times without a date, `growing` for rows that come a few at a time: columns of
        a table then grow with what comes.

        Raises UsageError for a column that is not there, before anything is printed.
        """
        self._out = out
        self._style = style
        self._fields = FieldReader(style.fields) if style.fields else None
        self._columns = self._chosen(log_columns(zone, labels=labels, day=day))
        self._names = max(map(cells, clusters), default=0)
        self._marked = marked
        self._colour = colour
        self._unsafe = unsafe
        self._growing = growing
        self._widths: list[int] = []
        self._template = ""
        self._stamp = Stamp()
        self._begun = False
        self.printed = 0

    def write(self, rows: Rows, marks: Sequence[bool] | None = None) -> None:
        """Print rows. `marks`, of one length with them where rows are marked, says which ones matched."""
        if not rows:
            return
        form = self._style.format
        if form == "raw":
            self._raw(rows)
        elif form in ("json", "ndjson"):
            self._items(rows, marks)
        elif form == "csv":
            self._csv(rows, marks)
        elif form == "name":
            self._out.write("".join(f"{one_line(c)}/{self._stamp(r[0])}\n" for c, r in rows))
        elif form == "md":
            self._markdown(rows, marks)
        else:
            self._table(rows, marks)
        self._begun = True
        self.printed += len(rows)
        self._out.flush()

    def separate(self) -> None:
        """A line between groups, as grep has it, where people read."""
        if self._begun and self._style.format in ("table", "wide", "raw"):
            self._out.write("--\n")

    def finish(self, result: FleetResult[Any]) -> None:
        """What comes after the last row; `result` says how the clusters fared."""
        if self._style.format == "csv" and not self._begun:
            self._csv([], None)
        if self._style.format == "json":
            if not self._begun:
                self._out.write(self._opening())
            told = {"partial": result.partial, "clusters": list(result.clusters)}
            rest = msgspec.json.format(msgspec.json.encode(told), indent=2).decode()
            self._out.write(("\n  ],\n" if self._begun else "],\n") + escaped(rest[2:]) + "\n")
        self._out.flush()

    def _chosen(self, known: list[LogColumn]) -> list[LogColumn]:
        if self._fields is not None:
            beside = [c for c in known if c.title in ("cluster", "time")]
            named = self._fields.names
            if "timestamp" in named:
                beside.pop()
            if "cluster" in named:
                beside.pop(0)
            return beside
        if not self._style.columns:
            every = self._style.format in ("wide", "csv")
            return [c for c in known if every or not c.wide]
        by_title = {c.title: c for c in known}
        for name in self._style.columns:
            if name.lower() not in by_title:
                raise UsageError(
                    f"unknown column {name!r}",
                    hint=f"columns here: {', '.join(by_title)}; fields of lines: --fields",
                )
        return [by_title[name.lower()] for name in self._style.columns]

    def _titles(self) -> list[str]:
        return [c.title for c in self._columns] + list(self._fields.names if self._fields else ())

    def _cells(self, cluster: str, row: LogRow, *, plain: bool = False) -> list[str | None]:
        found = [((c.plain if plain else None) or c.text)(cluster, row) for c in self._columns]
        if self._fields is not None:
            found += [as_text(v) for v in self._fields.read(cluster, row)]
        return found

    def _raw(self, rows: Rows) -> None:
        """The lines, or the chosen fields parted by tabs, alone."""
        if self._fields is not None:
            texts = ["\t".join(t or "" for t in map(as_text, self._fields.read(c, r))) for c, r in rows]
        else:
            texts = [r[1] for _, r in rows]
        if self._unsafe:
            data = "\n".join(texts) + "\n"
            if binary := getattr(self._out, "buffer", None):
                self._out.flush()
                binary.write(data.encode("utf-8", "surrogatepass"))
            else:
                self._out.write(data)
            return
        self._out.write("".join([(t if t.isprintable() else visible(t)) + "\n" for t in texts]))

    def _items(self, rows: Rows, marks: Sequence[bool] | None) -> None:
        """Labels, which many lines share, are encoded once a page."""
        encode = msgspec.json.encode
        listed = self._style.format == "json"
        texts = []
        if self._fields is not None:
            names = self._fields.names
            for cluster, row in rows:
                picked = dict(zip(names, self._fields.read(cluster, row), strict=True))
                texts.append(encode(picked).decode())
        else:
            known: dict[tuple[str, int], str] = {}
            for cluster, row in rows:
                ns, line, labels, metadata = row
                head = known.get((cluster, id(labels))) if not metadata else None
                if head is None:
                    said = encode(shown_labels(labels, metadata), order="sorted").decode()
                    head = f',"labels":{said},"line":'
                    if not metadata:
                        known[cluster, id(labels)] = head
                texts.append(
                    f'{{"cluster":{encode(cluster).decode()},"timestamp":"{self._stamp(ns)}"'
                    f"{head}{encode(line).decode()}}}"
                )
        if marks is not None:
            texts = [
                f'{t[:-1]},"match":{"true" if m else "false"}}}' for t, m in zip(texts, marks, strict=True)
            ]
        texts = [t if t.isprintable() else escaped(t) for t in texts]
        if not listed:
            self._out.write("\n".join(texts) + "\n")
            return
        before = ",\n    " if self._begun else self._opening() + "\n    "
        self._out.write(before + ",\n    ".join(texts))

    def _opening(self) -> str:
        return f'{{\n  "apiVersion": "{API_VERSION}",\n  "kind": "LogList",\n  "items": ['

    def _csv(self, rows: Rows, marks: Sequence[bool] | None) -> None:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if not self._begun and self._style.headers:
            writer.writerow([one_line(t) for t in self._titles()] + ["match"] * self._marked)
        for i, (cluster, row) in enumerate(rows):
            values = ["" if v is None else one_line(v) for v in self._cells(cluster, row, plain=True)]
            writer.writerow(values if marks is None else [*values, "true" if marks[i] else "false"])
        self._out.write(out.getvalue())

    def _markdown(self, rows: Rows, marks: Sequence[bool] | None) -> None:
        def line(values: Iterable[str]) -> str:
            return "| " + " | ".join(v.replace("\\", "\\\\").replace("|", "\\|") for v in values) + " |\n"

        titles = [*self._titles(), *(["match"] * self._marked)]
        text = "" if self._begun else line(one_line(t) for t in titles) + line("---" for _ in titles)
        for i, (cluster, row) in enumerate(rows):
            values = [_shown(v) for v in self._cells(cluster, row)]
            text += line(values if marks is None else [*values, "yes" if marks[i] else "no"])
        self._out.write(text)

    def _table(self, rows: Rows, marks: Sequence[bool] | None) -> None:
        shown = [[_shown(v) for v in self._cells(c, r)] for c, r in rows]
        text = []
        if not self._begun:
            titles = [one_line(t.upper()) for t in self._titles()]
            self._set_widths(self._fitting(titles, shown))
            if self._style.headers:
                text.append("  " * self._marked + self._row(titles) + "\n")
        elif self._growing:
            wider = [max(cells(v[i]) for v in shown) for i in range(len(self._widths))]
            self._set_widths([max(w, min(x, _MOST_FIXED)) for w, x in zip(self._widths, wider, strict=True)])
        for i, values in enumerate(shown):
            line = self._row(values)
            if marks is not None:
                line = ("> " if marks[i] else "  ") + line
            if self._colour:
                line = paint(line, level_of(rows[i][1]) if marks is None or marks[i] else "debug")
            text.append(line + "\n")
        self._out.write("".join(text))

    def _set_widths(self, widths: list[int]) -> None:
        self._widths = widths
        self._template = "".join(f"{{:<{w}}}  " for w in widths) + "{}"

    def _fitting(self, titles: list[str], shown: list[list[str]]) -> list[int]:
        """The widths of the columns before the last, which takes what is left."""
        fixed = [max(cells(t), *(cells(v[i]) for v in shown)) for i, t in enumerate(titles[:-1])]
        if fixed and titles[0] == "CLUSTER":
            fixed[0] = max(fixed[0], self._names)
        width = self._room()
        if width is not None:
            fixed = [min(w, _MOST_FIXED) for w in fixed]
            while sum(fixed) + 2 * len(fixed) > width - _LEAST_LINE and max(fixed, default=0) > 4:
                fixed[fixed.index(max(fixed))] -= 1
        return fixed

    def _row(self, values: list[str]) -> str:
        limited = self._style.width is not None
        if not limited and "".join(values[:-1]).isascii():
            return self._template.format(*values).rstrip()
        parts = []
        for text, width in zip(values, self._widths, strict=False):
            if text.isascii():
                parts.append((text if len(text) <= width or not limited else cut(text, width)).ljust(width))
                continue
            text = cut(text, width) if limited else text
            parts.append(text + " " * (width - cells(text)))
        last, room = values[-1], self._room()
        if room is not None:
            last = cut(last, max(room - sum(self._widths) - 2 * len(self._widths), 1))
        return "  ".join([*parts, last]).rstrip()

    def _room(self) -> int | None:
        """Cells of a terminal's line that the columns may take."""
        return None if self._style.width is None else self._style.width - 2 * self._marked


def _shown(value: str | None) -> str:
    """What is not there is a dash; an empty line is empty."""
    return "-" if value is None else one_line(value)
