"""Raw item ids, and the values of every categorical column that the model uses, as Arrow files: row i has id i."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from ltrec.columns.kinds import kind_of_column
from ltrec.columns.schema import FIRST_VALUE, Projection, Role
from ltrec.core import columns as c
from ltrec.data.columns import vocabulary_of
from ltrec.run.build.components import Data

ITEMS = "items.arrow"


def write_vocabularies(folder: Path, data: Data, asked: Projection, appended: Sequence[str] = ()) -> None:
    """Write `items.arrow`, with appended items at its end, and `event-<name>.arrow` and `user-<name>.arrow` of categoricals."""
    _write(folder / ITEMS, [*data.vocabulary.item_id, *appended])
    for role, name in categoricals(data, asked):
        values = vocabulary_of(data.folder, data.manifest, data.manifest.columns.of(role)[name])
        _write(folder / vocabulary_file(role, name), [""] * FIRST_VALUE + values)


def categoricals(data: Data, asked: Projection) -> list[tuple[Role, str]]:
    """Categorical columns of events and users."""
    roles: list[tuple[Role, Sequence[str]]] = [("event", asked.events), ("user", asked.users)]
    known = [(role, name) for role, names in roles for name in names if (role, name) != ("event", c.TIME)]
    return [(role, name) for role, name in known if kind_of_column(data.manifest.columns.of(role)[name]).is_categorical]


def vocabulary_file(role: str, name: str) -> str:
    """The file of a column."""
    return f"{role}-{name}.arrow"


def _write(path: Path, values: list[str]) -> None:
    table = pa.table({"value": pa.array(values, pa.string())})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
