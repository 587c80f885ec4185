"""What makes prepare cheap changes nothing: no text of whole numbers, hubs one by one, mapped pages given back."""

from __future__ import annotations

import json
import subprocess
import sys

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import FILE, OutOfMemory, database, reclaim
from ltrec.data.prepare.engines.duck import FEW, VECTOR_ROWS, DuckEngine
from ltrec.data.prepare.reach import links
from ltrec.data.prepare.readers.ids import canonical
from ltrec.data.prepare.staging import no_time
from ltrec.data.prepare.times.columns import timed
from tests.support.logs import START, prepared

MARKERS = ("NA", "-1", "0", "007", "1e5", " 3", "99999999999999999999")


def test_whole_numbers_are_missing_where_their_text_would_be():
    times = pa.array([None, -1, 0, 1, 3, 7, 100_000, 2**62], pa.int64())
    with duckdb.connect() as connection:
        connection.register("batch", pa.table({"time": times}))
        as_numbers = connection.execute(f"SELECT {no_time(pa.int64(), MARKERS)} FROM batch").fetchall()
        as_text = connection.execute(f"SELECT {no_time(pa.string(), MARKERS)} FROM batch").fetchall()
    assert [bool(row[0]) for row in as_numbers] == [bool(row[0]) for row in as_text] == [True, True, True] + [False] * 5


@pytest.mark.parametrize("times", [["5", None, "-3"], ["0"], [None], ["9223372036854775807"]])
def test_whole_numbers_in_text_are_read_as_numbers(times):
    batch, query, whole = timed(pa.table({"time": pa.array(times, pa.string())}), PrepareConfig(), 0)
    with duckdb.connect() as connection:
        connection.register("batch", batch)
        found = connection.execute(f"SELECT number, fraction, iso, text FROM ({query})").fetchall()
    assert whole and batch.schema.field("time").type == pa.int64()
    assert found == [(None if time is None else int(time), 0, False, None) for time in times]


@pytest.mark.parametrize("time", ["5.0", "05", " 5", "+5", "-0", "5e3", "NA", "2014-05-13", "9223372036854775808", ""])
def test_any_other_text_is_read_as_before(time):
    batch, _, whole = timed(pa.table({"time": ["7", time]}), PrepareConfig(), 0)
    assert not whole and batch["time"].to_pylist() == ["7", time]


@pytest.mark.parametrize(("id_", "found"), [("1e+05", "100000"), ("1E+05", "100000"), ("c++", "c++"), (" 7 ", "7"), (" na", None)])
def test_ids_with_a_plus(id_, found):
    assert canonical(pa.array([id_, "x"]), PrepareConfig().null_values).to_pylist() == [found, "x"]


@pytest.mark.parametrize("moments", [3, 10_000])
def test_hubs_are_the_same_one_by_one_and_by_ties(tmp_path, monkeypatch, moments):
    """Over a whole log, with long ties and with hardly any."""
    draw = np.random.default_rng(0)
    rows = [(f"u{n % 40}", f"i{min(99, int(draw.exponential(15)))}", START + int(draw.integers(moments))) for n in range(2000)]
    found = []
    original = links.find_links

    def both_ways(stream, *rest):
        blocks = list(stream)
        for pairs in (0, 1 << 30):
            monkeypatch.setattr(links, "PAIRS", pairs)
            result = original(blocks, *rest)
            found.append(result.hub_VW.copy())
        return result

    monkeypatch.setattr("ltrec.data.prepare.reach.measure.find_links", both_ways)
    prepared(tmp_path, rows)
    one, other = found
    assert one.any() and np.array_equal(one, other)


def test_released_pages_keep_what_was_written(tmp_path):
    array = links.mapped(tmp_path / "file", 1000, np.int64)
    array[:] = np.arange(1000)
    links.release(array, np.zeros(3))
    assert array.sum() == 499_500


def test_tables_are_larger_than_memory_and_their_places_are_used_again(tmp_path):
    with database(tmp_path, "100MB", 1) as connection:
        large = "CREATE TABLE {} AS SELECT range AS n, hash(range) AS h, hash(range + 1) AS i FROM range(10_000_000)"
        connection.execute(large.format("large"))
        assert connection.execute("SELECT sum(n) FROM large").fetchall() == [(49_999_995_000_000,)]
        once = (tmp_path / FILE).stat().st_size
        assert once > 240e6
        for _ in range(3):
            connection.execute("DROP TABLE large")
            reclaim(connection)
            connection.execute(large.format("large"))
        assert (tmp_path / FILE).stat().st_size < 1.1 * once
        assert not (tmp_path / "spill").exists() or list((tmp_path / "spill").iterdir()) == []


def test_rows_are_taken_out_of_everywhere_within_the_limit(tmp_path):
    """They would hold 16 KiB each while they are deleted, and ten thousand are more than this limit."""
    with database(tmp_path, "64MB", 1) as connection:
        connection.execute(f"CREATE TABLE events AS SELECT range AS tie FROM range({10_000 * VECTOR_ROWS})")
        with pytest.raises(OutOfMemory):
            connection.execute(f"DELETE FROM events WHERE tie % {VECTOR_ROWS} = 7")
        DuckEngine(connection, tmp_path).take_out(f"tie % {VECTOR_ROWS} = 7", 10_000, 10_000 * VECTOR_ROWS)
        left = "SELECT count(*), count(*) FILTER (WHERE tie % 2048 = 7) FROM events"
        assert connection.execute(left).fetchall() == [(10_000 * (VECTOR_ROWS - 1), 0)]


@pytest.mark.slow
def test_the_memory_limit_is_kept_by_the_whole_process(tmp_path):
    """`benchmarks/etl.py` says it of 25 M events; here there are enough to spill."""
    words = ["benchmarks/etl.py", "--events", "4000000", "--memory-limit", "200MB", "--dir", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["prepare"]["peak_mib"] <= found["peak_allowed_mib"]


@pytest.mark.parametrize("copies", [1, 3, 60])
def test_few_duplicates_are_deleted_and_many_are_written_around(tmp_path, copies):
    """Either way the first row of each is left."""
    rows = [(f"u{n % 10}", f"i{n}", START + n // 20) for n in range(100)]
    repeated = [rows[n % 20] for n in range(copies)]
    assert (copies * FEW > len(rows) + copies) == (copies == 60)
    manifest = prepared(tmp_path, rows + repeated, min_user_events=2)
    assert (manifest.summary["duplicates"], manifest.summary["events"]) == (copies, 100)


@pytest.mark.parametrize("rare", [1, 30])
def test_rare_users_are_taken_out_either_way(tmp_path, rare):
    rows = [(f"u{n % 10}", f"i{n % 7}", START + n) for n in range(100)] + [(f"rare{n}", "i0", START + n) for n in range(rare)]
    summary = prepared(tmp_path, rows, min_user_events=2).summary
    assert (summary["filtered_users"], summary["filtered_events"], summary["events"]) == (rare, rare, 100)
