"""One segment of samples as a plain Parquet file, written and read with numpy alone.

Any Parquet reader opens it: three required columns, `labels` (JSON text, dictionary encoded),
`ts` (unix seconds) and `value`, PLAIN and uncompressed, one row group, one page a column
(https://parquet.apache.org/docs/file-format/, thrift compact protocol). Between the magic bytes and
the first page, where a Parquet reader never looks, a JSON header says where the numbers begin, so
that we map them straight into arrays instead of starting DuckDB to read a few kilobytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from aiops_cli.models.signals import Labels, Series

if TYPE_CHECKING:
    from aiops_cli.models.signals import Floats

MAGIC = b"PAR1"
MAX_POINTS = (2**31 - 1) // 8  # a page's size is a signed 32-bit number
_DOUBLE, _BYTE_ARRAY = 5, 6
_PLAIN, _RLE, _RLE_DICTIONARY = 0, 3, 8
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12


class Header(msgspec.Struct):
    """What we need to read a segment: `info` is the caller's, offsets count from the file's begin."""

    info: dict[str, str | float]
    labels: list[Labels]
    counts: list[int]
    ts_at: int
    value_at: int


def encode(info: dict[str, str | float], series: Sequence[Series]) -> bytes:
    """The file's bytes. `info` is also stored as Parquet key-value metadata under `aiops`."""
    import numpy as np

    labels = [s.labels for s in series]
    counts = [len(s.timestamps) for s in series]
    rows = sum(counts)
    stamps = np.concatenate([s.timestamps for s in series]) if series else np.empty(0)
    values = np.concatenate([s.values for s in series]) if series else np.empty(0)

    # the header's length depends on the offsets in it, so both are written with room to spare
    draft = Header(info, labels, counts, 10**12, 10**12)
    begin = _aligned(8 + len(msgspec.json.encode(draft)))
    names = [msgspec.json.encode(one, order="deterministic") for one in labels]
    dictionary = _page(2, b"".join(struct.pack("<I", len(n)) + n for n in names), len(names))
    runs = _page(0, _runs(counts), rows, _RLE_DICTIONARY)
    ts_page, ts_at = _column(begin + len(dictionary) + len(runs), stamps.astype("<f8").tobytes(), rows)
    value_page, value_at = _column(ts_at + rows * 8, values.astype("<f8").tobytes(), rows)
    header = msgspec.json.encode(Header(info, labels, counts, ts_at, value_at))

    chunks = [
        (_BYTE_ARRAY, "labels", begin, len(dictionary) + len(runs), begin + len(dictionary)),
        (_DOUBLE, "ts", ts_page[1], ts_at + rows * 8 - ts_page[1], None),
        (_DOUBLE, "value", value_page[1], value_at + rows * 8 - value_page[1], None),
    ]
    footer = _footer(rows, chunks, msgspec.json.encode(info))
    return b"".join(
        (
            MAGIC,
            struct.pack("<I", len(header)),
            header.ljust(begin - 8),
            dictionary,
            runs,
            ts_page[0],
            value_page[0],
            footer,
            struct.pack("<I", len(footer)),
            MAGIC,
        )
    )


def decode_header(data: bytes) -> Header:
    """Raises ValueError for what is not our file."""
    if data[:4] != MAGIC or len(data) < 8:
        raise ValueError("not a Parquet file")
    length = struct.unpack_from("<I", data, 4)[0]
    try:
        return msgspec.json.decode(data[8 : 8 + length], type=Header)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def decode(data: bytes) -> Iterator[tuple[Labels, Floats, Floats]]:
    """Each series' labels, timestamps and values; the arrays are read-only views of `data`.

    Raises ValueError for what is not our file.
    """
    import numpy as np

    header = decode_header(data)
    rows = sum(header.counts)
    stamps = np.frombuffer(data, "<f8", rows, header.ts_at)
    values = np.frombuffer(data, "<f8", rows, header.value_at)
    at = 0
    for labels, count in zip(header.labels, header.counts, strict=True):
        yield labels, stamps[at : at + count], values[at : at + count]
        at += count


def _aligned(offset: int) -> int:
    return (offset + 7) & ~7


