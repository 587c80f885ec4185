"""One user, one id: whatever the file, the format and the program that wrote it."""

from __future__ import annotations

import decimal
import json
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.ids import canonical
from tests.support.logs import read_log

NULLS = PrepareConfig().null_values


def one(text, nulls=NULLS):
    return canonical(pa.array([text], pa.string()), nulls)[0].as_py()


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("101", "101"),
        ("101.0", "101"),
        ("101.000", "101"),
        ("101.", "101"),
        (" 101\t", "101"),
        ("-5.0", "-5"),
        ("1e+05", "100000"),
        ("1.5E+03", "1500"),
        ("1.700000001e+09", "1700000001"),
        ("12345678901234567890.0", "12345678901234567890"),
        # what is no whole number stays as it is
        ("007", "007"),
        ("007.0", "007.0"),
        ("101.5", "101.5"),
        ("1e5", "1e5"),
        ("1.5e+00", "1.5e+00"),
        ("1e+99", "1e+99"),
        ("1.0.0", "1.0.0"),
        ("v1.0", "v1.0"),
        ("a b", "a b"),
    ],
)
def test_whole_numbers_have_one_form_and_other_ids_stay(written, form):
    assert one(written) == form


@pytest.mark.parametrize(
    "marker", ["NA", "NULL", "null", r"\N", "None", "nan", "NaN", "<NA>", "N/A", "#N/A", "NaT", " na ", "", "  "]
)
def test_null_markers_are_null_ids(marker):
    assert one(marker) is None


def test_null_markers_can_be_chosen():
    assert one("NA", ()) == "NA" and one(" ", ()) is None
    assert one("guest", ("Guest",)) is None


@given(st.integers(-(2**53), 2**53), st.sampled_from(["csv", "jsonl", "float", "int", "decimal", "dictionary", "r"]))
def test_a_number_is_the_same_id_in_every_format(number, kind):
    written = {"csv": f"{number}.0", "jsonl": json.dumps(float(number)), "r": f" {number} "}
    assert one(written.get(kind, str(number))) == str(number)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([101, 102], pa.decimal128(38, 0)), ["101", "102"]),
        (pa.array([decimal.Decimal("101.00"), decimal.Decimal("1.50")]), ["101", "1.50"]),
        (pa.array([10**37], pa.decimal128(38, 0)), [str(10**37)]),
        (pa.array([101.0, 102.5, np.nan, np.inf]), ["101", "102.5", None, None]),
        (pa.array([7.0], pa.float32()), ["7"]),
        (pa.array([np.float16(7)], pa.float16()), ["7"]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array([uuid.UUID(int=5).bytes], pa.uuid()), [str(uuid.UUID(int=5))]),
        (pa.array([b"ab\0\0", b"abcd"], pa.binary(4)), ["ab", "abcd"]),
        (pa.array([b"\xff\x00\x01\x02"], pa.binary(4)), ["ff000102"]),
        (pa.array([uuid.UUID(int=2**127).bytes], pa.binary(16)), [str(uuid.UUID(int=2**127))]),
        (pa.array([b"a", b"b"], pa.large_binary()), ["a", "b"]),
        (pa.array(["nan", " x", None]), [None, "x", None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([101, 102, None]).dictionary_encode(), ["101", "102", None]),
        (pa.array([101.0, 102.0]).dictionary_encode(), ["101", "102"]),
        (pa.array(["b", "a"], pa.string_view()), ["b", "a"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_columns_of_any_type_that_can_be_an_id(tmp_path, column, expected):
    table = pa.table({"user_id": column, "item_id": column, "timestamp": range(len(column))})
    pq.write_table(table, tmp_path / "log.parquet")
    rows, faults = read_log(tmp_path / "log.parquet")
    assert [row[1] for row in rows] == [row[2] for row in rows] and faults == []
    assert [id_ if id_ is None else str(id_) for _, id_, *_ in rows] == expected


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1.0, 2.0**53 + 2]), r"the user column holds 9007199254740994 as a floating-point number of 53 bits"),
        (pa.array([16777218.0], pa.float32()), "16777218 as a floating-point number of 24 bits"),
        (pa.array([True]), "has type bool; ids must be text, numbers or UUIDs"),
        (pa.array([[1]]), "has type list"),
        (pa.array([{"a": 1}]), "has type struct"),
    ],
)
def test_id_columns_that_are_not_exact_are_refused(tmp_path, column, message):
    pq.write_table(
        pa.table({"user_id": column, "item_id": ["i"] * len(column), "timestamp": range(len(column))}), tmp_path / "log.parquet"
    )
    with pytest.raises(UserError, match=r"log\.parquet: .*" + message):
        read_log(tmp_path / "log.parquet")


def test_json_numbers_and_texts(tmp_path):
    path = tmp_path / "log.jsonl"
    ids = ["101", 101, 101.0, "101.0", "NA", None, True]
    path.write_text("".join(json.dumps({"user_id": i, "item_id": 1, "timestamp": 1}) + "\n" for i in ids))
    assert [row[1] for row in read_log(path)[0]] == ["101"] * 4 + [None, None, "true"]
