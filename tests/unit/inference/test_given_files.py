import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.inference.given.files import ForwardReader, find_given
from ltrec.inference.given.grouping import every_nth_user
from tests.support.given import write_parts


def numbered(rows: int) -> pa.Table:
    return pa.table({"n": np.arange(rows), "user": [f"u{n // 3:03}" for n in range(rows)], "other": ["x"] * rows})


@pytest.mark.parametrize(
    "ranges", [[(0, 100)], [(0, 1), (1, 2), (2, 99)], [(3, 4), (50, 52), (52, 53), (90, 100)], [(7, 7), (8, 60)]]
)
def test_reads_the_ranges_that_are_asked_for(tmp_path, monkeypatch, ranges):
    monkeypatch.setattr("ltrec.inference.given.files._READ_ROWS", 5)
    files = find_given(write_parts(numbered(100), tmp_path / "in", files=3))
    reader = ForwardReader(files, ["n"])
    for low, high in filter(lambda r: r[0] < r[1], ranges):
        table = reader.read(low, high)
        assert table.column_names == ["n"] and table["n"].to_pylist() == [*range(low, high)]
    reader.close()


def test_row_groups_without_a_wanted_row_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ltrec.inference.given.files._READ_ROWS", 5)
    files = find_given(write_parts(numbered(100), tmp_path / "in", files=1))
    spoilt = bytearray(files.paths[0].read_bytes())
    start = pq.ParquetFile(files.paths[0]).metadata.row_group(3).column(0).data_page_offset
    spoilt[start : start + 20] = b"\xff" * 20
    files.paths[0].write_bytes(spoilt)
    reader = ForwardReader(files, ["n"])
    assert reader.read(0, 20)["n"].to_pylist() == [*range(20)] and reader.read(40, 60)["n"].to_pylist() == [*range(40, 60)]
    with pytest.raises(UserError, match="cannot be read"):
        ForwardReader(files, ["n"]).read(20, 30)


def test_a_row_is_found_by_file_and_number(tmp_path):
    files = find_given(write_parts(numbered(100), tmp_path / "in", files=3))
    assert files.place(0).endswith("0.parquet: row 1") and files.place(34).endswith("1.parquet: row 1")
    assert files.place(99).endswith("2.parquet: row 32") and files.num_rows == 100
    before = files.identity()
    assert [file["file"] for file in before] == ["0.parquet", "1.parquet", "2.parquet"]
    pq.write_table(numbered(34).slice(0, 33), files.paths[0])
    assert find_given(tmp_path / "in").identity()[0] != before[0] and files.identity()[1:] == before[1:]


@pytest.mark.parametrize(
    ("write", "line"),
    [
        (lambda at: (at / "a.csv").write_text("user_id,item_id\n"), "is csv; histories are given as Parquet"),
        (lambda at: (at / "a.parquet").write_text("no"), "cannot be read as Parquet"),
        (lambda at: pq.write_table(numbered(9).drop_columns("n"), at / "z.parquet"), "has other columns, or other types, than"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, write, line):
    write(tmp_path)
    if line.startswith("has other"):
        pq.write_table(numbered(9), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=line):
        find_given(tmp_path)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("each", [1, 3])
def test_users_of_events_are_found_whatever_the_batches(tmp_path, monkeypatch, seed, each):
    draw = np.random.default_rng(seed)
    monkeypatch.setattr("ltrec.inference.given.grouping._ROWS", int(draw.integers(1, 9)))
    users, lengths = draw.permutation(20) if seed % 2 else np.arange(20), draw.integers(1, 6, 20)
    table = pa.table({"user": pa.array(np.repeat(users, lengths)).cast(pa.string() if seed > 2 else pa.int64())})
    starts = (np.cumsum(lengths) - lengths)[::each].tolist()
    files = find_given(write_parts(table, tmp_path / "in", files=3))
    assert every_nth_user(files, "user", each) == (starts, 20)
    back = find_given(write_parts(pa.concat_tables([table, table.slice(4, 1)]), tmp_path / "back", files=2))
    with pytest.raises(
        UserError, match=f"user {table['user'][4].as_py()!r} comes back after other users; sort or group the events by"
    ):
        every_nth_user(back, "user", each)
