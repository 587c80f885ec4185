"""The vocabulary: raw item ids and training counts by dense id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ltrec.core import columns as c
from ltrec.core.errors import UserError, first_line
from ltrec.data.manifest import MEND, Manifest
from ltrec.data.remote.shard_files import check_hash, check_size
from ltrec.data.schema import VOCAB_SCHEMA
from ltrec.data.stream.reading.row_checks import UNREADABLE


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Items 1..V; entry 0 is padding.

    Attributes:
        item_id: raw ids, [V+1], the first one empty.
        train_count: int64 [V+1], training events of each item, 0 for entry 0.
    """

    item_id: list[str]
    train_count: Tensor

    @staticmethod
    def load(folder: Path, manifest: Manifest) -> Vocabulary:
        """Read and check the vocabulary of a prepared data set.

        Raises:
            UserError: the file is missing, damaged, or does not match the manifest.
        """
        path = folder / manifest.vocab.path
        check_size(path, manifest.vocab.bytes)
        check_hash(path, manifest.vocab.sha256)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read(use_threads=False)
        except UNREADABLE as error:
            raise UserError(f"{path} cannot be read: {first_line(error)}; {MEND}") from None
        dense = np.arange(1, manifest.vocab.items + 1)
        if not table.schema.equals(VOCAB_SCHEMA) or not np.array_equal(table.column(c.ITEM).to_numpy(), dense):
            raise UserError(f"{path} does not hold the items 1..{manifest.vocab.items} of the manifest; {MEND}")
        counts = np.concatenate([[0], table.column(c.TRAIN_COUNT).to_numpy()]).astype(np.int64)
        return Vocabulary(["", *table.column(c.ITEM_ID).to_pylist()], torch.from_numpy(counts))
