"""Options of evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ltrec.core.bounds import INT32, INT64, Among, Between, check_fields
from ltrec.evaluation.metrics import METRICS


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Protocol, sizes and statistics of evaluation."""

    filter_seen: bool = True
    """Filter out items of the user's history; the target itself always remains a candidate. Turn it off if repeats matter."""
    candidates: Literal["full", "all", "seen", "sampled"] = "full"
    """Items to rank against: `full` or `all` = every item, `seen` = items with training events (other targets are counted
    and left out), `sampled` = a few uniform draws (results are labelled as such)."""
    sampled_negatives: Annotated[int, Between(1, 1_000_000)] = 100
    """Samples per user with candidates=sampled."""
    top_k: Annotated[int, Between(1, 32_767)] = 50
    """Recommendations per user kept in the evaluation table, for coverage and similar metrics."""
    cutoffs: tuple[Annotated[int, Between(1, 32_767)], ...] = (5, 10, 20, 50)
    """List lengths k of HR@k, NDCG@k, MRR@k, Recall@k."""
    metrics: tuple[Annotated[str, Among(METRICS)], ...] = ()
    """Metrics besides HR, NDCG, MRR, Recall and AUC, by the names under which `imports` registered them."""
    chunk_rows: Annotated[int, Between(1, 1 << 20)] = 1024
    """Users scored at once: memory is chunk_rows x items x 4 bytes. Bit-identical results need the same value."""
    head_from: Annotated[int, Between(1, INT32)] | None = None
    """Smallest number of training events of a head user; null = the data set's cut (nearest to the top fifth)."""
    item_shares: tuple[Annotated[float, Between(0, 1, above=True, below=True)], ...] = (0.2, 0.5, 0.8)
    """Item popularity classes: cuts at these shares of the training events, most popular items first."""
    bootstrap_samples: Annotated[int, Between(1, 1_000_000)] = 10_000
    """Number of bootstrap resamples of every interval."""
    head_margin: Annotated[float, Between(0, 1, above=True, below=True)] = 0.05
    """Gate: the share of the head's metric that may be lost."""
    min_seeds: Annotated[int, Between(2, 1000)] = 3
    """Gate: with fewer pairs of training seeds the verdict is inconclusive; at least 2, because with one a method cannot be told
    from chance. More seeds give narrower intervals."""
    seed: Annotated[int, Between(0, INT64)] = 0
    """Seed of the bootstrap and of sampled candidates; independent of the training seed."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.candidates == "all":  # two names for one thing; files and comparisons use the first
            object.__setattr__(self, "candidates", "full")
        for name in ("cutoffs", "item_shares"):
            values = list(getattr(self, name))
            if not values or values != sorted(set(values)):
                raise ValueError(f"{name} must be ascending; got {values}")
        if self.cutoffs[-1] > self.top_k:
            raise ValueError(f"top_k is {self.top_k}, below the largest of cutoffs; raise it to {self.cutoffs[-1]}")
