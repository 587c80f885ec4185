"""Every way a log can be written, and every way it can be broken, row by row."""

from __future__ import annotations

import datetime as dt
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.prepare.readers import lines
from tests.support.logs import read_log


def test_csv_with_quotes_newlines_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b'\xef\xbb\xbftimestamp,user_id,x,item_id\r\n1,"a,b",,"i\n""1"""\r\n2,c,,d\r\n')
    assert read_log(path, quoting="multiline") == ([(2, "a,b", 'i\n"1"', "1"), (4, "c", "d", "2")], [])
    assert read_log(path) == ([(4, "c", "d", "2")], [(2, "stray quote"), (3, "stray quote")])


def test_bad_csv_rows_do_not_shift_row_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_BYTES", 300)
    written = ["user_id,item_id,timestamp"] + ["short" if n % 7 == 3 else f"u{n},i,{n}" for n in range(2, 500)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(written) + "\n")
    rows, faults = read_log(path)
    assert rows == [(n, f"u{n}", "i", str(n)) for n in range(2, 500) if n % 7 != 3]
    assert faults == [(n, "1 fields instead of 3") for n in range(2, 500) if n % 7 == 3]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n\n"])
def test_the_last_line_may_have_any_end(tmp_path, ending):
    path = tmp_path / "log.csv"
    path.write_bytes(f"user_id,item_id,timestamp\na,b,1\nc,d,2{ending}".encode())
    assert read_log(path) == ([(2, "a", "b", "1"), (3, "c", "d", "2")], [])


def test_an_unclosed_quote_does_not_shorten_the_file(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('user_id,item_id,timestamp\na,b,1\n"c,d,2\ne,f,3\n')
    assert read_log(path) == ([(2, "a", "b", "1"), (4, "e", "f", "3")], [(3, "stray quote")])
    assert read_log(path, quoting="multiline") == read_log(path)


def test_bytes_that_are_not_utf8_are_rejected(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"user_id,item_id,timestamp\na,\xff,1\nb,\xc3\xa9,2\n")
    assert read_log(path) == ([(3, "b", "é", "2")], [(2, "item_id is not UTF-8")])


def test_tsv_has_no_quotes_and_accepts_typed_headers(tmp_path):
    path = tmp_path / "log.inter"
    path.write_text('user_id:token\titem_id:token\trating:float\ttimestamp:float\n"1\t2\t3\t4\n')
    assert read_log(path) == ([(2, '"1', "2", "4")], [])


def test_a_file_without_header_takes_its_names_from_the_options(tmp_path):
    path = tmp_path / "u.data"
    path.write_text("196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    rows, faults = read_log(path, columns=("user_id", "item_id", "rating", "timestamp"))
    assert rows == [(1, "196", "242", "881250949"), (2, "186", "302", "891717742")] and faults == []


def test_compressed_text_and_another_separator(tmp_path):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(b"u;i;t\na;b;1\n"))
    assert read_log(path, delimiter=";", user="u", item="i", time="t") == ([(2, "a", "b", "1")], [])


def test_truncated_gzip_is_refused(tmp_path):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(
        gzip.compress("".join(["user_id,item_id,timestamp\n", *(f"u{n},i,{n}\n" for n in range(9999))]).encode())[:-30]
    )
    with pytest.raises(UserError, match=r"log\.csv\.gz cannot be read as csv"):
        read_log(path)


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
def test_a_wrong_column_name_suggests_the_nearest(tmp_path, name):
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text("user,item_id,timestamp\n1,2,3\n")
    elif name.endswith("jsonl"):
        path.write_text('{"user": 1, "item_id": 2, "timestamp": 3}\n')
    else:
        pq.write_table(pa.table({"user": [1], "item_id": [2], "timestamp": [3]}), path)
    with pytest.raises(UserError, match=r"has no column 'user_id' \(did you mean 'user'\?\); it has user, item_id, timestamp"):
        read_log(path)


def test_json_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [
        '{"user_id": 1, "item_id": "x", "timestamp": 1356998400.5, "other": {"a": [1]}}',
        "{broken",
        "",
        "[1, 2]",
        '{"user_id": null, "item_id": {"id": 3}, "timestamp": "2020-01-01"}',
        '{"item_id": "o\'k", "timestamp": 5}',
    ]
    path.write_text("\n".join(lines))
    rows, faults = read_log(path)
    assert rows == [(1, "1", "x", "1356998400.5"), (5, None, None, "2020-01-01"), (6, None, "o'k", "5")]
    assert faults == [(2, "not a JSON object"), (4, "not a JSON object")]


def test_json_keys_with_dots_and_quotes(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"a.user": "u", "it'em": "i", "t": 1}) + "\n")
    assert read_log(path, user="a.user", item="it'em", time="t") == ([(1, "u", "i", "1")], [])


