"""SASRec against a plain-loop reference on one row at a time, and what it promises about rows, padding and initial values."""

import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import ltrec.models.backbones.sasrec as sasrec
import ltrec.models.layout as layout
from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError
from ltrec.models.backbones import BACKBONES, Encoder, SASRec, SASRecConfig, Scorer
from ltrec.models.layout import AttentionLayout, attention_layout, length_groups
from ltrec.optim.build import adamw

NUM_ITEMS, MAX_LEN = 20, 9
LENGTHS = st.lists(st.integers(1, MAX_LEN), min_size=1, max_size=8)


def batch_of(lengths, seed=0):
    g = torch.Generator().manual_seed(seed)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    items = torch.randint(1, NUM_ITEMS + 1, (int(offsets[-1]),), generator=g)
    rows = torch.arange(len(lengths))
    times = torch.randint(0, 10**5, items.shape, generator=g) * torch.randint(0, 2, items.shape, generator=g)
    return SequenceBatch.of_histories(items, offsets, torch.zeros_like(rows), rows, {"time": times.cumsum(0)})


def model_of(**options):
    torch.manual_seed(1)
    model = SASRec(NUM_ITEMS, MAX_LEN, **{"width": 8, "heads": 2, "dropout": 0.0, "init_std": 0.5, **options}).double()
    with torch.no_grad():  # biases and norms start trivial: make every parameter count
        for name, parameter in model.named_parameters():
            if "items" not in name:
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def norm(x, module):
    centred = x - x.mean()
    return centred / torch.sqrt((centred**2).mean() + module.eps) * module.weight + module.bias


def bias_between(attention, head, back, elapsed):
    """What is added to a logit that looks so many positions and so many seconds back."""
    bias = 0.0 if attention.distance is None else attention.distance.bias.weight[back, head]
    bucket = 0 if elapsed <= 0 else min(63, 1 + math.floor(2 * math.log2(elapsed)))
    return bias if attention.time is None else bias + attention.time.bias.weight[bucket, head]


def naive_attention(rows, attention, times):
    """Rows: list of vectors, oldest first. Every head, query and key in a loop of its own."""
    width = len(rows[0])
    size = width // attention.heads
    q, k, v = (
        [attention.into.weight[i * width : (i + 1) * width] @ x + attention.into.bias[i * width : (i + 1) * width] for x in rows]
        for i in range(3)
    )
    out = []
    for t in range(len(rows)):
        heads = []
        for h in range(attention.heads):
            part = slice(h * size, (h + 1) * size)
            bias = [bias_between(attention, h, t - s, times[t] - times[s]) for s in range(t + 1)]
            weights = torch.stack([torch.exp(q[t][part] @ k[s][part] / math.sqrt(size) + bias[s]) for s in range(t + 1)])
            heads.append(sum(w * v[s][part] for s, w in enumerate(weights / weights.sum())))
        out.append(attention.out.weight @ torch.cat(heads) + attention.out.bias)
    return out


def naive_feed(x, block):
    return block.down.weight @ torch.clamp(block.up.weight @ x + block.up.bias, min=0) + block.down.bias


def naive_encode(model, items, times, pre):
    """Left-padded SASRec on one row, real positions only: position 0 is the row's last."""
    rows = [model.items.weight[i] * math.sqrt(model.items.embedding_dim) for i in items]
    if model.positions is not None:
        rows = [x + model.positions.weight[len(items) - 1 - t] for t, x in enumerate(rows)]
    for block in model.blocks:
        if pre:
            mixed = naive_attention([norm(x, block.attention_norm) for x in rows], block.attention, times)
            rows = [x + m for x, m in zip(rows, mixed, strict=True)]
            rows = [x + naive_feed(norm(x, block.feed_norm), block) for x in rows]
        else:
            mixed = naive_attention(rows, block.attention, times)
            rows = [norm(x + m, block.attention_norm) for x, m in zip(rows, mixed, strict=True)]
            rows = [norm(x + naive_feed(x, block), block.feed_norm) for x in rows]
    return [norm(x, model.final_norm) for x in rows] if pre else rows


def naive_batch(model, batch, pre):
    rows = [
        (batch.items_T[a:b].tolist(), batch.events["time"][a:b].tolist()) for a, b in itertools.pairwise(batch.offsets.tolist())
    ]
    return torch.stack([x for items, times in rows for x in naive_encode(model, items, times, pre)])


