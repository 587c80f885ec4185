"""benchmarks/longtail/variants.py: what is ranked from one trunk without training, and which of it the config recommends."""

from dataclasses import dataclass

import torch

from benchmarks.longtail.variants import RIDGE, mean_softmax, once, permuted
from ltrec.config.load import load
from ltrec.data.neighbours.table import Neighbours
from tests.support.source_tree import ROOT


def test_the_recommended_variant_is_that_of_the_config():
    config = load([ROOT / "conf" / "method" / "recommended.yaml"], ["data.path=d"])
    assert config.memory is not None
    assert (RIDGE.form, RIDGE.counting) == (config.memory.form, config.memory.counting)


@dataclass
class FakeChunk:
    """The same users in two splits: the second has longer histories."""

    split: int

    def __post_init__(self):
        self.user_id, self.seen_offsets = ["a", "b", "c"], torch.tensor([0, 1, 2, 2])
        self.seen_T = torch.full((2,), 1 + self.split)


def test_two_trunks_are_the_mean_of_their_softmaxes_and_each_is_asked_once_a_chunk():
    asked = []

    def score(chunk):
        asked.append(chunk.split)
        return torch.randn(3, 6, generator=torch.Generator().manual_seed(chunk.split))

    shared, other = once(score), lambda chunk: torch.arange(18.0).reshape(3, 6)
    mixed = mean_softmax(shared, other)
    for split in (0, 1):
        one, two = score(FakeChunk(split))[:, 1:], other(None)[:, 1:]
        asked.clear()
        for _ in range(2):
            found = mixed(FakeChunk(split)).exp()
            torch.testing.assert_close(found[:, 1:], (one.softmax(1) + two.softmax(1)) / 2)
            assert (found[:, 0] == 0).all()
        assert asked == [split]


def test_permuted_neighbours_are_as_many_and_as_strong_of_other_items():
    item_VN = torch.arange(12, dtype=torch.int32).reshape(6, 2)
    item_VN[0] = 0
    found = permuted(Neighbours(item_VN, item_VN.float(), {}))
    assert sorted(found.item_VN.tolist()) == sorted(item_VN.tolist()) and found.item_VN[0].tolist() == [0, 0]
    assert not torch.equal(found.item_VN, item_VN) and torch.equal(found.item_VN.float(), found.weight_VN)
