"""A step over the touched rows of a table is the step over all of it: losses, gradients, Gram matrix, on any number of ranks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.core.rows.touched import touched_of
from ltrec.distributed.collectives import Collectives
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.touched import BACKBONES, OBJECTIVES, Model, V, batches_of, stratified_step
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear

PRIOR_K = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def losses_and_gradients(model, batches, table=None):
    """One ordinary pass."""
    model.zero_grad()
    if table is not None:
        table.open(model.read_items(batches))
    losses = [model.losses(batch).loss_N for batch in batches]
    sum(loss_N.sum() for loss_N in losses).backward()
    if table is not None:
        table.publish()
    return {"losses": torch.cat(losses).detach(), **model.gradients()}


PAIRS = [(b, o) for b in BACKBONES for o in OBJECTIVES if (b, o) != ("din", "in_batch")]


@given(st.sampled_from(PAIRS), st.integers(0, 99), st.integers(1, 3), st.integers(1, 12))
@settings(max_examples=25)
def test_losses_and_gradients_are_those_of_the_whole_table(pair, seed, micro_batches, rows):
    backbone, objective = pair
    model = Model(backbone, objective)
    table = model.table()
    for step in (seed, seed + 1):  # the second step must find nothing of the first
        batches = batches_of(step, micro_batches, rows, step)
        expected = losses_and_gradients(model, batches)
        found = losses_and_gradients(model, batches, table)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-11, atol=1e-12, msg=name)
        weight = table.vectors.weight
        elsewhere = torch.ones(V + 1, dtype=torch.bool).index_fill(0, touched_of(weight), False)
        assert not weight.grad[elsewhere].any() and not weight.grad[0].any()
        assert not table.is_open


@threaded_or_skip
@pytest.mark.parametrize("world", [1, 3])
@pytest.mark.parametrize("make_rule", [ToyLinear, ToyGram, ToyCoordinate])
@pytest.mark.parametrize("objective", ["shared", "in_batch"])
def test_strata_on_ranks_give_the_same_update_and_gram_matrix(world, make_rule, objective):
    """Each rank touches other rows; the sums are over all. Two micro-batches share a step."""

    models = [Model("sasrec", objective) for _ in range(world)]  # not in threads, which share their generator

    def on_rank(rank, touched):
        batches = batches_of(rank, micro_batches=2, rows=2)
        return stratified_step(models[rank], make_rule(PRIOR_K), batches, Collectives(), touched=touched)

    for found, expected in zip(on_ranks(world, on_rank, True), on_ranks(world, on_rank, False), strict=True):
        assert found[0].keys() == expected[0].keys()
        for name, value in expected[0].items():
            torch.testing.assert_close(found[0][name], value, rtol=1e-11, atol=1e-14, msg=name)
        torch.testing.assert_close(found[1], expected[1], rtol=1e-11, atol=1e-15)


@threaded_or_skip
def test_bytes_grow_with_touched_rows_and_not_with_the_table():
    models = [Model("sasrec", "shared") for _ in range(2)]

    def on_rank(rank, touched):
        model = models[rank]
        sent = stratified_step(model, ToyLinear(PRIOR_K), batches_of(rank, rows=1), Collectives(), touched=touched)[2]
        rest = sum(p.numel() for name, p in model.named_parameters() if not name.endswith("items.weight"))
        all_ranks = [batch for r in range(2) for batch in batches_of(r, rows=1)]
        ids, present = model.read_items(all_ranks), torch.cat([b.stratum_B for b in all_ranks]).unique().numel()
        message = 8 * (present + 1) / 2
        return sent, message * rest, message * 4 * torch.cat([ids, ids.new_zeros(1)]).unique().numel(), len(ids)

    for (touched, rest, rows, ids), (whole, *_) in zip(on_ranks(2, on_rank, True), on_ranks(2, on_rank, False), strict=True):
        assert rest + rows <= touched <= rest + rows + 16 * ids + 400  # ids, counts, the Gram matrix, padding
        assert touched < 0.8 * whole


def test_an_item_that_was_not_named_is_an_error_and_no_wrong_vector():
    table = Model("sasrec", "shared").table()
    for first in (5, 7):
        table.open(torch.tensor([first, 9]))
        assert torch.equal(table.vectors(torch.tensor([9, 0])), table.vectors.weight[[9, 0]])
        with pytest.raises(IndexError):
            table.vectors(torch.tensor([6]))


def test_without_gradients_the_whole_table_is_there_as_ever():
    """Validation may come between two micro-batches."""
    table = Model("sasrec", "shared").table()
    table.open(torch.tensor([5]))
    with torch.no_grad():
        assert torch.equal(table.vectors(torch.tensor([6])), table.vectors.weight[[6]])
    table.close()
    table.close()
    assert torch.equal(table.vectors(torch.tensor([6])), table.vectors.weight[[6]])


def test_a_step_without_a_gradient_leaves_none():
    model = Model("sasrec", "shared")
    table = model.table()
    losses_and_gradients(model, batches_of(0), table)
    table.vectors.weight.grad = None
    table.open(torch.tensor([5]))
    table.publish()
    assert table.vectors.weight.grad is None and not table.is_open


def test_a_loss_that_reads_the_weight_itself_is_refused():
    table = Model("sasrec", "shared").table()
    table.open(torch.tensor([5]))
    (table.vectors(torch.tensor([5])).sum() + table.vectors.weight.sum()).backward()
    with pytest.raises(UserError, match=r"reads .*items\.weight itself .* gradients of all rows"):
        table.publish()
