"""Ways to write a time: those that are read by themselves, those that need a word, and those that stop the work."""

from __future__ import annotations

import datetime as dt
import random
from fractions import Fraction

import pyarrow as pa
import pytest

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.times.choice import ENOUGH_ROWS
from ltrec.data.prepare.times.text import AMBIGUOUS, check_format
from tests.support.logs import prepared, some_events, write_csv
from tests.support.times import read_times

# As Python's strftime writes it -> the name that prepare says.
WRITTEN = {
    "%m/%d/%Y %H:%M": "%m/%d/%Y %H:%M",
    "%m/%d/%Y, %I:%M:%S %p": "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y\u202f%I:%M:%S\u202f%p": "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y": "%d/%m/%Y",
    "%d.%m.%Y %H:%M:%S": "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y %H:%M:%S.%f": "%d-%m-%Y %H:%M:%S.%f",
    "%m/%d/%y %H:%M": "%m/%d/%y %H:%M",
    "%a %b %d %H:%M:%S +0000 %Y": "%b %d %H:%M:%S %z %Y",
    "%a %b %d %H:%M:%S %Y": "%b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S UTC %Y": "%b %d %H:%M:%S %z %Y",
    "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)": "%b %d %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT": "%d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S +0000": "%d %b %Y %H:%M:%S %z",
    "%A, %d %B %Y": "%d %B %Y",
    "%B %d, %Y %I:%M%p": "%B %d %Y %I:%M %p",
    "%d-%b-%Y": "%d-%b-%Y",
    "%d-%b-%y %H:%M": "%d-%b-%y %H:%M",
    "%d/%b/%Y:%H:%M:%S +0000": "%d/%b/%Y:%H:%M:%S %z",
    "%Y%m%dT%H%M%SZ": "%Y%m%dT%H%M%S %z",
    "%Y%m%dT%H%M%S.%f": "%Y%m%dT%H%M%S.%f",
    "%Y%m%d %H:%M:%S": "%Y%m%d %H:%M:%S",
    "%Y-%m-%d %I:%M %p": "%Y-%m-%d %I:%M %p",
    "%Y.%m.%d %H:%M": "%Y.%m.%d %H:%M",
    "%Y%m%d": "%Y%m%d",
    "%Y%m%d%H%M": "%Y%m%d%H%M",
    "%Y%m%d%H%M%S": "%Y%m%d%H%M%S",
    "%Y%m%d%H%M%S.%f": "%Y%m%d%H%M%S",
    "%d%m%Y": "%d%m%Y",
    "%Y-%m-%d": "iso",
    "%Y/%m/%d %H:%M": "iso",
    "%Y-%m-%dT%H:%M:%S.%fZ": "iso",
    "%Y-%m-%d %H:%M:%S,%f": "iso",
    "%Y-%m-%d %H:%M:%S UTC": "iso",
}
RANDOM = random.Random(0)
EARLIEST = dt.datetime(1990, 1, 1)
"""Two digits of a year reach to 2068."""
DECIDES = dt.datetime(2021, 5, 31, 13, 14, 15)


def seconds(moment):
    return Fraction((moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1), 10**6)


@pytest.mark.parametrize("form", WRITTEN)
def test_common_forms_are_read_as_python_writes_them(form):
    moments = [EARLIEST + dt.timedelta(microseconds=RANDOM.randrange(79 * 365 * 86_400 * 10**6)) for _ in range(200)]
    texts = [moment.strftime(form) for moment in [*moments, DECIDES]]
    chosen, read = read_times(texts)
    assert chosen.name == WRITTEN[form]
    assert read == [seconds(dt.datetime.strptime(text, form)) for text in texts]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("11/14/2023 22:13:20 +0200", 20),
        ("11/14/2023 22:13:20+02:00", 20),
        ("14 Nov 2023 22:13:20 -0700", 29),
        ("20231114T221320+0200", 20),
        ("2023-11-14 22:13:20.000000000 +0200 CEST", 20),
        ("Sept 14, 2023 22:13:20 -0700", 29 - 61 * 24),
        ("2023-11-14T22:13:20+02:00", 20),
        ("2023-11-14 22:13:20 Europe/Berlin", 21),
        ("Tue Nov 14 2023 22:13:20 GMT-0500 (Eastern Standard Time)", 27),
    ],
)
def test_offsets_are_subtracted(text, utc):
    assert read_times([text])[1] == [seconds(dt.datetime(2023, 11, 14, 0, 13, 20) + dt.timedelta(hours=utc))]


