from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from ltrec.core.errors import UserError
from ltrec.inference.given.ids import NONE, UNKNOWN, ItemIds
from ltrec.inference.given.moments import order_of, plain_times, seconds_of

IDS = ItemIds(["", "101", "b", "-7"], ("NA",))
PLACE = "row {}".format


@pytest.mark.parametrize(
    ("given", "items"),
    [
        (pa.array(["101", " 101", "101.0", "b", "B", "na", None, ""]), [1, 1, 1, 2, UNKNOWN, NONE, NONE, NONE]),
        (pa.array([101, 7, None, -7]), [1, UNKNOWN, NONE, 3]),
        (pa.array([101.0, 101.5, np.nan]), [1, UNKNOWN, NONE]),
        (pa.array([b"b", b"c"]), [2, UNKNOWN]),
        (pa.array(["b", "101", "b"]).dictionary_encode(), [2, 1, 2]),
        (pa.array(["b"], pa.large_string()), [2]),
        (pa.array([], pa.string()), []),
        (pa.array([None, None]), [NONE, NONE]),
    ],
)
def test_ids_are_those_of_prepare(given, items):
    assert IDS.of(given, "it", PLACE).tolist() == items


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (pa.array([101, -1]), "row 1: item -1 is negative, and no item of the data; leave padding out"),
        (pa.array([b"\xff"]), "bytes that are not UTF-8"),
        (pa.array([True]), "has type bool; ids must be"),
        (pa.array([2.0**60]), "too large to be exact"),
    ],
)
def test_ids_that_are_none_are_refused(given, line):
    with pytest.raises(UserError, match=line):
        IDS.of(given, "it", PLACE)


NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())


@pytest.mark.parametrize(
    ("given", "unit"),
    [
        (pa.array([NOON], pa.timestamp("us", "UTC")), "iso"),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")), "ms"),
        (pa.array([SECONDS]), "s"),
        (pa.array([SECONDS * 1000 + 999]), "ms"),
        (pa.array([SECONDS + 0.5]), "s"),
        (pa.array([SECONDS]), "order"),
        (pa.array([str(SECONDS * 1000 + 999)]), "ms"),
        (pa.array(["2024-05-01T12:00:00Z"]), "iso"),
        (pa.array(["2024-05-01 14:00:00.25+02:00"], pa.large_string()), "iso"),
    ],
)
def test_times_are_seconds_whatever_they_are_given_as(given, unit):
    assert seconds_of(plain_times(given, "it", PLACE), unit, "it").tolist() == [SECONDS]


def test_days_are_their_midnights():
    given = pa.array([NOON.date()])
    assert seconds_of(plain_times(given, "it", PLACE), "iso", "it").tolist() == [SECONDS - 12 * 3600]


def test_order_keeps_what_is_below_a_second():
    texts = pa.array(["2024-05-01T12:00:00.2", "2024-05-01T12:00:00.1"])
    assert np.diff(order_of(plain_times(texts, "it", PLACE)))[0] < 0
    moments = pa.array([2, 1], pa.timestamp("ns"))
    assert np.diff(order_of(plain_times(moments, "it", PLACE)))[0] < 0


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (pa.array([1.0, np.nan]), "row 1: its time is missing, or no time"),
        (pa.array([1, None]), "row 1: its time is missing"),
        (pa.array(["2024-05-01", "soon"]), "row 1: its time is missing, or no time"),
        (pa.array([True]), "has type bool; times are"),
    ],
)
def test_times_that_are_none_are_refused(given, line):
    with pytest.raises(UserError, match=line):
        plain_times(given, "it", PLACE)


def test_numbers_are_refused_where_the_log_had_none():
    given = pa.array([1])
    with pytest.raises(UserError, match="the times of the log were none"):
        seconds_of(plain_times(given, "it", PLACE), "%d.%m.%Y", "it")
