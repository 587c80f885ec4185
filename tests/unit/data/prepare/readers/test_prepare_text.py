"""CSV and its relatives: separators, quotes, and an account in which every line is a row or a reject."""

from __future__ import annotations

import csv
import itertools

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers import lines
from tests.support.logs import read_log

HEADER = "user_id,item_id,timestamp"
PIECES = ["a", '"', '""', ",", ",,", " ", "b c", '"q"', ',"x,y",', "1", "\\", "\xa0", "'"]
ROWS = [("u1", "i1", "1"), ("u2", "i2", "2"), ("u1", "i2", "3")]

busy = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def naive_fields(line: str, quoted: bool = True) -> list[str] | None:
    """Fields of one line, character by character; None where a quote is out of place."""
    fields, rest = [], line
    while True:
        if quoted and rest.startswith('"'):
            end = 1
            while True:
                end = rest.find('"', end)
                if end < 0:
                    return None
                if not rest.startswith('""', end):
                    break
                end += 2
            field, rest = rest[1:end].replace('""', '"'), rest[end + 1 :]
            if rest and not rest.startswith(","):
                return None
        else:
            field, comma, after = rest.partition(",")
            if quoted and field.lstrip(" ").startswith('"'):
                return None
            rest = comma + after
        fields.append(field)
        if not rest:
            return fields
        rest = rest[1:]


@pytest.mark.parametrize("quoting", ["double", "none", "multiline"])
def test_a_line_that_is_neither_utf8_nor_of_the_right_width(tmp_path, quoting):
    path = tmp_path / "log.csv"
    path.write_bytes(f"{HEADER}\né,i,1\n".encode() + b"\xff,b\nv,\xff,3\nw,\xc3\xa9,4,\xff\nx,y,5\n")
    rows, faults = read_log(path, quoting=quoting)
    assert rows == [(2, "é", "i", "1"), (6, "x", "y", "5")]
    assert sorted(faults) == [(3, "2 fields instead of 3"), (4, "item_id is not UTF-8"), (5, "4 fields instead of 3")]


@busy
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), max_size=12), st.booleans(), st.integers(20, 60))
@example(['u,"open,1', "u,b,2", 'u,close",3'], True, 30)
def test_every_line_is_a_row_or_a_reject(tmp_path, monkeypatch, written, quoted, size):
    monkeypatch.setattr(lines, "BLOCK_BYTES", size)
    path = tmp_path / "log.csv"
    path.write_text("\n".join([HEADER, *written]), encoding="utf-8")
    rows, faults = read_log(path, quoting="double" if quoted else "none", null_values=())
    expected, rejected = [], []
    for number, line in enumerate(written, 2):
        fields = naive_fields(line, quoted)
        if line and fields is not None and len(fields) == 3:
            user, item, time = (field.strip() or None for field in fields)
            expected.append((number, user, item, time))
        elif line:
            rejected.append((number, "stray quote" if fields is None else f"{len(fields)} fields instead of 3"))
    assert [(n, u, i, (t and t.strip()) or None) for n, u, i, t in rows] == expected
    assert sorted(faults) == rejected


@busy
@given(
    st.lists(st.tuples(*[st.text('a",\n;x ', min_size=1, max_size=5).map(lambda t: f"<{t}>")] * 3), min_size=1, max_size=9),
    st.integers(20, 60),
)
def test_texts_over_several_lines_are_read_with_quoting_multiline(tmp_path, monkeypatch, written, size):
    monkeypatch.setattr(lines, "BLOCK_BYTES", size)
    path = tmp_path / "log.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([HEADER.split(","), *written])
    rows, faults = read_log(path, quoting="multiline")
    assert [row[1:] for row in rows] == written and faults == []
    numbers = [2 + sum(text.count("\n") + 1 for text in map("".join, written[:n])) - n * 0 for n in range(len(written))]
    assert [row[0] for row in rows] == numbers


