"""World, Strata, SumCount, files: values and their edges."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.errors import UserError, nearest
from ltrec.core.storage.atomic import atomic_path, atomic_write_text, sha256_file
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.strata import Strata
from ltrec.core.sumcount import SumCount
from ltrec.core.world import World

STRATA = Strata(lower_bounds=(1, 3, 4, 9), users=(10, 5, 3, 2), events=(15, 15, 20, 40), head_from=9)


@given(st.integers(1, 12), st.integers(1, 12))
def test_shares_partition(size, part):
    total = size * part
    assert [i for r in range(size) for i in World(r, size).share(total, "lanes")] == list(range(total))


def test_world_that_does_not_divide_names_what_does():
    with pytest.raises(UserError, match=r"5 processes do not divide 12 lanes; allowed: 1, 2, 3, 4, 6, 12"):
        World(0, 5).share(12, "lanes")
    with pytest.raises(UserError, match="rank 2 does not exist"):
        World(2, 2)


def test_stratum_of_activity():
    assert STRATA.of(np.array([0, 1, 2, 3, 4, 8, 9, 1000])).tolist() == [-1, 0, 0, 1, 2, 2, 3, 3]
    assert STRATA.names() == ("1-2", "3", "4-8", "9+")
    assert STRATA.user_shares() == (0.5, 0.25, 0.15, 0.1)


@given(st.lists(st.tuples(st.floats(-10, 10), st.integers(-1, 3)), max_size=30))
def test_sumcount_equals_loop(pairs):
    values = torch.tensor([p[0] for p in pairs], dtype=torch.float64)
    strata = torch.tensor([p[1] for p in pairs], dtype=torch.int64)
    got = SumCount.of(values, strata, 4)
    for z in range(4):
        mine = [v for v, s in pairs if s == z]
        assert got.count_K[z] == len(mine)
        assert abs(float(got.sum_K[z]) - sum(mine)) < 1e-9


def test_sumcount_never_multiplies_nan_by_zero():
    got = SumCount.of(torch.tensor([float("nan"), 2.0]), torch.tensor([-1, 0]), 2)
    assert got.sum_K.tolist() == [2.0, 0.0] and float(got.mean()) == 2.0
    assert got.mean_K()[1].isnan()


def test_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    atomic_write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_hash_and_canonical_json(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    heard = []
    assert sha256_file(tmp_path / "x", heard.append) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert heard == [3]
    assert canonical_json({"b": 1, "a": (1, 2)}) == canonical_json({"a": [1, 2], "b": 1})


def test_nearest():
    assert nearest("lrr", ["lr", "seed"]) == " (did you mean 'lr'?)"
    assert nearest("zzz", ["lr", "seed"]) == ""
    optimisers, devices = ["adamw", "lazy_adamw", "adam", "sgd"], ["a100", "h100"]
    for name, known in {"AdamW": optimisers, "SGD": optimisers, "A100": devices}.items():
        assert nearest(name, known) == f" (did you mean {name.lower()!r}?)", "not another one in the same case"
    assert nearest("timestamp", ["USER", "TimeStamp"]) == " (did you mean 'TimeStamp'?)"
