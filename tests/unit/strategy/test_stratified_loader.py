"""StratifiedLoader: what it publishes, how it shares rows out, and what it refuses."""

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, RandomSampler, TensorDataset

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.strategy import StratifiedLoader
from ltrec.strategy import loader as module
from tests.support.own_module import rows


def of(data, batch_size=2, **options):
    inner = {name: options.pop(name) for name in ("shuffle", "sampler", "drop_last", "batch_sampler") if name in options}
    inner |= {} if "batch_sampler" in inner else {"batch_size": batch_size}
    return StratifiedLoader(DataLoader(data, **inner), lambda batch: batch["z"], num_strata=3, **options)


def test_every_micro_batch_knows_the_counts_of_its_whole_step():
    found = list(of(rows(12, strata=(0, 0, 0, 1, 2, 2)), accumulate=4))
    assert [batch.micro for batch in found] == [0, 1, 2, 3, 0, 1]
    assert [batch.step_counts_K.tolist() for batch in found] == [[5, 1, 2]] * 4 + [[1, 1, 2]] * 2
    assert [batch.stratum_B.tolist() for batch in found] == [[0, 0], [0, 1], [2, 2]] * 2
    assert torch.equal(found[1]["x"], torch.stack([row["x"] for row in rows(4)[2:]]))


def test_examples_may_be_more_than_rows_and_rows_may_belong_to_nobody():
    loader = of(rows(4, strata=(0, -1, 2, 2)), 4, examples_of=lambda batch: torch.tensor([3, 5, 1, 2]))
    assert next(iter(loader)).step_counts_K.tolist() == [3, 0, 3]


@pytest.mark.parametrize("several", [False, True])
def test_weights_of_rows_are_added_up_and_their_squares_where_a_row_is_an_example(several):
    options = {"examples_of": lambda batch: torch.tensor([1, 2, 1, 1])} if several else {}
    weights = torch.tensor([0.5, 9.0, 2.0, 3.0])
    batch = next(iter(of(rows(4, strata=(0, -1, 2, 2)), 4, weights_of=lambda _: weights, **options)))
    assert batch.step_weights_K.tolist() == [0.5, 0.0, 5.0]
    assert several if batch.step_squares_K is None else batch.step_squares_K.tolist() == [0.25, 0.0, 13.0]


def test_tuples_are_batches_as_well():
    data = TensorDataset(torch.arange(6).reshape(3, 2), torch.tensor([0, 1, 1]))
    [batch] = StratifiedLoader(DataLoader(data, batch_size=3), lambda pair: pair[1], num_strata=2)
    assert batch.step_counts_K.tolist() == [1, 2] and batch[0].tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_in_several_processes_a_plain_loader_gets_a_distributed_sampler(monkeypatch, shuffle):
    seen = []
    for rank in range(2):
        monkeypatch.setattr(module, "current_world", lambda rank=rank: World(rank, 2))
        loader = of(rows(10, strata=(0, 1)), shuffle=shuffle)
        assert len(loader) == 3 and isinstance(loader.sampler, DistributedSampler) and loader.sampler.shuffle == shuffle
        loader.sampler.set_epoch(4)
        seen.append({tuple(x.tolist()) for batch in loader for x in batch["x"]})
    assert len(seen[0] | seen[1]) == 10 and not seen[0] & seen[1]


def test_who_shares_rows_out_himself_is_left_alone(monkeypatch):
    monkeypatch.setattr(module, "current_world", lambda: World(0, 2))
    monkeypatch.setattr(module, "all_gather_parts", lambda part: [part, part])

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(rows(4))

    data = rows(8)
    given = DistributedSampler(data, num_replicas=2, rank=1)
    assert of(data, sampler=given).sampler is given
    assert len(of(data, distributed_sampler=False)) == 4
    assert sum(batch.num_rows for batch in of(Stream())) == 4


def test_processes_without_a_length_end_together(monkeypatch):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(rows(12))

    monkeypatch.setattr(module, "current_world", lambda: World(0, 2))
    others = iter([2, 1])
    monkeypatch.setattr(module, "all_gather_parts", lambda part: [part, next(others, 0)])
    found = list(of(Stream(), accumulate=2))
    assert [batch.micro for batch in found] == [0, 1, 0] and found[2].step_counts_K.sum() == 2


class Odd(RandomSampler):
    """A sampler of one's own."""


REFUSED = {
    "other sampler": (lambda: of(rows(8), sampler=Odd(rows(8))), "2 processes would all draw the same rows"),
    "batch sampler": (lambda: of(rows(8), batch_sampler=[[0, 1], [2, 3]]), "2 processes would all draw the same rows"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_rows_that_cannot_be_shared_out_are_refused(monkeypatch, make, message):
    monkeypatch.setattr(module, "current_world", lambda: World(0, 2))
    with pytest.raises(UserError, match=message):
        list(make())


STRATA = {
    "no tensor": (lambda batch: [0, 1], "an int64 stratum|one int64 stratum per row.*it returned list"),
    "floats": (lambda batch: batch["z"].float(), r"it returned torch\.float32 \(2,\)"),
    "a table": (lambda batch: batch["z"][:, None], r"it returned torch\.int64 \(2, 1\)"),
    "too few": (lambda batch: batch["z"][:1], "returned 1 strata for tensors of 2 rows"),
    "too large": (lambda batch: batch["z"] + 3, r"returned stratum 3; with num_strata=3 it may return 0\.\.2, and -1"),
    "too small": (lambda batch: batch["z"] - 2, "returned stratum -2"),
}


@pytest.mark.parametrize(("stratum_of", "message"), STRATA.values(), ids=STRATA)
def test_strata_that_are_none_are_refused(stratum_of, message):
    with pytest.raises(UserError, match=message) as refusal:
        list(StratifiedLoader(DataLoader(rows(4), batch_size=2), stratum_of, num_strata=3))
    assert "\n" not in str(refusal.value)
