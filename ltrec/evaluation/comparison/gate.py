"""The gate: did the tail gain, and did the head pay?

Two tests per data set, on paired differences, over users and training seeds (see `seeds`):

    tail    H0: the tail's metric did not rise          one-sided; p-values adjusted over data sets by Holm (1979)
    head    H0: the head lost more than the margin      one-sided 95 %; the margin is a share m of the base's head metric, and the
                                                        test is on the mean of  other - (1 - m) base,  which is linear in the users

    pass            both null hypotheses are rejected
    fail            the contrary of one is shown: the tail lost (one-sided 95 %), or the head lost more than the margin
    inconclusive    neither: the data cannot tell, and the verdict says how many users or seeds could

With fewer pairs of seeds than `min_seeds` the verdict is inconclusive whatever the numbers: one training seed a side cannot tell
the method from luck, for two runs of one method differ too, and by more than users explain. Absence of evidence never passes.
Over several data sets: pass if all pass, fail if any fails. Resamples are keyed by the data's digest: the same runs give the same
figures wherever they are judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.core.errors import UserError
from ltrec.evaluation.comparison.compare import p_not_above_zero
from ltrec.evaluation.comparison.naming import common_name
from ltrec.evaluation.comparison.pairing import Paired
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups import Group, groups
from ltrec.evaluation.metrics import nearest_cutoff
from ltrec.evaluation.statistics.power import seeds_needed, users_needed
from ltrec.evaluation.statistics.seeds import resampled
from ltrec.evaluation.training_facts import training_lines

Floats = npt.NDArray[np.float64]
ALPHA = 0.05
PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tests.

    Attributes:
        users: users of the group.
        base: the base's mean of the metric.
        change: other - base.
        low: one-sided 95 % lower bound of the change.
        high: one-sided 95 % upper bound of it.
        p: p-value of the null hypothesis; of the tail adjusted over data sets.
            With one seed it knows, like the bounds, of users only.
        verdict: of this side alone.
        users_to_decide: users of *all* kinds that would decide it, or None when no number would alone (or it is decided).
        seeds_to_decide: seeds that would, or None likewise, and when there is but one to tell by.
    """

    users: int
    base: float
    change: float
    low: float
    high: float
    p: float
    verdict: str
    users_to_decide: int | None = None
    seeds_to_decide: int | None = None


