"""Samples, native histograms and exemplars into a real Prometheus at chosen times, by remote write.

The protocol is small enough to write by hand: a protobuf `WriteRequest`
(https://github.com/prometheus/prometheus/blob/main/prompb/remote.proto) in a Snappy block, of which we
write literals alone (https://github.com/google/snappy/blob/main/format_description.txt).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx2

from tests.servers.prometheus import Prometheus, Prometheus3

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The value that ends a series at once."""


class Receiver(Prometheus3):
    """Prometheus 3.9 that takes what is written to it, exemplars too."""

    def command(self) -> list[str]:
        return [
            *super().command(),
            "--web.enable-remote-write-receiver",
            "--enable-feature=exemplar-storage",
        ]


class OldReceiver(Prometheus):
    """Prometheus 2.42 with native histograms, which were an experiment then."""

    def command(self) -> list[str]:
        return [
            *super().command(),
            "--web.enable-remote-write-receiver",
            "--enable-feature=native-histograms",
        ]


@dataclass(frozen=True)
class Native:
    """A native histogram: `positive` and `negative` are the counts of buckets from `offset` on; `custom`
    are upper bounds that take the place of the exponential ones."""

    schema: int
    sum: float
    zero: int = 0
    positive: Sequence[int] = ()
    negative: Sequence[int] = ()
    offset: int = 0
    custom: Sequence[float] = ()

    @property
    def count(self) -> int:
        return self.zero + sum(self.positive) + sum(self.negative)


@dataclass(frozen=True)
class Mark:
    """An exemplar."""

    labels: Mapping[str, str]
    value: float
    at: float


def write(
    server: Prometheus,
    labels: Mapping[str, str],
    *,
    samples: Sequence[tuple[float, float]] = (),
    histograms: Sequence[tuple[float, Native]] = (),
    exemplars: Sequence[Mark] = (),
) -> None:
    """One series; times in unix seconds. Raises httpx2.HTTPStatusError when the server refuses it."""
    series = b"".join(_labels(1, labels))
    series += b"".join(_message(2, _double(1, v) + _varint(2, _millis(t))) for t, v in samples)
    for mark in exemplars:
        body = b"".join(_labels(1, mark.labels)) + _double(2, mark.value) + _varint(3, _millis(mark.at))
        series += _message(3, body)
    series += b"".join(_message(4, _histogram(t, h)) for t, h in histograms)
    httpx2.post(
        f"{server.url}/api/v1/write",
        content=_snappy(_message(1, series)),
        headers={
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        },
        timeout=30.0,
        trust_env=False,
    ).raise_for_status()


def _histogram(at: float, one: Native) -> bytes:
    body = _varint(1, one.count) + _double(3, one.sum) + _varint(4, _zigzag(one.schema))
    if not one.custom:
        body += _double(5, 1e-9) + _varint(6, one.zero)
    if one.negative:
        body += _message(8, _span(one.offset, len(one.negative)))
        body += _message(9, b"".join(_raw(_zigzag(d)) for d in _deltas(one.negative)))
    if one.positive:
        body += _message(11, _span(one.offset, len(one.positive)))
        body += _message(12, b"".join(_raw(_zigzag(d)) for d in _deltas(one.positive)))
    body += _varint(15, _millis(at))
    if one.custom:
        body += _message(16, b"".join(struct.pack("<d", v) for v in one.custom))
    return body


def _span(offset: int, length: int) -> bytes:
    return _varint(1, _zigzag(offset)) + _varint(2, length)


def _deltas(counts: Sequence[int]) -> list[int]:
    return [b - a for a, b in zip([0, *counts], counts, strict=False)]


def _labels(field: int, labels: Mapping[str, str]) -> list[bytes]:
    return [
        _message(field, _message(1, k.encode()) + _message(2, v.encode())) for k, v in sorted(labels.items())
    ]


def _millis(seconds: float) -> int:
    return round(seconds * 1000)


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _raw(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varint(field: int, number: int) -> bytes:
    return _raw(field << 3) + _raw(number)


def _double(field: int, number: float) -> bytes:
    return _raw(field << 3 | 1) + struct.pack("<d", number)


def _message(field: int, body: bytes) -> bytes:
    return _raw(field << 3 | 2) + _raw(len(body)) + body


def _snappy(data: bytes) -> bytes:
    """A block of literals: the length, then pieces of up to 64 KiB each after a tag of three bytes."""
    out = bytearray(_raw(len(data)))
    for i in range(0, len(data), 1 << 16):
        piece = data[i : i + (1 << 16)]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)
