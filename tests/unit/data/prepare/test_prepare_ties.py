"""Ties: a log sorted by item must teach nothing that the shuffled log does not."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from ltrec.data.prepare.sorting.ties import ENOUGH_PAIRS
from ltrec.data.verify.dataset import verify
from tests.support.logs import START, prepared
from tests.support.naive_prepare import read_back

DAY = 86_400
USERS, ITEMS = 300, 60


def drawn(seed=0):
    """Users with twelve different random items on four days."""
    rng = random.Random(seed)
    return [
        (str(user), str(item), (19_000 + user % 50 + n // 3) * DAY)
        for user in range(USERS)
        for n, item in enumerate(rng.sample(range(ITEMS), 12))
    ]


def by_item(rows, key=int, falling=False):
    return sorted(rows, key=lambda row: (row[2], key(row[1])), reverse=falling)


def shuffled(rows, seed=1):
    return random.Random(seed).sample(rows, len(rows))


def shards(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def test_with_a_hash_the_order_of_rows_does_not_matter(tmp_path):
    log = [*drawn(), *drawn()[::3], *[(f"quick {u}", "7", START) for u in range(5) for _ in range(4)]]
    for name, rows in (("a", by_item(log)), ("b", shuffled(log)), ("c", shuffled(log, 2))):
        prepared(tmp_path / name, rows, ties="hash")
        verify(tmp_path / name / "out")
    assert shards(tmp_path / "a" / "out") == shards(tmp_path / "b" / "out") == shards(tmp_path / "c" / "out")


def markov_hits(folder, best=10):
    """HR@10 of `what followed the last item in training`, among unseen items; items that score alike share their ranks."""
    rows = read_back(folder)[0].values()
    follows = defaultdict(Counter)
    for row in rows:
        for one, other in zip(row.items[: row.train_events], row.items[1 : row.train_events], strict=False):
            follows[one][other] += 1
    hits = 0.0
    for row in rows:
        scores = {str(item): follows[row.items[row.valid_at]][str(item)] for item in range(ITEMS)}
        target = scores[row.items[row.test_at]]
        others = [score for item, score in scores.items() if item not in row.items]
        above, alike = sum(s > target for s in others), sum(s == target for s in others)
        hits += sum(above + place < best for place in range(alike + 1)) / (alike + 1)
    return hits / len(rows)


def test_a_markov_scorer_does_not_profit_from_a_log_sorted_by_item(tmp_path):
    """Items are random, so chance (ten of 49 unseen items) is all there is to reach: .204, standard deviation .023."""
    hits = {}
    for name, rows in (("sorted", by_item(drawn())), ("mixed", shuffled(drawn()))):
        for ties in ("source", "auto"):
            prepared(tmp_path / name / ties, rows, ties=ties)
            hits[name, ties] = markov_hits(tmp_path / name / ties / "out")
    assert abs(hits["sorted", "source"] - 10 / 49) > 0.09
    assert all(abs(hits[key] - 10 / 49) < 0.07 for key in hits if key != ("sorted", "source"))


@pytest.mark.parametrize(
    ("arrange", "rule", "rising"),
    [
        (by_item, "hash", 1.0),
        (lambda rows: by_item(rows, falling=True), "hash", 0.0),
        (lambda rows: by_item(rows, key=str), "hash", 1.0),
        (lambda rows: [(u, f"item {i}", t) for u, i, t in by_item(rows)], "hash", 1.0),
        (lambda rows: by_item([(u, f"item {int(i):03}", t) for u, i, t in rows], key=str), "hash", 1.0),
        (shuffled, "source", 0.5),
        (lambda rows: by_item(rows)[: 3 * ENOUGH_PAIRS // 2], "source", 1.0),
    ],
)
def test_auto_uses_the_hash_if_ties_follow_the_item_ids(tmp_path, arrange, rule, rising):
    rows = arrange(drawn())
    manifest = prepared(tmp_path, rows)
    ties = manifest.summary["ties"]
    assert ties["rule"] == rule and ("hash" in manifest.source["tie_break"]) == (rule == "hash")
    assert abs(ties["rising"] - rising) < 0.04
    assert ties["share"] == ties["events"] / len(rows)


def test_a_partly_sorted_log_is_kept_with_a_warning(tmp_path):
    rows = drawn()
    manifest = prepared(tmp_path, [*by_item(rows[: len(rows) // 2]), *shuffled(rows[len(rows) // 2 :])])
    assert manifest.summary["ties"]["rule"] == "source"
    assert any("item ids rise in 7" in note and "ties=hash" in note for note in manifest.summary["notes"])


def test_every_order_of_a_tie_is_equally_likely_and_equal_items_are_not_adjacent(tmp_path):
    """a, a, b in 900 users: b first, between and last a third of the time each; standard deviation .016."""
    log = [(str(u), item, START + (item != "first")) for u in range(900) for item in ("first", *"aab")]
    prepared(tmp_path, log, ties="hash", duplicates="keep")
    places = Counter(row.items.index("b") - 1 for row in read_back(tmp_path / "out")[0].values())
    assert all(abs(places[place] / 900 - 1 / 3) < 0.07 for place in range(3))


def test_another_seed_only_changes_the_order_of_ties(tmp_path):
    for seed in (0, 1):
        prepared(tmp_path / str(seed), drawn(), ties="hash", tie_seed=seed)
    first, second = (read_back(tmp_path / str(seed) / "out")[0] for seed in (0, 1))
    assert first != second
    for user, row in first.items():
        assert row.times == second[user].times
        assert sorted(zip(row.times, row.items, strict=True)) == sorted(zip(row.times, second[user].items, strict=True))


@pytest.mark.parametrize(("offset", "note"), [(0, True), (18 * 3600, True), (5 * 3600 + 1800, True), (3600 + 1, False)])
def test_days_are_distinguished_from_times_and_their_repeats_are_kept(tmp_path, offset, note):
    rows = [(u, i, t + offset) for u, i, t in [*drawn(), *drawn()[:7]]]
    summary = prepared(tmp_path, rows).summary
    assert (summary["duplicate_rule"], summary["duplicates"]) == (("keep", 0) if note else ("drop_exact", 7))
    assert summary["notes"] == (["times are days: the order within a day is unknown; 7 same-day repeats are kept"] if note else [])


def test_midnights_with_summer_time_are_days(tmp_path):
    rows = [(u, i, t - (3600 if int(u) % 50 < 25 else 7200)) for u, i, t in drawn()]
    assert prepared(tmp_path, rows).summary["duplicate_rule"] == "keep"


def test_same_day_repeats_are_dropped_on_request(tmp_path):
    summary = prepared(tmp_path, [*drawn(), *drawn()[:7]], duplicates="drop_exact").summary
    assert (summary["duplicate_rule"], summary["duplicates"]) == ("drop_exact", 7)
    assert summary["notes"] == ["times are days: the order within a day is unknown"]
