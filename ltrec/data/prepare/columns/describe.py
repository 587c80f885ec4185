"""From counted columns to the schema of the manifest, the vocabulary files, and the ids of codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.columns.schema import Column, Schema
from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.manifest import ColumnFile
from ltrec.data.prepare.columns.codes import vocabulary_size
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.earlier import EarlierColumns
from ltrec.data.prepare.columns.tally import Tally
from ltrec.data.prepare.columns.vocabulary import write_vocabulary
from ltrec.data.prepare.database import Connection


@dataclass(slots=True)
class DescribedColumns:
    """Columns after training values have been counted.

    Attributes:
        columns: in the order of declaration.
        files: of vocabularies.
        id_of_code: field of a categorical column -> id of every code.
        summary: statistics of the weight.
    """

    columns: list[Column] = field(default_factory=list)
    files: list[ColumnFile] = field(default_factory=list)
    id_of_code: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    def before(self, other: DescribedColumns) -> DescribedColumns:
        """Both together: the files of this one first, the columns of the other first."""
        return DescribedColumns(
            [*other.columns, *self.columns], [*self.files, *other.files], {**other.id_of_code, **self.id_of_code}, other.summary
        )

    @property
    def schema(self) -> Schema:
        """The columns, as the manifest has them."""
        return Schema(tuple(self.columns), weight=c.WEIGHT in self.summary)


def tallies_of(connection: Connection, columns: Iterable[Declared]) -> list[Tally]:
    """An empty tally for every column; the vocabularies must exist."""
    return [Tally(column, vocabulary_size(connection, column) if column.kind.is_categorical else 0) for column in columns]


def describe_columns(
    connection: Connection,
    tallies: Sequence[Tally],
    kept: Mapping[str, Sequence[str]],
    work: Path,
    earlier: EarlierColumns | None = None,
) -> DescribedColumns:
    """Write the vocabularies of categorical columns into `work`, and describe all columns.

    Args:
        connection: with the vocabulary tables.
        tallies: of event and user columns, counted.
        kept: event column -> values that get an id even if they are rare.
        work: folder in which the data set is built.
        earlier: columns that these go on with.

    Raises:
        UserError: there are weights, and all training events weigh 0.
    """
    found = DescribedColumns()
    for tally in tallies:
        column, ids = tally.column, None
        if column.is_weight:
            found.summary[c.WEIGHT] = weights = _statistics(tally, None, earlier)
            if not weights.get("greatest", 0.0) > 0:
                raise UserError(
                    f"every training event weighs 0 in the column {column.source!r} (`weight`), so there is nothing to train on; "
                    "nothing was written"
                )
            continue
        if column.kind.is_categorical:
            always = kept.get(column.name, ()) if column.role == "event" else ()
            known = 0 if earlier is None else earlier.size(column)
            file, ids = write_vocabulary(connection, column, tally.count_W, work, always, known)
            found.files.append(file)
            found.id_of_code[column.field] = ids
        size = column.kind.width if ids is None else 2 + int((ids >= 2).sum())
        found.columns.append(
            column.described(size, _statistics(tally, ids, earlier), found.files[-1].path if ids is not None else "")
        )
    return found


def _statistics(tally: Tally, ids: npt.NDArray[np.int32] | None, earlier: EarlierColumns | None) -> dict[str, float]:
    measured = tally.statistics(ids)
    return measured if earlier is None else earlier.statistics(tally.column, measured)
