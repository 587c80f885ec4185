"""Chunked full softmax against torch's own cross-entropy, its gradients against finite differences, its memory against a tally."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ltrec.objectives import Draw
from ltrec.objectives.softmax import FullSoftmax


def problem(examples=12, items=30, width=5, dtype=torch.float64, scale=1.0):
    g = torch.Generator().manual_seed(examples)
    states = (scale * torch.randn(examples, width, generator=g, dtype=dtype)).requires_grad_()
    table = torch.randn(items + 1, width, generator=g, dtype=dtype)
    table[0] = 0
    targets = torch.randint(1, items + 1, (examples,), generator=g)
    return states, targets, table.requires_grad_(), Draw(0, 0, torch.arange(examples))


def in_chunks_of(objective, rows, monkeypatch):
    monkeypatch.setattr(objective, "rows_per_chunk", lambda *_: rows)
    return objective


def reference(states, targets, table):
    return F.cross_entropy(states @ table[1:].T, targets - 1, reduction="none")


@pytest.mark.parametrize("rows", [1, 5, 12, 100])
def test_loss_and_gradients_equal_cross_entropy(rows, monkeypatch):
    states, targets, table, draw = problem()
    weights = torch.randn(12, dtype=torch.float64)  # examples are weighted differently by whoever reduces
    loss = in_chunks_of(FullSoftmax(), rows, monkeypatch)(states, targets, table, draw)
    expected = reference(states, targets, table)
    assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad((loss * weights).sum(), (states, table)),
        torch.autograd.grad((expected * weights).sum(), (states, table)),
        strict=True,
    ):
        assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [3, 100])
def test_gradcheck(rows, monkeypatch):
    states, targets, table, draw = problem(examples=7, items=6, width=3)
    objective = in_chunks_of(FullSoftmax(), rows, monkeypatch)
    # The padding row is no candidate, so its numeric gradient is zero like ours.
    assert torch.autograd.gradcheck(lambda s, t: objective(s, targets, t, draw), (states, table))


@pytest.mark.parametrize("rows", [5, 100])
def test_backward_can_run_twice(rows, monkeypatch):
    states, targets, table, draw = problem()
    loss = in_chunks_of(FullSoftmax(), rows, monkeypatch)(states, targets, table, draw)
    first = torch.autograd.grad(loss[:6].sum(), (states, table), retain_graph=True)
    second = torch.autograd.grad(loss[6:].sum(), (states, table), retain_graph=True)
    whole = torch.autograd.grad(loss.sum(), (states, table))
    for a, b, c in zip(first, second, whole, strict=True):
        assert_close(a + b, c)


def test_two_graphs_may_live_at_once(monkeypatch):
    objective = FullSoftmax()
    one, two = problem(examples=12), problem(examples=9)
    losses = [objective(*one), objective(*two)]
    for (states, targets, table, _), loss in zip((one, two), losses, strict=True):
        got = torch.autograd.grad(loss.sum(), (states, table))
        expected = torch.autograd.grad(reference(states, targets, table).sum(), (states, table))
        for a, b in zip(got, expected, strict=True):
            assert_close(a, b)


def test_huge_logits_neither_overflow_nor_lose_the_loss():
    states, targets, table, draw = problem(dtype=torch.float32, scale=300.0)
    loss = FullSoftmax()(states, targets, table, draw)
    assert loss.max() > 200  # far below what float32 exponentials can hold
    assert_close(loss, reference(states, targets, table), rtol=1e-4, atol=1e-2)
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss.sum(), (states, table)))


def test_no_example_is_no_error():
    states, targets, table, _ = problem()
    loss = FullSoftmax()(states[:0], targets[:0], table, Draw(0, 0, targets[:0]))
    assert loss.shape == (0,)
    assert not torch.autograd.grad(loss.sum(), table)[0].any()


def test_losses_are_float32_under_autocast():
    states, targets, table, draw = problem(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = FullSoftmax()(states.bfloat16(), targets, table, draw)
    assert loss.dtype == torch.float32
    assert_close(loss, reference(states.bfloat16().float(), targets, table))


class LargestTensor(TorchDispatchMode):
    """Remembers the largest tensor that any operation handed out."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.untyped_storage().nbytes() // leaf.element_size())
        return out


def largest_tensor(examples):
    states, targets, table, draw = problem(examples=examples, items=2000, width=4, dtype=torch.float32)
    with LargestTensor() as tally:
        FullSoftmax(chunk_mib=1)(states, targets, table, draw).sum().backward()
    return tally.elements


def test_memory_does_not_grow_with_positions():
    chunk = 2**20 // 4
    assert chunk / 2 < largest_tensor(500) <= chunk
    assert largest_tensor(2000) == largest_tensor(500)
    naive = 2000 * 2000
    assert naive > 10 * chunk
