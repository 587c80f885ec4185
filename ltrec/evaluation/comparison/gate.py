"""The gate: did the tail gain, and did the head pay?

Two tests per data set, on paired differences, over users and training seeds (see `seeds`):

    tail    H0: the tail's metric did not rise          one-sided; p-values adjusted over data sets by Holm (1979)
    head    H0: the head lost more than the margin      one-sided 95 %; the margin is a share m of the base's head metric, and the
                                                        test is on the mean of  other - (1 - m) base,  which is linear in the users

    pass            both null hypotheses are rejected
    fail            the opposite of one is shown: the tail lost (one-sided 95 %), or the head lost more than the margin
    inconclusive    neither: the data do not decide it, and the verdict says how many users or seeds would

With fewer pairs of seeds than `min_seeds` the verdict is always inconclusive: one training seed per method cannot tell the method
from chance, because two runs of the same method differ too, by more than users explain. Absence of evidence never passes. Fix the
number of seeds before the first look: testing after every new seed until the gate passes gives .12 to .19 false passes instead of
.05. Over several data sets: pass if all pass, fail if any fails.

Resamples are seeded by the set of users (`statistics.bootstrap.key_of`): the same ranks of the same users give the same figures to
the last digit, independent of the names and the order of runs and folders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltrec.core.errors import UserError
from ltrec.evaluation.comparison.compare import p_not_above_zero
from ltrec.evaluation.comparison.pairing import Paired
from ltrec.evaluation.comparison.verdict import FAIL, INCONCLUSIVE, PASS, DatasetVerdict, Gate, Side
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups.users import groups
from ltrec.evaluation.metrics import nearest_cutoff
from ltrec.evaluation.statistics.power import seeds_needed, users_needed
from ltrec.evaluation.statistics.seeds import resampled
from ltrec.evaluation.training_facts import training_lines

Floats = npt.NDArray[np.float64]
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Contest:
    """Two scorers on the users of one data set: the input of the gate.

    Attributes:
        base, other: their names.
        base_SN, other_SN: the metric; rows are seeds (paired), columns users (paired) in the order of their keys.
        tail_N, head_N: which users belong to tail and head; some may belong to neither.
        notes: what the reader must know about how the two were trained.
    """

    base: str
    other: str
    base_SN: Floats
    other_SN: Floats
    tail_N: npt.NDArray[np.bool_]
    head_N: npt.NDArray[np.bool_]
    notes: tuple[str, ...] = ()


def gate(pairs: Mapping[str, Paired], config: EvaluationConfig | None = None, metric: str | None = None) -> Gate:
    """Judge a scorer against its base on one or more data sets.

    Args:
        pairs: paired runs (`pair`) by name of the data set.
        config: margin, minimum number of seeds, resamples, seed.
        metric: None = NDCG at the cutoff nearest to 10.

    Raises:
        UserError: a data set has no tail users or no head users.
    """
    config = config or EvaluationConfig()
    metric = metric or f"ndcg@{nearest_cutoff(config.cutoffs)}"
    return judge({name: _contest(paired, config, metric) for name, paired in pairs.items()}, config, metric)


def judge(contests: Mapping[str, Contest], config: EvaluationConfig, metric: str) -> Gate:
    """The gate over contests by name of the data set; `metric` is the name of their values.

    Raises:
        UserError: a data set has fewer than two tail users or head users.
    """
    for name, contest in contests.items():
        _refuse_few(name, contest)
    means = {name: resampled(it.other_SN - it.base_SN, it.tail_N, config) for name, it in contests.items()}
    adjusted = dict(zip(means, holm([p_not_above_zero(means_R) for means_R in means.values()]), strict=True))
    judged = []
    for name, contest in contests.items():
        num_seeds = len(contest.base_SN)
        tail = _tail(contest, means[name], adjusted[name], ALPHA / len(contests), config)
        head = _head(contest, config)
        missing, verdict = max(0, config.min_seeds - num_seeds), _both([tail.verdict, head.verdict])
        judged.append(DatasetVerdict(name, contest.base, contest.other, num_seeds, missing, tail, head, verdict, contest.notes))
    return Gate(metric, config.head_margin, tuple(judged), _both([d.verdict for d in judged]))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: rejecting results below alpha keeps the probability of any false rejection below alpha."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return [float(p) for p in adjusted]


def _contest(paired: Paired, config: EvaluationConfig, metric: str) -> Contest:
    tail, head = groups(paired.base[0], config.head_from)[1:3]
    notes = training_lines(paired.base, paired.other)
    return Contest(*paired.names, *paired.values(metric), tail.mask_N, head.mask_N, notes)


def _refuse_few(name: str, contest: Contest) -> None:
    for side, mask_N in (("tail", contest.tail_N), ("head", contest.head_N)):
        if (users := int(mask_N.sum())) < 2:
            raise UserError(f"{name}: {users} {side} users cannot be judged; evaluate a split with more, or move the head cut")


def _both(verdicts: Sequence[str]) -> str:
    if FAIL in verdicts:
        return FAIL
    return PASS if all(v == PASS for v in verdicts) else INCONCLUSIVE


def _bounds(means_R: Floats) -> tuple[float, float]:
    low, high = np.quantile(means_R, [ALPHA, 1 - ALPHA])
    return float(low), float(high)


def _verdict(shown: bool, contrary: bool, seeds: int, config: EvaluationConfig) -> str:
    if seeds < config.min_seeds:
        return INCONCLUSIVE
    return PASS if shown else (FAIL if contrary else INCONCLUSIVE)


def _tail(contest: Contest, means_R: Floats, p: float, alpha: float, config: EvaluationConfig) -> Side:
    base_Sn, other_Sn = contest.base_SN[:, contest.tail_N], contest.other_SN[:, contest.tail_N]
    change_Sn, users = other_Sn - base_Sn, contest.base_SN.shape[1]
    low, high = _bounds(means_R)
    verdict = _verdict(p < ALPHA, high < -1e-12, len(change_Sn), config)
    needs = _needs(change_Sn, alpha, users, config) if verdict == INCONCLUSIVE else (None, None)
    return Side(change_Sn.shape[1], float(base_Sn.mean()), float(change_Sn.mean()), low, high, p, verdict, *needs)


def _head(contest: Contest, config: EvaluationConfig) -> Side:
    base_Sn, other_Sn = contest.base_SN[:, contest.head_N], contest.other_SN[:, contest.head_N]
    contrast_SN = contest.other_SN - (1 - config.head_margin) * contest.base_SN
    means_R, contrast_Sn = resampled(contrast_SN, contest.head_N, config), contrast_SN[:, contest.head_N]
    low, high = _bounds(means_R)
    verdict = _verdict(low > 1e-12, high < -1e-12, len(contrast_Sn), config)
    needs = _needs(contrast_Sn, ALPHA, contrast_SN.shape[1], config) if verdict == INCONCLUSIVE else (None, None)
    base, change = float(base_Sn.mean()), float((other_Sn - base_Sn).mean())
    allowed = config.head_margin * base  # the contrast is the change plus the allowed loss
    return Side(contrast_Sn.shape[1], base, change, low - allowed, high - allowed, p_not_above_zero(means_R), verdict, *needs)


def _needs(contrast_Sn: Floats, alpha: float, users: int, config: EvaluationConfig) -> tuple[int | None, int | None]:
    """Numbers of users in all (with the group's share unchanged) and of seeds that would decide, at least one more than there
    are."""
    num_seeds, group = contrast_Sn.shape
    needed, seeds = users_needed(contrast_Sn, alpha), seeds_needed(contrast_Sn, alpha)
    if num_seeds < config.min_seeds:
        needed = None  # more users do not make up for missing seeds
    return (
        None if needed is None else -(-max(group + 1, needed) * users // group),
        None if seeds is None else max(num_seeds + 1, config.min_seeds, seeds),
    )