def test_json_lines_in_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_BYTES", 200)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"user_id": n, "item_id": n, "timestamp": n}) + "\n" for n in range(1, 200)))
    assert read_log(path)[0] == [(n, str(n), str(n), str(n)) for n in range(1, 200)]


def test_parquet_types(tmp_path):
    path = tmp_path / "log.parquet"
    table = pa.table(
        {
            "user_id": pa.array([1.0, None, float("nan"), 2.5]),
            "item_id": pa.array([7, 8, 9, None], pa.uint32()),
            "timestamp": pa.array(
                [dt.datetime(2020, 1, 1, 1), None, dt.datetime(1969, 1, 1), dt.datetime(2020, 1, 2)],
                pa.timestamp("ns", "Europe/Paris"),
            ),
        }
    )
    pq.write_table(table, path)
    rows, _ = read_log(path)
    assert [row[:3] for row in rows] == [(1, "1", 7), (2, None, 8), (3, None, 9), (4, "2.5", None)]
    assert rows[0][3] == dt.datetime(2020, 1, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([b"a", b"b"]), ["a", "b"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array([-(2**63), 2**63 - 1]), [-(2**63), 2**63 - 1]),
        (pa.array([7, 8], pa.uint8()), [7, 8]),
    ],
)
def test_parquet_ids(tmp_path, values, expected):
    pq.write_table(pa.table({"user_id": values, "item_id": values, "timestamp": [1, 2]}), tmp_path / "log.parquet")
    assert [row[1] for row in read_log(tmp_path / "log.parquet")[0]] == expected


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_parquet_is_refused(tmp_path, share):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user_id": ["a"] * 5000, "item_id": ["b"] * 5000, "timestamp": range(5000)}), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"log\.parquet"):
        read_log(path)


def test_a_list_is_not_an_id(tmp_path):
    pq.write_table(pa.table({"user_id": [[1]], "item_id": ["b"], "timestamp": [1]}), tmp_path / "log.parquet")
    with pytest.raises(UserError, match="ids must be text, numbers or UUIDs"):
        read_log(tmp_path / "log.parquet")


JSON_PIECES = [
    b'{"user_id": 1, "item_id": "x", "timestamp": 5}',
    b'{"user_id": "\xff", "item_id": 2, "timestamp": 5}',
    b'{"item_id": 2}',
    b"[1, 2]",
    b"null",
    b"{broken",
    b"\xff\xfe",
    b"   ",
    b"",
    b'{"user_id": 1} {"user_id": 2}',
]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, len(JSON_PIECES) - 1), max_size=15), st.integers(20, 200))
def test_every_line_of_json_is_a_row_or_a_reject(tmp_path, monkeypatch, chosen, size):
    monkeypatch.setattr(lines, "BLOCK_BYTES", size)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(JSON_PIECES[n] for n in [0, *chosen]))
    rows, faults = read_log(path)
    good = [n for n, piece in enumerate([0, *chosen], 1) if piece in (0, 2)]
    bad = [n for n, piece in enumerate([0, *chosen], 1) if JSON_PIECES[piece] and piece not in (0, 2)]
    assert [row[0] for row in rows] == good and sorted(number for number, _ in faults) == bad


def test_every_row_of_parquet_is_a_row_or_a_reject(tmp_path):
    ids = pa.array([b"a", b"\xff", None, b"b"] * 50_000)
    pq.write_table(pa.table({"user_id": ids, "item_id": ids, "timestamp": range(200_000)}), tmp_path / "log.parquet")
    rows, faults = read_log(tmp_path / "log.parquet")
    assert [row[0] for row in rows] == [n for n in range(1, 200_001) if n % 4 != 2]
    assert faults == [(n, "user_id is not UTF-8") for n in range(2, 200_001, 4)]
