"""Lists of items that users write: what a file of them may be."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.inference.item_lists import read_item_list


def test_a_folder_that_looks_like_a_partition_adds_no_column(tmp_path):
    """PyArrow before 26 made a column of it."""
    path = tmp_path / "country=de" / "items.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"sku": ["a", "b"]}), path)
    assert read_item_list(path).to_pylist() == ["a", "b"]


def test_a_text_file_has_an_id_per_line(tmp_path):
    (tmp_path / "items.txt").write_text("a\n\n \nb\n")
    assert read_item_list(tmp_path / "items.txt").to_pylist() == ["a", "b"]


def test_several_columns_need_one_of_the_name(tmp_path):
    pq.write_table(pa.table({"price": [1.0], "item_id": ["a"]}), tmp_path / "good.parquet")
    assert read_item_list(tmp_path / "good.parquet").to_pylist() == ["a"]
    pq.write_table(pa.table({"price": [1.0], "sku": ["a"]}), tmp_path / "bad.parquet")
    with pytest.raises(UserError, match=r"bad\.parquet has no column 'item_id'; it has price, sku$"):
        read_item_list(tmp_path / "bad.parquet")
