"""The lines of a text file, in blocks: decompressed (gzip, bzip2, zstd), as UTF-8, numbered from 1, each with a newline.

Lines may end with LF, CR LF, CR (old Macs) or a mixture. A byte order mark is removed, and one of UTF-16 (which Windows calls
Unicode) determines the encoding. Memory holds one block and one line.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core.errors import UserError

BLOCK_BYTES = 4 << 20
LONGEST_LINE = 64 << 20

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Whole lines, each with its newline; `first` is the number of the first."""

    first: int
    text: bytes

    def split(self) -> tuple[npt.NDArray[np.int64], pa.Array]:
        """Numbers and bytes of the non-empty lines, without newlines."""
        lines = pc.list_flatten(pc.split_pattern(pa.array([self.text[:-1]], pa.large_binary()), b"\n"))
        numbers = np.arange(self.first, self.first + len(lines), dtype=np.int64)
        filled = pc.greater(pc.binary_length(lines), 0)
        return numbers[filled.to_numpy(zero_copy_only=False)], lines.filter(filled)


def line_blocks(path: Path) -> Iterator[TextBlock]:
    """All lines of a file, compressed or not, in order.

    Raises:
        UserError: a line is longer than `LONGEST_LINE`: not a log, or one without line ends.
        OSError: the file cannot be read or decompressed.
    """
    number, carry = 1, b""
    with pa.input_stream(str(path), compression=_compression(path)) as raw:
        for block in _decoded(raw):
            text, tail = _unix(carry + block)
            cut = text.rfind(b"\n") + 1
            carry = text[cut:] + tail
            if cut:
                yield TextBlock(number, text[:cut])
                number += text.count(b"\n", 0, cut)
            if len(carry) > LONGEST_LINE:
                raise UserError(
                    f"{path}: line {number} is longer than {LONGEST_LINE >> 20} MiB; is this a log with one event per line?"
                )
    if carry:
        yield TextBlock(number, _unix(carry + b"\n")[0])


def _compression(path: Path) -> str | None:
    """Detected from the first bytes, because names can be wrong (a compressed ``log.csv``, an uncompressed ``log.csv.gz``)."""
    with open(path, "rb") as file:
        head = file.read(16)
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def _unix(text: bytes) -> tuple[bytes, bytes]:
    """The text with LF as the only line end, and a final CR that may be the first half of one."""
    if b"\r" not in text:
        return text, b""
    tail = b"\r" if text.endswith(b"\r") else b""
    return text[: len(text) - len(tail)].replace(b"\r\n", b"\n").replace(b"\r", b"\n"), tail


def _decoded(raw: pa.NativeFile) -> Iterator[bytes]:
    """Blocks of UTF-8; invalid bytes are passed on, and their rows are rejected later."""
    block = raw.read(max(BLOCK_BYTES, len(codecs.BOM_UTF8)))
    encoding = _UTF16.get(block[:2])
    decode: Callable[[bytes], bytes] = bytes if encoding is None else _transcoder(encoding)
    yield decode(block.removeprefix(codecs.BOM_UTF8) if encoding is None else block[2:])
    while block := raw.read(BLOCK_BYTES):
        yield decode(block)


def _transcoder(encoding: str) -> Callable[[bytes], bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    return lambda block: decoder.decode(block).encode("utf-8", errors="replace")