@pytest.mark.parametrize(("one", "other"), AMBIGUOUS)
def test_month_and_day_are_never_guessed(one, other):
    unclear = [dt.datetime(2023, month, day).strftime(one) for month, day in ((1, 2), (3, 4), (5, 6))]
    with pytest.raises(UserError, match="may have the month or the day first, no row tells which; set `time_format`='") as stop:
        read_times(unclear)
    assert f"`time_format`={one!r} or `time_format`={other!r}" in str(stop.value)
    for form, day in ((one, dt.datetime(2023, 1, 2)), (other, dt.datetime(2023, 2, 1))):
        assert read_times(unclear, time_format=form)[1][0] == seconds(day)
        assert read_times([*unclear, dt.datetime(2023, 7, 25).strftime(form)])[1][0] == seconds(day)
    with pytest.raises(UserError, match="1 rows say one and 1 the other"):
        read_times([*unclear, dt.datetime(2023, 7, 25).strftime(one), dt.datetime(2023, 7, 25).strftime(other)])


def test_one_day_above_twelve_in_the_last_of_many_rows_decides():
    chosen, read = read_times([f"0{1 + n % 9}/02/2023" for n in range(5000)] + ["01/13/2023"])
    assert chosen.name == "%m/%d/%Y" and read[0] == seconds(dt.datetime(2023, 1, 2))


def test_a_form_outside_the_sample_is_found_in_the_remaining_rows():
    chosen, read = read_times(["?"] * 4000 + ["14-Nov-2023"] * 10)
    assert chosen.name == "%d-%b-%Y" and read.count(None) == 4000


def test_mixed_forms_are_rejected_not_converted():
    chosen, read = read_times(["11/14/2023"] * 50 + ["14 Nov 2023", "1700000000", "soon", "2023-11-14"])
    assert chosen.name == "%m/%d/%Y" and [n for n, value in enumerate(read) if value is None] == [50, 51, 52]
    assert read[53] == read[0]


def test_digits_are_either_dates_or_positions():
    assert read_times(["20231114", "20231231", "20231399"])[1][2] is None
    chosen, read = read_times([str(n) for n in range(20_010_000, 20_020_000)])
    assert chosen.name == "order" and None not in read


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("%d/%m/%Y %H:%M", "14/11/2023 22:13"),
        ("%a, %d %b %Y %H:%M:%S.%f %z", "Tue, 14 Nov 2023 22:13:20.123456789 +0000"),
        ("%H:%M:%S,%f %d.%m.%Y", "22:13:20,123456789 14.11.2023"),
        ("%m/%d/%Y, %I:%M:%S%p", "11/14/2023, 10:13:20PM"),
        ("%Y%m%d%H%M%S%f", "20231114221320123456789"),
        ("%Y-%m-%dT%H:%M:%S%z", "2023-11-14T22:13:20Z"),
        ("%Y-%m-%dT%H:%M:%SZ", "2023-11-14T22:13:20Z"),
        ("%Y-%m-%d %H:%M:%S %Z", "2023-11-14 23:13:20 CET"),
        ("%d %B %Y", "14 November 2023"),
        ("%Y-%j", "2023-318"),
    ],
)
def test_a_format_of_the_users_own(time_format, text):
    check_format(time_format)
    whole = dt.datetime(2023, 11, 14, *((22, 13, 20 if "%S" in time_format else 0) if "%M" in time_format else ()))
    part = Fraction(123456789, 10**9) if "%f" in time_format else 0
    assert read_times([text], time_format=time_format)[1] == [seconds(whole) + part]


