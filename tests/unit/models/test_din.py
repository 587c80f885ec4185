"""DIN against loops over rows, positions, candidates and cells; its two roads, chunks, plugins and bytes."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ltrec.core.errors import UserError
from ltrec.models.backbones import DIN, DINConfig, din
from ltrec.models.layout import AttentionLayout
from tests.support.sequences import histories, plugins, stir

NUM_ITEMS, MAX_LEN, WIDTH, PER_POSITION = 12, 7, 4, 3
LENGTHS = st.lists(st.integers(0, MAX_LEN), min_size=1, max_size=6).filter(any)
PLUGGED = pytest.mark.parametrize("plugged", [False, True])


def model_of(**options):
    torch.manual_seed(1)
    return stir(DIN(NUM_ITEMS, MAX_LEN, **{"width": WIDTH, "layers": (6, 5), **options}).double())


def problem(lengths):
    strata = [(2 * b) % 3 for b in range(len(lengths))]
    batch = histories(lengths, NUM_ITEMS, strata=strata)
    g = torch.Generator().manual_seed(3)
    return batch, torch.randint(1, NUM_ITEMS + 1, (batch.items_T.numel(), PER_POSITION), generator=g)


def naive_score(model, history, candidate, stratum, plugin):
    """One candidate after one history, oldest item first."""

    def adapted(place, vector):
        return vector if plugin is None else plugin(place, vector, stratum)

    def dense(layer, vector):
        return torch.stack([row @ vector for row in layer.weight]) + (0 if layer.bias is None else layer.bias)

    target = torch.tanh(dense(model.target, adapted("items", model.items.weight[candidate])))
    query = dense(model.attention.query, target)
    mixed, total = torch.zeros(WIDTH, dtype=torch.float64), 0.0
    for item in history:
        seen = torch.tanh(dense(model.history, adapted("items", model.items.weight[item])))
        key_value = dense(model.attention.into, seen)
        weight = torch.exp(query @ key_value[:WIDTH] / math.sqrt(WIDTH))
        mixed, total = mixed + weight * key_value[WIDTH:], total + weight
    mixed = mixed / total if history else mixed
    both = torch.cat([target, adapted("state", mixed)])
    first = torch.cat([model.from_target.weight, model.from_history.weight], 1)
    hidden = torch.tanh(torch.stack([row @ both for row in first]) + model.from_target.bias)
    for layer in model.middle:
        hidden = torch.tanh(dense(layer, hidden))
    return dense(model.last, hidden)[0]


def naive_candidates(model, batch, candidates, plugin=None):
    scores = []
    for b, (start, stop) in enumerate(itertools.pairwise(batch.offsets.tolist())):
        for t in range(start, stop):
            history, stratum = batch.items_T[start : t + 1].tolist(), int(batch.stratum_B[b])
            scores.append(torch.stack([naive_score(model, history, c, stratum, plugin) for c in candidates[t].tolist()]))
    return torch.stack(scores)


def naive_catalogue(model, batch, plugin=None):
    rows = []
    for b, (start, stop) in enumerate(itertools.pairwise(batch.offsets.tolist())):
        history, stratum = batch.items_T[start:stop].tolist(), int(batch.stratum_B[b])
        rows.append(torch.stack([naive_score(model, history, c, stratum, plugin) for c in range(1, NUM_ITEMS + 1)]))
    return torch.stack(rows)


def one_rectangle(offsets, num_positions, max_len, host):
    """The layout of an accelerator: all rows, empty ones too, in one group."""
    rows = torch.repeat_interleave(torch.arange(offsets.numel() - 1), offsets.diff(), output_size=num_positions)
    cells = rows * max_len + torch.arange(num_positions) - offsets[rows]
    return AttentionLayout(cells, ((offsets.numel() - 1, max_len),))


def gradients(scores, model):
    weights = torch.linspace(-1, 1, scores.numel(), dtype=scores.dtype).view(scores.shape)
    return torch.autograd.grad((scores * weights).sum(), list(model.parameters()))


def check_gradients(fast, slow, model):
    for a, b in zip(gradients(fast, model), gradients(slow, model), strict=True):
        assert_close(a, b, rtol=0, atol=1e-10)


@PLUGGED
@pytest.mark.parametrize("on_device", [False, True])
@settings(max_examples=5)
@given(lengths=LENGTHS)
def test_training_scores_and_gradients_equal_the_loops(plugged, on_device, lengths):
    model, (batch, candidates) = model_of(), problem(lengths)
    batched, single = plugins(WIDTH, 3) if plugged else (None, None)
    with pytest.MonkeyPatch.context() as patch:
        if on_device:
            patch.setattr(din, "attention_layout", one_rectangle)
        fast = model.candidate_logits(batch, candidates, batched)
    slow = naive_candidates(model, batch, candidates, single)
    assert_close(fast, slow, rtol=0, atol=1e-10)
    check_gradients(fast, slow, model)


@PLUGGED
@settings(max_examples=5)
@given(lengths=st.lists(st.integers(0, MAX_LEN), min_size=1, max_size=6))
def test_catalogue_scores_equal_the_loops(plugged, lengths):
    model, (batch, _) = model_of(), problem(lengths)
    batched, single = plugins(WIDTH, 3) if plugged else (None, None)
    scores = model.scores(batch, batched)
    assert torch.isneginf(scores[:, 0]).all()
    assert_close(scores[:, 1:], naive_catalogue(model, batch, single), rtol=0, atol=1e-10)


@PLUGGED
@pytest.mark.parametrize("rank_bytes", [1, 2000, 10**7])
def test_the_catalogue_in_chunks_of_any_size(plugged, rank_bytes, monkeypatch):
    model, (batch, _) = model_of(), problem([5, 0, 7, 1, 2, 2])
    batched = plugins(WIDTH, 3)[0] if plugged else None
    whole = model.scores(batch, batched)
    monkeypatch.setattr(din, "RANK_BYTES", rank_bytes)
    assert_close(model.scores(batch, batched), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk_bytes", [1, 10_000])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_chunks_computed_again_change_no_gradient(chunk_bytes, dropout, monkeypatch):
    model, (batch, candidates) = model_of(dropout=dropout), problem([5, 0, 7, 1])
    batched, _ = plugins(WIDTH, 3)
    monkeypatch.setattr(din, "CHUNK_BYTES", chunk_bytes)
    found = []
    for keep in (10**9, 0):
        monkeypatch.setattr(din, "KEEP_BYTES", keep)
        torch.manual_seed(2)
        scores = model.candidate_logits(batch, candidates, batched)
        found.append((scores, *gradients(scores, model)))
    for kept, again in zip(*found, strict=True):
        assert torch.equal(kept, again)


def saved_bytes(model, batch, candidates):
    """Bytes of numbers (not of ids, which are the caller's) that autograd keeps between the passes, once per storage."""
    kept = {}

    def note(tensor):
        if tensor.is_floating_point():
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        scores = model.candidate_logits(batch, candidates)
    assert scores.requires_grad
    return sum(kept.values())


def test_memory_of_training_does_not_grow_with_candidates(monkeypatch):
    model, (batch, _) = model_of(), problem([5, 7])
    few, many = (torch.ones(12, n, dtype=torch.int64) for n in (50, 500))
    assert saved_bytes(model, batch, many) > 5 * saved_bytes(model, batch, few)
    monkeypatch.setattr(din, "KEEP_BYTES", 0)
    assert saved_bytes(model, batch, many) < 1.5 * saved_bytes(model, batch, few)


class LargestTensor(TorchDispatchMode):
    """Remembers the largest floating tensor that any operation handed out."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
                self.elements = max(self.elements, leaf.untyped_storage().nbytes() // leaf.element_size())
        return out


@pytest.mark.parametrize("rows", [1, 40])
def test_memory_of_ranking_is_its_scores_and_a_chunk(rows, monkeypatch):
    model, num_items = DIN(3000, 5, width=4, layers=(64,)), 3000
    monkeypatch.setattr(din, "RANK_BYTES", 400_000)
    with torch.no_grad(), LargestTensor() as tally:
        model.scores(histories([5] * rows, num_items))
    table = 3001 * 4
    assert tally.elements <= max(rows * 3001, table, 100_000)


def test_a_candidate_s_side_is_computed_once_per_stratum_and_not_per_row():
    model, seen = model_of(), []
    batch = histories([3, 2, 4, 1, 5], NUM_ITEMS, strata=[0, 2, 0, 2, 0])

    def adapt(place, vectors, stratum):
        if place == "items":
            seen.append(vectors.numel() // WIDTH)
        assert len(vectors) == len(stratum)
        return vectors

    model.scores(batch, adapt)
    assert sum(seen) == batch.items_T.numel() + 2 * NUM_ITEMS


def test_a_row_without_history_is_scored_by_the_candidate_alone():
    model = model_of()
    scores = model.scores(histories([0, 3, 0], NUM_ITEMS))
    assert scores[:, 1:].isfinite().all()
    assert torch.equal(scores[0], scores[2])
    assert_close(model.scores(histories([0, 0], NUM_ITEMS))[1], scores[0])


def test_training_and_ranking_agree_at_the_last_position():
    model, batch = model_of(), histories([4, 1, 6], NUM_ITEMS)
    everything = torch.arange(1, NUM_ITEMS + 1).expand(11, -1)
    last = model.candidate_logits(batch, everything)[batch.offsets[1:] - 1]
    assert_close(model.scores(batch)[:, 1:], last, rtol=0, atol=1e-12)


def test_the_padding_row_gets_no_gradient():
    model, (batch, candidates) = model_of(), problem([4, 2])
    model.candidate_logits(batch, candidates).sum().backward()
    assert not model.items.weight.grad[0].any()
    assert model.items.weight.grad.any()


def test_gradcheck():
    model, (batch, candidates) = model_of(width=2, layers=(3,)), problem([2, 0, 3])
    parameters = tuple(model.parameters())  # which gradcheck moves in place
    assert torch.autograd.gradcheck(lambda *_: model.candidate_logits(batch, candidates), parameters)


def test_initial_values_are_as_documented():
    torch.manual_seed(0)
    model = DIN(5000, 50, width=32, layers=(128, 64), init_std=0.02)
    assert_close(model.items.weight[1:].std().item(), 0.02, rtol=0.02, atol=0)
    assert not model.items.weight[0].any()
    for name, parameter in model.named_parameters():
        if "bias" in name:
            assert not parameter.any(), name
    bound = (6 / (64 + 128)) ** 0.5
    for half in (model.from_target.weight, model.from_history.weight):  # of one layer over both
        assert half.abs().max() <= bound
        assert_close(half.std().item(), bound / 3**0.5, rtol=0.05, atol=0)


def test_impossible_shapes_are_refused():
    with pytest.raises(UserError, match=r"`dropout`=1\.5 lies outside \[0, 0\.99\]"):
        DIN(5, 5, dropout=1.5)
    for wrong in ({"width": 0}, {"layers": ()}, {"layers": (8, 0)}):
        with pytest.raises(ValueError, match="at least"):
            DINConfig(**wrong)
