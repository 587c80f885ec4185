"""Logs of the shapes that people have, prepared as a whole: what comes out is right, or the work stops and says where."""

from __future__ import annotations

import gzip
import json
import random
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.naive_prepare import read_back

START = 1_700_000_000
HEADER = "user_id,item_id,timestamp"
EVENTS = [(101 + u, 9001 + (2 * u + n) % 6, START + 3600 * (5 * u + n)) for u in range(4) for n in range(5)]


def lines(events=EVENTS):
    return [",".join(map(str, event)) for event in events]


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def prepared(folder, *sources, **options):
    config = PrepareConfig(sources=tuple(map(str, sources)), threads=1, **options)
    manifest = prepare(config, folder / "out", overwrite=True)
    assert verify(folder / "out") == manifest
    return manifest


def histories(folder):
    return {user: row.items for user, row in read_back(folder / "out")[0].items()}


EXPECTED = {str(101 + u): tuple(str(9001 + (2 * u + n) % 6) for n in range(5)) for u in range(4)}


@pytest.mark.parametrize("marker", ["", " ", "NA", "nan", "NULL", r"\N", "None"])
def test_events_without_a_user_are_rejects(tmp_path, marker):
    nobody = [f"{marker},{9001 + n % 6},{START + 60 * n}" for n in range(8)]
    path = write(tmp_path, "log.csv", "\n".join([HEADER, *lines(), *nobody]))
    with pytest.raises(UserError, match=r"8 of 28 rows rejected .*8 x null user \(log\.csv:22, log\.csv:23, log\.csv:24, \.\.\.\)"):
        prepared(tmp_path, path)
    manifest = prepared(tmp_path, path, reject_budget=0.5)
    assert histories(tmp_path) == EXPECTED and manifest.summary["rejects"] == {"null user": 8}


def test_an_id_with_implausibly_many_events_is_reported(tmp_path):
    rng = random.Random(0)
    guests = [("guest", 9001 + rng.randrange(6), START + n) for n in range(1100)]
    others = [(101 + n % 300, 9001 + rng.randrange(40), START + n) for n in range(3000)]
    manifest = prepared(tmp_path, write(tmp_path, "log.csv", "\n".join([HEADER, *lines(guests + others)])))
    found = [(o["kind"], o["id"]) for o in manifest.summary["outsized"]]
    assert found == [("user", "guest")] and manifest.summary["outsized"][0]["events"] == 1100


def test_monthly_files_whose_ids_became_floats(tmp_path):
    first, second = EVENTS[::2], [(float(u), i, t) for u, i, t in EVENTS[1::2]]
    for name, part in (("1", first), ("2", second)):
        write(tmp_path, f"csv/{name}.csv", "\n".join([HEADER, *lines(part)]))
        users, items, times = zip(*part, strict=True)
        (tmp_path / "parquet").mkdir(exist_ok=True)
        pq.write_table(pa.table({"user_id": users, "item_id": items, "timestamp": times}), tmp_path / "parquet" / f"{name}.parquet")
        rows = (json.dumps({"user_id": u, "item_id": i, "timestamp": t}) for u, i, t in part)
        write(tmp_path, f"jsonl/{name}.jsonl", "\n".join(rows))
    for folder in ("csv", "parquet", "jsonl"):
        prepared(tmp_path, tmp_path / folder)
        assert histories(tmp_path) == EXPECTED
    prepared(tmp_path, tmp_path / "csv" / "1.csv", tmp_path / "parquet" / "2.parquet")
    assert histories(tmp_path) == EXPECTED


def test_a_stray_quote_costs_its_own_row(tmp_path):
    titles = ["Album"] * 40
    titles[10] = '"Songs for the'
    titles[30] = 'Road"'
    events = [*EVENTS, *((user, item, time + 1) for user, item, time in EVENTS)]
    rows = [f"{user},{title},{item},{time}" for (user, item, time), title in zip(events, titles, strict=True)]
    path = write(tmp_path, "log.csv", "\n".join(["user_id,title,item_id,timestamp", *rows]))
    stop = r"1 of 40 rows rejected .* 1 x stray quote \(log\.csv:12\).* say `quoting`=none .*`quoting`=multiline"
    with pytest.raises(UserError, match=stop):
        prepared(tmp_path, path)
    assert prepared(tmp_path, path, quoting="none").summary["events"] == 40
    manifest = prepared(tmp_path, path, reject_budget=0.1)
    assert (manifest.summary["rows"], manifest.summary["events"], manifest.summary["rejected"]) == (40, 39, 1)


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n", "mixed"])
def test_line_ends_of_every_system(tmp_path, end):
    ends = ["\r", "\n", "\r\n"]
    text = "".join(line + (ends[n % 3] if end == "mixed" else end) for n, line in enumerate([HEADER, *lines()]))
    prepared(tmp_path, write(tmp_path, "mac.csv", text))
    assert histories(tmp_path) == EXPECTED


def test_ids_of_type_decimal(tmp_path):
    users, items, times = zip(*EVENTS, strict=True)
    columns = {
        "user_id": pa.array(map(Decimal, users), pa.decimal128(38, 0)),
        "item_id": pa.array(map(Decimal, items), pa.decimal128(20, 2)),
    }
    pq.write_table(pa.table({**columns, "timestamp": times}), tmp_path / "log.parquet")
    prepared(tmp_path, tmp_path / "log.parquet")
    assert histories(tmp_path) == EXPECTED


