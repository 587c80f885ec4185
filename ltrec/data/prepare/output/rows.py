"""A block of users as rows of a shard: codes become ids, events become lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import types

from ltrec.core import columns as c
from ltrec.data.prepare.sorting.grouping import UserBlock
from ltrec.data.schema import SHARD_SCHEMA

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RowForm:
    """How rows are written.

    Attributes:
        item_of_code: item id of every code.
        schema: of the shards.
        id_of_code: field of a categorical -> id of every code.
    """

    item_of_code: Ids
    schema: pa.Schema = SHARD_SCHEMA
    id_of_code: Mapping[str, Ids] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """Event columns that a block must have."""
        return [f.name for f in self.schema if types.is_list(f.type) and f.name not in (c.ITEMS, c.TIMES)]

    def rows(self, block: UserBlock) -> pa.Table:
        """A block in the shard schema."""
        items = self.item_of_code[block.codes]
        assert len(items) == 0 or items.min() >= 1
        values = {**block.values, c.ITEMS: items, c.TIMES: block.times}
        offsets = pa.array(block.offsets.astype(np.int32))
        columns: dict[str, Any] = {}
        for own in self.schema:
            if types.is_list(own.type):
                elements = pa.array(self._stored(own.name, values[own.name]), own.type.value_type)
                columns[own.name] = pa.ListArray.from_arrays(offsets, elements, type=own.type)
            elif own.name in self.id_of_code:
                columns[own.name] = self._stored(own.name, block.users[own.name].to_numpy())
            else:
                columns[own.name] = block.users[own.name]
        return pa.table(columns, schema=self.schema)

    def encodings(self) -> dict[str, str]:
        """The Parquet encoding of every column but the stratum."""
        found = {}
        for own in self.schema:
            whole = types.is_integer(own.type.value_type if types.is_list(own.type) else own.type)
            packed = whole and own.name != c.USER_KEY
            found[f"{own.name}.list.element" if types.is_list(own.type) else own.name] = (
                "DELTA_BINARY_PACKED" if packed else "PLAIN"
            )
        return {name: encoding for name, encoding in found.items() if name != c.STRATUM}

    def _stored(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return self.id_of_code[name][values] if name in self.id_of_code else values
