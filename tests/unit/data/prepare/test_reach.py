"""How far targets are from histories: bits and walks against sets and a breadth-first search."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.api.results.dataset import Dataset
from ltrec.cli.data_tables import print_data
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.storage.canonical import canonical_json
from ltrec.data.manifest import Manifest, digest_of
from ltrec.data.prepare.reach import distances, links, sample, walks
from ltrec.data.reach import REACH_SCHEMA, read_reach
from ltrec.data.verify.dataset import verify
from ltrec.terminal.screen import Screen
from tests.support.logs import START, prepared
from tests.support.naive_reach import naive_reach, shard_rows


def a_log(seed, users=60, items=150, longest=8, moments=4):
    """Users who go from item to item next to it, and jump now and then; fewer moments than events make ties."""
    draw = random.Random(seed)
    rows = []
    for u in range(users):
        at, length = draw.randrange(items), draw.randrange(1, longest)
        for n in range(length):
            rows.append((f"u{u}", f"i{at}", START + n * moments // longest))
            at = (at + draw.choice([1, 1, 1, 2, 3, -1, -2, 0, draw.randrange(items)])) % items
    return rows


def found_and_naive(folder, split):
    rows = shard_rows(folder)
    expected = naive_reach(rows, split)
    keys = np.array(sorted(expected), np.int64)
    found = read_reach(folder, Manifest.load(folder), split).of(keys)
    return dict(zip(keys.tolist(), found.tolist(), strict=True)), expected


options = st.fixed_dictionaries(
    {
        "split": st.sampled_from(["leave_one_out", "global_time"]),
        "valid_from": st.just("0.6"),
        "test_from": st.just("0.8"),
        "held_out_users": st.sampled_from([0.0, 0.3]),
        "history_cap": st.sampled_from([3, 5, 1000]),
        "ties": st.sampled_from(["source", "hash"]),
        "duplicates": st.sampled_from(["keep", "keep_last"]),
        "block_rows": st.sampled_from([1, 7, 4096]),
        "min_item_events": st.sampled_from([1, 2]),
    }
)


@settings(max_examples=12)
@given(st.integers(0, 10**6), options, st.sampled_from([2, 4, 99]), st.sampled_from([1, 3, 1 << 21]))
def test_distances_are_those_of_a_breadth_first_search(seed, chosen, moments, piece):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for module in (links, distances, walks):
            patch.setattr(module, "PIECE", piece)
        patch.setattr(links, "MOST_WORDS", 1)
        try:
            prepared(Path(folder), a_log(seed, moments=moments), **chosen)
        except UserError as error:  # too few moments for two cuts
            assert "valid_from" in str(error)
            return
        out = Path(folder) / "out"
        for split in ("valid", "test"):
            found, expected = found_and_naive(out, split)
            assert found == expected
        verify(out)


@pytest.mark.parametrize("words", [1, 8])
def test_a_log_with_every_distance_over_hubs_and_beside_them(tmp_path, monkeypatch, words):
    """The search above would prove little if all targets were alike, or if all items were hubs."""
    monkeypatch.setattr(links, "MOST_WORDS", words)
    manifest = prepared(tmp_path, a_log(7, users=200, items=250), duplicates="keep")
    found, expected = found_and_naive(tmp_path / "out", "test")
    assert found == expected
    assert links.WORD < manifest.vocab.items < 8 * links.WORD
    assert all(count >= 4 for count in (Counter(found.values())[d] for d in (0, 1, 2, 3)))


def known(folder, split="test"):
    table = pq.read_table(next((folder / "reach").glob("*.parquet")))
    return dict(zip(table["user_key"].to_pylist(), table[f"reach_{split}"].to_pylist(), strict=True))


def test_ties_have_no_order_and_neighbours_no_direction(tmp_path):
    """a and b tie, c follows, d is another user's way to c; x is after y in training, and its user comes from x to y."""
    rows = [("u", item, START + at) for item, at in (("a", 0), ("b", 0), ("c", 1), ("z1", 5), ("z2", 6))]
    rows += [("v", item, START + at) for item, at in (("y", 0), ("x", 1), ("z3", 2), ("z4", 3))]
    rows += [("to-b", item, START + at) for item, at in (("a", 0), ("b", 1), ("q1", 2))]  # in one tie
    rows += [("to-c", item, START + at) for item, at in (("a", 0), ("c", 1), ("q2", 2))]  # in the tie after
    rows += [("to-y", item, START + at) for item, at in (("x", 0), ("y", 1), ("q3", 2))]  # against the order
    rows += [("to-z", item, START + at) for item, at in (("c", 0), ("z1", 1), ("q4", 2))]  # c and z1: only a target follows it
    prepared(tmp_path, rows, ties="source")
    by_name = {row["user_id"]: known(tmp_path / "out", "valid")[row["user_key"]] for row in shard_rows(tmp_path / "out")}
    assert {name: by_name[name] for name in ("to-b", "to-c", "to-y", "to-z")} == {"to-b": 1, "to-c": 1, "to-y": 1, "to-z": 3}


