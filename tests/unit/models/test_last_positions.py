"""States of last positions alone: those of all positions at their ends, whatever the rows and the options."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ltrec.core.batch import SequenceBatch
from ltrec.models.backbones import SASRec
from ltrec.models.last_positions import LastPositions, attend_from_last

NUM_ITEMS, MAX_LEN = 20, 9
LENGTHS = st.lists(st.integers(0, MAX_LEN), min_size=1, max_size=8)


def batch_of(lengths, seed=0):
    g = torch.Generator().manual_seed(seed)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    items = torch.randint(1, NUM_ITEMS + 1, (int(offsets[-1]),), generator=g)
    rows = torch.arange(len(lengths))
    times = torch.randint(0, 10**5, items.shape, generator=g).cumsum(0)
    return SequenceBatch.of_histories(items, offsets, rows % 3 - 1, rows, {"time": times})


def model_of(**options):
    torch.manual_seed(1)
    model = SASRec(NUM_ITEMS, MAX_LEN, **{"width": 8, "heads": 2, "dropout": 0.5, "init_std": 0.5, **options}).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "items" not in name:
                parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def by_stratum(place, vectors, stratum_N):
    """A plugin: every place and stratum has a factor of its own."""
    factor_N = 1 + 0.1 * (stratum_N + 2) + (place == "state")
    return vectors * factor_N.view(-1, *[1] * (vectors.ndim - 1))


@pytest.mark.parametrize("adapt", [None, by_stratum])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize(
    ("blocks", "heads", "positions", "time_bias"),
    [(1, 1, "absolute", False), (2, 4, "absolute", False), (3, 2, "distance", False), (2, 2, "distance", True)],
)
@settings(max_examples=10)
@given(lengths=LENGTHS)
def test_they_are_the_ends_of_all_states(adapt, norm, blocks, heads, positions, time_bias, lengths):
    model = model_of(norm=norm, blocks=blocks, heads=heads, positions=positions, time_bias=time_bias, expansion=2)
    batch = batch_of(lengths)
    finals = model.final_states(batch, adapt)
    states = model.encode(batch, adapt) if sum(lengths) else None
    for row, (length, end) in enumerate(zip(lengths, batch.offsets[1:].tolist(), strict=True)):
        assert_close(finals[row], states[end - 1] if length else torch.zeros(8).double(), rtol=0, atol=1e-12)


@settings(max_examples=20)
@given(lengths=LENGTHS.filter(sum), seed=st.integers(0, 100))
def test_attention_equals_a_loop(lengths, seed):
    torch.manual_seed(seed)
    batch = batch_of(lengths)
    last, positions = LastPositions.of(batch), sum(lengths)
    query, bias = torch.randn(len(lengths), 2, 3).double(), torch.randn(positions, 2).double()
    key, value = torch.randn(2, positions, 2, 3).double()
    fast = attend_from_last(query, key, value, last, [bias, bias])
    for row, (start, end) in enumerate(zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True)):
        for head in range(2):
            row_logits = [query[row, head] @ key[t, head] / 3**0.5 + 2 * bias[t, head] for t in range(start, end)]
            own = value[start:end, head]
            slow = torch.stack(row_logits).softmax(0) @ own if row_logits else torch.zeros(3).double()
            assert_close(fast[row, 3 * head : 3 * head + 3], slow, rtol=0, atol=1e-12)


def test_a_large_logit_does_not_overflow_and_a_broken_row_stays_alone():
    batch = batch_of([2, 3, 0, 1])
    last = LastPositions.of(batch)
    query, key, value = torch.full((4, 1, 1), 1e4), torch.full((6, 1, 1), 1e4), torch.arange(6.0).view(6, 1, 1)
    assert attend_from_last(query, key, value, last).flatten().tolist() == [0.5, 3.0, 0.0, 5.0]
    key[3] = torch.nan
    assert attend_from_last(query, key, value, last).flatten().isnan().tolist() == [False, True, False, False]


@pytest.mark.parametrize("training", [False, True])
def test_the_last_block_feeds_one_state_a_row_where_nothing_is_dropped(training):
    model, batch, fed = model_of(blocks=2), batch_of([4, 0, 9, 1]), []
    for block in model.blocks:
        block.up.register_forward_hook(lambda module, inputs, output: fed.append(len(output)))
    model.train(training).final_states(batch)
    assert fed == ([14, 14] if training else [14, 4])


def test_in_half_precision_sums_are_exact_and_the_kind_stays():
    torch.manual_seed(0)
    batch = batch_of([9, 3])
    query, key, value = (torch.randn(n, 2, 32).bfloat16() for n in (2, 12, 12))
    short = attend_from_last(query, key, value, LastPositions.of(batch))
    exact = attend_from_last(query.double(), key.double(), value.double(), LastPositions.of(batch))
    assert short.dtype == torch.bfloat16
    assert_close(short.double(), exact, rtol=2**-7, atol=2**-7)
