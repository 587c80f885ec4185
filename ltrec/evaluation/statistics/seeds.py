"""Users and training seeds: two reasons why a mean difference would come out otherwise the next time.

A quantity is known for S seeds and n users, one value x_su each. Take both as drawn at random (a two-way random-effects model):

    x_su = mu + user_u + seed_s + noise_su          Var(mean) = U / n  +  B / S  +  E / (S n)

with U, B, E the variances of the three. The two obvious estimates of the error each contain the last term: the means of the users
vary by U + E / S, those of the seeds by B + E / n. Added up they count it twice; the bootstrap over users alone leaves out B, and
then finds differences between two runs that differ by nothing but the seed. Here every term is counted once:

    resample = mean  +  c (bootstrap over users - mean)  +  sd of the seeds' means / sqrt(S) * t,        t ~ Student(S - 1)

where c <= 1 takes E out of the user part (c^2 = U / (U + E / S), estimated), for there it is known well, from (S - 1)(n - 1)
degrees of freedom. The seed part has S - 1 of them, three seeds have two, hence Student's t. Its quantiles are

    exact            when all noise is of seeds (U = 0, as between runs of one config): the one-sample t-test of the seeds' means
    the bootstrap    when no noise is of seeds
    conservative     between the two: the sum of t and normal is the Behrens-Fisher solution (Fisher 1935)

Simulated with 200 to 5,000 users, a one-sided test of level 5 % rejects a true null hypothesis in 3 to 5 % (S = 3 and 5). Rivals
were simulated beside it and let be: users alone reach 45 %; counting E twice (Clark's min F', 1973) rejects in 1 % where U = 0 and
finds less; taking E out of the seed part instead, or one t with Satterthwaite's degrees of freedom, reaches 7 %.

With a single seed nothing is known of B: what is left is the bootstrap over users, and the gate refuses to judge by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from ltrec.core.hashing import mix
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.statistics.bootstrap import key_of, resampled_means, value_classes

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Variances:
    """Variance components of values that users and seeds make: U, B and E of the module's story, none below 0."""

    users: float
    seeds: float
    noise: float


def variances(value_SN: Floats) -> Variances:
    """Components by the analysis of variance, unbiased but for the cut at 0.

    Args:
        value_SN: rows are seeds, at least 2; columns users, at least 2.
    """
    num_seeds, num_users = value_SN.shape
    assert num_seeds > 1 and num_users > 1, "two of each are needed to tell users, seeds and noise apart"
    mean_N, mean_S = value_SN.mean(axis=0), value_SN.mean(axis=1)
    residual_SN = value_SN - mean_N - mean_S[:, None] + mean_S.mean()
    noise = float((residual_SN**2).sum()) / ((num_seeds - 1) * (num_users - 1))
    users, seeds = float(mean_N.var(ddof=1)) - noise / num_seeds, float(mean_S.var(ddof=1)) - noise / num_users
    return Variances(max(0.0, users), max(0.0, seeds), noise)


def resampled(value_SN: Floats, member_N: npt.NDArray[np.bool_], config: EvaluationConfig) -> Floats:
    """Means over some of the users as other users and other seeds might have made them. What is equal gives equal resamples.

    Args:
        value_SN: rows are seeds, columns users in the order of their keys.
        member_N: the users to take, at least one; they seed the draws.
        config: resamples R and root seed.

    Returns:
        [R]. With one seed: the bootstrap over users alone.
    """
    value_Sn, key = value_SN[:, member_N], key_of(config.seed, member_N)
    value_n = value_Sn.mean(axis=0)
    means_R = resampled_means(value_n[:, None], value_classes(value_n), samples=config.bootstrap_samples, seed=key)[:, 0]
    return with_luck_of_seeds(means_R, value_Sn, key)


def with_luck_of_seeds(means_R: Floats, value_SN: Floats, key: int) -> Floats:
    """Resamples of the users, made to hold the luck of the seeds too; as they are with one seed.

    Args:
        means_R: resampled means over users of the values' means over seeds.
        value_SN: rows are seeds, columns users.
        key: seed of the draws.
    """
    value_N, mean_S = value_SN.mean(axis=0), value_SN.mean(axis=1)
    num_seeds = len(mean_S)
    if num_seeds == 1:
        return means_R
    center, error = float(value_N.mean()), float(mean_S.std(ddof=1)) / sqrt(num_seeds)
    luck_R = np.random.Generator(np.random.Philox(key=mix(key, num_seeds))).standard_t(num_seeds - 1, len(means_R))
    return center + _share_of_users(value_SN) * (means_R - center) + error * luck_R


def _share_of_users(value_SN: Floats) -> float:
    """c: the standard deviation of the users' true means over that of their observed ones."""
    if value_SN.shape[1] == 1:
        return 1.0
    found = variances(value_SN)
    observed = found.users + found.noise / len(value_SN)
    return sqrt(found.users / observed) if observed else 1.0
