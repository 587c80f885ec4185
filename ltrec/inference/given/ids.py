"""Raw item ids to ids of the vocabulary, in the canonical form that prepare gave them: 101.0 and ' 101' are item 101."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.core.errors import UserError
from ltrec.core.ragged import I64
from ltrec.data.prepare.readers.ids import canonical, id_text

UNKNOWN, NONE = 0, -1
"""Results for an item that is not in the vocabulary, and for null."""


class ItemIds:
    """The vocabulary by raw id.

    Args:
        item_id: raw ids [V+1], entry 0 unused.
        null_values: texts that mean "missing".
    """

    def __init__(self, item_id: Sequence[str], null_values: Sequence[str]) -> None:
        self._null_values = null_values
        self._item_of = {name: item for item, name in enumerate(item_id) if item}  # text alone, which Python looks up faster

    def of(self, column: pa.Array, what: str, place: Callable[[int], str]) -> I64:
        """Ids [N]: 1..V, `UNKNOWN` or `NONE`.

        Args:
            column: raw ids [N].
            what: the column, for messages.
            place: where an entry stands, for messages.

        Raises:
            UserError: a type that holds no ids, or a negative number that is not an item.
        """
        coded = column if types.is_dictionary(column.type) else column.dictionary_encode()
        known = self._of_words(coded.dictionary, what)
        index = pc.fill_null(coded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        items: I64 = np.concatenate([known, [NONE]])[index]
        self._refuse_negative(column, items, place)
        return items

    def _of_words(self, words: pa.Array, what: str) -> I64:
        texts = _raw_texts(words, what, self._null_values)
        known = np.fromiter(map(self._item_of.get, texts.to_pylist(), repeat(UNKNOWN)), np.int64, len(texts))
        known[texts.is_null().to_numpy(zero_copy_only=False)] = NONE
        return known

    def _refuse_negative(self, column: pa.Array, items: I64, place: Callable[[int], str]) -> None:
        """Padding with -1 is the usual cause."""
        if types.is_signed_integer(column.type) or types.is_floating(column.type):
            negative = pc.fill_null(pc.less(column, 0), False).to_numpy(zero_copy_only=False) & (items == UNKNOWN)
            if negative.any():
                at = int(np.flatnonzero(negative)[0])
                raise UserError(f"{place(at)}: item {column[at].as_py()} is negative, and no item of the data; leave padding out")


def raw_names(column: pa.Array, what: str, null_values: Sequence[str]) -> list[str | None]:
    """Ids as prepare writes them [N]; None for null.

    Raises:
        UserError: a type that holds no ids.
    """
    names: list[str | None] = _raw_texts(column, what, null_values).to_pylist()
    return names


def _raw_texts(column: pa.Array, what: str, null_values: Sequence[str]) -> pa.Array:
    text = id_text(column, what)
    try:
        text = text.cast(pa.string())
    except pa.ArrowInvalid:
        raise UserError(f"{what} holds bytes that are not UTF-8; ids must be text, numbers or UUIDs") from None
    return canonical(text, null_values)
