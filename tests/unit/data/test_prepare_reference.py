"""The whole of prepare against plain Python, on random small logs with tied times, unsorted input and odd ids."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify import verify
from tests.support.naive_prepare import naive_prepare, read_back

START = 1_400_000_000
USERS = ["u1", "10", "9", "Ünï", 'quo"te, comma', "two words"]
ITEMS = ["a", "B", "b", "10", "9", "é"]

events = st.tuples(st.sampled_from(USERS), st.sampled_from(ITEMS), st.integers(START, START + 12))
logs = st.integers(0, 80).flatmap(lambda size: st.lists(events, min_size=size, max_size=size))
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
        "cold_users": st.sampled_from([0.0, 0.0, 0.4]),
        "block_rows": st.integers(1, 3),
        "shard_events": st.sampled_from([1, 10, 1000]),
    }
)
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_prepare_equals_the_naive_reference(split):
    @few
    @given(logs, options, st.integers(0, 60))
    @example([(u, i, START + n % 3) for u in USERS for n, i in enumerate(ITEMS * 3)], {"cold_users": 0.4, "history_cap": 4}, 7)
    def check(log, chosen, border):
        config = PrepareConfig(**chosen, name="x", split=split, valid_from="0.6", test_from="0.8", threads=1)
        _compare(log, config, border)

    check()


def _compare(log, config, border):
    with tempfile.TemporaryDirectory() as folder:
        sources = [_csv(Path(folder, f"{n}.csv"), part) for n, part in enumerate((log[:border], log[border:])) if part]
        config = _with(config, sources)
        expected = naive_prepare(log, config)
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
        assert verify(out) == manifest


def _with(config, sources):
    values = {name: getattr(config, name) for name in config.__slots__}
    return PrepareConfig(**{**values, "sources": tuple(sources)})


def _csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        writer.writerows(rows)
    return str(path)
