"""Losses over items whose vectors are computed: as over the table, whether all are computed or those at hand."""

import pytest
import torch
from torch.testing import assert_close

from ltrec.core.hashing import mix_tensor
from ltrec.models.backbones import BACKBONES
from ltrec.models.inputs import ColumnItems
from ltrec.models.plugins import Melt, plug
from ltrec.objectives import OBJECTIVES, Draw
from ltrec.objectives.item_table import at_hand, loss_table
from ltrec.run.build.inputs import competing_items
from tests.support.inputs import every_input
from tests.support.sequences import stir

V, D, N = 400, 6, 7
G = torch.Generator().manual_seed(9)
COUNT = torch.randint(0, 3, (V + 1,), generator=G)
AMONG = competing_items(COUNT)
TARGETS = AMONG[torch.randint(0, len(AMONG), (N,), generator=G)]
STATES = torch.randn(N, D, generator=G, dtype=torch.float64)


def items_of():
    torch.manual_seed(2)
    untrained = (COUNT[1:] == 0).nonzero()[:, 0] + 1
    return stir(every_input(V, untrained=untrained.tolist()).item_vectors(V, D)).double()


def objective_of(name, **options):
    few = {"negatives": 9} if "negatives" in OBJECTIVES[name].config.__dataclass_fields__ else {}
    return OBJECTIVES[name].make(train_count=COUNT, gather=lambda ids: ids, **few, **options)


@pytest.mark.parametrize("among", [None, AMONG], ids=["all", "met"])
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_rows_at_hand_give_the_table_s_losses_and_gradients(name, among):
    draw, found = Draw(3, 5, torch.arange(N)), []
    for way in ("computed", "table"):
        items, states = items_of(), STATES.clone().requires_grad_()
        loss_N = objective_of(name, among=among)(states, TARGETS, items if way == "computed" else items.table(), draw)
        (loss_N * torch.arange(1, N + 1)).sum().backward()
        found.append([loss_N, states.grad, *(p.grad for p in items.parameters())])
    for a, b in zip(*found, strict=True):
        assert_close(a, b, rtol=0, atol=1e-11)


def test_only_the_rows_at_hand_are_computed(monkeypatch):
    asked = []
    plain = ColumnItems._vectors
    monkeypatch.setattr(ColumnItems, "_vectors", lambda self, items: asked.append(items) or plain(self, items))
    items, negatives = items_of(), torch.tensor([[5, 9, 5], [9, 9, 2]])
    table_RD, (target_row, negative_row) = at_hand(items, torch.tensor([9, 3]), negatives)
    assert [some.tolist() for some in asked] == [[2, 3, 5, 9]] and len(table_RD) == 4
    assert target_row.tolist() == [3, 1] and negative_row.tolist() == [[2, 3, 2], [3, 3, 0]]
    whole_RD, (same,) = at_hand(items, torch.arange(1, V + 1))  # all of them: still one call
    assert len(asked) == 2 and len(whole_RD) == V and same.tolist() == list(range(V))


def test_a_table_is_taken_as_it_is():
    table, ids = torch.randn(V + 1, D), torch.tensor([3, 4])
    got, (same,) = at_hand(table, ids)
    assert got is table and same is ids
    for plain in (BACKBONES["sasrec"], BACKBONES["gru4rec"]):
        model = plain.make(V, 9)
        assert loss_table(model) is model.items.weight is loss_table(plug(model, num_strata=2))


def test_plugins_pass_what_computes_the_vectors_on():
    trunk = BACKBONES["sasrec"].make(num_items=V, max_len=9, inputs=every_input(V))
    assert loss_table(trunk) is trunk.items is loss_table(plug(trunk, num_strata=3))
    assert isinstance(loss_table(trunk), ColumnItems) and Melt.item_vectors.fget


def test_items_that_training_never_met_stand_in_no_loss():
    """Neither their columns' share nor the loss feels them: it is the loss of a catalogue without them."""
    items, draw = items_of(), Draw(3, 5, torch.arange(N))
    kept = torch.nn.functional.pad(AMONG, (1, 0))
    got = objective_of("softmax", among=AMONG)(STATES, TARGETS, items, draw)
    want = torch.logsumexp(STATES @ items.table()[AMONG].T, 1) - (STATES * items.table()[TARGETS]).sum(1)
    assert_close(got, want)
    assert len(kept) < V + 1 and objective_of("softmax")(STATES, TARGETS, items, draw).gt(got).all()
    for name in ("bce", "gbce", "sampled_softmax"):
        drawn = objective_of(name, among=AMONG).proposal.items(mix_tensor(3, torch.arange(10_000)))
        assert torch.isin(drawn, AMONG).all() and drawn.unique().numel() > len(AMONG) / 2


def test_where_training_has_met_all_items_all_compete():
    assert competing_items(torch.tensor([0, 1, 2])) is None
    assert competing_items(torch.tensor([0, 1, 0, 2])).tolist() == [1, 3]
