"""Matrices of Prometheus answers, decoded to arrays without a Python object for each sample."""

from __future__ import annotations

from itertools import chain
from struct import pack
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from aiops_cli.models.signals import Series
from aiops_cli.sources.promql_bodies import decode_instant, lists

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The brackets, quotes and commas around "[[t,"v"],[t,"v"]]" become blanks: what is left is numbers.
_TO_NUMBERS = bytes.maketrans(b'[]",', b"    ")

_points = msgspec.json.Decoder(list[tuple[float, float]], strict=False)


def decode_points(raw: bytes | memoryview) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points of one series, `[[t,"v"],...]`, to (times, values), both float64 of shape (n,).

    "NaN", "+Inf" and "-Inf" are kept, as is the sign of "-0". Raises ValueError if it is no such list.
    """
    # The quick way reads no "+Inf", and makes 0 of "-0".
    try:
        pairs = _points.decode(raw)
    except msgspec.ValidationError:
        pass
    else:
        # Packing is the quickest way from a million Python floats to one buffer.
        flat = np.frombuffer(pack(f"={2 * len(pairs)}d", *chain.from_iterable(pairs)), np.float64)
        times, values = np.ascontiguousarray(flat.reshape(-1, 2).T)
        if values.all() or b'"-0"' not in bytes(raw):
            return times, values
    flat = np.fromstring(bytes(raw).translate(_TO_NUMBERS), dtype=np.float64, sep=" ")
    if flat.size % 2:
        raise ValueError("a sample is no pair")
    times, values = np.ascontiguousarray(flat.reshape(-1, 2).T)
    return times, values


def decode_answer(body: bytes | bytearray) -> tuple[list[Series], list[str], str]:
    """A successful query or query_range body to (series, warnings and infos, result type).

    Raises msgspec.MsgspecError or ValueError if the body is none.
    """
    try:
        # One pass over a body of many megabytes.
        found = lists.decode(body)
    except msgspec.ValidationError:
        rows, notes, kind = decode_instant(body)
        return [Series(r.labels, np.array(r.times), np.array(r.values)) for r in rows], notes, kind
    series = []
    for item in found.data.result:
        if item.value is not None:
            times, values = np.array([item.value[0]]), np.array([float(item.value[1])])
        else:
            times, values = decode_points(item.values)
        series.append(Series(item.metric, times, values, tuple(item.native())))
    return series, [*found.warnings, *found.infos], found.data.result_type


def join(parts: list[list[Series]]) -> list[Series]:
    """Series of consecutive windows, joined by their labels, in label order."""
    grouped: dict[tuple[tuple[str, str], ...], list[Series]] = {}
    for part in parts:
        for series in part:
            grouped.setdefault(tuple(sorted(series.labels.items())), []).append(series)
    return [
        Series(
            pieces[0].labels,
            np.concatenate([p.timestamps for p in pieces]),
            np.concatenate([p.values for p in pieces]),
            tuple(h for p in pieces for h in p.histograms),
        )
        for _, pieces in sorted(grouped.items())
    ]
