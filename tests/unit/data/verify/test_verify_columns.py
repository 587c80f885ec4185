"""verify finds what is wrong with columns, and inspect shows them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.cli import main as cli
from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.kinds.vector import VectorConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.table_config import ItemsConfig, UsersConfig
from ltrec.data.verify.dataset import verify
from tests.support.logs import some_events, write_csv


@pytest.fixture
def data(tmp_path):
    log = [(*event, ("view", "buy")[n % 2], n / 2, 1.0) for n, event in enumerate(some_events())]
    source = write_csv(tmp_path / "log.csv", log, ("user_id", "item_id", "timestamp", "type", "price", "conf"))
    items = write_csv(tmp_path / "items.csv", [(f"i{n}", f"{n} 1") for n in range(9)], ("item_id", "text"))
    users = write_csv(tmp_path / "users.csv", [(f"u{n}", n) for n in range(9)], ("user_id", "age"))
    config = PrepareConfig(
        sources=(str(source),),
        threads=1,
        event_columns={"type": CategoryConfig(), "price": NumberConfig(unit="EUR")},
        weight="conf",
        items=ItemsConfig(source=str(items), columns={"text": VectorConfig(width=2)}),
        users=UsersConfig(source=str(users), columns={"age": NumberConfig()}),
    )
    return tmp_path / "out", prepare(config, tmp_path / "out")


def rewritten(folder, manifest, place, change):
    """The data set with one file changed, and a manifest that says so: a fault of whoever wrote it, not of the disk."""
    entries = list(getattr(manifest, place))
    path = folder / entries[0].path
    table = pq.read_table(path, partitioning=None)
    table = table.set_column(*change(table))
    pq.write_table(table, path, row_group_size=manifest.block_rows, write_page_checksum=True)
    entries[0] = replace(entries[0], bytes=path.stat().st_size, sha256=sha256_file(path))
    replace(manifest, **{place: tuple(entries)}).save(folder)


def list_of(name, make):
    """A change of a list column of a shard: its values by `make`."""

    def change(table):
        column = table[name].combine_chunks()
        values = pa.array(make(column.flatten().to_numpy().copy()), column.type.value_type)
        place = table.schema.get_field_index(name)
        return place, table.schema.field(name), pa.ListArray.from_arrays(column.offsets, values, type=column.type)

    return change


def shorter(table):
    """The last event of the first user loses its type."""
    lists = table["event.type"].to_pylist()
    lists[0] = lists[0][:-1]
    place = table.schema.get_field_index("event.type")
    return place, table.schema.field(place), pa.array(lists, table.schema.field(place).type)


def with_first(value):
    def make(values):
        values[0] = value
        return values

    return make


def of_items(name, make):
    def change(table):
        column = table[name].combine_chunks()
        values = make(column)
        return table.schema.get_field_index(name), table.schema.field(name), values.cast(column.type)

    return change


def endless(column):
    values = column.flatten().to_numpy().copy()
    values[0] = np.inf
    return pa.FixedSizeListArray.from_arrays(pa.array(values), type=column.type)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ("shards", list_of("event.type", with_first(9)), "ids .*..9 of 'type' outside 0..3"),
        ("shards", list_of("event.type", lambda values: np.minimum(values, 2)), "occurs .* times, but the file says"),
        ("shards", list_of("event.price", with_first(np.inf)), "an infinite number of 'price'"),
        ("shards", list_of("weight", with_first(-1)), "a weight that is negative or not finite"),
        ("shards", shorter, "items and event.type differ in length"),
        ("column_files", of_items("text", endless), "a number of 'text' is not finite"),
        ("column_files", of_items("item", lambda column: pa.array([2, *column.to_pylist()[1:]])), "not in the order of their ids"),
    ],
)
def test_what_is_wrong_with_columns_is_found(data, place, change, message):
    folder, manifest = data
    assert verify(folder) == manifest
    rewritten(folder, manifest, place, change)
    with pytest.raises(UserError, match=message):
        verify(folder)


def test_inspect_shows_every_column(data, capsys):
    folder, _ = data
    assert cli.main(["inspect", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert '"columns": [{"name": "type", "kind": "category", "of": "event"}' in out
    for words in ("2: view, buy", "EUR, mean", "2 wide", "weight", "item table: rows 9, rejected 0, new 2"):
        assert words in " ".join(err.split()), err
