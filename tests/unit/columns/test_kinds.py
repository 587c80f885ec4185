"""Kinds of columns: what each takes from text and typed columns, what it rejects, and that a new one is one row."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from ltrec.columns.kinds import COLUMN_KINDS, ColumnConfig, kind_of, kind_of_column, options_of
from ltrec.columns.kinds.categories import CategoriesConfig
from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import Number, NumberConfig
from ltrec.columns.kinds.time import NO_TIME, TimeConfig
from ltrec.columns.kinds.vector import VectorConfig
from ltrec.columns.names import check_names
from ltrec.columns.schema import Column
from ltrec.columns.statistics import Moments
from ltrec.core.errors import UserError

NULLS = ("NA", "null", r"\N")


def parsed(config, values, kind=None):
    """(values, {fault: rows})."""
    found = kind_of(config).parse(pa.array(values, kind), NULLS, "log: the column")
    assert found.values.type == kind_of(config).staged
    faults = {name: np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist() for name, mask in found.faults.items()}
    return found.values.to_pylist(), {name: rows for name, rows in faults.items() if rows}


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([" view ", "", "NA", "na", None, "a,b"], None, ["view", None, None, None, None, "a,b"]),
        ([1, 2, None], pa.int8(), ["1", "2", None]),
        ([1.0, 2.5, float("nan"), 1e17], None, ["1", "2.5", None, "1e+17"]),
        (["3.0", "3", "03"], None, ["3", "3", "03"]),
        ([True, None], None, ["true", None]),
        ([None], pa.null(), [None]),
    ],
)
def test_a_category_is_one_word_whatever_its_type(values, kind, words):
    assert parsed(CategoryConfig(), values, kind) == (words, {})


def test_a_text_of_a_thousand_characters_is_not_a_category():
    assert parsed(CategoryConfig(), ["x" * 1001, "y"])[1] == {"longer than 1000 characters": [0]}


def test_a_list_is_not_a_category():
    with pytest.raises(UserError, match=r"log: the column has type list.*kind categories"):
        parsed(CategoryConfig(), [["a"]])


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (["Action|War|Action", " Drama ", "", None, '["a", null, "b|c"]', "[broken"], None,
         [["Action", "War"], ["Drama"], None, None, ["a", "b|c"], ["[broken"]]),
        ([["a", "NA", None, " b "], [], None], pa.list_(pa.string()), [["a", "b"], [], None]),
        ([[1, 2], None], pa.large_list(pa.int64()), [["1", "2"], None]),
        ([[1.0, 2.0]], pa.list_(pa.float64(), 2), [["1", "2"]]),
        ([5, None], pa.int64(), [["5"], None]),
    ],
)  # fmt: skip
def test_categories_are_lists_or_a_text_with_separators(values, kind, words):
    assert parsed(CategoriesConfig(), values, kind) == (words, {})


def test_categories_have_a_separator_of_their_own():
    assert parsed(CategoriesConfig(separator=" "), ["a b", "c"])[0] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("values", "kind", "numbers", "faults"),
    [
        ([" 1.5 ", "+2", "-3e2", ".5", "", "NA", None], None, [1.5, 2, -300, 0.5, None, None, None], {}),
        (["x", "1,5", "0x10", "1e", "inf", "-Infinity", "1e999"], None, [None] * 7,
         {"no number": [0, 1, 2, 3], "infinite": [4, 5, 6]}),
        ([1.0, float("nan"), float("inf"), 1e300, None], None, [1, None, None, None, None], {"infinite": [2, 3]}),
        ([1, None], pa.int64(), [1, None], {}),
        ([True, False], None, [1, 0], {}),
        ([None], pa.null(), [None], {}),
    ],
)  # fmt: skip
def test_a_number_is_finite_or_missing(values, kind, numbers, faults):
    assert parsed(NumberConfig(), values, kind) == (numbers, faults)


def test_a_date_is_not_a_number():
    with pytest.raises(UserError, match="a number must be"):
        parsed(NumberConfig(), [datetime(2020, 1, 1)])


@pytest.mark.parametrize(
    ("config", "values", "seconds", "faults"),
    [
        (TimeConfig(), ["1970-01-02", "1970-01-01T00:00:01Z", "", None], [86400, 1, None, None], {}),
        (TimeConfig(), ["12.9", "-1", "1970-01-01 01:00:00+01:00", "soon", "1e30"], [12, -1, 0, None, None], {"no time": [3, 4]}),
        (TimeConfig(unit="ms"), [1500, -1, None], [1, -1, None], {}),
        (TimeConfig(), [1.5, float("nan"), 1e18], [1, None, None], {"no time": [2]}),
        (TimeConfig(), [datetime(1970, 1, 1, 0, 1), None], [60, None], {}),
    ],
)
def test_a_time_is_seconds_since_1970(config, values, seconds, faults):
    assert parsed(config, values) == (seconds, faults)


@pytest.mark.parametrize(
    ("values", "kind", "vectors", "faults"),
    [
        ([[1, 2], None, [1], [1, float("nan")], [3, None]], pa.list_(pa.float64()), [[1, 2], None, None, None, None],
         {"not 2 numbers": [2], "not finite": [3, 4]}),
        ([[1, 2], None], pa.list_(pa.float32(), 2), [[1, 2], None], {}),
        (["[1, 2]", "3 4", "5,6", "", "x", "[1, [2]]"], None, [[1, 2], [3, 4], [5, 6], None, None, None],
         {"no list of numbers": [4, 5]}),
    ],
)  # fmt: skip
def test_a_vector_has_its_width_and_finite_numbers(values, kind, vectors, faults):
    assert parsed(VectorConfig(width=2), values, kind) == (vectors, faults)


def test_a_vector_needs_its_width_and_numbers():
    with pytest.raises(UserError, match="needs its width"):
        kind_of(VectorConfig())
    with pytest.raises(UserError, match="a list of numbers"):
        parsed(VectorConfig(width=2), [1.0])


@pytest.mark.parametrize(
    ("config", "size", "good", "bad"),
    [
        (CategoryConfig(), 3, [0, 2], [[3], [-1]]),
        (CategoriesConfig(), 3, [1, 1], [[3]]),
        (NumberConfig(), 1, [1.0, float("nan")], [[float("inf")]]),
        (TimeConfig(), 1, [0, NO_TIME], [[2**60]]),
        (VectorConfig(width=2), 2, [[0.0, 1.0]], [[[0.0]], [[0.0, float("nan")]]]),
    ],
)
def test_every_kind_finds_what_is_wrong_with_stored_values(config, size, good, bad):
    column = Column("x", config.kind, "item", size, options=options_of(config))
    kind = kind_of_column(column)
    assert kind.fault(np.array(good), column) is None
    assert all("'x'" in kind.fault(np.array(values), column) for values in bad)


def test_moments_are_those_of_all_values_whatever_the_pieces():
    values = np.random.default_rng(0).lognormal(3, 2, 1000)
    missing = np.random.default_rng(1).random(1000) < 0.1
    moments = Moments(log=True)
    for piece in np.array_split(np.arange(1000), 7):
        moments.add(values[piece], missing[piece])
    found, there = moments.result(), values[~missing]
    logs = np.log1p(there)
    expected = [missing.mean(), there.mean(), there.std(), there.min(), there.max(), logs.mean(), logs.std()]
    assert list(found) == ["missing", "mean", "deviation", "least", "greatest", "log_mean", "log_deviation"]
    assert list(found.values()) == pytest.approx(expected)
    assert Moments().result() == {"missing": 0.0}


@dataclass(frozen=True, slots=True)
class PercentConfig(ColumnConfig):
    """Options."""

    kind: str = "percent"


class Percent(Number):
    """12 % as 0.12."""

    def parse(self, column, null_values, what):
        return super().parse(
            pa.array([text and str(float(text.rstrip(" %")) / 100) for text in column.to_pylist()]), null_values, what
        )


def test_a_kind_of_another_package_is_one_row():
    COLUMN_KINDS.register("percent", build=Percent, config=PercentConfig)
    try:
        assert parsed(PercentConfig(), ["12 %", None])[0] == [pytest.approx(0.12), None]
        with pytest.raises(UserError, match="registered already"):
            COLUMN_KINDS.register("percent", build=Percent, config=PercentConfig)
    finally:
        COLUMN_KINDS.remove("percent")


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("other", PercentConfig, "kind is 'percent'"),
        ("other", int, "extends ColumnConfig"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(name, config, message):
    with pytest.raises(UserError, match=message):
        COLUMN_KINDS.register(name, build=Percent, config=config)


@pytest.mark.parametrize("name", ["1st", "a.b", "", "a b", "time", "all", "x" * 65])
def test_invalid_and_reserved_names_are_refused(name):
    with pytest.raises(ValueError, match=r"is a reserved name|is not a valid column name"):
        check_names([name], "event")


def test_a_column_of_another_version_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"'x' of kind number.*another version"):
        kind_of_column(Column("x", "number", "event", options={"odd": 1}))
    with pytest.raises(UserError, match=r"unknown columns\.kind 'numeric'"):
        kind_of_column(Column("x", "numeric", "event"))
