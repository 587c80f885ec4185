"""The rules behind the adapter are TorchJD's own methods; what the adapter adds is shown one by one."""

import pytest
import torch
import torchjd.aggregation as torchjd
from cvxpy.error import SolverError

from tests.support.rules import build, ones, random_prior, random_rows, uniform

AGGREGATORS = {
    "upgrad": torchjd.UPGrad,
    "dualproj": torchjd.DualProj,
    "pcgrad": torchjd.PCGrad,
    "cagrad": lambda: torchjd.CAGrad(c=0.4),
    "mgda": torchjd.MGDA,
    "imtl_g": torchjd.IMTLG,
    "aligned_mtl": torchjd.AlignedMTL,
    "fairgrad": lambda: torchjd.FairGrad(alpha=1.0),
}
PREFERENCE = {"upgrad": torchjd.UPGrad, "dualproj": torchjd.DualProj, "aligned_mtl": torchjd.AlignedMTL}


def update(name, rows_KN, prior_K, key=0):
    rule = build(name, prior_K)
    combined = rule.weights(rows_KN @ rows_KN.T, ones(len(rows_KN)), key) @ rows_KN
    assert rule.fallbacks == 0
    return combined


def assert_same_direction(ours, theirs, atol=1e-10):
    torch.testing.assert_close(ours / ours.norm(), theirs / theirs.norm(), rtol=0, atol=atol)


@pytest.mark.parametrize("name", AGGREGATORS)
@pytest.mark.parametrize("seed", range(5))
def test_with_a_uniform_prior_the_update_points_where_torchjds_aggregator_does(name, seed):
    """On a Jacobian of Frobenius norm 1, the unit the adapter asks in; in another one FairGrad's solver stops elsewhere."""
    rows_KN = random_rows(2 + seed, 30, seed, common=0.2 * seed)
    rows_KN = rows_KN / rows_KN.norm()
    torch.manual_seed(123)  # PCGrad draws from the global generator
    theirs = AGGREGATORS[name]()(rows_KN)
    assert_same_direction(update(name, rows_KN, uniform(len(rows_KN)), key=123), theirs)


@pytest.mark.parametrize("name", PREFERENCE)
def test_the_prior_is_the_preference_vector(name):
    rows_KN, prior_K = random_rows(4, 30, 7, common=0.0), random_prior(4, 2)
    assert_same_direction(update(name, rows_KN, prior_K), PREFERENCE[name](pref_vector=prior_K)(rows_KN))


@pytest.mark.parametrize("name", [name for name in AGGREGATORS if name not in PREFERENCE])
def test_elsewhere_the_prior_scales_the_objectives(name):
    rows_KN, prior_K = random_rows(4, 30, 7, common=0.0), random_prior(4, 2)
    objectives_KN = prior_K[:, None] * rows_KN
    torch.manual_seed(5)
    theirs = AGGREGATORS[name]()(objectives_KN / objectives_KN.norm())
    assert_same_direction(update(name, rows_KN, prior_K, key=5), theirs, atol=1e-8)


@pytest.mark.parametrize("name", ["upgrad", "dualproj", "pcgrad", "aligned_mtl"])
def test_without_conflict_only_the_prior_speaks(name):
    """Orthogonal gradients of one length: what these methods mend is not there."""
    prior_K = random_prior(4, 2)
    torch.testing.assert_close(update(name, torch.eye(4).double(), prior_K), prior_K, rtol=0, atol=1e-12)


def test_mgda_turns_the_prior_around_and_imtl_g_ignores_it():
    """As their configs say: known before somebody wonders."""
    rows, prior_K = torch.eye(2).double(), torch.tensor([0.75, 0.25], dtype=torch.float64)
    assert update("mgda", rows, prior_K).tolist() == pytest.approx([0.25, 0.75], abs=1e-3)
    assert update("imtl_g", rows, prior_K).tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("name", ["upgrad", "dualproj"])