def _column(at: int, data: bytes, rows: int) -> tuple[tuple[bytes, int], int]:
    """((padding, page header and numbers, offset of the page), offset of the numbers, a multiple of 8)."""
    head = _page_header(0, len(data), rows, _PLAIN)
    numbers = _aligned(at + len(head))
    page_at = numbers - len(head)
    return (bytes(page_at - at) + head + data, page_at), numbers


def _runs(counts: Sequence[int]) -> bytes:
    """Dictionary indices as runs: series 0 so many times, series 1 so many times, and so on."""
    bits = max(1, (len(counts) - 1).bit_length())
    width = (bits + 7) // 8
    return bytes([bits]) + b"".join(
        _varint(count << 1) + index.to_bytes(width, "little") for index, count in enumerate(counts) if count
    )


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Thrift:
    """A struct in thrift's compact protocol; fields are added in rising order of their number."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._last = 0

    def _field(self, number: int, kind: int) -> None:
        self._out.append((number - self._last) << 4 | kind)
        self._last = number

    def i32(self, number: int, value: int) -> _Thrift:
        self._field(number, _I32)
        self._out += _varint(value << 1)  # zigzag; all our numbers are >= 0
        return self

    def i64(self, number: int, value: int) -> _Thrift:
        self._field(number, _I64)
        self._out += _varint(value << 1)
        return self

    def text(self, number: int, value: bytes) -> _Thrift:
        self._field(number, _BINARY)
        self._out += _varint(len(value)) + value
        return self

    def struct(self, number: int, value: _Thrift) -> _Thrift:
        self._field(number, _STRUCT)
        self._out += value.bytes()
        return self

    def list(self, number: int, kind: int, items: Sequence[bytes]) -> _Thrift:
        self._field(number, _LIST)
        self._out.append(min(len(items), 15) << 4 | kind)
        if len(items) >= 15:
            self._out += _varint(len(items))
        self._out += b"".join(items)
        return self

    def bytes(self) -> bytes:
        return bytes(self._out) + b"\0"


def _page_header(kind: int, size: int, values: int, encoding: int) -> bytes:
    header = _Thrift().i32(1, kind).i32(2, size).i32(3, size)
    if kind == 2:
        return header.struct(7, _Thrift().i32(1, values).i32(2, encoding)).bytes()
    detail = _Thrift().i32(1, values).i32(2, encoding).i32(3, _RLE).i32(4, _RLE)
    return header.struct(5, detail).bytes()


def _page(kind: int, data: bytes, values: int, encoding: int = _PLAIN) -> bytes:
    return _page_header(kind, len(data), values, encoding) + data


def _footer(rows: int, chunks: Sequence[tuple[int, str, int, int, int | None]], info: bytes) -> bytes:
    """`chunks` are (type, name, offset, size, offset of the data page after a dictionary or None)."""
    schema = [_Thrift().text(4, b"schema").i32(5, len(chunks)).bytes()]
    columns = []
    for kind, name, at, size, data_at in chunks:
        element = _Thrift().i32(1, kind).i32(3, 0).text(4, name.encode())
        schema.append((element.i32(6, 0) if kind == _BYTE_ARRAY else element).bytes())
        encodings = [_PLAIN] if data_at is None else [_PLAIN, _RLE, _RLE_DICTIONARY]
        meta = (
            _Thrift()
            .i32(1, kind)
            .list(2, _I32, [_varint(e << 1) for e in encodings])
            .list(3, _BINARY, [_varint(len(name)) + name.encode()])
            .i32(4, 0)
            .i64(5, rows)
            .i64(6, size)
            .i64(7, size)
            .i64(9, at if data_at is None else data_at)
        )
        if data_at is not None:
            meta.i64(11, at)
        columns.append(_Thrift().i64(2, at).struct(3, meta).bytes())
    group = _Thrift().list(1, _STRUCT, columns).i64(2, sum(c[3] for c in chunks)).i64(3, rows)
    pair = _Thrift().text(1, b"aiops").text(2, info)
    return (
        _Thrift()
        .i32(1, 1)
        .list(2, _STRUCT, schema)
        .i64(3, rows)
        .list(4, _STRUCT, [group.bytes()] if rows else [])
        .list(5, _STRUCT, [pair.bytes()])
        .text(6, b"aiops")
        .bytes()
    )
