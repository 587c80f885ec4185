"""What holds for every rule in the table: it builds, shares out the policy's mass, leaves empty strata alone, saves its state."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.aggregation import RULES
from ltrec.core.errors import UserError
from ltrec.core.sumcount import SumCount
from tests.support.rules import build, ones, random_prior, random_rows, uniform

WEIGHING = [name for name in RULES if RULES[name].kind != "coordinate"]
COUNTS = torch.tensor([3, 0, 5, 0, 40])
PRESENT = COUNTS > 0


def weights_of(rule, gram_KK, counts_K, key=3):
    return rule.weights(gram_KK, counts_K, key) if rule.kind == "gram" else rule.weights(counts_K)


def watched(rule):
    """The rule after it has seen losses, if it looks at them."""
    if rule.kind == "linear":
        rule.observe(SumCount(torch.tensor([2.0, 0, 30, 1, 4], dtype=torch.float64), torch.tensor([1.0, 0, 4, 1, 2])))
    return rule


def test_the_table_agrees_with_itself():
    assert [name for name in RULES if build(name, uniform(3)).kind != RULES[name].kind] == []


@pytest.mark.parametrize("name", WEIGHING)
@pytest.mark.parametrize("empty", ["renormalize", "drop", "inverse_presence"])
def test_the_policy_says_how_much_and_the_rule_says_who(name, empty):
    """The sum of the weights is that of the policy's; empty strata get none of it, whatever stands in their rows."""
    prior_K, rows_KN = random_prior(5, 1), random_rows(5, 30, 2)
    rows_KN[~PRESENT] = torch.nan
    weights_K = weights_of(watched(build(name, prior_K, empty=empty)), rows_KN @ rows_KN.T, COUNTS)
    mass = {"renormalize": 1.0, "drop": prior_K[PRESENT].sum(), "inverse_presence": prior_K[PRESENT].sum() / 0.5}[empty]
    assert weights_K.dtype == torch.float64
    assert (weights_K[~PRESENT] == 0).all()
    torch.testing.assert_close(weights_K.sum(), torch.as_tensor(mass, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", RULES)
def test_the_policy_error_stops_every_rule(name):
    rule = build(name, uniform(5), empty="error")
    with pytest.raises(UserError, match="stratum 1, 3"):
        rule.combine(torch.ones(5, 2), COUNTS) if rule.kind == "coordinate" else weights_of(rule, torch.eye(5).double(), COUNTS)


@pytest.mark.parametrize("name", WEIGHING)
def test_a_stratum_that_is_alone_gets_everything(name):
    """Also when its gradient is 0, where a method would divide by it."""
    counts = torch.tensor([0, 7, 0])
    for gram in (torch.zeros(3, 3), torch.diag(torch.tensor([0.0, 2.0, 0.0]))):
        weights = weights_of(build(name, random_prior(3, 5)), gram.double(), counts)
        assert weights.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("name", RULES)
def test_a_window_without_examples_moves_nothing(name):
    rule = build(name, uniform(3))
    none = torch.zeros(3, dtype=torch.int64)
    update = (
        rule.combine(torch.zeros(3, 4), none) if rule.kind == "coordinate" else weights_of(rule, torch.zeros(3, 3).double(), none)
    )
    assert (update == 0).all()


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_takes_up_a_saved_state_decides_as_the_one_that_wrote_it(name, tmp_path):
    """Through a file, as a checkpoint does it; the state is a copy, not a view of what goes on changing."""
    rows_KN, prior_K = random_rows(5, 30, 3), random_prior(5, 4)
    one = watched(build(name, prior_K))
    if one.kind == "gram":
        one.fallbacks = 4
    torch.save(one.state_dict(), tmp_path / "state.pt")
    kept = one.state_dict()
    expected = rows_KN if one.kind == "coordinate" else weights_of(watched(one), rows_KN @ rows_KN.T, COUNTS)
    for state in (torch.load(tmp_path / "state.pt", weights_only=True), kept):
        other = build(name, prior_K)
        other.load_state_dict(state)
        if other.kind != "coordinate":
            torch.testing.assert_close(weights_of(watched(other), rows_KN @ rows_KN.T, COUNTS), expected, rtol=0, atol=0)
        assert getattr(other, "fallbacks", 4) == 4


@pytest.mark.parametrize("name", [name for name in WEIGHING if build(name, uniform(2)).equivariant])
@settings(max_examples=15)
@given(num_strata=st.integers(2, 6), seed=st.integers(0, 10**6), common=st.sampled_from([0.0, 0.3, 2.0]), data=st.data())
def test_relabelling_the_strata_relabels_the_weights(name, num_strata, seed, common, data):
    """Prior, counts and losses renumbered alike. 1e-6 covers the tolerance of CAGrad's and FairGrad's solvers."""
    order = torch.tensor(data.draw(st.permutations(range(num_strata))))
    rows_KN, prior_K = random_rows(num_strata, 40, seed, common=common), random_prior(num_strata, seed + 1)
    counts_K = torch.randint(0, 3, (num_strata,), generator=torch.Generator().manual_seed(seed))
    counts_K[order[0]] = 1
    losses = SumCount(torch.rand(num_strata, generator=torch.Generator().manual_seed(seed)).double() * counts_K, counts_K)
    ours, theirs = build(name, prior_K), build(name, prior_K[order])
    if ours.kind == "linear":
        ours.observe(losses)
        theirs.observe(SumCount(losses.sum_K[order], losses.count_K[order]))
    before = weights_of(ours, rows_KN @ rows_KN.T, counts_K)
    after = weights_of(theirs, rows_KN[order] @ rows_KN[order].T, counts_K[order])
    torch.testing.assert_close(after, before[order], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in WEIGHING if not build(name, uniform(2)).equivariant])
def test_rules_that_go_by_numbers_or_chance_do_not_claim_to_be_equivariant(name):
    """Else the claim would say nothing."""
    order, rows_KN = torch.tensor([2, 0, 4, 1, 5, 3]), random_rows(6, 8, 1, common=0.0)
    before = weights_of(build(name, uniform(6)), rows_KN @ rows_KN.T, ones(6))
    after = weights_of(build(name, uniform(6)), rows_KN[order] @ rows_KN[order].T, ones(6))
    assert not torch.allclose(after, before[order], atol=1e-6)


def test_config_tree_needs_neither_torchjd_nor_its_solvers():
    """They take half a second; importing the table, making configs and building rules must not load them."""
    script = (
        "import sys, torch; from ltrec.aggregation import RULES; [c() for c in RULES.configs().values()];"
        "RULES['cagrad'].make(prior_K=torch.ones(2), empty=None, c=0.4);"
        "print(sorted({'torchjd', 'cvxpy', 'scipy', 'qpsolvers', 'quadprog'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "bad", "word"),
    [
        ("constant", {"weights": (1.0, -0.1)}, "weights must be at least 0"),
        ("constant", {"weights": (0.0, 0.0)}, "zero"),
        ("constant", {"weights": (1.0, float("inf"))}, "weights must be at most"),
        ("group_dro", {"eta": -0.1}, "eta"),
        ("streaming_dro", {"eta": -0.1}, "eta"),
        ("streaming_dro", {"rho": 0.0}, "rho"),
        ("streaming_dro", {"rho": 1.5}, "rho"),
        ("cagrad", {"c": 1.0}, "c must"),
        ("cagrad", {"c": -0.1}, "c must"),
        ("fairgrad", {"alpha": 0.0}, "alpha"),
        ("dot_attention", {"tau": 0.0}, "tau"),
    ],
)
def test_impossible_options_are_refused(name, bad, word):
    with pytest.raises(ValueError, match=word):
        RULES[name].config(**bad)


@pytest.mark.parametrize("name", [name for name in WEIGHING if name != "pcgrad"])
@pytest.mark.parametrize("empty", ["renormalize", "drop"])
def test_a_stratum_that_never_comes_changes_no_rule(name, empty):
    """Without a share and never drawn, also among the losses that a rule remembers: the others weigh as if it were not there.
    (PCGrad draws another order for another number of strata.)"""
    there, prior_K, rows_KN = torch.tensor([1, 2, 3]), random_prior(4, 1), random_rows(4, 30, 2)
    prior_K[0], rows_KN[0] = 0, torch.nan
    prior_K /= prior_K.sum()
    weights = torch.tensor([5.0, 1.0, 2.0, 3.0])
    told = [{"weights": tuple(w.tolist())} if name == "constant" else {} for w in (weights, weights[there])]
    four, three = build(name, prior_K, empty=empty, **told[0]), build(name, prior_K[there], empty=empty, **told[1])
    for step in range(3):
        counts_K = torch.tensor([0, 3, 5 * (step != 1), 40])
        if four.kind == "linear":
            sums_K = torch.tensor([0.0, 2.0 + step, 30.0, 4.0], dtype=torch.float64)
            four.observe(SumCount(sums_K, counts_K))
            three.observe(SumCount(sums_K[there], counts_K[there]))
        whole_K = weights_of(four, rows_KN @ rows_KN.T, counts_K)
        own_K = weights_of(three, rows_KN[there] @ rows_KN[there].T, counts_K[there])
        assert whole_K[0] == 0
        torch.testing.assert_close(whole_K[there], own_K, rtol=1e-9, atol=1e-12)
