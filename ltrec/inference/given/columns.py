"""From raw columns to values as in training: categories to ids, numbers and times as stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.columns.kinds import kind_of_column
from ltrec.columns.kinds.categories import CategoriesConfig
from ltrec.columns.kinds.kind import Values
from ltrec.columns.schema import FIRST_VALUE, MISSING, UNKNOWN, Column
from ltrec.core.errors import UserError
from ltrec.core.ragged import prefix_sums
from ltrec.data.columns import vocabulary_of
from ltrec.data.manifest import Manifest


class RawColumn:
    """One column of events, users or items.

    Args:
        folder: the data set.
        manifest: its manifest.
        column: what the manifest says of it.
        null_values: texts that mean "missing".
    """

    def __init__(self, folder: Path, manifest: Manifest, column: Column, null_values: Sequence[str]) -> None:
        self._kind, self._column, self._null_values = kind_of_column(column), column, null_values
        values = vocabulary_of(folder, manifest, column) if self._kind.is_categorical else []
        self._id_of = {word: place for place, word in enumerate(values, FIRST_VALUE)}

    def stored(self, raw: pa.Array, what: str, place: Callable[[int], str]) -> Values:
        """Values in the form of shards [N]; lists of categories padded with 0 to the longest, and vectors, [N, ...].

        Args:
            raw: as a log has them [N].
            what: the column, for messages.
            place: where an entry stands, for messages.

        Raises:
            UserError: a type, or an entry, that holds no value of its kind.
        """
        found = self._kind.parse(_plain(raw), self._null_values, what)
        for reason, wrong in found.faults.items():
            if pc.any(wrong).as_py():
                at = int(np.flatnonzero(wrong.to_numpy(zero_copy_only=False))[0])
                raise UserError(f"{place(at)}: {self._column.name}={raw[at].as_py()!r}: {reason}")
        if types.is_list(found.values.type):
            return self._lists(found.values)
        if types.is_fixed_size_list(found.values.type):
            return _vectors(found.values, self._kind.width)
        if self._kind.is_categorical:
            return self._ids(found.values)
        values: Values = pc.fill_null(found.values, self._kind.missing).to_numpy(zero_copy_only=False)
        return values

    def _ids(self, words: pa.Array) -> Values:
        coded = words.dictionary_encode()
        known = [self._id_of.get(word, UNKNOWN) for word in coded.dictionary.to_pylist()]
        index = pc.fill_null(coded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        ids: Values = np.array([*known, MISSING], np.int32)[index]
        return ids

    def _lists(self, words: pa.Array) -> Values:
        """Ids of the first words of every list."""
        most = int(self._column.options.get("max_values", 0)) or CategoriesConfig().max_values
        lengths = pc.fill_null(pc.list_value_length(words), 0).to_numpy(zero_copy_only=False)
        there = np.arange(max(1, min(most, int(lengths.max(initial=1))))) < lengths[:, None]
        place = prefix_sums(lengths.astype(np.int64))[:-1, None] + np.arange(there.shape[1])
        found: Values = np.zeros(there.shape, np.int32)
        found[there] = self._ids(words.flatten())[place[there]]
        return found


def _vectors(column: pa.Array, width: int) -> Values:
    """Numbers [N, width]; zeros where there are none."""
    found: Values = np.zeros((len(column), width), np.float32)
    found[column.is_valid().to_numpy(zero_copy_only=False)] = column.drop_null().flatten().to_numpy().reshape(-1, width)
    return found


def _plain(column: pa.Array) -> pa.Array:
    column = column.dictionary_decode() if types.is_dictionary(column.type) else column
    return column.cast(pa.string()) if types.is_large_string(column.type) or types.is_string_view(column.type) else column
