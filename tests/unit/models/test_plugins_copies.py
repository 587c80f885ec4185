"""Copies of the trunk: asleep until told, then a model per stratum that shares nothing but its start."""

from __future__ import annotations

import pytest
import torch

from ltrec.models.backbones import BACKBONES, CandidateScorer, Encoder
from ltrec.models.plugins import Copies, RoutedByRow, WithPlugins
from tests.support.sequences import histories, stir

NAMES = sorted(BACKBONES)
EVERY = pytest.mark.parametrize("name", NAMES)


def trunk_of(name):
    torch.manual_seed(0)
    return stir(BACKBONES[name].make(num_items=30, max_len=8, width=8, dropout=0.0)).double().eval()


def copies_of(name, *, apart=False):
    """Awake; `apart`: after the copies have gone ways of their own."""
    model = Copies(trunk_of(name), num_strata=3)
    model.wake(0)
    if apart:
        for stratum, own in enumerate(model.copies):
            torch.manual_seed(stratum)
            for parameter in own.parameters():
                parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


BATCH = histories([3, 1, 5, 2, 4], 30, strata=[0, 2, -1, 0, 2])


@EVERY
def test_asleep_it_is_the_trunk_and_waking_changes_nothing(name):
    trunk = trunk_of(name)
    model = Copies(trunk_of(name), num_strata=3).eval()
    stir(model.trunk)
    stir(trunk)
    assert torch.equal(model.scores(BATCH), trunk.scores(BATCH)) and not model.awake
    model.wake(0)
    assert model.awake and torch.allclose(model.scores(BATCH), trunk.scores(BATCH), rtol=1e-12)
    for own in model.copies:
        assert all(torch.equal(a, b) for a, b in zip(own.state_dict().values(), trunk.state_dict().values(), strict=True))


@EVERY
def test_rows_go_through_their_own_copy(name):
    model = copies_of(name, apart=True)
    scores = model.scores(BATCH)
    for row, stratum in enumerate(BATCH.stratum_B.tolist()):
        own = model.trunk if stratum < 0 else model.copies[stratum]
        alone = own.scores(BATCH.select(torch.tensor([row])))
        assert torch.allclose(scores[row, 1:], alone[0, 1:], rtol=1e-12, atol=1e-12)
    one = BATCH.select(torch.tensor([0, 3]))
    assert torch.equal(model.scores(one), model.copies[0].scores(one))


def test_parts_hold_every_row_once():
    model = copies_of("sasrec")
    parts = model.parts(BATCH)
    assert [rows.tolist() for _, rows in parts] == [[2], [0, 3], [1, 4]]
    assert [part for part, _ in parts] == [model.trunk, model.copies[0], model.copies[2]]
    [(whole, rows)] = Copies(trunk_of("sasrec"), num_strata=3).parts(BATCH)
    assert rows.tolist() == [0, 1, 2, 3, 4] and not isinstance(whole, Copies)


@EVERY
def test_it_has_no_states_of_its_own(name):
    """K item tables: nothing that a loss or an index could take for one model's."""
    model = copies_of(name)
    assert not isinstance(model, Encoder | CandidateScorer)
    assert isinstance(model, WithPlugins) and isinstance(model, RoutedByRow)


def test_owners_and_checkpoint():
    model = copies_of("sasrec", apart=True)
    for key, _ in model.named_parameters():
        assert model.plugin_of(key) == (None if key.startswith("trunk.") else int(key.split(".")[1]))
    other = Copies(trunk_of("sasrec"), num_strata=3).eval()
    other.load_state_dict(model.state_dict())
    assert other.awake and torch.equal(other.scores(BATCH), model.scores(BATCH))


def test_the_idle_trunk_takes_part_with_nothing():
    model = copies_of("sasrec")
    extra_T = model.extra_losses(BATCH, None)
    assert extra_T.tolist() == [0.0] * 15
    extra_T.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.trunk.parameters())
    assert all(p.grad is None for p in model.copies.parameters())
    assert Copies(trunk_of("sasrec"), num_strata=3).extra_losses(BATCH, None) is None
