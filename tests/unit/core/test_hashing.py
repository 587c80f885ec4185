"""Counter-based hashing: numpy and torch agree with plain integers, values are frozen, permutations are permutations."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.hashing import mix, mix_array, mix_arrays, mix_tensor, order_of, permutation, uniform

int64 = st.integers(-(2**63), 2**63 - 1)


@given(st.integers(0, 2**64 - 1), st.lists(int64, min_size=1, max_size=8))
def test_three_forms_agree(seed, values):
    plain = [mix(seed, v) for v in values]
    assert mix_array(seed, np.array(values, dtype=np.int64)).tolist() == plain
    signed = mix_tensor(seed, torch.tensor(values, dtype=torch.int64)).tolist()
    assert [v & (2**64 - 1) for v in signed] == plain


def test_golden_values():
    """A change here changes the order of every run ever made."""
    assert mix(0) == 0xE220A8397B1DCDAF  # first output of splitmix64 with seed 0 (public test vector)
    assert mix(1, 2, 3) == 15020427595393229491
    assert permutation(7, 10).tolist() == [7, 8, 1, 2, 3, 9, 5, 4, 0, 6]


@given(st.integers(0, 2**32), st.integers(0, 300))
def test_permutation_is_one(seed, count):
    found = permutation(seed, count).tolist()
    assert sorted(found) == list(range(count))
    assert found == sorted(range(count), key=lambda number: mix(seed, number)), "the order of the hashes, which all differ"


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4), st.integers(0, 5))
def test_seeds_of_rows_are_their_own(seeds, count):
    values = np.arange(len(seeds) * count).reshape(len(seeds), count) - 3
    assert mix_arrays(seeds, values).tolist() == [mix_array(seed, row).tolist() for seed, row in zip(seeds, values, strict=True)]


def test_uniform_is_uniform():
    draws = uniform(mix_tensor(3, torch.arange(100_000)))
    assert draws.min() >= 0 and draws.max() < 1
    histogram = torch.histc(draws, 20, 0, 1)
    assert ((histogram - 5000).abs() < 5 * 5000**0.5).all()


def test_order_of_parts_matters():
    assert mix(1, 2) != mix(2, 1)


@given(
    st.sets(st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1), st.integers(2**64 - 40, 2**64 - 1)), max_size=40), st.randoms()
)
def test_the_fast_order_is_that_of_argsort(values, random):
    """Neighbouring values share their upper bits, beside one of 64 bits, so that they are sorted among themselves."""
    array = np.array(random.sample(sorted(values), len(values)), np.uint64)
    assert order_of(array).tolist() == np.argsort(array).tolist()


def test_the_fast_order_breaks_no_permutation_in_which_upper_bits_meet():
    values = np.concatenate([np.arange(5_000, dtype=np.uint64), np.arange(5_000, dtype=np.uint64)[::-1] + np.uint64(1 << 63)])
    assert order_of(values).tolist() == np.argsort(values).tolist()