@pytest.mark.parametrize("kind", ["pre", "post"])
@pytest.mark.parametrize(
    ("heads", "positions", "time_bias"),
    [(1, "absolute", False), (4, "absolute", False), (2, "distance", False), (2, "absolute", True), (2, "distance", True)],
)
@settings(max_examples=8)
@given(lengths=LENGTHS)
def test_states_and_gradients_equal_the_naive_form(kind, heads, positions, time_bias, lengths):
    model = model_of(norm=kind, heads=heads, positions=positions, time_bias=time_bias, expansion=2)
    batch = batch_of(lengths)
    fast, slow = model.encode(batch), naive_batch(model, batch, kind == "pre")
    assert_close(fast, slow, rtol=0, atol=1e-10)
    weights = torch.randn(fast.shape, dtype=fast.dtype)
    parameters = list(model.parameters())
    for a, b in zip(
        torch.autograd.grad((fast * weights).sum(), parameters),
        torch.autograd.grad((slow * weights).sum(), parameters),
        strict=True,
    ):
        assert_close(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize("positions", ["absolute", "distance", "times"])
@settings(max_examples=20)
@given(lengths=LENGTHS, seed=st.integers(0, 100))
def test_rows_do_not_depend_on_order_or_company(positions, lengths, seed):
    options = {"time_bias": True} if positions == "times" else {"positions": positions}
    model, batch = model_of(**options), batch_of(lengths, seed)
    finals = model.final_states(batch)
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed))
    assert_close(model.final_states(batch.select(order)), finals[order], rtol=0, atol=1e-12)
    assert_close(model.final_states(batch.select(order[:1])), finals[order[:1]], rtol=0, atol=1e-12)