def test_projections_harm_no_stratum(name):
    """Up to TorchJD's regularisation of the Gram matrix, 1e-4 of its trace."""
    harmed = 0
    for seed in range(20):
        rows_KN, prior_K = random_rows(4, 5, seed, common=0.0), random_prior(4, seed)
        rows_KN = rows_KN / rows_KN.norm()
        assert (rows_KN @ update(name, rows_KN, prior_K) > -1e-4).all()
        harmed += bool((rows_KN @ (prior_K @ rows_KN) < -1e-3).any())
    assert harmed > 5, "the backdoor update must harm somebody, or this shows nothing"


@pytest.mark.parametrize("name", AGGREGATORS)
def test_an_empty_stratum_is_not_a_gradient_of_zero(name):
    """The others' weights are those of a world without it."""
    rows_KN, prior_K = random_rows(4, 30, 3), random_prior(4, 1)
    rows_KN[2] = 0
    counts, there = torch.tensor([1, 1, 0, 1]), torch.tensor([0, 1, 3])
    with_hole = build(name, prior_K).weights(rows_KN @ rows_KN.T, counts, 1)
    without = build(name, prior_K[there] / prior_K[there].sum()).weights(rows_KN[there] @ rows_KN[there].T, ones(3), 1)
    assert with_hole[2] == 0
    torch.testing.assert_close(with_hole[there], without, rtol=0, atol=1e-9)


def test_mgda_itself_would_give_the_empty_stratum_everything():
    rows_KN = random_rows(3, 30, 3)
    rows_KN[1] = 0
    assert torchjd.MGDAWeighting()(rows_KN @ rows_KN.T)[1] > 0.99


def test_pcgrad_depends_on_the_key_and_on_nothing_else():
    rows_KN = random_rows(6, 8, 1, common=0.0)
    weights = [build("pcgrad", uniform(6)).weights(rows_KN @ rows_KN.T, ones(6), key) for key in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.allclose(weights[0], weights[2])


def test_opposite_gradients_leave_cagrad_without_an_answer():
    rows_KN = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    rule = build("cagrad", uniform(2))
    assert rule.weights(rows_KN @ rows_KN.T, ones(2), 0).tolist() == [0.5, 0.5]
    assert rule.fallbacks == 1


def test_imtl_g_may_not_climb():
    """A short gradient amid two long ones: equal projections need more than -1 of it, and the sum-one update points uphill."""
    rows_KN = torch.tensor([[10.0, 0, 0], [0, 10.0, 0], [0.07, 0.07, 0.007]], dtype=torch.float64)
    theirs = torchjd.IMTLG()(rows_KN)
    assert (rows_KN @ theirs < 0).all()
    rule = build("imtl_g", uniform(3))
    torch.testing.assert_close(rule.weights(rows_KN @ rows_KN.T, ones(3), 0), uniform(3), rtol=0, atol=0)
    assert rule.fallbacks == 1


@pytest.mark.parametrize("error", [SolverError("no"), torch.linalg.LinAlgError("no"), ValueError("no")])
def test_solver_errors_fall_back(monkeypatch, error):
    monkeypatch.setattr(torchjd, "MGDAWeighting", failing(error))
    rule = build("mgda", uniform(2))
    assert rule.weights(torch.eye(2).double(), ones(2), 0).tolist() == [0.5, 0.5]
    assert rule.state_dict() == {"fallbacks": 1}


def test_other_errors_are_bugs_and_come_through(monkeypatch):
    monkeypatch.setattr(torchjd, "MGDAWeighting", failing(KeyError("bug")))
    before = torch.get_rng_state()
    with pytest.raises(KeyError):
        build("mgda", uniform(2)).weights(torch.eye(2).double(), ones(2), 0)
    assert torch.equal(torch.get_rng_state(), before)


def failing(error):
    def weighting():
        def ask(gram):
            raise error

        return ask

    return weighting
