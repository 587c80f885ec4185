"""The PIN authors' attention variants on the Gram matrix equal the same on vectors, for a model of one tensor."""

import pytest
import torch

from tests.support.rules import build, ones, random_prior, random_rows, uniform


def naive_dot(rows_KN, tau):
    """Scores by inner products, softmax, weighted sum: on the vectors themselves."""
    scores = torch.tensor([sum(float(a @ b) for b in rows_KN) for a in rows_KN], dtype=torch.float64)
    return torch.softmax(scores / tau, 0) @ rows_KN


def naive_soft(rows_KN):
    """Leave out who disagrees with the mean, softmax over the others' cosines."""
    mean = rows_KN.mean(0)
    cosine = torch.nn.functional.cosine_similarity
    kept = [row for row in rows_KN if cosine(row, mean, 0) > 0]
    scores = torch.tensor([sum(float(cosine(a, b, 0)) for b in kept) for a in kept], dtype=torch.float64)
    return torch.softmax(scores, 0) @ torch.stack(kept)


@pytest.mark.parametrize("seed", range(8))
def test_one_tensor_and_a_uniform_prior_are_the_authors_formulas(seed):
    rows_KN = random_rows(2 + seed % 5, 20, seed, common=0.1)
    num_strata, gram = len(rows_KN), rows_KN @ rows_KN.T
    dot = build("dot_attention", uniform(num_strata), tau=100.0).weights(gram, ones(num_strata), 0) @ rows_KN
    torch.testing.assert_close(dot, naive_dot(rows_KN, 100.0), rtol=1e-10, atol=1e-12)
    soft = build("soft_attention", uniform(num_strata)).weights(gram, ones(num_strata), 0) @ rows_KN
    torch.testing.assert_close(soft, naive_soft(rows_KN), rtol=1e-10, atol=1e-12)


def test_two_tensors_have_one_weight_where_theirs_has_two():
    """The difference that the docstring owns up to."""
    rows_KN = random_rows(3, 20, 5)
    ours = build("dot_attention", uniform(3), tau=10.0).weights(rows_KN @ rows_KN.T, ones(3), 0) @ rows_KN
    theirs = torch.cat([naive_dot(rows_KN[:, :8], 10.0), naive_dot(rows_KN[:, 8:], 10.0)])
    assert not torch.allclose(ours, theirs, atol=1e-3)


def test_a_stratum_against_the_prior_mean_is_left_out():
    rows_KN = torch.tensor([[1.0, 0.2], [1.0, -0.2], [-0.5, 0.1]], dtype=torch.float64)
    weights = build("soft_attention", uniform(3)).weights(rows_KN @ rows_KN.T, ones(3), 0)
    assert weights[2] == 0
    assert (weights[:2] > 0).all()


def test_which_mean_is_meant_is_the_priors_choice():
    rows_KN = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    for prior, winner in (([0.7, 0.3], 0), ([0.3, 0.7], 1)):
        weights = build("soft_attention", torch.tensor(prior).double()).weights(rows_KN @ rows_KN.T, ones(2), 0)
        assert weights[winner].item() == pytest.approx(1)
        assert weights[1 - winner] == 0


def test_strata_that_agree_alike_share_by_the_prior():
    rows_KN = torch.tensor([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    prior_K = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    weights = build("soft_attention", prior_K).weights(rows_KN @ rows_KN.T, ones(3), 0)
    assert weights.tolist() == pytest.approx([0.625, 0.375, 0])


def test_no_agreement_at_all_falls_back_to_the_prior():
    rows_KN = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    rule = build("soft_attention", uniform(2))
    assert rule.weights(rows_KN @ rows_KN.T, ones(2), 0).tolist() == [0.5, 0.5]
    assert rule.fallbacks == 1


def test_a_high_temperature_is_backdoor_and_a_low_one_takes_the_most_agreeable():
    rows_KN, prior = random_rows(4, 30, 2), random_prior(4, 1)
    hot = build("dot_attention", prior, tau=1e12).weights(rows_KN @ rows_KN.T, ones(4), 0)
    torch.testing.assert_close(hot, prior, rtol=1e-6, atol=0)
    cold = build("dot_attention", uniform(4), tau=1e-3).weights(rows_KN @ rows_KN.T, ones(4), 0)
    assert cold.argmax() == (rows_KN @ rows_KN.T).sum(1).argmax()
    assert cold.max() == 1
