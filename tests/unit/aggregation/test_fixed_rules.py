"""backdoor, uniform, constant and cumulative: by hand."""

import pytest
import torch

from ltrec.core.errors import UserError
from tests.support.rules import build, ones, random_prior, uniform


def weights(name, prior, counts, **options):
    return build(name, torch.tensor(prior, dtype=torch.float64), **options).weights(torch.tensor(counts)).tolist()


def test_backdoor_is_the_prior():
    assert weights("backdoor", [0.5, 0.3, 0.2], [9, 9, 1]) == pytest.approx([0.5, 0.3, 0.2])
    assert weights("backdoor", [0.5, 0.3, 0.2], [0, 9, 1]) == pytest.approx([0, 0.6, 0.4])


def test_uniform_looks_at_no_prior_and_under_drop_is_the_release():
    assert weights("uniform", [0.5, 0.3, 0.2], [9, 1, 0]) == pytest.approx([0.5, 0.5, 0])
    assert weights("uniform", [0.25] * 4, [9, 1, 0, 2], empty="drop") == pytest.approx([0.25, 0.25, 0, 0.25])


def test_constant_keeps_its_proportions():
    assert weights("constant", [0.5, 0.3, 0.2], [1, 1, 1], weights=(2.0, 0.0, 6.0)) == pytest.approx([0.25, 0, 0.75])
    assert weights("constant", [0.5, 0.3, 0.2], [1, 1, 0], weights=(2.0, 0.0, 6.0)) == [1, 0, 0]
    assert weights("constant", [0.5, 0.3, 0.2], [0, 1, 0], weights=(2.0, 0.0, 6.0)) == [0, 0, 0]


@pytest.mark.parametrize("given", [(), (1.0, 2.0), (1.0,) * 4])
def test_constant_wants_one_weight_per_stratum(given):
    with pytest.raises(UserError, match=rf"{len(given)} numbers, the data has 3 strata"):
        build("constant", uniform(3), weights=given) if given else build("constant", uniform(3), weights=())


def test_cumulative_is_the_release_that_never_zeroes_its_gradients():
    """Row z of the release's memory holds G_0 + ... + G_z; its mean over the rows, up to scale, is our weighted sum."""
    assert weights("cumulative", [0.2] * 5, [1] * 5) == pytest.approx([5 / 15, 4 / 15, 3 / 15, 2 / 15, 1 / 15])
    gradients_KN = torch.randn(5, 7, dtype=torch.float64)
    for absent in ((), (0,), (1, 3), (4,)):
        counts, memory_KN, running_N = ones(5), torch.zeros(5, 7, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)
        for z in range(5):
            if z in absent:
                counts[z] = 0
                continue
            running_N = running_N + gradients_KN[z]
            memory_KN[z] = running_N
        ours = torch.tensor(weights("cumulative", [0.2] * 5, counts.tolist()), dtype=torch.float64) @ gradients_KN
        theirs = memory_KN.mean(0)
        torch.testing.assert_close(ours / ours.norm(), theirs / theirs.norm(), rtol=0, atol=1e-12)


def test_cumulative_depends_on_the_numbering_where_backdoor_does_not():
    prior = random_prior(4, 1)
    flipped = build("cumulative", prior.flip(0)).weights(ones(4)).flip(0)
    assert not torch.allclose(flipped, build("cumulative", prior).weights(ones(4)))
    assert torch.equal(build("backdoor", prior.flip(0)).weights(ones(4)).flip(0), build("backdoor", prior).weights(ones(4)))
