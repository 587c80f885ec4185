"""The discriminator's gradient descends on its loss, the encoder's climbs it, by finite differences; what is told of the game."""

import math

import pytest
import torch

from ltrec.core.batch import SequenceBatch
from ltrec.core.hashing import mix
from ltrec.models.backbones import SASRec
from ltrec.models.discriminator import Discriminator
from ltrec.objectives import Draw
from ltrec.objectives.adversary import Adversary, adversary_metrics
from ltrec.objectives.config import AdversaryConfig
from ltrec.objectives.softmax import FullSoftmax

WEIGHT = 0.3


def batch_of(lengths=(4, 3, 5, 2), strata=(0, 1, 2, 0)):
    draw = torch.Generator().manual_seed(1)
    lengths = torch.tensor(lengths)
    items_T, targets_T = (torch.randint(1, 12, (int(lengths.sum()),), generator=draw) for _ in range(2))
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    keys = torch.arange(len(strata))
    return SequenceBatch(items_T, targets_T, offsets, torch.tensor(strata), keys, torch.zeros(3, dtype=torch.int64), step=0)


class Game(torch.nn.Module):
    """A recommender and its adversary, in float64."""

    def __init__(self, weight=WEIGHT):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = SASRec(11, 6, width=4, blocks=1, heads=1, dropout=0.0, init_std=0.5).double()
        self.adversary = Adversary(4, (1, 2), hidden=8, weight=weight).double()

    def parts(self, batch):
        """Recommendation loss, discriminator's loss: means over positions."""
        states_TD = self.backbone.encode(batch)
        loss_T = FullSoftmax()(states_TD, batch.targets_T, self.backbone.item_table, Draw(0, 0, batch.items_T[:0]))
        return loss_T.mean(), self.adversary(batch, states_TD).mean()


def slope(game, batch, direction, of):
    """d/de of a number of the losses at e = 0, along a direction in all parameters, by central differences."""
    values, step = [], 1e-6
    start = [p.detach().clone() for p in game.parameters()]
    for e in (step, -step):
        with torch.no_grad():
            for p, s, d in zip(game.parameters(), start, direction, strict=True):
                p.copy_(s + e * d)
            values.append(float(of(*game.parts(batch))))
    with torch.no_grad():
        for p, s in zip(game.parameters(), start, strict=True):
            p.copy_(s)
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weight", [0.0, WEIGHT, 2.0])
def test_each_player_descends_on_its_own_loss(seed, weight):
    """theta_d on the cross-entropy; theta on the recommendation loss minus lambda times that (LTP eq. 10, corrected)."""
    game, batch = Game(weight), batch_of()
    sum(game.parts(batch)).backward()
    draw = torch.Generator().manual_seed(mix(seed) >> 1)
    named = dict(game.named_parameters())
    for player, of in {"backbone": lambda rec, bce: rec - weight * bce, "adversary": lambda rec, bce: bce}.items():
        direction = [torch.randn(p.shape, generator=draw, dtype=p.dtype) * name.startswith(player) for name, p in named.items()]
        direction[0][0] = 0  # padding is not an item
        by_gradient = sum(float((p.grad * d).sum()) for p, d in zip(named.values(), direction, strict=True))
        assert by_gradient == pytest.approx(slope(game, batch, direction, of), rel=1e-6, abs=1e-9)


def test_a_step_makes_the_discriminator_better_and_the_states_harder():
    for player, better in {"adversary": True, "backbone": False}.items():
        game, batch = Game(), batch_of()
        before = game.parts(batch)[1]
        before.backward()
        with torch.no_grad():
            for name, p in game.named_parameters():
                if name.startswith(player) and p.grad is not None:
                    p -= 0.01 * p.grad
        assert (game.parts(batch)[1] < before) == better


def test_the_loss_is_the_negated_log_likelihood_of_eq_9():
    game, batch = Game(), batch_of()
    states_TD = game.backbone.encode(batch)
    p_T = torch.sigmoid(game.adversary.discriminator(states_TD))
    head_T = torch.tensor([0.0] * 4 + [1.0] * 3 + [1.0] * 5 + [0.0] * 2, dtype=torch.float64)
    expected_T = -(head_T * p_T.log() + (1 - head_T) * (1 - p_T).log())
    torch.testing.assert_close(game.adversary(batch, states_TD), expected_T)


def test_reversal_passes_values_on_unchanged():
    states_ND = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    one, other = (Discriminator(4, hidden=5, weight=weight) for weight in (0.0, 7.0))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(states_ND), other(states_ND))


def test_what_is_told_by_hand():
    """Positions: 6 tail users', 8 head users'. A discriminator that says head everywhere is right about half of the kinds."""
    game, batch = Game(), batch_of()
    last = game.adversary.discriminator.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(1.0)
    game.parts(batch)
    verdicts = game.adversary.take()
    says_head, says_tail = math.log1p(math.exp(-1)), math.log1p(math.exp(1))
    torch.testing.assert_close(verdicts, torch.tensor([[6, 0, 6 * says_tail], [8, 8, 8 * says_head]], dtype=torch.float64))
    assert adversary_metrics(verdicts) == pytest.approx(
        {"adversary/accuracy": 0.5, "adversary/loss": (6 * says_tail + 8 * says_head) / 14}
    )
    assert not game.adversary.take().any(), "taken once"
    game.parts(batch)
    game.parts(batch)
    torch.testing.assert_close(game.adversary.take(), 2 * verdicts)


def test_nothing_is_told_of_what_was_not_met():
    assert adversary_metrics(torch.zeros(2, 3, dtype=torch.float64)) == {}
    only_tail = torch.tensor([[4.0, 3.0, 2.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    assert adversary_metrics(only_tail) == {"adversary/loss": 0.5}


@pytest.mark.parametrize("options", [{"weight": -0.1}, {"hidden": 0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        AdversaryConfig(**options)
