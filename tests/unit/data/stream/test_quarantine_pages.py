"""The pages of a file are walked without its footer; every flipped bit of a page's bytes is found, and none of a footer's."""

from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.data.stream.quarantine.pages import all_intact


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The bytes of the pages of a file with several row groups, columns and pages, and a dictionary."""
    path = tmp_path_factory.mktemp("pages") / "some.parquet"
    table = pa.table({"a": list(range(3000)), "b": [[n, n + 1] for n in range(3000)], "c": ["x", "y", "z"] * 1000})
    pq.write_table(table, path, row_group_size=1000, data_page_size=512, write_page_checksum=True, use_dictionary=["c"])
    data = path.read_bytes()
    return data[4 : len(data) - 8 - int.from_bytes(data[-8:-4], "little")]


def test_whole_pages_are_intact(pages):
    assert all_intact(pages) and all_intact(b"")
    assert not all_intact(pages[:-1]) and not all_intact(pages + b"\x00") and not all_intact(pages[1:])


def test_pages_without_checksums_are_not(tmp_path):
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "some.parquet")
    data = (tmp_path / "some.parquet").read_bytes()
    assert not all_intact(data[4 : len(data) - 8 - int.from_bytes(data[-8:-4], "little")])


def test_flipped_bits_are_found_and_nothing_but_an_answer_comes(pages):
    """What a header says besides size and checksum may change; a change of anything else is found."""
    draw, missed = random.Random(1), 0
    for _ in range(2000):
        broken = bytearray(pages)
        broken[draw.randrange(len(pages))] ^= 1 << draw.randrange(8)
        missed += all_intact(bytes(broken))
    assert missed < 0.35 * 2000, "the statistics in the headers of these small pages take so much"


@pytest.mark.parametrize("seed", range(20))
def test_garbage_is_not_intact(seed):
    draw = random.Random(seed)
    assert not all_intact(draw.randbytes(400))
    assert not all_intact(bytes([0x9C] * 3000)), "structs without end"
