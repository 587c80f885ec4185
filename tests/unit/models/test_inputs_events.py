"""Backbones whose items, events and users are more than ids."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close

from ltrec.models.backbones import BACKBONES, Encoder
from ltrec.models.inputs import EventInputs, Inputs
from ltrec.models.plugins import plug
from tests.support.inputs import every_input, with_columns
from tests.support.sequences import histories, stir

V, MAX_LEN = 20, 9
EVERY = pytest.mark.parametrize("name", list(BACKBONES))
SMALL = {"sasrec": {"width": 8}, "gru4rec": {"width": 8, "hidden": 6}, "din": {"width": 8, "layers": (6, 5)}}


def model_of(name, inputs=None, **options):
    torch.manual_seed(1)
    inputs = every_input(V, untrained=(7,)) if inputs is None else inputs
    return stir(BACKBONES[name].make(num_items=V, max_len=MAX_LEN, inputs=inputs, dropout=0.0, **SMALL[name], **options)).double()


def batch_of(lengths=(4, 0, 1, 6), strata=None):
    return with_columns(histories(lengths, V, strata=strata))


def outputs(model, batch):
    if isinstance(model, Encoder):
        return model.encode(batch)
    return model.candidate_logits(batch, torch.arange(1, 4).expand(batch.items_T.numel(), -1))


def test_events_are_the_sum_of_embedded_columns_at_every_position():
    events, batch = every_input(V).event_inputs(5), batch_of()
    assert isinstance(events, EventInputs)
    stir(events).double()
    got = events(batch)
    brand, price, age, gap = (*events.columns.values(), *events.users.values(), events.gap)
    row = batch.row_of_position().tolist()
    for place in range(len(got)):
        first = place == 0 or row[place - 1] != row[place]
        alone = slice(place, place + 1)
        bucket = 64 if first else None
        seen = batch.events["time"][max(0, place - 1) : place + 1]
        elapsed = gap(seen, torch.tensor([True] * (len(seen) - 1) + [bucket is not None]))[-1]
        said = brand(batch.events["brand"][alone])[0] + price(batch.events["price"][alone])[0]
        assert_close(got[place], said + age(batch.users["age"][row[place] : row[place] + 1])[0] + elapsed)


@EVERY
def test_a_row_does_not_depend_on_its_company(name):
    model, batch = model_of(name), batch_of()
    alone = batch.select(torch.tensor([3]))
    assert_close(outputs(model, alone), outputs(model, batch)[5:])
    model.eval()
    with torch.no_grad():
        assert_close(model.scores(alone)[0], model.scores(batch)[3])


@EVERY
def test_a_position_sees_columns_of_the_past_and_its_own_alone(name):
    model, batch = model_of(name), batch_of((6,))
    before = outputs(model, batch)
    for column in ("brand", "price", "time"):
        changed = dict(batch.events)
        changed[column] = batch.events[column].clone()
        changed[column][4] = 3 if column == "brand" else 1 << 19
        after = outputs(model, dataclasses.replace(batch, events=changed))
        assert_close(after[:4], before[:4])
        assert not torch.allclose(after[4], before[4])


@EVERY
def test_kept_table_and_rows_at_hand_score_alike(name):
    """In evaluation vectors come from a kept table, with gradients they are computed where they are needed."""
    model, batch = model_of(name).eval(), batch_of()
    with torch.no_grad():
        kept = model.scores(batch)
    assert_close(kept, model.scores(batch).detach())
    if isinstance(model, Encoder):
        assert_close(kept[:, 1:], (model.final_states(batch) @ model.item_table.T)[:, 1:].detach())
        assert not model.item_table[0].any()


@EVERY
def test_every_parameter_learns_and_copies_are_alike(name):
    model, batch = model_of(name), batch_of()
    loss = outputs(model, batch).square().sum()
    if isinstance(model, Encoder):
        loss = loss + model.item_table.square().sum()
    loss.backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None]
    assert [key for key in model.state_dict() if key.startswith("items.columns.of_text")]
    twin = model_of(name)
    twin.load_state_dict(model.state_dict())
    assert_close(outputs(twin, batch), outputs(model, batch))


@EVERY
def test_items_alone_and_events_alone(name):
    every = every_input(V)
    for inputs in (Inputs(items=every.items), Inputs(events=every.events, users=every.users), Inputs(time_gap=True)):
        assert outputs(model_of(name, inputs), batch_of()).isfinite().all()


@EVERY
def test_initial_vectors_of_ids_and_layers_are_those_without_columns_in_size(name):
    torch.manual_seed(1)
    model = BACKBONES[name].make(num_items=4000, max_len=MAX_LEN, inputs=every_input(4000), init_std=0.1)
    assert_close(model.items.ids.weight[1:].std().item(), 0.1, rtol=0.02, atol=0)
    assert model.items.columns["of_brand"].embed.embed.weight.std() < 0.03  # a column's begin is its module's
    for layer in (model.events.columns["of_price"].embed.out, model.items.columns["of_price"].embed.embed.out):
        assert layer.weight.abs().max() < 0.03  # no backbone draws them anew


@EVERY
def test_plugins_are_put_into_it(name):
    trunk, batch = model_of(name), batch_of(strata=[0, 1, 2, 0])
    plugged = plug(trunk, num_strata=3).double()
    assert_close(outputs(plugged, batch), outputs(trunk, batch))
    plugged.wake(0)
    stir(plugged)
    assert not torch.allclose(outputs(plugged, batch), outputs(trunk, batch))
