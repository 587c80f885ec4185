"""Rows of any kind: selected, split and moved with their strata, whatever holds them."""

from collections import namedtuple

import torch

from ltrec.core.batch import SequenceBatch
from ltrec.distributed.batches import MicroBatch, StratifiedBatch, rows_of

Pair = namedtuple("Pair", "left right")
DATA = {
    "x": torch.arange(8.0).reshape(4, 2),
    "nested": {"y": torch.arange(4), "pair": Pair(torch.arange(4) * 10, torch.arange(4) * 100)},
    "names": ["a", "b", "c", "d"],
    "temperature": torch.tensor(0.5),
    "note": "for all",
}
BATCH = StratifiedBatch(DATA, torch.tensor([2, 0, 1, 0]), torch.tensor([2, 1, 1]), slot_B=torch.tensor([3, 2, 1, 0]))


def test_both_kinds_of_batch_are_what_the_engine_needs():
    histories = SequenceBatch.of_histories(torch.tensor([1]), torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([7]))
    assert isinstance(BATCH, MicroBatch) and isinstance(histories, MicroBatch) and not isinstance(DATA, MicroBatch)
    assert histories.at(3, 1).micro == 1 and BATCH.at(3, 1).step == 3


def test_rows_are_selected_everywhere():
    part = BATCH.select(torch.tensor([3, 0]))
    assert part["x"].tolist() == [[6, 7], [0, 1]] and part["names"] == ["d", "a"] and part["note"] == "for all"
    assert part["nested"]["pair"].right.tolist() == [300, 0] and part["temperature"] == 0.5
    assert part.stratum_B.tolist() == [0, 2] and part.slot_B.tolist() == [0, 3] and part.num_rows == 2
    assert part.step_counts_K is BATCH.step_counts_K


def test_parts_are_views_in_order_and_may_be_empty():
    first, nothing, last = BATCH.split([1, 0, 3])
    assert nothing.is_empty and not first.is_empty and last["names"] == ["b", "c", "d"]
    assert last["x"].data_ptr() == DATA["x"][1:].data_ptr() and last["nested"]["y"].tolist() == [1, 2, 3]


def test_all_but_the_counts_is_moved():
    moved = BATCH.to("meta")
    assert moved["x"].device.type == moved["nested"]["pair"].left.device.type == moved.stratum_B.device.type == "meta"
    assert moved.step_counts_K.device.type == "cpu" and moved["names"] == DATA["names"]


def test_tensors_say_how_many_rows_there_are():
    assert rows_of(DATA) == {4} and rows_of([torch.zeros(3), torch.zeros(2, 2)]) == {3, 2} and rows_of("nothing") == set()
