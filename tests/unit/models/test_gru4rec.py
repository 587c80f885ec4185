"""GRU4Rec against its gate equations, written out one row and one time at a time."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ltrec.core.errors import UserError
from ltrec.models.backbones import GRU4Rec, GRU4RecConfig, gru4rec
from ltrec.models.packing import full_layout
from tests.support.sequences import histories, plugins, stir

NUM_ITEMS, MAX_LEN = 20, 9
LENGTHS = st.lists(st.integers(0, MAX_LEN), min_size=1, max_size=7).filter(any)


def model_of(**options):
    torch.manual_seed(1)
    return stir(GRU4Rec(NUM_ITEMS, MAX_LEN, **{"width": 5, "hidden": 6, "dropout": 0.0, **options}).double())


def naive_gru(inputs, gru):
    """One layer over one row; gates in the order reset, update, new."""
    into = [part.unbind(0) for part in (gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0)]
    size = gru.hidden_size
    hidden, outputs = [torch.zeros((), dtype=torch.float64)] * size, []
    for x in inputs:
        h = torch.stack(hidden)
        from_x = [into[0][i] @ x + into[2][i] for i in range(3 * size)]
        from_h = [into[1][i] @ h + into[3][i] for i in range(3 * size)]
        hidden = []
        for i in range(size):
            reset = 1 / (1 + torch.exp(-(from_x[i] + from_h[i])))
            update = 1 / (1 + torch.exp(-(from_x[size + i] + from_h[size + i])))
            new = torch.tanh(from_x[2 * size + i] + reset * from_h[2 * size + i])
            hidden.append((1 - update) * new + update * h[i])
        outputs.append(torch.stack(hidden))
    return outputs


def naive_encode(model, batch, plugin=None):
    states = []
    for b, (start, stop) in enumerate(itertools.pairwise(batch.offsets.tolist())):
        stratum = int(batch.stratum_B[b])
        vectors = [model.items.weight[i] for i in batch.items_T[start:stop].tolist()]
        if plugin is not None:
            vectors = [plugin("items", x, stratum) for x in vectors]
        for layer in model.layers:
            vectors = naive_gru(vectors, layer)
        out = [model.dense.weight @ h + model.dense.bias for h in vectors]
        states += out if plugin is None else [plugin("state", s, stratum) for s in out]
    return torch.stack(states)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("on_device", [False, True])
@settings(max_examples=5)
@given(lengths=LENGTHS)
def test_states_and_gradients_equal_the_equations(layers, on_device, lengths):
    model, batch = model_of(layers=layers), histories(lengths, NUM_ITEMS)
    with pytest.MonkeyPatch.context() as patch:
        if on_device:
            patch.setattr(
                gru4rec, "time_layout", lambda offsets, num_positions, max_len, _: full_layout(offsets, num_positions, max_len)
            )
            patch.setattr(gru4rec._Layer, "forward", lambda layer, sequence, _: torch.nn.GRU.forward(layer, sequence)[0])
        fast = model.encode(batch)
    slow = naive_encode(model, batch)
    assert_close(fast, slow, rtol=0, atol=1e-10)
    weights, parameters = torch.randn(fast.shape, dtype=fast.dtype), list(model.parameters())
    for a, b in zip(
        torch.autograd.grad((fast * weights).sum(), parameters),
        torch.autograd.grad((slow * weights).sum(), parameters),
        strict=True,
    ):
        assert_close(a, b, rtol=0, atol=1e-10)


def test_every_row_goes_through_its_stratum_s_plugins():
    model, batch = model_of(), histories([3, 0, 4, 1], NUM_ITEMS, strata=[1, 0, 2, 1])
    batched, single = plugins(5, 3)
    assert_close(model.encode(batch, batched), naive_encode(model, batch, single), rtol=0, atol=1e-10)


def test_gradcheck():
    model, batch = model_of(width=2, hidden=3), histories([2, 0, 3], NUM_ITEMS)
    parameters = tuple(model.parameters())  # which gradcheck moves in place
    assert torch.autograd.gradcheck(lambda *_: model.encode(batch), parameters)


def test_initial_values_are_as_documented():
    torch.manual_seed(0)
    model = GRU4Rec(5000, 50, width=64, hidden=128, layers=2, init_std=0.02)
    assert_close(model.items.weight[1:].std().item(), 0.02, rtol=0.02, atol=0)
    assert not model.items.weight[0].any()
    for name, parameter in model.named_parameters():
        if "bias" in name:
            assert not parameter.any(), name
    for matrix, inputs in ((model.layers[0].weight_ih_l0[:128], 64), (model.layers[1].weight_hh_l0[256:], 128)):
        bound = (6 / (inputs + 128)) ** 0.5  # per gate: fan out is one gate's
        assert matrix.abs().max() <= bound
        assert_close(matrix.std().item(), bound / 3**0.5, rtol=0.05, atol=0)


def test_impossible_shapes_are_refused():
    with pytest.raises(UserError, match=r"`dropout`=1\.0 lies outside \[0, 0\.99\]"):
        GRU4Rec(5, 5, dropout=1.0)
    for wrong in ({"width": 0}, {"hidden": 0}, {"layers": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            GRU4RecConfig(**wrong)
