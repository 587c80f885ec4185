"""Chunked full softmax against torch's own cross-entropy, its gradients against finite differences, its memory against a tally."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ltrec.models.segments import Segments
from ltrec.objectives import Draw, softmax
from ltrec.objectives.softmax import LEAST_ROWS, FullSoftmax


def problem(examples=12, items=30, width=5, dtype=torch.float64, scale=1.0):
    g = torch.Generator().manual_seed(examples)
    states = (scale * torch.randn(examples, width, generator=g, dtype=dtype)).requires_grad_()
    table = torch.randn(items + 1, width, generator=g, dtype=dtype)
    table[0] = 0
    targets = torch.randint(1, items + 1, (examples,), generator=g)
    return states, targets, table.requires_grad_(), Draw(0, 0, torch.arange(examples))


def in_blocks_of(rows, keep_mib, monkeypatch):
    """The objective with blocks of a few rows, its probabilities kept or computed again."""
    objective = FullSoftmax(keep_mib=keep_mib)
    monkeypatch.setattr(objective, "_block_rows", lambda *_: rows)
    return objective


BLOCKS = pytest.mark.parametrize(("rows", "keep_mib"), [(1, 0), (5, 0), (5, 1), (12, 0), (12, 1)])


def reference(states, targets, table):
    return F.cross_entropy(states @ table[1:].T, targets - 1, reduction="none")


@BLOCKS
def test_loss_and_gradients_equal_cross_entropy(rows, keep_mib, monkeypatch):
    states, targets, table, draw = problem()
    weights = torch.randn(12, dtype=torch.float64)  # examples are weighted differently by whoever reduces
    loss = in_blocks_of(rows, keep_mib, monkeypatch)(states, targets, table, draw)
    expected = reference(states, targets, table)
    assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad((loss * weights).sum(), (states, table)),
        torch.autograd.grad((expected * weights).sum(), (states, table)),
        strict=True,
    ):
        assert_close(a, b, rtol=1e-12, atol=1e-12)


@BLOCKS
def test_gradcheck(rows, keep_mib, monkeypatch):
    states, targets, table, draw = problem(examples=7, items=6, width=3)
    objective = in_blocks_of(rows, keep_mib, monkeypatch)
    # The padding row is not a candidate, so its numeric gradient is zero like ours.
    assert torch.autograd.gradcheck(lambda s, t: objective(s, targets, t, draw), (states, table))


@BLOCKS
def test_backward_can_run_twice(rows, keep_mib, monkeypatch):
    states, targets, table, draw = problem()
    loss = in_blocks_of(rows, keep_mib, monkeypatch)(states, targets, table, draw)
    first = torch.autograd.grad(loss[:6].sum(), (states, table), retain_graph=True)
    second = torch.autograd.grad(loss[6:].sum(), (states, table), retain_graph=True)
    whole = torch.autograd.grad(loss.sum(), (states, table))
    for a, b, c in zip(first, second, whole, strict=True):
        assert_close(a + b, c)


def test_two_graphs_may_live_at_once():
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


def largest_tensor(examples, keep_mib):
    states, targets, table, draw = problem(examples=examples, items=50_000, width=4, dtype=torch.float32)
    with LargestTensor() as tally:
        FullSoftmax(keep_mib=keep_mib)(states, targets, table, draw).sum().backward()
    return tally.elements


def test_memory_does_not_grow_with_positions():
    block = LEAST_ROWS * 50_000
    assert block <= largest_tensor(300, keep_mib=0) <= 1.25 * block
    assert largest_tensor(1200, keep_mib=0) == largest_tensor(300, keep_mib=0)
    assert largest_tensor(300, keep_mib=64) >= 300 * 50_000  # kept while it fits
    assert largest_tensor(1200, keep_mib=64) == largest_tensor(300, keep_mib=0)


def test_the_buffer_is_used_again_once_it_is_free():
    objective = FullSoftmax()
    states, targets, table, draw = problem()
    first = objective(states, targets, table, draw)
    second = objective(states, targets, table, draw)  # while the first graph lives
    assert not objective.workspace._free
    first.sum().backward()
    (buffer,) = objective.workspace._free
    third = objective(states[:10], targets[:10], table, draw)
    assert not objective.workspace._free
    del third  # without a backward pass
    assert objective.workspace._free[0] is buffer
    second.sum().backward()
    assert len(objective.workspace._free) == 2
    assert not copy.deepcopy(objective).workspace._free


@pytest.mark.parametrize(("rows", "keep_mib"), [(5, 0), (64, 0), (64, 64)])
def test_rounded_factors_cost_a_percent_of_a_gradient_and_no_more(rows, keep_mib, monkeypatch):
    """However small the blocks are, and whether probabilities are kept: what is rounded are the factors, not the sums."""
    states, targets, table, draw = problem(examples=300, items=500, width=16, dtype=torch.float32)
    objective = FullSoftmax(keep_mib=keep_mib, matmul="bfloat16")
    monkeypatch.setattr(objective, "_block_rows", lambda *_: rows)
    loss, expected = objective(states, targets, table, draw), reference(states, targets, table)
    assert loss.dtype == torch.float32
    assert_close(loss, expected, rtol=0.01, atol=0.01)
    found, wanted = (torch.autograd.grad(each.sum(), (states, table)) for each in (loss, expected))
    for a, b in zip(found, wanted, strict=True):
        assert 0 < (a - b).norm() < 0.02 * b.norm()
    assert not found[1][0].any(), "padding is not a candidate"


class Products(TorchDispatchMode):
    """Shapes of all matrix products."""

    def __init__(self):
        super().__init__()
        self.shapes = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm_):
            self.shapes.add(tuple(tuple(each.shape) for each in args))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("keep_mib", [0, 64])
def test_rounded_products_come_in_few_shapes_however_many_positions(keep_mib):
    """oneDNN keeps a compiled kernel of half a MiB for every shape; rows of zeros make 64 numbers of positions two."""
    objective = FullSoftmax(keep_mib=keep_mib, matmul="bfloat16")
    with Products() as products:
        for examples in range(65, 129):
            states, targets, table, draw = problem(examples=examples, items=50, width=8, dtype=torch.float32)
            objective(states, targets, table, draw).sum().backward()
    assert len(products.shapes) <= 6


@pytest.mark.parametrize("keep_mib", [0, 64])
def test_rows_of_zeros_change_nothing(keep_mib, monkeypatch):
    states, targets, table, draw = problem(examples=77, items=500, width=16, dtype=torch.float32)
    found = {}
    for step in (1, softmax.STEP):
        monkeypatch.setattr(softmax, "STEP", step)
        loss_N = FullSoftmax(keep_mib=keep_mib, matmul="bfloat16")(states, targets, table, draw)
        found[step] = [loss_N, *torch.autograd.grad(loss_N.sum(), [states, table])]
    for even, plain in zip(*found.values(), strict=True):
        assert_close(even, plain, rtol=1e-6, atol=1e-6)


def test_rounded_gradients_of_segments_are_those_of_their_rows_alone():
    """However runs and blocks of rows lie to one another, and to multiples of the step."""
    draw = torch.Generator().manual_seed(0)
    borders, rows = (0, 40, 40, 131, 160), 160
    probabilities, scaled = torch.rand(rows, 30, generator=draw).bfloat16(), torch.randn(rows, 8, generator=draw).bfloat16()
    stratum = torch.bucketize(torch.arange(rows), torch.tensor(borders[1:-1]), right=True)
    sink = torch.zeros(4, 31, 8)
    table = softmax._BySegment(rows, Segments(borders, stratum, {}), sink)
    for block in softmax.blocks(rows, 50):
        table.add(probabilities[block], scaled, block)
    for run, (start, stop) in enumerate(pairwise(borders)):
        alone = probabilities[start:stop].float().T @ scaled[start:stop].float()
        assert_close(sink[run, 1:], alone, rtol=0.02, atol=0.05)
        assert sink[run, 1:].any() == (stop > start)


def test_rounded_probabilities_take_half_the_memory():
    states, targets, table, draw = problem(examples=64, items=1000, dtype=torch.float32)
    sizes = {}
    for matmul in ("float32", "bfloat16"):
        objective = FullSoftmax(matmul=matmul)
        loss = objective(states, targets, table, draw)
        del loss  # gives the matrix back
        sizes[matmul] = sum(buffer.nbytes for buffer in objective.workspace._free)
    assert sizes["bfloat16"] * 2 == sizes["float32"]


def test_tf32_is_for_products_alone_and_rounds_nothing_on_a_cpu(monkeypatch):
    """On a GPU the setting reaches the products of both passes, and only them."""
    precision, seen = torch.backends.cuda.matmul, []
    before, original = precision.fp32_precision, torch.mm
    monkeypatch.setattr(torch, "mm", lambda *args, **more: seen.append(precision.fp32_precision) or original(*args, **more))
    states, targets, table, draw = problem(dtype=torch.float32)
    found = {}
    for matmul in ("float32", "tf32"):
        loss_N = FullSoftmax(matmul=matmul)(states, targets, table, draw)
        found[matmul] = [loss_N, *torch.autograd.grad(loss_N.sum(), [states, table])]
        assert precision.fp32_precision == before
    assert seen == [before, before, "tf32", "tf32"]
    assert all(torch.equal(a, b) for a, b in zip(*found.values(), strict=True))
