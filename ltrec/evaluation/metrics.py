"""Metrics of a single target per user, as functions of its rank. They give one value per user; means are computed elsewhere.

A metric is a row of `METRICS`. To add one, register a function of ranks and name it in `evaluation.metrics`:

    METRICS.register("log_rank", title="Log rank", cut=False, whole=True, build=lambda rank_N, candidates_N, k: ...)

HR@k     1 if rank <= k                    (with a single target Recall@k is the same number)
NDCG@k   1 / log2(1 + rank) if rank <= k   (the ideal list has gain 1)
MRR@k    1 / rank           if rank <= k;  MRR without @ is not cut
AUC      share of the other candidates ranked below the target; its mean over users is also called GAUC
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
        build: (rank_N of the targets, 1 = best; candidates_N, number of ranked items including the target; list length k) ->
            float64 [N]. k is None for the whole ranking.
        title: the name in tables.
        cut: whether it is computed at every cutoff, as ``name@k``.
        whole: whether it is computed over the whole ranking, as ``name``.
        share: whether values are between 0 and 1, which also bounds intervals.
        needs_candidates: whether it uses candidates_N.
    """

    build: Callable[[Ranks, Ranks, int | None], Floats]
    title: str
    cut: bool = True
    whole: bool = False
    share: bool = True
    needs_candidates: bool = False

    def keys(self, cutoffs: Iterable[int | str]) -> list[str]:
        """Its keys in results: ``ndcg@10``, ``auc``."""
        return [f"{self.name}@{k}" for k in cutoffs if self.cut] + [self.name] * self.whole

    def of(self, rank_N: Ranks, candidates_N: Ranks, k: int | None) -> Floats:
        """Its value for every user.

        Raises:
            UserError: the function does not return one finite number per user.
        """
        value_N = np.asarray(self.build(rank_N, candidates_N, k), dtype=np.float64)
        if value_N.shape != rank_N.shape or not np.isfinite(value_N).all():
            raise UserError(
                f"metric {self.name!r} of {self.module} must return one finite number per user; for {len(rank_N)} users it "
                f"returned {int(np.isfinite(value_N).sum())} in an array of shape {list(value_N.shape)}"
            )
        return value_N


def per_user(rank_N: Ranks, candidates_N: Ranks, cutoffs: Sequence[int], more: Sequence[str] = ()) -> Values:
    """Every metric of every user.

    Args:
        rank_N: rank of the target, 1 = best, at most candidates_N.
        candidates_N: number of ranked items, including the target.
        cutoffs: the list lengths k.
        more: names of `METRICS` besides the standard ones.

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
        candidates_N: number of ranked items; only some metrics need it.

    Raises:
        UserError: there is no such metric, or it needs candidates_N.
    """
    name, at, cutoff = key.partition("@")
    if at and not _is_length(cutoff):
        raise UserError(f"{key!r} is not a metric: the list length after '@' must be a positive number, as in ndcg@10")
    if not is_metric(key):
        known = [form for row in map(METRICS.__getitem__, METRICS) for form in row.keys(["k"])]
        raise UserError(f"{key!r} is not a metric; known: {', '.join(known)}")
    if METRICS[name].needs_candidates and candidates_N is None:
        raise UserError(f"{key} needs the number of candidates of every user, which ranks alone do not contain; use ndcg@k, hr@k")
    return METRICS[name].of(rank_N, rank_N if candidates_N is None else candidates_N, int(cutoff) if at else None)


def is_metric(key: str) -> bool:
    """Whether there is a metric with this key: ``ndcg@10`` is one, ``ndcg`` and ``auc@10`` are not."""
    name, at, cutoff = key.partition("@")
    return name in METRICS and (METRICS[name].cut and _is_length(cutoff) if at else METRICS[name].whole)


def _is_length(text: str) -> bool:
    return text.isdecimal() and int(text) >= 1


def title_of(key: str) -> str | None:
    """``ndcg@10`` in its usual spelling, ``NDCG@10``; None if it is not a metric."""
    name, at, cutoff = key.partition("@")
    return METRICS[name].title + at + cutoff if name in METRICS else None


def metric_name(key: str) -> str:
    """The usual spelling, ``NDCG@10``; for keys that are not metrics of ranks, such as ``tail_share@10``, the capitalised key."""
    stem, at, cutoff = key.partition("@")
    return title_of(key) or stem.replace("_", " ").capitalize() + at + cutoff


def is_share(key: str) -> bool:
    """Whether values are between 0 and 1."""
    name = key.partition("@")[0]
    return name not in METRICS or METRICS[name].share


def unusual(keys: Iterable[str], cutoff: str) -> list[str]:
    """The keys among those of a result that are not standard metrics, at one list length or over the whole ranking."""
    split = [(key, *key.partition("@")) for key in keys]
    return [key for key, name, _, k in split if name in METRICS and name not in USUAL and k in ("", cutoff)]


def hit_at(rank_N: Ranks, k: int) -> Floats:
    """HR@k of each user."""
    return (rank_N <= k).astype(np.float64)


def ndcg_at(rank_N: Ranks, k: int) -> Floats:
    """NDCG@k of each user."""
    return np.where(rank_N <= k, 1 / np.log2(1 + rank_N.astype(np.float64)), 0.0)


def reciprocal_at(rank_N: Ranks, k: int | None) -> Floats:
    """MRR@k of each user; k = None is MRR over the whole ranking."""
    reciprocal_N = 1 / rank_N.astype(np.float64)
    return reciprocal_N if k is None else np.where(rank_N <= k, reciprocal_N, 0.0)


def auc(rank_N: Ranks, candidates_N: Ranks) -> Floats:
    """Share of the other candidates ranked below the target; ties do not count. 1/2 if there is no other candidate."""
    rivals = candidates_N.astype(np.float64) - 1
    return np.where(rivals > 0, (candidates_N - rank_N.astype(np.float64)) / np.maximum(rivals, 1), 0.5)


def nearest_cutoff(cutoffs: Sequence[int], wanted: int = 10) -> int:
    """The k of the headline metric: the cutoff nearest to `wanted`, the smaller one of two."""
    return min(cutoffs, key=lambda k: (abs(k - wanted), k))


METRICS: Registry[Metric] = Registry("evaluation.metrics", Metric)
METRICS.register("hr", title="HR", build=lambda rank_N, _, k: hit_at(rank_N, k))
METRICS.register("ndcg", title="NDCG", build=lambda rank_N, _, k: ndcg_at(rank_N, k))
METRICS.register("mrr", title="MRR", whole=True, build=lambda rank_N, _, k: reciprocal_at(rank_N, k))
METRICS.register("recall", title="Recall", build=lambda rank_N, _, k: hit_at(rank_N, k))
METRICS.register("auc", title="AUC", cut=False, whole=True, needs_candidates=True, build=lambda rank_N, n_N, _: auc(rank_N, n_N))

USUAL = ("hr", "recall", "ndcg", "mrr", "auc")
"""The standard metrics, in the order of results; `evaluation.metrics` adds others."""
