"""Popularity of items whose ids are not in its order, as after an append."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.evaluation.catalogue import ItemCatalogue

COUNTS = [9, 9, 4, 4, 4, 1, 5, 1, 1]
SHARES = (0.2, 0.5, 0.8)


def catalogue(counts):
    return ItemCatalogue.of(torch.tensor([0, *counts]))


def test_counts_are_found_by_id_in_any_order():
    found = catalogue(COUNTS)
    assert found.count_of(np.arange(1, 10)).tolist() == COUNTS
    assert (found.num_items, found.num_seen) == (9, 9)


def test_classes_do_not_depend_on_the_order_of_ids():
    mixed, sorted_ = catalogue(COUNTS), catalogue(sorted(COUNTS, reverse=True))
    assert mixed.class_bounds(SHARES) == sorted_.class_bounds(SHARES) and len(mixed.class_bounds(SHARES)) > 2
    assert mixed.class_names(SHARES) == sorted_.class_names(SHARES)
    assert mixed.tail_below(SHARES) == sorted_.tail_below(SHARES)
    unseen, last = catalogue([3, 0, 2]), catalogue([3, 2, 0])
    assert unseen.class_bounds(SHARES) == last.class_bounds(SHARES)


def test_items_that_training_saw_must_come_first_where_they_alone_are_candidates():
    assert catalogue([2, 3, 0, 0]).num_seen == 2
    with pytest.raises(UserError, match="`candidates`=seen: in a data set that was appended to"):
        _ = catalogue([3, 0, 2]).num_seen