def test_the_summary_counts_validation_targets_by_stratum_and_no_test_targets(tmp_path):
    manifest = prepared(tmp_path, a_log(1), strata_bounds=(1, 3, 100))
    counts, strata = manifest.summary["reach"]["valid"], {row["user_key"]: row["stratum"] for row in shard_rows(tmp_path / "out")}
    expected = Counter((strata[key], d) for key, d in known(tmp_path / "out", "valid").items() if d >= 0)
    assert [[expected[z, d] for d in range(4)] for z in range(3)] == counts
    assert counts[2] == [0, 0, 0, 0]
    assert set(manifest.summary["reach"]) == {"path", "bytes", "sha256", "valid"}


def test_of_many_users_those_with_the_smallest_keys_are_sampled(tmp_path, monkeypatch, capsys):
    prepared(tmp_path / "all", a_log(2))
    everybody = known(tmp_path / "all" / "out")
    monkeypatch.setattr(sample, "MOST_USERS", 20)
    manifest = prepared(tmp_path / "some", a_log(2))
    some, share = known(tmp_path / "some" / "out"), 20 / 60
    print_data(manifest, Screen())
    shown = sum(map(sum, manifest.summary["reach"]["valid"])) / manifest.summary["valid_targets"]
    assert f"({shown:.1%} of them sampled)" in " ".join(capsys.readouterr().out.split())
    assert 0 < len(some) < len(everybody)
    assert some == {key: everybody[key] for key in sorted(everybody)[: len(some)]}
    assert max(some) < -(2**63) + share * 2**64 <= min(set(everybody) - set(some))


def test_when_the_budget_is_spent_users_with_larger_keys_remain_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(links, "MOST_WORDS", 1)
    rows = a_log(3, users=200, items=400)
    prepared(tmp_path / "all", rows)
    everybody, ends = known(tmp_path / "all" / "out"), set()
    for most in (0, 60, 300, 10**6):
        monkeypatch.setattr(distances, "MOST_VISITS", most)
        prepared(tmp_path / str(most), rows)
        some = known(tmp_path / str(most) / "out")
        keys = sorted(key for key, d in everybody.items() if d >= 0)
        end = next((n for n, key in enumerate(keys) if some[key] < 0), len(keys))
        assert [some[key] for key in keys] == [everybody[key] for key in keys[:end]] + [-1] * (len(keys) - end)
        ends.add(end)
    assert len(keys) in ends and len(ends) > 2


def test_bytes_do_not_depend_on_blocks(tmp_path):
    files = [prepared(tmp_path / str(n), a_log(4), block_rows=n).summary["reach"]["sha256"] for n in (1, 5, 4096)]
    assert len(set(files)) == 1


def test_a_log_of_only_ties_needs_no_list_of_pairs(tmp_path):
    """One moment: every training event of a user is linked with every other, 20,000 x 20,000 / 2 pairs, and walked to once."""
    rows = [("one", f"i{n}", START) for n in range(20_000)] + [("two", f"i{n}", START + n) for n in (5, 9, 11)]
    manifest = prepared(tmp_path, rows, ties="source", history_cap=30_000)
    assert manifest.summary["reach"]["valid"][0][1] == 1


def test_keys_that_were_not_sampled_are_unknown(tmp_path):
    prepared(tmp_path, a_log(5))
    reach = read_reach(tmp_path / "out", Manifest.load(tmp_path / "out"), "test")
    strangers = np.array([-(2**63), 0, 2**63 - 1])
    assert reach.of(strangers).tolist() == [-1, -1, -1]
    assert reach.of(reach.key_U[::-1]).tolist() == reach.distance_U[::-1].tolist()


def without_reach(folder):
    """A data set as an older ltrec prepared it."""
    manifest = Manifest.load(folder)
    (folder / manifest.summary["reach"]["path"]).unlink()
    (folder / "reach").rmdir()
    older = replace(manifest, summary={key: value for key, value in manifest.summary.items() if key != "reach"})
    older.save(folder)
    return older


def test_a_data_set_of_an_older_ltrec_is_read_and_has_no_reach(tmp_path, capsys):
    prepared(tmp_path, a_log(6))
    older = without_reach(tmp_path / "out")
    assert verify(tmp_path / "out").digest == older.digest
    assert read_reach(tmp_path / "out", older, "test") is None
    assert {row["reach"] for row in Dataset.of(tmp_path / "out", older, up_to_date=True).to_dict()["strata"]} == {None}
    print_data(older, Screen())
    assert "reach" not in capsys.readouterr().out


