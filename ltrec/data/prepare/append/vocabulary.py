"""The item vocabulary of a data set that was appended to: old ids stay, new items follow by descending training count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.ragged import I64
from ltrec.core.storage.atomic import atomic_path, rename_by_hash
from ltrec.data.manifest import Vocab
from ltrec.data.prepare.database import Connection
from ltrec.data.prepare.output.vocabulary import FOLDER, ROW_GROUP, STEM
from ltrec.data.schema import VOCAB_SCHEMA

Ids = npt.NDArray[np.int32]


def read_items(path: Path) -> pa.Table:
    """Names and training events of the items of a vocabulary file, in the order of their ids, from 1 on."""
    with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
        return file.read([c.ITEM_ID, c.TRAIN_COUNT], use_threads=False)


def write_grown(connection: Connection, parent: pa.Table, count_C: I64, unseen: int, folder: Path) -> tuple[Vocab, Ids, pa.Table]:
    """Write the vocabulary; return its entry, the id of every code, and its items.

    Args:
        connection: with the table `items` of new items.
        parent: the parent's items.
        count_C: training events of every code over all users; codes of the parent's items are their ids.
        unseen: the last codes are of items without events, which come last.
        folder: of the data set to be.
    """
    connection.register("counted", pa.table({"code": np.arange(count_C.size, dtype=np.int32), "events": count_C}))
    fresh = connection.sql(
        f"SELECT code, item_id FROM items JOIN counted USING (code) ORDER BY events DESC, code >= {count_C.size - unseen}, item_id"
    ).to_arrow_table()
    connection.unregister("counted")
    known, code_N = parent.num_rows, fresh["code"].to_numpy()
    id_of_code = np.arange(count_C.size, dtype=np.int32)
    id_of_code[code_N] = np.arange(known + 1, known + 1 + code_N.size, dtype=np.int32)
    ids = np.arange(1, known + 1 + code_N.size, dtype=np.int32)
    counts = np.concatenate([count_C[1 : known + 1], count_C[code_N]])
    names = pa.chunked_array([*parent[c.ITEM_ID].chunks, *fresh["item_id"].cast(pa.string()).chunks], pa.string())
    items = pa.table({c.ITEM: ids, c.ITEM_ID: names, c.TRAIN_COUNT: counts}, schema=VOCAB_SCHEMA)
    with atomic_path(path := folder / FOLDER / f"{STEM}.tmp") as temporary:
        pq.write_table(
            items, temporary, row_group_size=ROW_GROUP, compression="zstd", use_dictionary=False, write_page_checksum=True
        )
    final, digest = rename_by_hash(path)
    return Vocab(final.relative_to(folder).as_posix(), int(ids.size), final.stat().st_size, digest), id_of_code, items
