"""LazyAdamW: AdamW where every row has a gradient, SparseAdam on tables where few have, and nothing at all on the other rows."""

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from ltrec.core.rows.touched import note_touched
from ltrec.optim.build import adamw, optimizer_for
from ltrec.optim.config import LazyAdamWConfig
from ltrec.optim.lazy import LazyAdamW
from tests.support.threaded import on_ranks, threaded_or_skip

OPTIONS = {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "lr": 0.1}


def model_of():
    torch.manual_seed(0)
    return torch.nn.ModuleDict({"table": torch.nn.Embedding(9, 3), "linear": torch.nn.Linear(3, 2)}).double()


def lazy(model, **more):
    return optimizer_for(model, LazyAdamWConfig(**OPTIONS, **more))


def gradients(model, step, rows=None):
    """Set them; those of the table in some rows only."""
    g = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)
    if rows is not None:
        kept = torch.zeros(9, 1, dtype=torch.float64).index_fill(0, torch.tensor(rows), 1.0)
        model["table"].weight.grad *= kept


STEPS = [[1, 4], [4], [2, 4, 8], [1]]


def test_with_a_gradient_in_every_row_it_is_adamw():
    mine, theirs = model_of(), model_of()
    optimizer, reference = lazy(mine, weight_decay=0.1), adamw(theirs, lr=0.1, weight_decay=0.1, betas=(0.8, 0.9), eps=1e-3)
    for step in range(4):
        gradients(mine, step)
        gradients(theirs, step)
        optimizer.step()
        reference.step()
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("noted", [False, True])
def test_rows_with_a_gradient_are_stepped_as_sparse_adam_does_and_others_not_at_all(noted):
    """A row that is noted and has no gradient is one of the others. SparseAdam adds eps elsewhere, so it is tiny here."""
    mine, reference = model_of(), model_of()["table"].weight.detach().clone().requires_grad_()
    optimizer = optimizer_for(mine, LazyAdamWConfig(**{**OPTIONS, "eps": 1e-14}))
    sparse = torch.optim.SparseAdam([reference], lr=0.1, betas=(0.8, 0.9), eps=1e-14)
    weight = mine["table"].weight
    for step, rows in enumerate(STEPS):
        gradients(mine, step, rows)
        dense, before = weight.grad.clone(), weight.detach().clone()
        if noted:
            note_touched(weight, torch.tensor([0, *rows, 7]).unique())
        with torch.sparse.check_sparse_tensor_invariants():
            reference.grad = torch.sparse_coo_tensor(torch.tensor([rows]), dense[rows], dense.shape).coalesce()
        optimizer.step()
        sparse.step()
        still = torch.ones(9, dtype=torch.bool).index_fill(0, torch.tensor(rows), False)
        assert torch.equal(weight[still], before[still]) and (weight[~still] != before[~still]).all()
        assert weight.grad is not None and torch.equal(weight.grad, dense)
        torch.testing.assert_close(weight, reference, rtol=1e-6, atol=1e-9)
    state = optimizer.state[weight]
    assert not state["exp_avg"][[0, 3, 5, 6, 7]].any() and float(state["step"]) == len(STEPS)


def test_tables_alone_are_lazy_and_never_decayed():
    model = model_of()
    optimizer = lazy(model, weight_decay=0.3)
    groups = [(e["weight_decay"], e.get("by_row", False), [p.shape for p in e["params"]]) for e in optimizer.param_groups]
    assert isinstance(optimizer, LazyAdamW)
    assert groups == [(0.3, False, [(2, 3)]), (0.0, False, [(2,)]), (0.0, True, [(9, 3)])]


def test_hooks_are_called_once_and_a_closure_is_asked_whatever_was_made_before():
    adamw(model_of(), lr=0.1, weight_decay=0.0, betas=(0.8, 0.9), eps=1e-3).step()  # torch wraps AdamW.step at the first one
    model, calls = model_of(), []
    optimizer = lazy(model)
    optimizer.register_step_post_hook(lambda *_: calls.append(model["table"].weight.grad is not None))

    def closure():
        model["linear"](model["table"](torch.tensor([3]))).sum().backward()
        return 7.0

    before = model["table"].weight.detach().clone()
    assert optimizer.step(closure) == 7.0 and calls == [True]
    assert (model["table"].weight != before).any(1).nonzero().tolist() == [[3]]


def test_a_state_goes_on_where_it_was_saved_and_no_gradient_is_no_step():
    whole, first, second = model_of(), model_of(), model_of()
    straight, one, two = lazy(whole), lazy(first), lazy(second)
    for step, rows in enumerate(STEPS):
        gradients(whole, step, rows)
        straight.step()
        half, optimizer = (first, one) if step < 2 else (second, two)
        if step == 2:
            second.load_state_dict(first.state_dict())
            two.load_state_dict(one.state_dict())
        gradients(half, step, rows)
        optimizer.step()
    second.zero_grad()
    two.step()
    for a, b in zip(second.parameters(), whole.parameters(), strict=True):
        assert torch.equal(a, b)


@threaded_or_skip
def test_partitions_of_a_table_are_stepped_as_the_whole_is():
    """FSDP2 cuts between rows; one rank here holds fewer, and of some steps none has a gradient."""
    models = [model_of() for _ in range(2)]

    def on_rank(rank):
        mesh = init_device_mesh("cpu", (2,))
        table = torch.nn.Parameter(distribute_tensor(models[rank]["table"].weight.detach(), mesh, [Shard(0)]))
        optimizer = LazyAdamW([{"params": [table], "by_row": True}], lr=0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.0)
        for step, rows in enumerate(STEPS):
            gradients(models[rank], step, rows)
            table.grad = distribute_tensor(models[rank]["table"].weight.grad, mesh, [Shard(0)])
            optimizer.step()
        return table.detach().full_tensor()

    found, whole = on_ranks(2, on_rank), model_of()
    optimizer = lazy(whole)
    for step, rows in enumerate(STEPS):
        gradients(whole, step, rows)
        optimizer.step()
    for table in found:
        torch.testing.assert_close(table, whole["table"].weight.detach(), rtol=1e-12, atol=1e-12)