@dataclass(frozen=True, slots=True)
class DatasetVerdict:
    """The gate on one data set; `seeds` is how many were paired, `seeds_missing` how many more it takes to be judged at all.

    `notes` say what must be known of how the two sides were trained.
    """

    dataset: str
    base: str
    other: str
    seeds: int
    seeds_missing: int
    tail: Side
    head: Side
    verdict: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate over all data sets."""

    metric: str
    margin: float
    datasets: tuple[DatasetVerdict, ...]
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)


def gate(pairs: Mapping[str, Paired], config: EvaluationConfig | None = None, metric: str | None = None) -> Gate:
    """Judge a scorer against its base on one or more data sets.

    Args:
        pairs: paired runs (`pair`) by name of the data set.
        config: margin, least number of seeds, resamples, root seed.
        metric: None takes NDCG at the cutoff nearest to 10.

    Raises:
        UserError: when a data set has no tail users or no head users to judge.
    """
    config = config or EvaluationConfig()
    metric = metric or f"ndcg@{nearest_cutoff(config.cutoffs)}"
    sides = {name: _values(name, paired, config, metric) for name, paired in pairs.items()}
    keys = {name: paired.base[0].protocol.manifest for name, paired in pairs.items()}  # of the resamples, whatever the name
    tails = {name: _means(tail[1] - tail[0], config, keys[name], "tail") for name, (tail, _) in sides.items()}
    adjusted = dict(zip(tails, holm([p_not_above_zero(m) for m in tails.values()]), strict=True))
    judged = []
    for name, paired in pairs.items():
        tail_values, head_values = sides[name]
        users = paired.base[0].num_users
        tail = _tail(tail_values, tails[name], adjusted[name], ALPHA / len(pairs), users, config)
        head = _head(head_values, config, keys[name], users)
        verdict, seeds = _both([tail.verdict, head.verdict]), len(paired.seeds)
        missing = max(0, config.min_seeds - seeds)
        base, other = (common_name([table.name for table in tables]) for tables in (paired.base, paired.other))
        notes = training_lines(paired.base, paired.other)
        judged.append(DatasetVerdict(name, base, other, seeds, missing, tail, head, verdict, notes))
    return Gate(metric, config.head_margin, tuple(judged), _both([d.verdict for d in judged]))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: reject where the result is below alpha, and the chance of any false rejection is below alpha."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return [float(p) for p in adjusted]


def _both(verdicts: Sequence[str]) -> str:
    if FAIL in verdicts:
        return FAIL
    return PASS if all(v == PASS for v in verdicts) else INCONCLUSIVE


def _values(
    name: str, paired: Paired, config: EvaluationConfig, metric: str
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """(base, other) of the tail's users and of the head's, all [S, n]."""
    base_SN, other_SN = paired.values(metric)
    by_key: dict[str, Group] = {g.key: g for g in groups(paired.base[0], config.head_from)}
    for side in ("tail", "head"):
        if by_key[side].users < 2:
            raise UserError(
                f"{name}: {by_key[side].users} {side} users cannot be judged; evaluate a split with more, or move the head cut"
            )
    tail, head = by_key["tail"].mask_N, by_key["head"].mask_N
    return (base_SN[:, tail], other_SN[:, tail]), (base_SN[:, head], other_SN[:, head])


def _means(contrast_Sn: Floats, config: EvaluationConfig, *names: str) -> Floats:
    return resampled(contrast_Sn, config, "gate", *names)


def _bounds(means: Floats) -> tuple[float, float]:
    low, high = np.quantile(means, [ALPHA, 1 - ALPHA])
    return float(low), float(high)


def _verdict(shown: bool, contrary: bool, seeds: int, config: EvaluationConfig) -> str:
    if seeds < config.min_seeds:
        return INCONCLUSIVE
    return PASS if shown else (FAIL if contrary else INCONCLUSIVE)


def _tail(values: tuple[Floats, Floats], means: Floats, p: float, alpha: float, users: int, config: EvaluationConfig) -> Side:
    base_Sn, other_Sn = values
    change_Sn = other_Sn - base_Sn
    low, high = _bounds(means)
    verdict = _verdict(p < ALPHA, high < -1e-12, len(base_Sn), config)
    needs = _needs(change_Sn, alpha, users, config) if verdict == INCONCLUSIVE else (None, None)
    return Side(change_Sn.shape[1], float(base_Sn.mean()), float(change_Sn.mean()), low, high, p, verdict, *needs)


def _head(values: tuple[Floats, Floats], config: EvaluationConfig, key: str, users: int) -> Side:
    base_Sn, other_Sn = values
    base = float(base_Sn.mean())
    contrast_Sn = other_Sn - (1 - config.head_margin) * base_Sn
    means = _means(contrast_Sn, config, key, "head")
    low, high = _bounds(means)
    verdict = _verdict(low > 1e-12, high < -1e-12, len(base_Sn), config)
    needs = _needs(contrast_Sn, ALPHA, users, config) if verdict == INCONCLUSIVE else (None, None)
    allowed = config.head_margin * base  # the contrast is the change plus what may be lost
    change = float((other_Sn - base_Sn).mean())
    return Side(base_Sn.shape[1], base, change, low - allowed, high - allowed, p_not_above_zero(means), verdict, *needs)


def _needs(contrast_Sn: Floats, alpha: float, users: int, config: EvaluationConfig) -> tuple[int | None, int | None]:
    """Users of all kinds (the group's share staying as it is) and seeds that would decide: at least one more than there are."""
    num_seeds, group = contrast_Sn.shape
    needed, seeds = users_needed(contrast_Sn, alpha), seeds_needed(contrast_Sn, alpha)
    if num_seeds < config.min_seeds:
        needed = None  # no number of users makes up for seeds that are missing
    return (
        None if needed is None else -(-max(group + 1, needed) * users // group),
        None if seeds is None else max(num_seeds + 1, config.min_seeds, seeds),
    )
