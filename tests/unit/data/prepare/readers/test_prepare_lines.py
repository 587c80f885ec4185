"""Lines of text files: every line end, encoding and compression, in blocks of any size."""

from __future__ import annotations

import bz2
import gzip
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.prepare.readers import lines
from ltrec.data.prepare.readers.lines import line_blocks


def numbered(path):
    found = []
    for block in line_blocks(path):
        assert block.text.endswith(b"\n")
        numbers, texts = block.split()
        found += zip(numbers.tolist(), texts.to_pylist(), strict=True)
    return found


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.sampled_from([b"a", b"bc", b"\r\n", b"\r", b"\n", b'"', b"\xff"])), size=st.integers(1, 9))
def test_any_line_ends_in_blocks_of_any_size(tmp_path, monkeypatch, pieces, size):
    monkeypatch.setattr(lines, "BLOCK_BYTES", size)
    path, content = tmp_path / "log.csv", b"".join(pieces)
    path.write_bytes(content)
    expected = [(n, line) for n, line in enumerate(re.split(b"\r\n|\r|\n", content), 1) if line]
    if not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        assert numbered(path) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
@pytest.mark.parametrize("size", [3, 4 << 20])
def test_byte_order_marks(tmp_path, monkeypatch, encoding, size):
    monkeypatch.setattr(lines, "BLOCK_BYTES", size)
    path = tmp_path / "log.csv"
    text = "a,é\r\nb,😀\r\n"
    plain = encoding.removesuffix("-bom")
    path.write_bytes((("\ufeff" if plain != encoding else "") + text).encode(plain))
    assert numbered(path) == [(1, "a,é".encode()), (2, "b,😀".encode())]


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_files_of_several_members(tmp_path, suffix, compress):
    path = tmp_path / f"log.csv{suffix}"
    path.write_bytes(compress(b"a\nb\n") + compress(b"c\n"))
    assert numbered(path) == [(1, b"a"), (2, b"b"), (3, b"c")]


def test_a_line_that_is_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 1 << 20)
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(b"first\n" + b"x" * (64 << 20)))
    with pytest.raises(UserError, match=r"log\.csv\.gz: line 2 is longer than 1 MiB"):
        numbered(path)


def test_an_empty_file_has_no_lines(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"\xef\xbb\xbf\r\n\r\n")
    assert numbered(path) == []
