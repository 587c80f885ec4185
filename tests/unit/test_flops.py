"""The FLOP counter of the benchmarks against sums by hand, and what running strata alone adds to them."""

import sys

import pytest
import torch
import torch.nn.functional as F

from ltrec.core.batch import SequenceBatch
from ltrec.distributed.sources import split
from ltrec.models.backbones import SASRec
from ltrec.objectives import Draw
from ltrec.objectives.softmax import FullSoftmax
from tests.support.engine_run import bench
from tests.support.rules import build
from tests.support.source_tree import ROOT
from tests.support.toy_rules import ToyGram, ToyLinear
from tests.support.windows import crowded


@pytest.fixture
def counter(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.delitem(sys.modules, "flops", raising=False)
    import flops

    return flops.Flops


@pytest.mark.parametrize("keep_mib,products", [(512, 3), (0, 4)])
def test_softmax_is_three_products_or_four(counter, keep_mib, products):
    """Scores and two gradients; the scores twice where they are not kept. One of them is added in place."""
    states, table = torch.randn(20, 8, requires_grad=True), torch.randn(31, 8, requires_grad=True)
    with counter() as flops:
        loss_N = FullSoftmax(keep_mib=keep_mib)(states, torch.arange(1, 21), table, None)
        torch.autograd.grad(loss_N.sum(), [states, table])
    assert flops.total == products * 2 * 20 * 30 * 8


@pytest.mark.parametrize("dropout,products", [(0.0, 7), (0.3, 6)])
def test_attention_with_and_without_dropout(counter, dropout, products):
    """Two products forward, four backward; the fused kernel computes the scores once more."""
    query = torch.randn(3, 2, 10, 4, requires_grad=True)
    with counter() as flops:
        F.scaled_dot_product_attention(query, query, query, dropout_p=dropout, is_causal=True).sum().backward()
    assert flops.total == products * 2 * (3 * 2 * 10 * 10 * 4)


def test_linear_layers(counter):
    layer, values = torch.nn.Linear(6, 5), torch.randn(7, 6, requires_grad=True)
    with counter() as flops:
        layer(values).sum().backward()
    assert flops.total == 3 * 2 * 7 * 6 * 5


@pytest.mark.parametrize("strata", [2, 5, 10])
def test_strata_run_alone_cost_no_more_than_together(counter, strata):
    """At most 1.02 times: only attention's padding may differ."""
    lengths_B = torch.randint(5, 60, (96,), generator=torch.Generator().manual_seed(strata))
    num = int(lengths_B.sum())
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths_B.cumsum(0)])
    items_T = torch.arange(num) % 300 + 1
    stratum_B = (lengths_B * strata // 60).clamp(max=strata - 1)
    batch = SequenceBatch(items_T, items_T, offsets, stratum_B, torch.arange(96), torch.zeros(strata, dtype=torch.int64), step=0)
    model, objective = SASRec(300, 60, width=32, dropout=0.3), FullSoftmax()

    def losses(part, stratum=None):
        loss_N = objective(model.encode(part), part.targets_T, model.item_table, Draw(0, 0, part.targets_T[:0]))
        return type("Losses", (), {"loss_N": loss_N})

    with counter() as together:
        losses(batch).loss_N.sum().backward()
    with counter() as alone:
        for _, loss_N, _ in split(losses, batch, range(strata)):
            if loss_N is not None:
                loss_N.sum().backward()
    assert 0.9 * together.total < alone.total <= 1.02 * together.total


@pytest.mark.parametrize(
    "make_rule,probe,matrices",
    [(ToyLinear, False, 0), (ToyLinear, True, 1), (lambda prior_K: build("agr_sum", prior_K), False, 0), (ToyGram, False, 1)],
    ids=["linear", "probe", "coordinate", "gram"],
)
def test_a_gram_matrix_is_formed_where_it_is_read(counter, make_rule, probe, matrices):
    """2 K^2 operations per parameter of the trunk. No other product is the engine's: what it does besides is linear in K."""
    window, prior_K = crowded(1, 5, 2), torch.full((5,), 0.2, dtype=torch.float64)
    batches = window.batches(0)
    made = bench(5, make_rule(prior_K), "per_stratum", probe=probe, prior_K=prior_K)
    with counter() as passes:
        made.engine.open(batches[0], rows=True)
        for batch in batches:
            made.engine.add_gradients(made.losses, batch)
    with counter() as step:
        made.step(batches)
    assert step.total - passes.total == matrices * 2 * 5**2 * made.engine.store.trunk
