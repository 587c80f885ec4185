"""The whole of prepare against plain Python, on random small logs with tied times, unsorted input and odd ids."""

from __future__ import annotations

import csv
import datetime as dt
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.naive_prepare import naive_prepare, read_back

START = 1_400_000_000
USERS = ["u1", "10", "9", "Ünï", 'quo"te, comma', "two words"]
ITEMS = ["a", "B", "b", "10", "9", "é"]

FORMS = {
    "s": lambda t: _decimal(t),
    "ms": lambda t: _decimal(t * 1000),
    "ns": lambda t: str(int(t * 10**9)),
    "iso": lambda t: _moment(t).isoformat(),
    "offset": lambda t: _moment(t).astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30))).isoformat(" "),
    "us": lambda t: _moment(t).strftime("%m/%d/%Y %I:%M:%S %p") if t % 1 == 0 else _moment(t).strftime("%m/%d/%Y %H:%M:%S.%f"),
    "basic": lambda t: _moment(t).strftime("%Y%m%dT%H%M%S.%fZ"),
}
"""How a log writes its times."""
NOBODY = [("NA", "a"), ("nan", "B"), ("u1", ""), (" ", "b"), ("u1", "NULL")]

parts = st.sampled_from([0, 0, 0, Fraction(1, 10**6), Fraction(1, 4)])
times = st.builds(lambda whole, part: whole + part, st.integers(START, START + 12), parts)
events = st.tuples(st.sampled_from(USERS), st.sampled_from(ITEMS), times)
rows = st.one_of(events, events, events, st.tuples(st.sampled_from(NOBODY), times).map(lambda row: (*row[0], row[1])))
logs = st.integers(0, 80).flatmap(lambda size: st.lists(rows, min_size=size, max_size=size))
options = st.fixed_dictionaries(
    {
        "duplicates": st.sampled_from(["auto", "keep", "keep", "drop_exact", "keep_first", "keep_last"]),
        "ties": st.sampled_from(["auto", "source", "hash"]),
        "tie_seed": st.integers(0, 1),
        "min_user_events": st.sampled_from([1, 1, 2, 4]),
        "min_item_events": st.sampled_from([1, 1, 2, 3]),
        "iterate": st.booleans(),
        "history_cap": st.integers(3, 6),
        "strata": st.integers(1, 4),
        "strata_bounds": st.sampled_from([(), (), (1, 3), (1, 2, 50)]),
        "head_share": st.sampled_from([0.2, 0.5]),
        "held_out_users": st.sampled_from([0.0, 0.0, 0.4]),
        "block_rows": st.integers(1, 3),
        "shard_events": st.sampled_from([1, 10, 1000]),
    }
)


def check(split, examples):
    @settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
    @given(logs, options, st.integers(0, 60), st.sampled_from(list(FORMS)))
    @example(
        [(u, i, START + n % 3) for u in USERS for n, i in enumerate(ITEMS * 3)], {"held_out_users": 0.4, "history_cap": 4}, 7, "us"
    )
    def compare(log, chosen, border, form):
        config = PrepareConfig(**chosen, name="x", split=split, valid_from="0.6", test_from="0.8", reject_budget=1.0, threads=1)
        _compare(log, config, border, FORMS[form])

    compare()


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_prepare_equals_the_naive_reference(split):
    check(split, 12)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_a_hundred_more_logs_equal_the_naive_reference(split):
    check(split, 50)


def _compare(log, config, border, write):
    with tempfile.TemporaryDirectory() as folder:
        sources = [_csv(Path(folder, f"{n}.csv"), part, write) for n, part in enumerate((log[:border], log[border:])) if part]
        config = _with(config, sources)
        good = [(user, item, time) for user, item, time in log if (user, item) not in NOBODY]
        expected = naive_prepare(good, config)
        out = Path(folder, "out")
        if expected is None:
            with pytest.raises(UserError):
                prepare(config, out)
            assert not out.exists()
            return
        manifest = prepare(config, out)
        rows, vocabulary = read_back(out)
        assert rows == expected.rows
        assert vocabulary == expected.vocabulary
        assert (manifest.strata.lower_bounds, manifest.strata.head_from) == (expected.lower_bounds, expected.head_from)
        summary = manifest.summary
        assert (summary["duplicates"], summary["filtered_events"], summary["capped_events"]) == (
            expected.duplicates,
            expected.filtered,
            expected.capped,
        )
        assert (summary["rows"], summary["rejected"]) == (len(log), len(log) - len(good))
        assert verify(out) == manifest


def _with(config, sources):
    values = {name: getattr(config, name) for name in config.__slots__}
    return PrepareConfig(**{**values, "sources": tuple(sources)})


def _decimal(time):
    return f"{int(time)}.{int(time % 1 * 10**9):09}" if time % 1 else str(int(time))


def _moment(time):
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=int(time), microseconds=int(time % 1 * 10**6))


def _csv(path, rows, write):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        writer.writerows((user, item, write(time)) for user, item, time in rows)
    return str(path)
