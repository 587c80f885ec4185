import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.core.storage.sealed_parquet import write_sealed
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
    write_sealed(pq.read_table(tmp_path / "t.parquet"), tmp_path / "u.parquet", row_group_size=64)
    assert pq.ParquetFile(tmp_path / "u.parquet").num_row_groups == 16
    back = EvalTable.read(tmp_path / "u.parquet")
    assert np.array_equal(back.column("rank"), table.column("rank"))
    assert np.array_equal(back.top_items()[0], table.top_items()[0])


def test_a_table_without_users(tmp_path):
    eval_table([]).write(tmp_path / "t.parquet")
    assert EvalTable.read(tmp_path / "t.parquet").num_users == 0


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"test\.parquet not found; create it with 'ltrec evaluate'"):
        EvalTable.read(tmp_path / "test.parquet")


def test_every_damaged_file_is_refused_by_name(tmp_path):
    path = tmp_path / "test.parquet"
    eval_table(np.arange(1, 200)).write(path)
    whole = path.read_bytes()
    for spoilt in (whole[: len(whole) // 2], b"", whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]):
        path.write_bytes(spoilt)
        with pytest.raises(UserError, match=r"test\.parquet is damaged"):
            EvalTable.read(path)


def test_every_flipped_bit_is_found_wherever_it_is(tmp_path):
    """Rows, page headers, statistics, schema, metadata, the footer, the digest itself: a bit of every byte, all of the last."""
    path = tmp_path / "test.parquet"
    eval_table(np.arange(1, 9)).write(path)
    whole, draw = path.read_bytes(), random.Random(0)
    places = [(place, draw.randrange(8)) for place in range(len(whole))]
    places += [(place, bit) for place in range(len(whole) - 150, len(whole)) for bit in range(8)]
    for place, bit in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"test\.parquet "):
            EvalTable.read(path)


def test_rewritten_metadata_is_refused(tmp_path):
    """A table that somebody edited and saved: whole, readable, and not what was evaluated."""
    path = tmp_path / "test.parquet"
    eval_table([1, 2]).write(path)
    rows = pq.read_table(path)
    text = rows.schema.metadata[b"ltrec.evaluation"].replace(b'"head_from": 9', b'"head_from": 73')
    pq.write_table(rows.replace_schema_metadata({b"ltrec.evaluation": text}), path)
    with pytest.raises(UserError, match="it has no digest"):
        EvalTable.read(path)


def test_a_name_in_the_footers_statistics_is_not_taken_for_the_digest(tmp_path):
    """Statistics hold the least and the greatest user id, which come from a log."""
    path, table = tmp_path / "test.parquet", eval_table([1])
    forged = pa.array(["ltrec.sha256\x18@" + "a" * 64], pa.string())
    table = replace(table, rows=table.rows.set_column(0, table.rows.schema.field(0), forged))
    table.write(path)
    assert path.read_bytes().count(b"ltrec.sha256\x18@") > 1
    assert EvalTable.read(path) == table


def test_a_folder_of_a_sweep_is_no_column(tmp_path):
    path = tmp_path / "seed=1" / "test.parquet"
    eval_table([1]).write(path)
    assert EvalTable.read(path) == eval_table([1])


def test_another_kind_of_parquet(tmp_path):
    pq.write_table(pa.table({"rank": [1]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match="not an evaluation table"):
        EvalTable.read(tmp_path / "x.parquet")


def test_another_version(tmp_path):
    replace(eval_table([1]), protocol=Protocol("m", "test", version=1)).write(tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"another version of ltrec \(format 1\)"):
        EvalTable.read(tmp_path / "x.parquet")


def test_a_table_from_before_reach_is_read_and_compares_with_todays(tmp_path):
    path, table = tmp_path / "x.parquet", eval_table([3, 1], reach=[1, 2])
    table.write(path)
    rows = pq.read_table(path)
    meta = rows.schema.metadata[b"ltrec.evaluation"].replace(b'"version": 3', b'"version": 2')
    write_sealed(rows.drop_columns(["reach"]).replace_schema_metadata({b"ltrec.evaluation": meta}), path)
    older = EvalTable.read(path)
    assert older == eval_table([3, 1], reach=[-1, -1])
    assert older.protocol == table.protocol
    older.write(path)
    assert EvalTable.read(path) == older


def test_a_version_must_have_its_own_columns(tmp_path):
    path = tmp_path / "x.parquet"
    eval_table([3, 1]).write(path)
    rows = pq.read_table(path)
    for version, spoilt in ((b"2", rows), (b"3", rows.drop_columns(["reach"])), (b"[3]", rows)):
        meta = rows.schema.metadata[b"ltrec.evaluation"].replace(b'"version": 3', b'"version": ' + version)
        write_sealed(spoilt.replace_schema_metadata({b"ltrec.evaluation": meta}), path)
        with pytest.raises(UserError, match="another version of ltrec"):
            EvalTable.read(path)


def test_nothing_half_written(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fail)
    with pytest.raises(OSError, match="No space"):
        eval_table([1]).write(tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spoil", [lambda text: text[:-9], lambda text: text.replace("catalogue", "katalogue"), lambda text: "[]"])
def test_spoilt_metadata_is_damage(tmp_path, spoil):
    path = tmp_path / "x.parquet"
    eval_table([1]).write(path)
    rows = pq.read_table(path)
    key = b"ltrec.evaluation"
    write_sealed(rows.replace_schema_metadata({key: spoil(rows.schema.metadata[key].decode())}), path)
    with pytest.raises(UserError, match=r"x\.parquet is damaged"):
        EvalTable.read(path)
