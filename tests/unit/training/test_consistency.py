"""What is compared between ranks, and how a difference is told. Real processes: tests/distributed/test_rank_consistency.py."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import ltrec.training.callbacks.rank_consistency as consistency
from ltrec.core.errors import UserError
from ltrec.distributed.differences import first_difference
from ltrec.distributed.report import StepReport
from ltrec.training.callbacks.rank_consistency import RankConsistency, digest, statement


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 5)])
def test_a_digest_sees_every_bit_and_no_layout(dtype, shape):
    tensor = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
    assert digest(tensor) == digest(tensor.clone())
    assert digest(tensor.T.contiguous().T if tensor.dim() == 2 else tensor) == digest(tensor)
    for i in range(tensor.numel()):
        other = tensor.clone()
        other.view(-1).view(torch.uint8)[i * other.element_size()] ^= 1
        assert digest(other) != digest(tensor)


def test_a_statement_goes_from_causes_to_effects_and_leaves_out_what_is_cut_into_parts():
    module = nn.Linear(2, 1)
    report = StepReport(4, torch.tensor([3.0, 16777217.0]).double(), torch.tensor([0.25, torch.nan]).double(), None)
    assert list(statement(module, report)) == [
        "the count of stratum 0",
        "the count of stratum 1",
        "the weight of stratum 0",
        "the weight of stratum 1",
        "parameter weight",
        "parameter bias",
    ]
    assert statement(module, report) == statement(module, report), "what is not a number everywhere is no difference"
    assert list(statement(module, None)) == ["parameter weight", "parameter bias"]
    module.weight.ds_id = 0  # as ZeRO-3 marks a parameter that it partitions
    assert list(statement(module, None)) == ["parameter bias"]


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ([{"a": "1"}, {"a": "1"}], None),
        ([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}], "b is 2 on rank 0 and 3 on rank 1"),
        (
            [{"a": "1", "b": "2"}, {"a": "0", "b": "3"}, {"a": "1", "b": "2"}],
            "a is 1 on ranks 0, 2 and 0 on rank 1, and 1 more differ",
        ),
        ([{"a": "1"}, {}], "a is 1 on rank 0 and absent on rank 1"),
        ([{}, {"a": "1"}], "a is absent on rank 0 and 1 on rank 1"),
        ([{"a": "1"}] * 10 + [{"a": "2"}], "a is 1 on ranks 0, 1, 2, 3, 4, 5, 6, 7 and 2 more and 2 on rank 10"),
    ],
)
def test_the_first_difference_is_named_with_its_ranks(statements, told):
    assert first_difference(statements) == told


def steps(callback, module, *numbers):
    """Steps of two micro-batches each; returns after which optimiser steps the callback looked."""
    trainer = SimpleNamespace(global_step=numbers[0] - 1, strategy=None, callbacks=[], lightning_module=module)
    callback.on_train_start(trainer, module)
    for step in numbers:
        callback.on_train_batch_end(trainer, module, None, None, 0)
        trainer.global_step = step
        callback.on_train_batch_end(trainer, module, None, None, 1)


@pytest.fixture
def looks(monkeypatch):
    """Two ranks that agree, and at which parameters they were asked."""
    seen = []

    def gather(part):
        seen.append(part)
        return [part, part]

    monkeypatch.setattr(consistency, "all_gather_parts", gather)
    monkeypatch.setattr(consistency, "current_world", lambda: SimpleNamespace(size=2))
    return seen


def test_it_looks_before_the_first_step_and_once_in_every_n(looks):
    steps(RankConsistency(3), nn.Linear(1, 1), 1, 2, 3, 4, 5, 6, 7)
    assert len(looks) == 3
    looks.clear()
    steps(RankConsistency(3), nn.Linear(1, 1), 7, 8, 9, 10)  # resumed after step 6
    assert len(looks) == 2


def test_the_error_says_when_all_was_well(looks, monkeypatch):
    callback, module = RankConsistency(2), nn.Linear(1, 1)
    steps(callback, module, 1, 2, 3)
    trainer = SimpleNamespace(global_step=4, strategy=None, callbacks=[], lightning_module=module)
    monkeypatch.setattr(consistency, "all_gather_parts", lambda part: [part, {**part, "parameter weight": "00"}])
    with pytest.raises(
        UserError, match=r"after step 4: parameter weight is \w{16} on rank 0 and 00 on rank 1 \(all agreed after step 2\)"
    ):
        callback.on_train_batch_end(trainer, module, None, None, 0)


def test_alone_there_is_nothing_to_compare(monkeypatch):
    monkeypatch.setattr(consistency, "digest", lambda _: pytest.fail("hashed for nobody"))
    steps(RankConsistency(1), nn.Linear(1, 1), 1, 2)
