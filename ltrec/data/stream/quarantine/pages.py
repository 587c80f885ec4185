"""The pages of a Parquet file, read one after the other without its footer: whether every one has the checksum that it carries.

A page is a header, in Thrift's compact protocol, and its compressed bytes. Of the header only the size and the checksum matter.
"""

from __future__ import annotations

import zlib

_SIZE, _CRC = 3, 4  # fields of a page header
_BOOLS, _BYTE, _INTS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12
_MASK = (1 << 32) - 1


def all_intact(data: bytes) -> bool:
    """Whether the bytes are whole pages from beginning to end, each with the right checksum."""
    at = 0
    while at < len(data):
        try:
            fields, begin = _struct(data, at)
            end = begin + fields[_SIZE]
            if end > len(data) or end < begin or zlib.crc32(data[begin:end]) != fields[_CRC] & _MASK:
                return False
        except (IndexError, KeyError, ValueError, RecursionError):
            return False
        at = end
    return True


def _struct(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """The integers of a struct by field, and where it ends."""
    found: dict[int, int] = {}
    field = 0
    while head := data[at]:
        kind, step, at = head & 15, head >> 4, at + 1
        if step:
            field += step
        else:
            field, at = _signed(data, at)
        if kind in _INTS:
            found[field], at = _signed(data, at)
        else:
            at = _skipped(data, at, kind)
    return found, at + 1


def _skipped(data: bytes, at: int, kind: int) -> int:
    """Where a value ends."""
    if kind in _BOOLS:
        return at
    if kind == _BYTE:
        return at + 1
    if kind in _INTS:
        return _varint(data, at)[1]
    if kind == _DOUBLE:
        return at + 8
    if kind == _BINARY:
        size, at = _varint(data, at)
        return at + size
    if kind == _STRUCT:
        return _struct(data, at)[1]
    if kind not in _LISTS:
        raise ValueError(kind)
    count, inner, at = data[at] >> 4, data[at] & 15, at + 1
    if count == 15:
        count, at = _varint(data, at)
    for _ in range(min(count, len(data))):
        at = at + 1 if inner in _BOOLS else _skipped(data, at, inner)
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
