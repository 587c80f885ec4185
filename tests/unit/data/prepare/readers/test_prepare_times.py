"""Units of time: one per log, the rest are rejects."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.data.prepare.times.choice import parse_date
from tests.support.logs import START, prepared
from tests.support.naive_prepare import read_back


def log(*times):
    return [(user, f"i{n}", time) for user in "ab" for n, time in enumerate(times)]


def times_of(folder):
    return read_back(folder / "out")[0]["a"].times


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("asked", ["auto", "itself"])
def test_whole_numbers(tmp_path, unit, scale, asked):
    manifest = prepared(tmp_path, log(*((START + n) * scale for n in range(4))), time_unit=unit if asked == "itself" else "auto")
    assert manifest.source["time_unit"] == unit
    assert times_of(tmp_path) == (START, START + 1, START + 2, START + 3)


@pytest.mark.parametrize(
    "text",
    [
        "2014-05-13T16:53:20Z",
        "2014-05-13 16:53:20",
        "2014-05-13T18:53:20+02:00",
        "2014-05-13 16:53:20.0",
        "2014-05-13T09:53:20-0700",
    ],
)
def test_dates_as_text(tmp_path, text):
    manifest = prepared(tmp_path, log(text, "2014-05-14", "2015-01-01", "2015-1-2"))
    assert manifest.source["time_unit"] == "iso"
    assert times_of(tmp_path) == (START, parse_date("2014-05-14", ""), parse_date("2015-01-01", ""), parse_date("2015-01-02", ""))


def test_parts_of_a_second_order_events_and_are_then_dropped(tmp_path):
    times = {"d": f"{START}.75", "c": f"{START}.250001", "b": f"{START}.25", "a": f"{START - 1}.999999"}
    rows = [(user, item, time) for user in "uv" for item, time in times.items()]
    prepared(tmp_path, rows)
    row = read_back(tmp_path / "out")[0]["u"]
    assert (row.items, row.times) == (("a", "b", "c", "d"), (START - 1, START, START, START))


def test_milliseconds_order_events_too(tmp_path):
    prepared(tmp_path, [(u, f"i{t}", START * 1000 + t) for u in "ab" for t in (2, 1, 4, 3)])
    assert read_back(tmp_path / "out")[0]["a"].items == ("i1", "i2", "i3", "i4")


def test_positions_instead_of_times(tmp_path):
    assert prepared(tmp_path, log(1, 2, 3, 4)).source["time_unit"] == "order"
    assert times_of(tmp_path) == (1, 2, 3, 4)


def test_mixed_units_are_rejected_not_converted(tmp_path):
    rows = [
        *log(*range(START, START + 50)),
        ("a", "odd", START * 1000),
        ("b", "odd", "2014-05-13"),
        ("b", "odd", 17),
        ("b", "odd", -1),
    ]
    manifest = prepared(tmp_path, rows, reject_budget=0.1)
    assert manifest.summary["rejects"] == {"time not plausible in unit s": 4}
    assert manifest.summary["events"] == 100
    rejects = pq.read_table(tmp_path / "out" / manifest.summary["rejects_file"]["path"]).to_pylist()
    assert [(r["file"], r["row"]) for r in rejects] == [("log.csv", row) for row in (102, 103, 104, 105)]


def test_a_log_half_in_another_unit_stops(tmp_path):
    with pytest.raises(UserError, match=r"3 of 8 rows rejected \(37\.50%, budget 0\.10%\): 3 x time not plausible in unit s"):
        prepared(tmp_path, [*log(START, START + 1), ("a", "x", START + 2), *[("b", "x", START * 1000 + n) for n in range(3)]])


def test_a_wrong_unit_stops(tmp_path):
    with pytest.raises(
        UserError,
        match="'1400000000' is not a time with `time_unit`=ms, nor is any value so far; without this option, ltrec reads ISO 8601",
    ):
        prepared(tmp_path, log(START, START + 1, START + 2), time_unit="ms")


@pytest.mark.parametrize(("time", "good"), [(631152000, True), (631151999, False), (4102444799, True), (4102444800, False)])
def test_the_plausible_range(tmp_path, time, good):
    manifest = prepared(tmp_path, [*log(START, START + 1), ("a", "x", time)], reject_budget=0.5, time_unit="s")
    assert manifest.summary["rejected"] == (not good)


def test_another_plausible_range(tmp_path):
    times = [parse_date(f"19{year}-06-01", "") for year in (65, 66, 67, 70)]
    assert times[0] < 0
    prepared(tmp_path, log(*times), earliest="1960-01-01", time_unit="s")
    assert times_of(tmp_path) == tuple(times)


def test_a_range_that_is_not_a_date(tmp_path):
    with pytest.raises(UserError, match=r"`earliest` must be an ISO date such as 2014-07-01; got 'yesterday'"):
        prepared(tmp_path, earliest="yesterday")
