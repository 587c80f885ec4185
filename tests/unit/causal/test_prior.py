"""Priors: shares of the right thing, limits of the tempered one, labels that mean nothing, and refusals."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.causal.prior import PRIORS, prior_of
from ltrec.core.errors import UserError

USERS = [500, 300, 150, 40, 10]
EVENTS = [1500, 2400, 3000, 2000, 1100]
COUNTS = st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**12)), min_size=1, max_size=10)


def options(name, events):
    """What the prior must be told besides the counts."""
    strata = len(events)
    told = {
        "class_balanced": {"examples_K": events, "beta": 0.999},
        "tempered": {"temperature": 3.0},
        "explicit": {"shares": [(z + 1) / (strata * (strata + 1) / 2) for z in range(strata)]},
    }
    return told.get(name, {})


def test_shares():
    assert prior_of("user", USERS, EVENTS).tolist() == pytest.approx([0.5, 0.3, 0.15, 0.04, 0.01])
    assert prior_of("event", USERS, EVENTS).tolist() == pytest.approx([0.15, 0.24, 0.3, 0.2, 0.11])
    assert prior_of("uniform", USERS, EVENTS).tolist() == pytest.approx([0.2] * 5)
    assert prior_of("uniform", [9, 0, 1], [9, 0, 1]).tolist() == [0.5, 0.0, 0.5]
    assert prior_of("tempered", [900, 100, 0], [1, 1, 0], temperature=2.0).tolist() == pytest.approx([0.75, 0.25, 0.0])
    assert prior_of("explicit", USERS, EVENTS, shares=(0.0, 0.0, 0.5, 0.25, 0.25)).tolist() == [0.0, 0.0, 0.5, 0.25, 0.25]


@settings(max_examples=50)
@given(COUNTS, st.sampled_from(sorted(PRIORS)), st.randoms(use_true_random=False))
def test_a_distribution_that_follows_its_labels(counts, name, random):
    users, events = zip(*counts, strict=True)
    told = options(name, events)
    prior = prior_of(name, users, events, **told)
    assert prior.dtype == torch.float64
    assert prior.shape == (len(users),)
    assert (prior >= 0).all()
    assert prior.sum().item() == pytest.approx(1.0, abs=1e-12)
    order = random.sample(range(len(users)), len(users))
    told |= {key: [told[key][z] for z in order] for key in ("shares", "examples_K") if key in told}
    again = prior_of(name, [users[z] for z in order], [events[z] for z in order], **told)
    assert torch.allclose(again, prior[order], rtol=1e-12)


@settings(max_examples=50)
@given(COUNTS, st.floats(0.05, 50.0), st.floats(0.05, 50.0))
def test_tempering_flattens_and_keeps_the_order(counts, one, other):
    users = sorted(u for u, _ in counts)
    cool, warm = (prior_of("tempered", users, users, temperature=t) for t in sorted((one, other)))
    assert (cool.diff() >= -1e-12).all()
    assert warm.max() <= cool.max() + 1e-12
    assert warm.min() >= cool.min() - 1e-12


@settings(max_examples=50)
@given(COUNTS)
def test_limits_of_tempering(counts):
    users, events = zip(*counts, strict=True)
    user, uniform = prior_of("user", users, events), prior_of("uniform", users, events)
    assert torch.allclose(prior_of("tempered", users, events, temperature=1.0), user, rtol=1e-9)
    assert torch.allclose(prior_of("tempered", users, events, temperature=1e9), uniform, atol=1e-7)
    assert torch.equal(prior_of("tempered", users, events, temperature=math.inf), uniform)
    largest = torch.tensor([float(u == max(users)) for u in users], dtype=torch.float64)
    assert torch.equal(prior_of("tempered", users, events, temperature=1e-12), largest / largest.sum())


def test_an_empty_stratum_stays_empty_however_hot():
    assert prior_of("tempered", [5, 0, 1], [9, 0, 9], temperature=math.inf).tolist() == [0.5, 0.0, 0.5]


EXAMPLES = [40, 900, 25_000, 3_000_000]


@pytest.mark.parametrize("beta", [0.9, 0.999, 0.9999, 0.9999999])
def test_class_balanced_is_its_formula(beta):
    """An example counts (1 - beta) / (1 - beta^M_z), a stratum M_z times that."""
    weight = [m * (1 - beta) / (1 - beta**m) for m in EXAMPLES]
    prior = prior_of("class_balanced", [1] * 4, [1] * 4, examples_K=EXAMPLES, beta=beta)
    assert prior.tolist() == pytest.approx([w / sum(weight) for w in weight], rel=1e-6)


def test_limits_of_class_balance():
    """From joint training to every stratum alike; an empty stratum has nothing to count."""

    def prior(beta, examples=EXAMPLES):
        return prior_of("class_balanced", [1] * len(examples), [1] * len(examples), examples_K=examples, beta=beta).tolist()

    assert prior(0.0) == pytest.approx([m / sum(EXAMPLES) for m in EXAMPLES], rel=1e-12)
    assert prior(1 - 1e-15) == pytest.approx([0.25] * 4, rel=1e-6)
    assert prior(0.999, [5, 0, 5]) == pytest.approx([0.5, 0.0, 0.5])
    assert prior(0.0, [5, 0, 15]) == pytest.approx([0.25, 0.0, 0.75])


@settings(max_examples=50)
@given(st.lists(st.integers(1, 10**7), min_size=2, max_size=6), st.floats(0, 0.999999))
def test_class_balance_lies_between_joint_training_and_uniform(examples, beta):
    """The rarer a stratum, the more one of its examples counts, yet never so much that it outweighs a larger one."""
    examples = sorted(examples)
    prior = prior_of("class_balanced", examples, examples, examples_K=examples, beta=beta)
    each = prior / torch.tensor(examples, dtype=torch.float64)
    assert (prior.diff() >= -1e-12).all()
    assert (each.diff() <= 1e-12 * each[1:]).all()


def test_strata_of_equal_size_make_the_choice_of_users_moot():
    """PIN's groups: user, uniform and tempered agree."""
    each = [prior_of(name, [7, 7, 7], [1, 5, 9]) for name in ("user", "uniform")]
    each.append(prior_of("tempered", [7, 7, 7], [1, 5, 9], temperature=4.0))
    assert torch.allclose(each[0], each[1])
    assert torch.allclose(each[0], each[2])


def test_one_stratum_has_it_all():
    for name in PRIORS:
        assert prior_of(name, [3], [9], **options(name, [9])).tolist() == [1.0]


@pytest.mark.parametrize("shares", [(), (1.0,), (0.5, 0.25, 0.25)])
def test_wrong_number_of_shares(shares):
    with pytest.raises(
        UserError, match=rf"^`shares` has {len(shares)} numbers, the data has 2 strata; give one share per stratum$"
    ):
        prior_of("explicit", [3, 4], [9, 9], shares=shares)


def test_unknown_name():
    with pytest.raises(UserError, match=r"gradients\.prior\.name 'usr' \(did you mean 'user'\?\); known: user, event"):
        prior_of("usr", [3], [9])
