"""Users by what they wanted: item strata beside user strata, in metrics, comparisons, grid and judgements."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.comparison.compare import Comparison, compare
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups.targets import class_strata, target_groups
from ltrec.evaluation.groups.users import groups
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import Protocol
from tests.support.evaluation import eval_table

QUICK = EvaluationConfig(bootstrap_samples=50)
SHARES = (0.2, 0.5, 0.8)
# Counts of the items: 40, 30, 20, 6, 4 (head: the first three hold nine tenths), 0, 0.
CATALOGUE = ItemCatalogue((40, 30, 20, 6, 4, 0), (1, 1, 1, 1, 1, 2))
TARGET, RANK = [1, 2, 3, 4, 5, 6, 7, 1], [1, 2, 3, 4, 5, 6, 7, 1]
HISTORY = [1, 1, 5, 5, 9, 9, 9, 0]


def table(candidates="full", rank=RANK, seed=0):
    found = eval_table(rank, HISTORY, target=TARGET, history=HISTORY, seed=seed, protocol=Protocol("abc", "test", candidates))
    rows = found.rows.set_column(
        found.rows.column_names.index("target_count"),
        found.rows.schema.field("target_count"),
        [CATALOGUE.count_of(np.array(TARGET))],
    )
    return replace(found, rows=rows, catalogue=CATALOGUE)


def members(found):
    return {group.key: np.flatnonzero(group.mask_N).tolist() for group in found}


def test_item_strata_by_hand():
    """With items 1 and 2 alone the most popular ones hold .7 of the events, with item 3 .9: .8 is as near to both, and the first
    counts. User 7 has no history and is in none."""
    assert CATALOGUE.tail_below(SHARES) == 30
    assert members(target_groups(table(), SHARES)) == {"item=new": [5, 6], "item=tail": [2, 3, 4], "item=head": [0, 1]}
    labels = {group.key: group.label for group in target_groups(table(), SHARES)}
    assert labels["item=tail"] == "tail items (<30)"
    assert labels["item=head"] == "head items (30+)"


def test_no_new_items_no_group_of_them():
    assert [group.key for group in target_groups(eval_table([1, 2], [1, 9]), SHARES)] == ["item=tail", "item=head"]


def test_item_strata_share_out_everybody():
    for found in (table(), eval_table([1, 2, 3, 4], [1, 5, 9, 0], history=[1, 5, 9, 0])):
        everyone = groups(found)[0].mask_N
        assert np.array_equal(sum(g.mask_N.astype(int) for g in target_groups(found, SHARES)), everyone.astype(int))


def test_classes_of_the_grid_are_of_one_item_stratum_each():
    assert CATALOGUE.class_names(SHARES) == ("0", "1-29", "30-39", "40+")
    assert class_strata(CATALOGUE, SHARES) == ("new", "tail", "head", "head")
    assert summarise(table(), QUICK).grid.strata == ("new", "tail", "head", "head")
    assert class_strata(ItemCatalogue((5, 0), (3, 2)), SHARES) == ("new", "head")
    assert class_strata(ItemCatalogue((5,), (3,)), SHARES) == ("head",)
    assert class_strata(ItemCatalogue((9, 1), (3, 5)), SHARES) == ("tail", "head")


@pytest.mark.parametrize("seed", range(20))
def test_every_item_of_a_class_is_of_its_stratum(seed):
    draw = np.random.default_rng(seed)
    counts = sorted(set(draw.integers(0, 40, 8).tolist()), reverse=True)
    catalogue = ItemCatalogue(tuple(counts), tuple(draw.integers(1, 9, len(counts)).tolist()))
    if not any(counts):
        return
    strata, cut = class_strata(catalogue, SHARES), catalogue.tail_below(SHARES)
    assert len(strata) == len(catalogue.class_names(SHARES))
    for count in counts:
        expected = "new" if count == 0 else "tail" if count < cut else "head"
        assert strata[int(catalogue.class_of(np.array([count]), SHARES)[0])] == expected


def test_metrics_by_target():
    summary = summarise(table(), QUICK)
    assert {key: group.users for key, group in summary.targets.items()} == {"item=new": 2, "item=tail": 3, "item=head": 2}
    assert summary.targets["item=tail"].metrics["mrr"].mean == pytest.approx((1 / 3 + 1 / 4 + 1 / 5) / 3)
    assert json.loads(json.dumps(summary.to_dict()))["targets"]["item=new"]["users"] == 2


def test_differences_by_target_survive_json():
    found = compare(base=[table()], other=[table(rank=[1, 2, 3, 4, 5, 1, 1, 1])], config=QUICK)
    assert found.targets["item=new"].metrics["hr@10"].change.mean == 0
    assert found.targets["item=new"].metrics["mrr@10"].base == pytest.approx((1 / 6 + 1 / 7) / 2)
    assert found.targets["item=tail"].metrics["mrr@10"].change.mean == 0
    again = Comparison.from_dict(json.loads(json.dumps(found.to_dict())))
    assert list(again.targets) == ["item=new", "item=tail", "item=head"]
    assert again == found


def test_targets_that_are_no_candidates_are_counted_and_left_out():
    found = table("seen")
    everyone = members(groups(found))
    assert everyone["outside"] == [5, 6]
    assert everyone["all"] == [0, 1, 2, 3, 4]
    assert everyone["cold"] == [7]
    assert members(target_groups(found, SHARES)) == {"item=tail": [2, 3, 4], "item=head": [0, 1]}
    summary = summarise(found, QUICK)
    assert summary.groups["outside"].users == 2
    assert summary.groups["all"].metrics["mrr"].mean == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5)


def test_with_every_item_a_candidate_nobody_is_outside():
    assert not table().outside().any()
    assert "outside" not in members(groups(table()))