def test_one_broken_row_leaves_the_others_alone():
    model, batch = model_of(), batch_of([4, 3, 2])
    batch.items_T.clamp_(max=NUM_ITEMS - 1)
    clean = model.encode(batch)
    with torch.no_grad():
        model.items.weight[NUM_ITEMS] = torch.nan
    batch.items_T[5] = NUM_ITEMS  # second of the second row's three positions
    broken = model.encode(batch)
    assert broken[5].isnan().all()
    intact = [0, 1, 2, 3, 7, 8]
    assert_close(broken[intact], clean[intact], rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", ["absolute", "distance"])
def test_states_see_the_past_only(positions):
    model = model_of(positions=positions)
    table = model.items.weight
    batch = batch_of([6])
    gradient = torch.autograd.grad(model.encode(batch)[2].sum(), table)[0]
    touched = set(gradient.abs().sum(1).nonzero().flatten().tolist())
    assert touched == set(batch.items_T[:3].tolist())


@settings(max_examples=4)
@given(lengths=LENGTHS)
def test_by_distance_a_state_does_not_know_what_follows(lengths):
    """So the states of a row's beginning are those of that beginning as a row. Positions from the end tell how much follows."""
    model, batch = model_of(positions="distance"), batch_of(lengths)
    starts, states = batch.offsets[:-1].tolist(), model.encode(batch)
    for start, length in zip(starts, lengths, strict=True):
        for end in range(start + 1, start + length + 1):
            row = SequenceBatch.of_histories(batch.items_T[start:end], torch.tensor([0, end - start]), *[torch.zeros(1).long()] * 2)
            assert_close(model.encode(row), states[start:end], rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", ["absolute", "distance"])
def test_one_rectangle_gives_the_states_of_many(positions, monkeypatch):
    """As on an accelerator, where rows are not grouped. Here every length has a rectangle of its own."""
    model, batch = model_of(positions=positions), batch_of([5, 1, 9, 2, 2])
    with monkeypatch.context() as patch:
        patch.setattr(layout, "length_groups", partial(length_groups, waste=0))
        assert len(attention_layout(batch.offsets, 19, MAX_LEN).groups) == 4
        grouped = model.encode(batch)
    first = torch.arange(5) * MAX_LEN
    cells = torch.cat([first[row] + torch.arange(length) for row, length in enumerate(batch.lengths_B.tolist())])
    monkeypatch.setattr(sasrec, "attention_layout", lambda *_: AttentionLayout(cells, ((5, MAX_LEN),)))
    assert_close(model.encode(batch), grouped, rtol=0, atol=1e-12)


def test_final_states_are_the_last_positions_and_zero_for_empty_rows():
    model, batch = model_of(), batch_of([0, 3, 0, 1, 0])
    states, finals = model.encode(batch), model.final_states(batch)
    assert_close(finals[1], states[2])
    assert_close(finals[3], states[3])
    assert not finals[[0, 2, 4]].any()
    assert model.final_states(batch_of([0, 0])).tolist() == [[0.0] * 8] * 2
    scores = model.scores(batch)
    assert scores.shape == (5, NUM_ITEMS + 1)
    assert torch.isneginf(scores[:, 0]).all()
    assert_close(scores[1, 1:], model.item_table[1:] @ states[2])


def test_the_padding_row_is_zero_and_stays_so():
    model, batch = model_of(dropout=0.3), batch_of([5, 2])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model.encode(batch).square().sum().backward()
        optimizer.step()
    assert not model.item_table[0].any()


def test_initial_values_are_as_documented():
    torch.manual_seed(0)
    model = SASRec(5000, 50, width=64, init_std=0.02)
    assert_close(model.items.weight[1:].std().item(), 0.02, rtol=0.02, atol=0)
    assert_close(model.positions.weight.std().item(), 0.02, rtol=0.05, atol=0)
    assert not model.items.weight[0].any()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
    bound = math.sqrt(6 / (64 + 64))
    up = model.blocks[0].up.weight
    assert up.abs().max() <= bound
    assert_close(up.std().item(), bound / math.sqrt(3), rtol=0.05, atol=0)


def test_dropout_acts_in_training_only():
    model, batch = model_of(dropout=0.5), batch_of([5, 2])
    assert not torch.equal(model.encode(batch), model.encode(batch))
    model.eval()
    assert torch.equal(model.encode(batch), model.encode(batch))


@pytest.mark.parametrize("positions", ["absolute", "distance"])
def test_autocast_gives_nearly_the_same_states(positions):
    model, batch = model_of(positions=positions).float(), batch_of([5, 2, 7])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = model.encode(batch)
        states.float().square().sum().backward()
    assert states.isfinite().all()
    assert_close(states.float(), model.encode(batch), rtol=0.1, atol=0.1)


def test_the_tables_agree_with_the_protocols_and_configs():
    model = BACKBONES["sasrec"].make(NUM_ITEMS, MAX_LEN)
    assert isinstance(model, Scorer)
    assert isinstance(model, Encoder)
    config = BACKBONES["sasrec"].config()
    assert config == SASRecConfig()
    assert config.name == "sasrec"
    assert (model.items.embedding_dim, len(model.blocks), model.drop.share) == (config.width, config.blocks, config.dropout)


def test_impossible_shapes_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"`heads`=3 does not divide `width`=64"):
        SASRec(5, 5, heads=3)
    with pytest.raises(UserError, match=r"`dropout`=1\.0 lies outside \[0, 0\.99\]"):
        SASRec(5, 5, dropout=1.0)
    with pytest.raises(UserError, match=r"`norm`='psot' is unknown \(did you mean 'post'\?\)"):
        SASRec(5, 5, norm="psot")
    with pytest.raises(UserError, match=r"`positions`='distances' is unknown \(did you mean 'distance'\?\)"):
        SASRec(5, 5, positions="distances")


def test_biases_by_distance_are_tables_that_nothing_decays():
    """And the default has none: its parameters are what they were."""
    model = SASRec(NUM_ITEMS, MAX_LEN, width=8, heads=2, positions="distance")
    biases = [p for name, p in model.named_parameters() if "distance" in name]
    assert [tuple(p.shape) for p in biases] == [(MAX_LEN, 2)] * 2
    decay = {id(p): entry["weight_decay"] for entry in optimizer_of(model).param_groups for p in entry["params"]}
    assert {decay[id(p)] for p in biases} == {0.0} and decay[id(model.blocks[0].up.weight)] == 0.1
    plain = SASRec(NUM_ITEMS, MAX_LEN, width=8, heads=2)
    assert {n for n, _ in plain.named_parameters()} ^ {n for n, _ in model.named_parameters()} == {
        "positions.weight",
        *(f"blocks.{k}.attention.distance.bias.weight" for k in range(2)),
    }


def optimizer_of(model):
    return adamw(model, lr=0.1, weight_decay=0.1, betas=(0.9, 0.99), eps=1e-8)
