"""Where a backbone meets an objective: with and without states, with and without plugins."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ltrec.models.backbones import BACKBONES, CandidateScorer, Encoder
from ltrec.models.inputs import ColumnItems, Inputs
from ltrec.models.plugins import plug
from ltrec.objectives import OBJECTIVES
from ltrec.objectives.emphasis import EMPHASES
from ltrec.training.position_losses import PositionLosses
from tests.support.inputs import item_columns
from tests.support.sequences import histories, stir

NUM_ITEMS, MAX_LEN = 20, 9


class WithoutStates(nn.Module):
    """An Encoder that hides its states: only candidates get scores."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def candidate_logits(self, batch, candidates_TM):
        return torch.einsum("td,tmd->tm", self.encoder.encode(batch), self.encoder.item_table[candidates_TM])

    def scores(self, batch):
        return self.encoder.scores(batch)


def losses_of(name):
    options = dataclasses.asdict(OBJECTIVES[name].config())
    del options["name"]
    count = torch.arange(NUM_ITEMS + 1)
    objective = OBJECTIVES[name].make(train_count=count, gather=lambda ids: ids, **options)
    return PositionLosses(objective, EMPHASES["none"].make(gather=lambda x: x))


def batch_of(lengths, strata=None):
    batch = histories(lengths, NUM_ITEMS, strata=strata)
    targets = torch.randint(1, NUM_ITEMS + 1, batch.items_T.shape, generator=torch.Generator().manual_seed(7))
    return dataclasses.replace(batch, targets_T=targets, step=3)


def model_of(name):
    torch.manual_seed(1)
    return stir(BACKBONES[name].make(NUM_ITEMS, MAX_LEN, width=8, dropout=0.0).double())


@pytest.mark.parametrize("name", OBJECTIVES.where("needs_states", False))
@pytest.mark.parametrize("backbone", ["sasrec", "gru4rec"])
def test_an_encoder_that_hides_its_states_has_the_same_losses_and_gradients(name, backbone):
    model, position_losses, batch = model_of(backbone), losses_of(name), batch_of([4, 1, 6])
    hidden = WithoutStates(model)
    assert isinstance(hidden, CandidateScorer) and not isinstance(hidden, Encoder)
    (seen, states), (blind, nothing) = position_losses(model, batch, 5), position_losses(hidden, batch, 5)
    assert states is not None and nothing is None
    assert_close(blind, seen, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(loss.sum(), list(model.parameters()), materialize_grads=True) for loss in (blind, seen)]
    for a, b in zip(*gradients, strict=True):
        assert_close(a, b, rtol=0, atol=1e-11)


def test_a_choice_among_users_weighs_all_targets_of_a_user_alike_and_other_emphases_look_at_targets():
    """Of three users the worst one is chosen by his mean, though the worst target is another's."""
    losses = torch.tensor([2.0, 2.0, 5.0, 0.0, 0.0, 1.0])  # means 2, 5/3, 1
    batch = batch_of([2, 3, 1])

    def emphasised(name, unit, **options):
        position_losses = PositionLosses(lambda *_: losses, EMPHASES[name].make(gather=lambda x: x, **options))
        position_losses.objective.draws = position_losses.objective.coupled = False
        return position_losses(model_of("sasrec"), batch, 5, unit)[0]

    assert emphasised("cvar", "user", alpha=1 / 3).tolist() == pytest.approx([6.0, 6.0, 0, 0, 0, 0])
    assert emphasised("cvar", "target", alpha=1 / 6).tolist() == pytest.approx([0, 0, 30.0, 0, 0, 0])
    for name, unit in (("none", "user"), ("focal", "user")):
        assert torch.equal(emphasised(name, unit), emphasised(name, "target"))


@pytest.mark.parametrize("name", OBJECTIVES.where("needs_states", False))
def test_din_s_losses_of_a_row_do_not_depend_on_its_company(name):
    model, position_losses, batch = model_of("din"), losses_of(name), batch_of([4, 1, 6])
    whole, _ = position_losses(model, batch, 5)
    alone, _ = position_losses(model, batch.select(torch.tensor([2])), 5)
    assert_close(alone, whole[5:], rtol=0, atol=1e-12)


def test_a_stratum_s_loss_gives_no_gradient_to_the_plugins_of_others():
    plugged, position_losses = plug(model_of("din"), num_strata=3).double(), losses_of("sampled_softmax")
    plugged.wake(0)
    stir(plugged)
    batch = batch_of([4, 1, 6], strata=[0, 2, 0])
    loss, _ = position_losses(plugged, batch, 5)
    gradients = torch.autograd.grad(loss.sum(), list(plugged.parameters()), materialize_grads=True)
    touched = {plugged.plugin_of(n) for (n, _), g in zip(plugged.named_parameters(), gradients, strict=True) if g.any()}
    assert touched == {None, 0, 2}


def test_sleeping_plugins_change_nothing():
    trunk, position_losses, batch = model_of("din"), losses_of("bce"), batch_of([4, 1, 6])
    plugged = plug(trunk, num_strata=3)
    assert torch.equal(position_losses(plugged, batch, 5)[0], position_losses(trunk, batch, 5)[0])
    plugged.wake(0)
    assert_close(position_losses(plugged.double(), batch, 5)[0], position_losses(trunk, batch, 5)[0])


def test_a_loss_over_samples_never_computes_the_table_of_all_items(monkeypatch):
    """Not even to ask what kind of model it is: with a million items and columns that would be most of a step."""
    torch.manual_seed(1)
    model = BACKBONES["sasrec"].make(NUM_ITEMS, MAX_LEN, inputs=Inputs(item_columns(NUM_ITEMS)), width=8)
    assert isinstance(model, Encoder)
    monkeypatch.setattr(ColumnItems, "_table", lambda _: pytest.fail("computed"))
    losses_of("in_batch")(model, batch_of([4, 1, 6]), 5)
