"""Event columns through the whole of prepare, against dictionaries, from every format of logs."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.kinds.time import NO_TIME, TimeConfig
from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.logs import START, write_csv
from tests.support.naive_columns import event_values, numbered, read_columns, training_values, words_by_column
from tests.support.naive_prepare import naive_prepare, read_back

HEADER = ("user_id", "item_id", "timestamp", "kind", "price", "since", "conf")

rows = st.tuples(
    st.sampled_from(["u1", "u2", "10", "Ü"]),
    st.sampled_from(["a", "B", "9", "é"]),
    st.integers(START, START + 6),
    st.sampled_from([None, "view", "buy", "cart, later", "7"]),
    st.sampled_from([None, 0.5, -2.25, 1e3]),
    st.sampled_from([None, 0, 86_400]),
    st.sampled_from([0.0, 1.0, 0.25]),
)
options = st.fixed_dictionaries(
    {
        "duplicates": st.sampled_from(["auto", "keep", "drop_exact", "keep_first", "keep_last"]),
        "ties": st.sampled_from(["source", "hash"]),
        "min_item_events": st.sampled_from([1, 1, 3]),
        "history_cap": st.integers(3, 6),
        "held_out_users": st.sampled_from([0.0, 0.0, 0.4]),
        "block_rows": st.integers(1, 3),
        "shard_events": st.sampled_from([1, 1000]),
    }
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=20, max_size=60), options, st.sampled_from(["csv", "jsonl", "parquet"]), st.integers(1, 9))
def test_columns_equal_the_naive_reference(log, chosen, form, least):
    with tempfile.TemporaryDirectory() as folder:
        source = WRITERS[form](Path(folder, f"log.{form}"), log)
        config = PrepareConfig(
            **chosen,
            sources=(str(source),),
            threads=1,
            event_columns={
                "type": CategoryConfig(column="kind", min_count=least),
                "price": NumberConfig(log=True),
                "since": TimeConfig(),
            },
            weight="conf",
        )
        data = naive_prepare([row[:3] for row in log], config, [row[3:] for row in log])
        if data is None:
            with pytest.raises(UserError):
                prepare(config, Path(folder, "out"))
            return
        manifest = prepare(config, Path(folder, "out"))
        assert read_back(Path(folder, "out"))[0] == data.rows
        _compare(Path(folder, "out"), data, [row[3:] for row in log], least, manifest)
        assert verify(Path(folder, "out")) == manifest


def _compare(out, data, values, least, manifest):
    found = read_columns(out)
    kind, price, since, weight = (list(column) for column in zip(*values, strict=True))
    words, id_of = numbered(training_values(data, kind), least)
    assert words_by_column(out) == {"type": words}
    assert found["event.type"] == event_values(data, [id_of(word) for word in kind])
    assert found["event.since"] == event_values(data, [NO_TIME if s is None else s for s in since])
    assert found["weight"] == event_values(data, weight)
    numbers = event_values(data, [math.nan if p is None else p for p in price])
    assert {user: [None if math.isnan(x) else x for x in own] for user, own in found["event.price"].items()} == {
        user: [None if math.isnan(x) else x for x in own] for user, own in numbers.items()
    }
    column = manifest.columns.of("event")["price"]
    trained = training_values(data, price)
    there = [p for p in trained if p is not None]
    assert column.statistics["missing"] == pytest.approx(1 - len(there) / len(trained))
    if there:
        assert column.statistics["mean"] == pytest.approx(np.mean(there))
        assert column.statistics["log_deviation"] == pytest.approx(np.std(np.sign(there) * np.log1p(np.abs(there))))
    assert manifest.columns.of("event")["type"].size == 2 + len(words)


def _csv(path, log):
    return write_csv(path, log, HEADER)


def _jsonl(path, log):
    path.write_text("".join(json.dumps({k: v for k, v in zip(HEADER, row, strict=True) if v is not None}) + "\n" for row in log))
    with open(path, "a", encoding="utf-8") as file:  # a first line that lacks a field says nothing of the others
        file.write("\n")
    return path


def _parquet(path, log):
    columns = dict(zip(HEADER, map(list, zip(*log, strict=True)), strict=True))
    kind = pa.array(columns.pop("kind"), pa.string()).dictionary_encode()
    since = pa.array(columns.pop("since"), pa.int64()).cast(pa.timestamp("s"))
    table = pa.table(columns).append_column("kind", kind).append_column("since", since)
    table = table.set_column(table.schema.get_field_index("price"), "price", pa.array(columns["price"], pa.float64()))
    pq.write_table(table, path)
    return path


WRITERS = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