def test_a_stray_quote_among_texts_of_several_lines_costs_its_own_lines_alone(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(f'{HEADER}\nu,"two\nlines",1\nu,"open,2\nu,b,3\nu,"x"y,4\nu,c,5\n')
    rows, faults = read_log(path, quoting="multiline")
    assert rows == [(2, "u", "two\nlines", "1"), (5, "u", "b", "3"), (7, "u", "c", "5")]
    assert faults == [(4, "stray quote"), (6, "stray quote")]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "::", " ", "   "])
@pytest.mark.parametrize(
    ("name", "header", "quote"),
    [
        (name, header, quote)
        for name, header, quote in itertools.product(["log.csv", "log.tsv", "log.txt", "log.dat"], [True, False], ["", '"'])
        if (name, header, quote) != ("log.tsv", False, '"')  # nothing there tells whether the quotes belong to the ids
    ],
)
def test_common_separators_are_detected(tmp_path, separator, name, header, quote):
    path = tmp_path / name
    table = [("user_id", "item_id", "timestamp"), *ROWS] if header else ROWS
    path.write_text("".join(separator.join(f"{quote}{field}{quote}" for field in row) + "\n" for row in table))
    rows, faults = read_log(path, columns=() if header else ("user_id", "item_id", "timestamp"))
    assert [row[1:] for row in rows] == ROWS and faults == []


@pytest.mark.parametrize(
    ("word", "separator"), [("\t", "\t"), (r"\t", "\t"), ("tab", "\t"), ("blank", "  "), (" ", " "), ("^", "^"), ("~~", "~~")]
)
def test_a_separator_can_be_given(tmp_path, word, separator):
    path = tmp_path / "log.csv"
    path.write_text("".join(separator.join(row) + "\n" for row in [("user_id", "item_id", "timestamp"), *ROWS]))
    assert [row[1:] for row in read_log(path, delimiter=word)[0]] == ROWS


@pytest.mark.parametrize("delimiter", ['"', "\n", "é", ',"'])
def test_an_impossible_separator_is_refused(delimiter):
    with pytest.raises(ValueError, match="delimiter"):
        PrepareConfig(delimiter=delimiter)


def test_a_header_and_a_cell_of_many_megabytes(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(f"{HEADER},{'x' * (1 << 17)}\nu,i,1,{'y' * (9 << 20)}\nv,j,2,z\n")
    rows, faults = read_log(path)
    assert rows == [(2, "u", "i", "1"), (3, "v", "j", "2")] and faults == []


@pytest.mark.parametrize("content", ["", "\n\n", f"{HEADER}\n", f"{HEADER}"])
def test_a_file_of_headers_or_nothing_has_no_rows(tmp_path, content):
    path = tmp_path / "log.csv.bz2" if not content else tmp_path / "log.csv"
    path.write_text(content)
    (tmp_path / "more.csv").write_text(f"{HEADER}\nu,i,1\n")
    assert read_log(path, folder=tmp_path) == ([], [])


def test_columns_with_the_same_name_only_matter_if_they_are_used(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("x,user_id,x,item_id,timestamp\n1,u,2,i,3\n")
    assert read_log(path)[0] == [(2, "u", "i", "3")]
    with pytest.raises(UserError, match="2 columns called 'x'"):
        read_log(path, user="x")


def test_a_file_without_header_is_told_how_to_name_its_columns(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("1 9 3\n1 8 4\n")
    with pytest.raises(UserError, match=r"no column 'user_id' \(no header line\? then name the columns"):
        read_log(path)


def test_a_sequence_file_has_a_row_per_item(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_BYTES", 9)
    path = tmp_path / "sequences.txt"
    path.write_text("1 1 2  3\n\nlonely\n 2 7\t8\n3 NA 9")
    rows, faults = read_log(path, format="sequences", time="order")
    assert rows == [(1, "1", "1"), (2, "1", "2"), (3, "1", "3"), (4, "2", "7"), (5, "2", "8"), (6, "3", None), (7, "3", "9")]
    assert faults == [(3, "user without items")]


def test_a_log_without_time_has_no_time(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("1 9\n1 8\n")
    assert read_log(path, columns=("user_id", "item_id"), time="order")[0] == [(1, "1", "9"), (2, "1", "8")]
    path.write_text("user_id item_id order\n1 9 5\n")
    assert read_log(path, time="order")[0] == [(2, "1", "9", "5")]