def test_prepare_prints_and_returns_where_validation_targets_are(tmp_path, capsys):
    manifest = prepared(tmp_path, a_log(1), strata_bounds=(1, 3, 100))
    counts = np.array(manifest.summary["reach"]["valid"])
    print_data(manifest, Screen())
    said = " ".join(capsys.readouterr().out.split())
    one, two, beyond, inside = (f"{counts[:, d].sum() / counts.sum():.0%}" for d in (1, 2, 3, 0))
    by_stratum = ", ".join(f"{row[1] / row.sum():.0%}" for row in counts[:2])
    assert f"reach {one} of validation targets are one link from the history ({by_stratum}, - by stratum)" in said
    assert f"{two} two, {beyond} beyond, {inside} are in it" in said
    answer = Dataset.of(tmp_path / "out", manifest, up_to_date=False).to_dict()
    assert [list(row["reach"].values()) for row in answer["strata"]] == counts.tolist()
    assert list(answer["strata"][0]["reach"]) == ["repeat", "one_link", "two_links", "beyond"]


def rewritten(folder, change):
    """The file of distances as a buggy writer would leave it, with the right hash."""
    manifest = Manifest.load(folder)
    entry = manifest.summary["reach"]
    path = folder / entry["path"]
    pq.write_table(pa.Table.from_pylist(change(pq.ParquetFile(path).read().to_pylist()), REACH_SCHEMA), path)
    new = {**entry, "sha256": sha256_file(path), "bytes": path.stat().st_size}
    replace(manifest, summary={**manifest.summary, "reach": new}).save(folder)


FAULTS = {
    "a user twice": (lambda rows: [rows[0], *rows], "users are not ordered by their key"),
    "no distance": (lambda rows: [{**rows[0], "reach_test": 4}, *rows[1:]], "reach_test 4 is not a distance"),
    "another distance": (
        lambda rows: [{**row, "reach_valid": -1 if n == 0 else row["reach_valid"]} for n, row in enumerate(rows)],
        "validation targets at distance 0 to 3, the manifest says",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_verify_finds_a_consistent_lie_in_the_file_of_distances(tmp_path, fault):
    change, words = FAULTS[fault]
    prepared(tmp_path, a_log(7), min_user_events=3)
    rewritten(tmp_path / "out", change)
    with pytest.raises(UserError, match=f"reach-.*{words}"):
        verify(tmp_path / "out")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (lambda valid: [valid[0][:3], *valid[1:]], r"summary\.reach\.valid\[0\] must be a list of 4"),
        (lambda valid: valid[1:], r"summary\.reach\.valid has \d+ rows for \d+ strata"),
    ],
)
def test_counts_of_another_form_are_refused_as_the_manifest_is_read(tmp_path, counts, words):
    manifest = prepared(tmp_path, a_log(7), min_user_events=3)
    entry = manifest.summary["reach"]
    path = tmp_path / "out" / "manifest.json"
    body = json.loads(path.read_text())
    body["summary"]["reach"]["valid"] = counts([list(row) for row in entry["valid"]])
    path.write_text(canonical_json({**body, "digest": digest_of({key: value for key, value in body.items() if key != "digest"})}))
    with pytest.raises(UserError, match=words):
        verify(tmp_path / "out")


def test_a_damaged_or_missing_file_is_named_when_it_is_read(tmp_path):
    manifest = prepared(tmp_path, a_log(8))
    path = tmp_path / "out" / manifest.summary["reach"]["path"]
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    with pytest.raises(UserError, match=rf"{path.name} is damaged: its sha256 is not the manifest's; prepare the data again"):
        read_reach(tmp_path / "out", manifest, "valid")
    path.unlink()
    with pytest.raises(UserError, match=rf"{path.name} is missing; prepare the data again"):
        read_reach(tmp_path / "out", manifest, "valid")


def test_two_links_over_an_item_that_is_no_hub(tmp_path, monkeypatch):
    """h-m and m-t, all rare beside 64 items that everybody has; without the one of them there is no way."""
    monkeypatch.setattr(links, "MOST_WORDS", 1)
    crowd = [(f"f{u}", f"hub{n}", START + n) for u in range(4) for n in range(66)]
    ways = {"h-m": ("h", "m", "x1", "x2"), "m-t": ("m", "t", "x3", "x4"), "asks": ("h", "t", "x5")}
    rows = [(user, item, START + n) for user, items in ways.items() for n, item in enumerate(items)]
    for folder, log, distance in (("both", [*crowd, *rows], 2), ("one", [*crowd, *rows[4:]], 3)):
        prepared(tmp_path / folder, log, ties="source")
        asking = next(row["user_key"] for row in shard_rows(tmp_path / folder / "out") if row["user_id"] == "asks")
        assert known(tmp_path / folder / "out", "valid")[asking] == distance
