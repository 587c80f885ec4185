"""Sequence files, a format of several research data sets: a line per user, with the user and then the items, oldest first.

Every item of a line is a row; rows are numbered throughout the file, because their order is used as time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.dialect import BLANK, separator_named
from ltrec.data.prepare.readers.lines import line_blocks
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.readers.table import OnBadRow, as_text


def sequence_names(source: InputFile, config: PrepareConfig) -> Sequence[str]:
    """The columns of such a file: user and item."""
    return config.user, config.item


def read_sequences(
    source: InputFile, config: PrepareConfig, names: Sequence[str], chosen: Mapping[str, int], on_bad_row: OnBadRow
) -> Iterator[pa.RecordBatch]:
    """Batches of text, with a row per user and item. A user without items is rejected."""
    separator = separator_named(config.delimiter or "blank")
    row = 1
    for block in line_blocks(source.path):
        numbers, lines = block.split()
        texts = as_text(pa.RecordBatch.from_pydict({"row": numbers, "line": lines.cast(pa.binary())}), on_bad_row)
        line = pc.utf8_trim_whitespace(texts["line"])
        fields = pc.utf8_split_whitespace(line) if separator == BLANK else pc.split_pattern(line, separator)
        counts = pc.list_value_length(fields).to_numpy() - 1
        lonely = texts.filter(pa.array(counts < 1))
        for number, text in zip(lonely["row"].to_pylist(), lonely["line"].to_pylist(), strict=True):
            on_bad_row(number, "user without items", text)
        flat, users = pc.list_flatten(fields), np.repeat(np.arange(len(counts)), counts)
        starts = np.cumsum(counts + 1) - counts - 1
        is_item = np.ones(len(flat), dtype=bool)
        is_item[starts] = False
        columns = (flat.take(pa.array(starts[users])), flat.filter(pa.array(is_item)))
        rows = np.arange(row, row + len(users), dtype=np.int64)
        row += len(users)
        yield pa.RecordBatch.from_pydict({"row": rows, **{name: columns[place] for name, place in chosen.items()}})
