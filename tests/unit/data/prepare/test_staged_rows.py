"""Rows in few columns, ids as whole numbers, and numbers that occur twice: what is cheap gives the same data set."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import database
from ltrec.data.prepare.engines.duck_staged import OTHER, PLAIN, DuckStaged
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.readers.ids import canonical
from ltrec.data.prepare.sorting import repeated as sorting
from ltrec.data.prepare.sorting.repeated import repeated
from ltrec.data.prepare.times.choice import choose_time
from ltrec.data.prepare.whole_numbers import whole_numbers
from tests.support.logs import START, write_csv

ROWS = [(u * 7 - 20, i * i - 9, START + 1000 * u + i // 2) for u in range(9) for i in range(u + 2)]
"""Ids as whole numbers, some of them negative, and ties."""


def write(path, rows, kind):
    """A file of these rows: parquet with ids as numbers, or as text; or csv."""
    if kind == "csv":
        return write_csv(path, rows)
    user, item, time = (list(column) for column in zip(*rows, strict=True))
    ids = [list(map(str, user)), list(map(str, item))] if kind == "text" else [user, item]
    pq.write_table(pa.table({"user_id": ids[0], "item_id": ids[1], "timestamp": time}), path)
    return path


def shards_of(folder, files, **options) -> tuple[tuple[str, ...], dict]:
    """Names of the shards, which are their hashes, and the summary."""
    config = PrepareConfig(name="x", sources=tuple(str(path) for path in files), threads=1, **options)
    manifest: Manifest = prepare(config, folder / "out")
    return named(manifest)


def named(manifest: Manifest) -> tuple[tuple[str, ...], dict]:
    """Names and summary of a data set."""
    return (*(shard.path for shard in manifest.shards), manifest.vocab.sha256), dict(manifest.summary)


@pytest.mark.parametrize("last", [[], [("x-1", "y", START), ("x-1", "3", START + 1), (1, 7, START + 2)]], ids=["whole", "and text"])
def test_ids_in_any_type_give_the_same_shards(tmp_path, last):
    found = []
    for kinds in (("csv", "csv"), ("number", "csv"), ("text", "csv"), ("number", "number" if not last else "text")):
        (folder := tmp_path / "".join(kinds)).mkdir()
        more = [*ROWS[30:], *last]
        paths = [write(folder / f"{number}.{'csv' if kind == 'csv' else 'parquet'}", rows, kind)
                 for number, (kind, rows) in enumerate(zip(kinds, (ROWS[:30], more), strict=True))]  # fmt: skip
        found.append(shards_of(folder, paths))
    assert all(other == found[0] for other in found[1:])
    assert found[0][1]["rows"] == len(ROWS) + len(last)


def test_text_after_numbers_turns_the_column_into_text_and_rejects_keep_their_words(tmp_path):
    rows = [(1, 2, START), (1, None, START), (None, 3, START), (-1, 3, START), (5, 6, START * 1000), ("a", 2, START)]
    path = write_csv(tmp_path / "log" / "log.csv", rows + [(u, i, START + i) for u in range(3) for i in range(4)])
    config = PrepareConfig(sources=(str(path),), threads=1, reject_budget=0.9, null_values=("-1",))
    manifest = prepare(config, tmp_path / "out")
    rejects = pq.read_table(tmp_path / "out" / manifest.summary["rejects_file"]["path"]).to_pylist()
    assert [(reject["row"], reject["reason"], reject["content"]) for reject in rejects] == [
        (3, "null item", f"user=1 item= time={START}"),
        (4, "null user", f"user= item=3 time={START}"),
        (5, "null user", f"user= item=3 time={START}"),
        (6, "time not plausible in unit s", f"user=5 item=6 time={START * 1000}"),
    ]


def staged(connection, *batches) -> DuckStaged:
    """Batches of (user, item, time) in the tables."""
    found, before = DuckStaged(connection), 0
    for rows in batches:
        user, item, time = (pa.array(column) for column in zip(*rows, strict=True))
        batch = pa.table({"row": range(before + 1, before + 1 + len(rows)), "user_id": user, "item_id": item, "time": time})
        found.insert(0, batch, PrepareConfig(), before)
        before += len(rows)
    return found


@pytest.mark.parametrize(
    ("batches", "types", "plain", "other"),
    [
        ([[(1, "2", 5)], [("3", 4, "6")]], ["BIGINT", "BIGINT"], 2, 0),
        ([[(1, "2", 5)], [("03", 4, 6)]], ["VARCHAR", "BIGINT"], 2, 0),
        ([[("u", "i", 5)], [(3, 4, "7.5")]], ["VARCHAR", "VARCHAR"], 2, 0),
        ([[(1, 2, 5), (None, 2, 6), (1, 2, None)]], ["BIGINT", "BIGINT"], 1, 2),
        ([[(1, 2, "2014-05-13"), (1, 2, "13 May 2014")]], ["BIGINT", "BIGINT"], 1, 1),
    ],
)
def test_rows_are_in_few_columns_unless_they_are_rejects_or_unread_text(tmp_path, batches, types, plain, other):
    with database(tmp_path, "1GB", 1) as connection:
        found = staged(connection, *batches)
        counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in (PLAIN, OTHER)]
        view = connection.execute("SELECT user_id::VARCHAR, item_id::VARCHAR, row FROM staged ORDER BY row").fetchall()
        assert (list(found.id_types.values()), counts) == (types, [plain, other])
        assert [str(user) for user, _, _ in view] == [str(row[0]) for rows in batches for row in rows]
        assert [row for *_, row in view] == list(range(1, plain + other + 1))


@pytest.mark.parametrize("texts", [["7", None, "0"], ["-3", "10"], [None], [], ["9223372036854775807"]])
def test_whole_numbers_in_text(texts):
    found = whole_numbers(pa.chunked_array([pa.array(texts, pa.string())]))
    assert found is not None and found.to_pylist() == [None if text is None else int(text) for text in texts]


@pytest.mark.parametrize("text", ["07", "+7", " 7", "7.0", "-0", "", "7a", "9223372036854775808", "\u0667"])
def test_other_text_is_no_whole_number(text):
    assert whole_numbers(pa.chunked_array([["7", text]])) is None


def test_null_markers_among_ids_that_are_numbers():
    ids = pa.array([0, -1, 7, None, 10])
    assert canonical(ids, ("NA", " -1", "007", "10")).to_pylist() == [0, None, 7, None, None]
    assert canonical(ids, ("NA",)).to_pylist() == ids.to_pylist()


@pytest.mark.parametrize("part", [1, 7, 1000])
@pytest.mark.parametrize("size", [0, 1, 2, 300])
def test_numbers_that_occur_twice(tmp_path, monkeypatch, size, part):
    monkeypatch.setattr(sorting, "PART_NUMBERS", part)
    draw = np.random.default_rng(size)
    numbers = draw.choice(draw.integers(0, 2**64, max(1, size // 2), np.uint64), size)
    found = list(repeated(np.array_split(numbers, 3), size, tmp_path))
    assert (len(found) > 1) == (size > part)
    values, counts = np.unique(numbers, return_counts=True)
    assert np.concatenate(found).tolist() == values[counts > 1].tolist()
    assert not list(tmp_path.iterdir())


def test_a_log_larger_than_a_part_has_the_same_ties(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "log" / "log.csv", [*ROWS, *ROWS[:5]])
    whole = shards_of(tmp_path, [path])
    monkeypatch.setattr(sorting, "PART_NUMBERS", 4)
    config = PrepareConfig(name="x", sources=(str(path),), threads=1)
    parts = prepare(config, tmp_path / "parts")
    assert named(parts) == whole
    assert parts.summary["duplicates"] == 5 and parts.summary["ties"]["events"]


@pytest.mark.parametrize("later", [0, 999, 1200])
def test_a_form_that_fits_the_first_rows_is_chosen_only_if_it_fits_most(tmp_path, later):
    """1,100 rows in seconds, then others in milliseconds."""
    with database(tmp_path, "1GB", 1) as connection:
        found = staged(connection, [(n, n, START + n) for n in range(1100)] + [(n, n, (START + n) * 1000) for n in range(later)])
        assert choose_time(found, PrepareConfig()).name == ("ms" if later > 1100 else "s")