@pytest.mark.parametrize("year", ["0001", "9999"])
@pytest.mark.parametrize(
    ("time_format", "text"), [("%d.%m.%Y", "14.11.{}"), ("", "14/Nov/{}:22:13:20"), ("", "Tue Nov 14 22:13:20 +0000 {}")]
)
def test_a_year_that_stands_for_no_date_is_a_reject(time_format, text, year):
    good, none = read_times([text.format("2023"), text.format(year)], time_format=time_format)[1]
    assert good is not None and none is None


@pytest.mark.parametrize(
    ("time_format", "message"),
    [
        ("%Q", r"`time_format`='%Q' is not a strptime format such as %m/%d/%Y %H:%M: %Q"),
        ("%Y %", "is not a strptime format"),
        ("%H:%M", "has no year"),
        ("yesterday", "has no year"),
        ("%Y-%m-%d %I:%M", "%I .* and %p .* go together"),
        ("%Y-%m-%d %H:%M %p", "%I .* and %p .* go together"),
        ("%s", "use `time_unit`=s"),
    ],
)
def test_an_impossible_format_is_refused_before_anything_is_read(tmp_path, time_format, message):
    with pytest.raises(UserError, match=message):
        prepare(PrepareConfig(sources=("nowhere.csv",), time_format=time_format), tmp_path / "out")


def test_a_format_and_a_unit_contradict_each_other():
    with pytest.raises(ValueError, match="give only one of them"):
        PrepareConfig(time_format="%Y", time_unit="s")


@pytest.mark.parametrize("options", [{}, {"time_format": "%d/%m/%Y"}, {"time_unit": "ms"}])
def test_unreadable_times_stop_early_with_an_example(tmp_path, options):
    write_csv(tmp_path / "log" / "1.csv", [("u", "i", f"week {n}") for n in range(ENOUGH_ROWS)])
    (tmp_path / "log" / "2.csv").write_text("no log at all\n")
    config = PrepareConfig(sources=(str(tmp_path / "log"),), **options)
    with pytest.raises(UserError, match=r"column 'timestamp': 'week 0' is not a time.* ISO 8601 \(2023-11-14T22:13:20Z\)"):
        prepare(config, tmp_path / "out")


def test_an_ambiguous_zone_name_is_not_read_without_a_format():
    for zone in ("BST", "CST", "CEST"):
        with pytest.raises(UserError, match=f"'2023-11-14 22:13:20 {zone}' is not a time"):
            read_times([f"2023-11-14 22:13:20 {zone}"])


def test_the_example_is_shown_as_it_stands_in_the_log():
    with pytest.raises(UserError, match=r"'1,700,000,000' is not a time, .* 20231114, from 1990-01-01 to 2100-01-01"):
        read_times(["1,700,000,000"])
    for dates in (["2023-11-14T22:13:20Z"], pa.array([1_700_000_000], pa.timestamp("s"))):
        with pytest.raises(UserError, match=r"'2023-11-14 22:13:20' is not a time with `time_unit`=s"):
            read_times(dates, time_unit="s")


def test_null_markers_are_null_times(tmp_path):
    rows = [("a", "x", null) for null in ("NULL", "nan", " ", "na", r"\N")]
    manifest = prepared(tmp_path, [*some_events(), *rows], reject_budget=0.5)
    assert manifest.summary["rejects"] == {"null time": 5}


def test_the_form_is_reported(tmp_path):
    manifest = prepared(tmp_path, [(u, str(n), f"11/{14 + n}/2023 10:13 PM") for u in "ab" for n in range(4)])
    assert manifest.source["time_unit"] == "%m/%d/%Y %I:%M %p"