def test_empty_parts_of_a_folder_are_skipped_and_counted(tmp_path):
    write(tmp_path, "spark/_SUCCESS", "")
    write(tmp_path, "spark/part-0.csv", "\n".join([HEADER, *lines(EVENTS[:9])]))
    write(tmp_path, "spark/part-1.csv", "")
    write(tmp_path, "spark/part-2.csv", HEADER + "\n")
    write(tmp_path, "spark/part-3.csv.gz", gzip.compress(b""))
    write(tmp_path, "spark/part-4.csv", "\n".join([HEADER, *lines(EVENTS[9:])]))
    write(tmp_path, "spark/part-5.jsonl", "")
    write(tmp_path, "spark/part-6.parquet", "")
    manifest = prepared(tmp_path, tmp_path / "spark")
    assert histories(tmp_path) == EXPECTED and manifest.summary["empty_files"] == 5
    for name in ("part-0.csv", "part-4.csv"):
        (tmp_path / "spark" / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"no events, only headers"):
        prepared(tmp_path, tmp_path / "spark")
    for name in ("part-2.csv", "part-3.csv.gz"):
        (tmp_path / "spark" / name).unlink()
    with pytest.raises(UserError, match=r"spark holds 5 event log\(s\), all of them empty"):
        prepared(tmp_path, tmp_path / "spark")


def test_folders_that_name_columns(tmp_path):
    for user, item, time in EVENTS:
        folder = tmp_path / "logs" / f"user_id={user}" / ("event=buy%20it" if time % 7200 else "event=__HIVE_DEFAULT_PARTITION__")
        with open(write(folder, "part.csv", "") if not folder.exists() else folder / "part.csv", "a") as file:
            file.write(f"item_id,timestamp\n{item},{time}\n" if file.tell() == 0 else f"{item},{time}\n")
    manifest = prepared(tmp_path, tmp_path / "logs", reject_budget=0.5)
    assert histories(tmp_path) == EXPECTED
    manifest = prepared(tmp_path, tmp_path / "logs", where='event = "buy it"')
    assert manifest.summary["events"] == sum(1 for _, _, time in EVENTS if time % 7200)
    with pytest.raises(UserError, match=r"no column 'day'"):
        prepared(tmp_path, tmp_path / "logs", where="day = 1")


@pytest.mark.parametrize("name", ["a?b", "user_key=5", "a*b", "a[1]", "a b'c\"d", "{x}", "stratum=3", "~", "é", "-x", "a;b", "%41"])
def test_folders_of_any_name(tmp_path, name):
    source = write(tmp_path / name, "log.csv", "\n".join([HEADER, *lines()]))
    config = PrepareConfig(sources=(str(source),), threads=1)
    out = tmp_path / name / "out" / name
    manifest = prepare(config, out)
    assert verify(out) == manifest
    assert {user: row.items for user, row in read_back(out)[0].items()} == EXPECTED
    again = prepare(
        PrepareConfig(sources=(str(source.parent / "*.csv") if "[" not in name else str(source),), threads=1), tmp_path / "x"
    )
    assert again.shards == manifest.shards


@pytest.mark.parametrize("key", ["*", "**", "$", "a.b", "a/b", "a~1b", 'a"b', "a'b", "", " ", "0", "#", "é", "[0]"])
def test_json_keys_of_any_name(tmp_path, key):
    rows = (json.dumps({"x": {"y": 1}, key: user, "item_id": item, "timestamp": time}) for user, item, time in EVENTS)
    prepared(tmp_path, write(tmp_path, "log.jsonl", "\n".join(rows)), user=key)
    assert histories(tmp_path) == EXPECTED


def test_deeply_nested_json(tmp_path):
    deep = "[" * 100_000 + "]" * 100_000
    rows = [f'{{"deep": {deep}, "user_id": {u}, "item_id": {i}, "timestamp": {t}}}' for u, i, t in EVENTS]
    manifest = prepared(tmp_path, write(tmp_path, "log.jsonl", "\n".join([rows[0][:-1], *rows])), reject_budget=0.1)
    assert histories(tmp_path) == EXPECTED and manifest.summary["rejects"] == {"not a JSON object": 1}


def test_notes_and_licences_next_to_a_log_are_not_logs(tmp_path):
    write(tmp_path, "logs/LICENSE.txt", "Do what you like.")
    write(tmp_path, "logs/part.csv", "\n".join([HEADER, *lines()]))
    assert [file["path"] for file in prepared(tmp_path, tmp_path / "logs").source["files"]] == ["part.csv"]
    (tmp_path / "logs" / "part.csv").rename(tmp_path / "logs" / "ratings.dat")
    (tmp_path / "logs" / "LICENSE.txt").unlink()
    prepared(tmp_path, tmp_path / "logs")
    assert histories(tmp_path) == EXPECTED


@pytest.mark.parametrize(("name", "compress"), [("log.csv", gzip.compress), ("log.csv.gz", bytes), ("log.csv.zst", gzip.compress)])
def test_compression_is_detected_from_the_bytes(tmp_path, name, compress):
    prepared(tmp_path, write(tmp_path, name, compress("\n".join([HEADER, *lines()]).encode())))
    assert histories(tmp_path) == EXPECTED


def test_a_header_is_not_an_event(tmp_path):
    path = write(tmp_path, "log.csv", "\n".join([HEADER, *lines()]))
    with pytest.raises(UserError, match=r"has a header \(user_id, item_id, timestamp\); leave out `columns`"):
        prepared(tmp_path, path, columns=("user_id", "item_id", "timestamp"))


def test_blanks_around_fields_and_names(tmp_path):
    spaced = [" ; ".join(map(str, event)) for event in EVENTS]
    prepared(tmp_path, write(tmp_path, "log.csv", "\n".join([" user_id ;item_id; timestamp", *spaced])))
    assert histories(tmp_path) == EXPECTED
