"""What every backbone promises, whatever is inside: one row of the table after the other."""

import dataclasses
import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ltrec.models.backbones import (
    BACKBONES,
    CandidateScorer,
    Encoder,
    Scorer,
    Trunk,
)
from ltrec.models.plugins import plug
from tests.support.sequences import histories, stir

NUM_ITEMS, MAX_LEN = 20, 9
SMALL = {"sasrec": {"width": 8}, "gru4rec": {"width": 8, "hidden": 6}, "din": {"width": 8, "layers": (6, 5)}}
EVERY = pytest.mark.parametrize("name", list(BACKBONES))
LENGTHS = st.lists(st.integers(0, MAX_LEN), min_size=1, max_size=8)


def model_of(name, **options):
    torch.manual_seed(1)
    return stir(BACKBONES[name].make(NUM_ITEMS, MAX_LEN, **{"dropout": 0.0, **SMALL[name], **options}).double())


def outputs(model, batch):
    """What a loss sees of every position."""
    if isinstance(model, Encoder):
        return model.encode(batch)
    return model.candidate_logits(batch, torch.arange(1, 4).expand(batch.items_T.numel(), -1))


@EVERY
def test_the_tables_agree_with_the_protocols_and_configs(name):
    config, model = BACKBONES[name].config(), BACKBONES[name].make(NUM_ITEMS, MAX_LEN)
    assert config.name == name
    assert isinstance(model, Scorer) and isinstance(model, Trunk)
    assert set(model.places) <= {"items", "state"}
    assert isinstance(model, Encoder) == BACKBONES[name].has_states == (not isinstance(model, CandidateScorer))
    options = inspect.signature(type(model)).parameters
    defaults = {key: value for key, value in dataclasses.asdict(config).items() if key != "name"}
    assert {key: options[key].default for key in defaults} == defaults
    assert set(options) - set(defaults) == {"num_items", "max_len", "inputs"}


@EVERY
def test_a_plugged_trunk_is_what_its_trunk_is(name):
    trunk = model_of(name)
    plugged = plug(trunk, num_strata=3)
    assert isinstance(plugged, Encoder) == isinstance(trunk, Encoder) == BACKBONES[name].has_states
    assert isinstance(plugged, CandidateScorer) == isinstance(trunk, CandidateScorer) == (not BACKBONES[name].has_states)


@EVERY
def test_it_is_built_on_the_meta_device_and_filled_later(name):
    with torch.device("meta"):
        model = BACKBONES[name].make(10**6, MAX_LEN, **SMALL[name])
    assert {p.device.type for p in model.parameters()} == {"meta"}
    with torch.device("meta"):
        small = BACKBONES[name].make(NUM_ITEMS, MAX_LEN, **SMALL[name]).double()
    filled = small.to_empty(device="cpu")
    filled.load_state_dict(model_of(name).state_dict())
    batch = histories([3, 5], NUM_ITEMS)
    assert_close(filled.eval().scores(batch), model_of(name).eval().scores(batch))


@EVERY
@settings(max_examples=15)
@given(lengths=LENGTHS, seed=st.integers(0, 100))
def test_rows_do_not_depend_on_order_or_company(name, lengths, seed):
    model, batch = model_of(name), histories(lengths, NUM_ITEMS, seed=seed)
    scores = model.scores(batch)
    assert scores.shape == (len(lengths), NUM_ITEMS + 1) and torch.isneginf(scores[:, 0]).all()
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed))
    assert_close(model.scores(batch.select(order)), scores[order], rtol=0, atol=1e-12)
    assert_close(model.scores(batch.select(order[:1])), scores[order[:1]], rtol=0, atol=1e-12)


@EVERY
def test_positions_see_their_own_past_only(name):
    model = model_of(name)
    batch = histories([4, 6], NUM_ITEMS)
    batch.items_T[:] = torch.arange(4, 14)
    gradient = torch.autograd.grad(outputs(model, batch)[6].sum(), model.items.weight)[0]
    touched = set(gradient.abs().sum(1).nonzero().flatten().tolist())
    assert touched - {1, 2, 3} == {8, 9, 10}  # 1 to 3 are the candidates of a backbone without states


@EVERY
def test_one_broken_row_leaves_the_others_alone(name):
    model, batch = model_of(name), histories([4, 3, 2], NUM_ITEMS)
    batch.items_T.clamp_(4, NUM_ITEMS - 1)
    clean = outputs(model, batch)
    with torch.no_grad():
        model.items.weight[NUM_ITEMS] = torch.nan
    batch.items_T[5] = NUM_ITEMS  # second of the second row's three positions
    broken = outputs(model, batch)
    assert broken[5].isnan().all()
    intact = [0, 1, 2, 3, 7, 8]
    assert_close(broken[intact], clean[intact], rtol=0, atol=1e-12)


@EVERY
def test_an_empty_row_is_no_error_and_no_number_is_missing(name):
    model = model_of(name)
    scores = model.scores(histories([0, 3, 0], NUM_ITEMS))
    assert scores[:, 1:].isfinite().all()
    assert_close(model.scores(histories([0, 0], NUM_ITEMS)), scores[[0, 2]])
    if isinstance(model, Encoder):
        assert not scores[0, 1:].any()


@EVERY
def test_dropout_acts_in_training_only(name):
    model, batch = model_of(name, dropout=0.5), histories([5, 2], NUM_ITEMS)
    assert not torch.equal(outputs(model, batch), outputs(model, batch))
    model.eval()
    assert torch.equal(outputs(model, batch), outputs(model, batch))


@EVERY
def test_the_padding_row_is_zero_and_stays_so(name):
    model, batch = model_of(name, dropout=0.3), histories([5, 2], NUM_ITEMS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        outputs(model, batch).square().sum().backward()
        optimizer.step()
    assert not model.items.weight[0].any()


@EVERY
def test_autocast_gives_nearly_the_same(name):
    model, batch = model_of(name).float(), histories([5, 2, 7], NUM_ITEMS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = outputs(model, batch)
        low.float().square().sum().backward()
        scores = model.scores(batch)
    assert scores.dtype == torch.float32
    assert_close(low.float(), outputs(model, batch), rtol=0.1, atol=0.1)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
