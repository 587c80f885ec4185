"""Metrics of one held-out target per user, as functions of its rank. One value per user; means and groups come later.

A metric is a row of `METRICS`. To add one, register a function of ranks and name it in `evaluation.metrics`:

    METRICS.register("log_rank", title="Log rank", cut=False, whole=True, build=lambda rank_N, candidates_N, k: ...)

HR@k     1 if rank <= k                    (with a single target Recall@k is the same number)
NDCG@k   1 / log2(1 + rank) if rank <= k   (the ideal list has gain 1)
MRR@k    1 / rank           if rank <= k;  MRR without @ is not cut
AUC      share of the other candidates that the target beats; its mean over users is also called GAUC
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltrec.core.errors import UserError
from ltrec.core.extension.registry import Registry, Row

Ranks = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
Values = dict[str, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Row):
    """A row of `METRICS`: a function of ranks, one value per user, the higher the better.

    Attributes:
        build: (rank_N of the targets, 1 = best; candidates_N, items ranked, the target among them; list length k) -> float64 [N].
            k is None where the whole ranking counts.
        title: the name in tables.
        cut: whether it is measured at every cutoff, as ``name@k``.
        whole: whether it is measured over the whole ranking, as ``name``.
        share: whether values lie between 0 and 1, and the ends of intervals with them.
        needs_candidates: whether it looks at candidates_N.
    """

    build: Callable[[Ranks, Ranks, int | None], Floats]
    title: str
    cut: bool = True
    whole: bool = False
    share: bool = True
    needs_candidates: bool = False

    def keys(self, cutoffs: Iterable[int | str]) -> list[str]:
        """What it is called in results: ``ndcg@10``, ``auc``."""
        return [f"{self.name}@{k}" for k in cutoffs if self.cut] + [self.name] * self.whole

    def of(self, rank_N: Ranks, candidates_N: Ranks, k: int | None) -> Floats:
        """Its value for every user.

        Raises:
            UserError: the function gives no finite number per user.
        """
        value_N = np.asarray(self.build(rank_N, candidates_N, k), dtype=np.float64)
        if value_N.shape != rank_N.shape or not np.isfinite(value_N).all():
            raise UserError(
                f"metric {self.name!r} of {self.module} must give one finite number per user; of {len(rank_N)} users it gave "
                f"{int(np.isfinite(value_N).sum())} in an array of shape {list(value_N.shape)}"
            )
        return value_N


def per_user(rank_N: Ranks, candidates_N: Ranks, cutoffs: Sequence[int], more: Sequence[str] = ()) -> Values:
    """Every metric of every user.

    Args:
        rank_N: rank of the target, 1 = best, at most candidates_N.
        candidates_N: items ranked, the target among them.
        cutoffs: the list lengths k.
        more: names of `METRICS` besides the usual ones.

    Returns:
        ``hr@k``, ``recall@k``, ``ndcg@k``, ``mrr@k`` for every k, ``mrr`` and ``auc``, then those of `more`; each [N].
    """
    values: Values = {}
    for names in (USUAL, more):
        rows = [METRICS[name] for name in names]
        values |= {f"{row.name}@{k}": row.of(rank_N, candidates_N, k) for k in cutoffs for row in rows if row.cut}
        values |= {row.name: row.of(rank_N, candidates_N, None) for row in rows if row.whole}
    return values


def metric_values(key: str, rank_N: Ranks, candidates_N: Ranks | None = None) -> Floats:
    """One metric of every user [N].

    Args:
        key: such as ``ndcg@10``.
        rank_N: rank of the target, 1 = best.
        candidates_N: items ranked; without it there is no metric that needs them.

    Raises:
        UserError: there is no such metric, or it needs the candidates.
    """
    name, at, cutoff = key.partition("@")
    if at and not _is_length(cutoff):
        raise UserError(f"{key!r} is no metric: the list length after '@' must be a positive number, as in ndcg@10")
    if not is_metric(key):
        known = [form for row in map(METRICS.__getitem__, METRICS) for form in row.keys(["k"])]
        raise UserError(f"{key!r} is no metric; known: {', '.join(known)}")
    if METRICS[name].needs_candidates and candidates_N is None:
        raise UserError(f"{key} needs the number of candidates of every user, which ranks alone do not tell; take ndcg@k, hr@k")
    return METRICS[name].of(rank_N, rank_N if candidates_N is None else candidates_N, int(cutoff) if at else None)


def is_metric(key: str) -> bool:
    """Whether there is a metric of this key: ``ndcg@10`` is one, ``ndcg`` and ``auc@10`` are not."""
    name, at, cutoff = key.partition("@")
    return name in METRICS and (METRICS[name].cut and _is_length(cutoff) if at else METRICS[name].whole)


def _is_length(text: str) -> bool:
    return text.isdecimal() and int(text) >= 1


def title_of(key: str) -> str | None:
    """``ndcg@10`` as people write it: ``NDCG@10``; None for what is no metric."""
    name, at, cutoff = key.partition("@")
    return METRICS[name].title + at + cutoff if name in METRICS else None


def metric_name(key: str) -> str:
    """As people write it: ``NDCG@10``; what is no metric of ranks, such as ``tail_share@10``, by its words."""
    stem, at, cutoff = key.partition("@")
    return title_of(key) or stem.replace("_", " ").capitalize() + at + cutoff


def is_share(key: str) -> bool:
    """Whether values lie between 0 and 1."""
    name = key.partition("@")[0]
    return name not in METRICS or METRICS[name].share


def unusual(keys: Iterable[str], cutoff: str) -> list[str]:
    """Those among the keys of a result that a config named besides the usual ones, at one list length or whole."""
    split = [(key, *key.partition("@")) for key in keys]
    return [key for key, name, _, k in split if name in METRICS and name not in USUAL and k in ("", cutoff)]


def hit_at(rank_N: Ranks, k: int) -> Floats:
    """HR@k of each user."""
    return (rank_N <= k).astype(np.float64)


def ndcg_at(rank_N: Ranks, k: int) -> Floats:
    """NDCG@k of each user."""
    return np.where(rank_N <= k, 1 / np.log2(1 + rank_N.astype(np.float64)), 0.0)


def reciprocal_at(rank_N: Ranks, k: int | None) -> Floats:
    """MRR@k of each user; not cut where k is None."""
    reciprocal_N = 1 / rank_N.astype(np.float64)
    return reciprocal_N if k is None else np.where(rank_N <= k, reciprocal_N, 0.0)


def auc(rank_N: Ranks, candidates_N: Ranks) -> Floats:
    """Share of the other candidates that the target beats; a tie is no win. 1/2 where there is no other candidate."""
    rivals = candidates_N.astype(np.float64) - 1
    return np.where(rivals > 0, (candidates_N - rank_N.astype(np.float64)) / np.maximum(rivals, 1), 0.5)


def nearest_cutoff(cutoffs: Sequence[int], wanted: int = 10) -> int:
    """The k to headline with: the cutoff nearest to `wanted`, the smaller one on a tie."""
    return min(cutoffs, key=lambda k: (abs(k - wanted), k))


METRICS: Registry[Metric] = Registry("evaluation.metrics", Metric)
METRICS.register("hr", title="HR", build=lambda rank_N, _, k: hit_at(rank_N, k))
METRICS.register("ndcg", title="NDCG", build=lambda rank_N, _, k: ndcg_at(rank_N, k))
METRICS.register("mrr", title="MRR", whole=True, build=lambda rank_N, _, k: reciprocal_at(rank_N, k))
METRICS.register("recall", title="Recall", build=lambda rank_N, _, k: hit_at(rank_N, k))
METRICS.register("auc", title="AUC", cut=False, whole=True, needs_candidates=True, build=lambda rank_N, n_N, _: auc(rank_N, n_N))

USUAL = ("hr", "recall", "ndcg", "mrr", "auc")
"""What every evaluation measures, in the order of its results; `evaluation.metrics` adds to them."""
