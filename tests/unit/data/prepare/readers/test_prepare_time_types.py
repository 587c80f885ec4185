"""Times keep their whole resolution: no type of a column and no number of digits lets two events change places."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from tests.support.logs import write_csv
from tests.support.naive_prepare import read_back
from tests.support.times import read_times

NOW = 1_700_000_000
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@pytest.mark.parametrize("unit", UNITS)
def test_text_with_decimals_is_exact(unit):
    @settings(max_examples=20)
    @given(st.lists(st.decimals(0, 1, places=15, allow_nan=False), min_size=1, max_size=20))
    def check(parts):
        texts = [str(Decimal(NOW * UNITS[unit]) + part) for part in parts]
        chosen, read = read_times(texts)
        assert chosen.name == unit and read == [Fraction(text) / UNITS[unit] for text in texts]

    check()


@settings(max_examples=20)
@given(st.lists(st.floats(NOW - 10, NOW + 10), min_size=2, max_size=30))
def test_doubles_stay_as_many_and_in_order(values):
    read = read_times(pa.array(values, pa.float64()))[1]
    assert [int(value) for value in read] == [int(value) for value in values]
    assert np.argsort(values, kind="stable").tolist() == sorted(range(len(read)), key=read.__getitem__)
    assert len(set(read)) == len(set(values))


@pytest.mark.parametrize("digits", range(1, 19))
def test_iso_text_holds_up_to_eighteen_decimals(digits):
    part = "123456789123456789"[:digits]
    for text in (f"2023-11-14T22:13:20.{part}Z", f"2023-11-14 23:13:20,{part}+01:00"):
        assert read_times([text])[1] == [NOW + Fraction(int(part), 10**digits)]


@pytest.mark.parametrize("text", [f"{NOW}.{'0' * 18}1", f"2023-11-14T22:13:20.{'0' * 18}1Z"])
def test_more_decimals_are_rejected_not_rounded(text):
    good = text.replace("1Z", "Z") if text.endswith("Z") else text[:-1]
    assert read_times([good, text])[1] == [Fraction(NOW), None]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("zone", [None, "Europe/Paris"])
def test_typed_timestamps_are_exact(unit, zone):
    values = [NOW * UNITS[unit] + n for n in (7, -1, 0)]
    chosen, read = read_times(pa.array(values, pa.timestamp(unit, zone)))
    assert chosen.name == "iso" and read == [Fraction(value, UNITS[unit]) for value in values]


def test_timestamps_far_away_do_not_come_back_as_others():
    assert read_times(pa.array([NOW, 2**62, -(2**62)], pa.timestamp("s")))[1] == [Fraction(NOW), None, None]


@pytest.mark.parametrize("unit", UNITS)
def test_the_least_timestamp_which_some_writers_mean_by_no_time_is_a_reject(unit):
    assert read_times(pa.array([NOW * UNITS[unit], -(2**63), -(2**63) + 1], pa.timestamp(unit)))[1] == [Fraction(NOW), None, None]


def log(path, times, **more):
    pq.write_table(
        pa.table(
            {
                "user_id": ["a"] * len(times) + ["b"] * 3,
                "item_id": [f"i{n}" for n in range(len(times) + 3)],
                "timestamp": pa.concat_arrays([times, times.take([0, 0, 0])]),
                **more,
            }
        ),
        path,
    )
    return str(path)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([NOW * 10**9 + n for n in (3, 2, 1, 0)], pa.timestamp("ns")),
        pa.array([NOW * 10**9 + n for n in (3, 2, 1, 0)], pa.uint64()),
        pa.array([Decimal(NOW) + Decimal(n).scaleb(-18) for n in (3, 2, 1, 0)], pa.decimal128(38, 18)),
        pa.array([Decimal(NOW * 10**9 + n) for n in (3, 2, 1, 0)], pa.decimal128(38, 0)),
        pa.array([Decimal(NOW) + Decimal(n).scaleb(-10) for n in (3, 2, 1, 0)], pa.decimal256(60, 10)),
        pa.array([NOW + n / 4 for n in (3, 2, 1, 0)], pa.float64()),
        pa.array([f"{NOW}.12345678{n}" for n in (3, 2, 1, 0)], pa.large_string()),
        pa.array([f"{NOW}.12345678{n}".encode() for n in (3, 2, 1, 0)], pa.binary()),
        pa.array([f"2023-11-14T22:13:20.12345678{n}" for n in (3, 2, 1, 0)]).dictionary_encode(),
        pa.array([dt.date(2023, 11, 14 + n) for n in (3, 2, 1, 0)]),
        pa.array([NOW + n for n in (3, 2, 1, 0)], pa.int32()),
    ],
    ids=lambda times: str(times.type),
)
def test_columns_of_a_parquet_file_keep_their_order(tmp_path, times):
    prepare(PrepareConfig(sources=(log(tmp_path / "log.parquet", times),), threads=1), tmp_path / "out")
    assert read_back(tmp_path / "out")[0]["a"].items == ("i3", "i2", "i1", "i0")


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (pa.array([1.0] * 4, pa.float32()), r"has type float, which holds about 7 digits: seconds since 1970 are rounded to 128 s"),
        (pa.array(np.ones(4, np.float16)), "has type halffloat"),
        (pa.array([True] * 4), "has type bool"),
        (pa.array([dt.time(1)] * 4), "has type time64"),
        (pa.array([dt.timedelta(1)] * 4), "has type duration"),
        (pa.array([[1]] * 4), "has type list"),
        (pa.array([Decimal(1).scaleb(-20)] * 4, pa.decimal128(38, 20)), "cannot be read as parquet: .* data loss"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_columns_that_hold_no_times_or_rounded_ones_stop(tmp_path, times, message):
    with pytest.raises(UserError, match=message):
        prepare(PrepareConfig(sources=(log(tmp_path / "log.parquet", times),), threads=1), tmp_path / "out")


@pytest.mark.parametrize(("unit", "noted"), [(10**9, True), (10**6, False)])
def test_nanoseconds_as_doubles_are_reported_as_rounded(tmp_path, unit, noted):
    source = log(tmp_path / "log.parquet", pa.array([float((NOW + n) * unit) for n in range(4)], pa.float64()))
    notes = prepare(PrepareConfig(sources=(source,), threads=1), tmp_path / "out").summary["notes"]
    assert ["floating-point numbers above 2^53" in note for note in notes] == [True] * noted


def test_a_format_is_refused_for_timestamps(tmp_path):
    source = log(tmp_path / "log.parquet", pa.array([NOW] * 4, pa.timestamp("s")))
    with pytest.raises(UserError, match="`time_format`='%Y' is for text, but column 'timestamp' has type timestamp"):
        prepare(PrepareConfig(sources=(source,), time_format="%Y"), tmp_path / "out")


def test_the_unit_is_that_of_all_files_not_of_each(tmp_path):
    """A small file in milliseconds is not a log of its own: its rows are rejects."""
    rows = [(u, str(n), NOW + n) for u in "abc" for n in range(9)]
    write_csv(tmp_path / "log" / "1.csv", [(u, f"m{n}", (NOW + n) * 1000) for u in "ab" for n in range(2)])
    write_csv(tmp_path / "log" / "2.csv", rows)
    config = PrepareConfig(sources=(str(tmp_path / "log"),), reject_budget=0.5, threads=1)
    assert prepare(config, tmp_path / "out").summary["rejects"] == {"time not plausible in unit s": 4}


def test_a_log_without_times_is_in_their_order(tmp_path):
    rng = random.Random(0)
    rows = [(rng.choice("abc"), str(rng.randrange(5))) for _ in range(60)]
    names = ("user_id", "item_id")
    sources = tuple(str(write_csv(tmp_path / f"{n}.csv", part, names)) for n, part in enumerate((rows[:35], rows[35:])))
    for ties in ("auto", "source", "hash"):
        manifest = prepare(PrepareConfig(sources=sources, time="order", ties=ties, threads=1), tmp_path / ties)
        assert manifest.source["time_unit"] == "order" and manifest.summary["events"] == 60
        found = read_back(tmp_path / ties)[0]
        assert {user: row.items for user, row in found.items()} == {u: tuple(i for v, i in rows if v == u) for u in "abc"}


def test_a_column_order_in_some_files_only(tmp_path):
    one = write_csv(tmp_path / "1.csv", [("a", "x", 1)], ("user_id", "item_id", "order"))
    two = write_csv(tmp_path / "2.csv", [("a", "x")], ("user_id", "item_id"))
    with pytest.raises(UserError, match=r"2\.csv has no column 'order', other files differ"):
        prepare(PrepareConfig(sources=(str(one), str(two)), time="order"), tmp_path / "out")


@pytest.mark.parametrize("place", ['"t": {}', '"t": "{}"', '"t":\t{} ', '"x": {{"t": 1700000000.5}}, "t": {}'])
def test_decimals_in_json_lines(tmp_path, place):
    """A JSON number is a double for whoever parses it; what stands in the line is more exact."""
    times = [f"{NOW}.123456789{n}" for n in (4, 3, 2, 1)]
    lines = [f'{{"user_id": "{u}", "item_id": "i{t[-1]}", {place.format(t)}}}' for u in "ab" for t in times]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    prepare(PrepareConfig(sources=(str(tmp_path / "log.jsonl"),), time="t", threads=1), tmp_path / "out")
    assert read_back(tmp_path / "out")[0]["a"].items == ("i1", "i2", "i3", "i4")


@pytest.mark.parametrize("time", ["{}", '"{}"'])
def test_nanoseconds_in_json_lines(tmp_path, time):
    lines = [
        f'{{"user_id": "{u}", "item_id": "i{n}", "timestamp": {time.format(NOW * 10**9 + n)}}}' for u in "ab" for n in (4, 3, 2, 1)
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    prepare(PrepareConfig(sources=(str(tmp_path / "log.jsonl"),), threads=1), tmp_path / "out")
    assert read_back(tmp_path / "out")[0]["a"].items == ("i1", "i2", "i3", "i4")
