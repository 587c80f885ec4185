"""How a run is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ltrec.core.bounds import INT32, INT64, Among, Between, check_fields
from ltrec.evaluation.metrics import METRICS


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Protocol, sizes and statistics of an evaluation."""

    filter_seen: bool = True
    """Leave out items of the user's history; the target itself always stays in. Switch it off for data where repeats matter."""
    candidates: Literal["full", "all", "seen", "sampled"] = "full"
    """Whom the target must beat: `full` or `all` = every item, `seen` = items with training events (other targets are counted
    and left out), `sampled` = a few uniform draws (results are labelled as such)."""
    sampled_negatives: Annotated[int, Between(1, 1_000_000)] = 100
    """Draws per user when `candidates` is `sampled`."""
    top_k: Annotated[int, Between(1, 32_767)] = 50
    """Recommendations kept per user in the result file, for coverage and its kin."""
    cutoffs: tuple[Annotated[int, Between(1, 32_767)], ...] = (5, 10, 20, 50)
    """List lengths k of HR@k, NDCG@k, MRR@k, Recall@k."""
    metrics: tuple[Annotated[str, Among(METRICS)], ...] = ()
    """Metrics besides HR, NDCG, MRR, Recall and AUC, by the names under which `imports` have registered them."""
    chunk_rows: Annotated[int, Between(1, 1 << 20)] = 1024
    """Users scored at once: memory is chunk_rows x items x 4 bytes. Part of the protocol of a bit-equal repetition."""
    head_from: Annotated[int, Between(1, INT32)] | None = None
    """Smallest number of training events of a head user; null takes the data set's own cut (nearest to the top fifth)."""
    item_shares: tuple[Annotated[float, Between(0, 1, above=True, below=True)], ...] = (0.2, 0.5, 0.8)
    """Item popularity classes: cuts at these shares of the training events, most popular items first."""
    bootstrap_samples: Annotated[int, Between(1, 1_000_000)] = 10_000
    """Resamples behind every interval."""
    head_margin: Annotated[float, Between(0, 1, above=True, below=True)] = 0.05
    """The gate: how much of the head's metric may be lost, as a share of it."""
    min_seeds: Annotated[int, Between(2, 1000)] = 3
    """The gate: with fewer pairs of training seeds it is inconclusive, at least 2. More seeds make sharper intervals; one cannot
    tell a method from luck."""
    seed: Annotated[int, Between(0, INT64)] = 0
    """Root of the bootstrap and of sampled candidates; has nothing to do with the seed of training."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.candidates == "all":  # two words for one thing; files and comparisons know the first
            object.__setattr__(self, "candidates", "full")
        for name in ("cutoffs", "item_shares"):
            values = list(getattr(self, name))
            if not values or values != sorted(set(values)):
                raise ValueError(f"{name} must rise; got {values}")
        if self.cutoffs[-1] > self.top_k:
            raise ValueError(f"top_k is {self.top_k}, below the largest of cutoffs; raise it to {self.cutoffs[-1]}")
