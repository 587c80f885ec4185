from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.table import TABLE_SCHEMA, EvalTable, Protocol
from tests.support.evaluation import eval_table


def test_round_trip(tmp_path):
    table = eval_table([1, 5, 9], [2, 6, 12], top=[[3, 1], [], [7]], protocol=Protocol("digest", "valid", "full", False))
    table.write(tmp_path / "eval" / "valid.parquet")
    back = EvalTable.read(tmp_path / "eval" / "valid.parquet")
    assert back == table
    assert back.rows.schema.equals(TABLE_SCHEMA)
    items, lengths = back.top_items()
    assert items.tolist() == [3, 1, 7] and lengths.tolist() == [2, 0, 1]
    assert back.num_users == 3 and back.name == "model"


def test_several_row_groups(tmp_path):
    table = eval_table(np.arange(1, 1001) % 90 + 1)
    table.write(tmp_path / "t.parquet")
    pq.write_table(pq.read_table(tmp_path / "t.parquet"), tmp_path / "u.parquet", row_group_size=64)
    back = EvalTable.read(tmp_path / "u.parquet")
    assert np.array_equal(back.column("rank"), table.column("rank"))
    assert np.array_equal(back.top_items()[0], table.top_items()[0])


def test_a_table_without_users(tmp_path):
    eval_table([]).write(tmp_path / "t.parquet")
    assert EvalTable.read(tmp_path / "t.parquet").num_users == 0


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"test\.parquet not found; make it with 'ltrec evaluate'"):
        EvalTable.read(tmp_path / "test.parquet")


def test_every_damaged_file_is_refused_by_name(tmp_path):
    path = tmp_path / "test.parquet"
    eval_table(np.arange(1, 200)).write(path)
    whole = path.read_bytes()
    for spoilt in (whole[: len(whole) // 2], b"", whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]):
        path.write_bytes(spoilt)
        with pytest.raises(UserError, match=r"test\.parquet is damaged"):
            EvalTable.read(path)


def test_another_kind_of_parquet(tmp_path):
    pq.write_table(pa.table({"rank": [1]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match="no evaluation table"):
        EvalTable.read(tmp_path / "x.parquet")


def test_another_version(tmp_path):
    replace(eval_table([1]), protocol=Protocol("m", "test", version=2)).write(tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"another version of ltrec \(format 2\)"):
        EvalTable.read(tmp_path / "x.parquet")


def test_nothing_half_written(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="No space"):
        eval_table([1]).write(tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spoil", [lambda text: text[:-9], lambda text: text.replace("catalogue", "katalogue"), lambda text: "[]"])
def test_spoilt_metadata_is_damage(tmp_path, spoil):
    path = tmp_path / "x.parquet"
    eval_table([1]).write(path)
    rows = pq.read_table(path)
    key = b"ltrec.evaluation"
    pq.write_table(rows.replace_schema_metadata({key: spoil(rows.schema.metadata[key].decode())}), path)
    with pytest.raises(UserError, match=r"x\.parquet is damaged"):
        EvalTable.read(path)
