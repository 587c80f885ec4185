"""How a run is judged."""

from __future__ import annotations

from dataclasses import dataclass

from ltrec.core.errors import UserError, nearest

CANDIDATES = ("full", "sampled")


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Protocol, sizes and statistics of an evaluation."""

    filter_seen: bool = True
    """Leave out items of the user's history; the target itself always stays in. Switch it off for data where repeats matter."""
    candidates: str = "full"
    """Whom the target must beat: `full` = every item, `sampled` = a few uniform draws (results are labelled as such)."""
    sampled_negatives: int = 100
    """Draws per user when `candidates` is `sampled`."""
    top_k: int = 50
    """Recommendations kept per user in the result file, for coverage and its kin."""
    cutoffs: tuple[int, ...] = (5, 10, 20, 50)
    """List lengths k of HR@k, NDCG@k, MRR@k, Recall@k."""
    chunk_rows: int = 1024
    """Users scored at once: memory is chunk_rows x items x 4 bytes. Part of the protocol of a bit-equal repetition."""
    head_from: int | None = None
    """Smallest number of training events of a head user; null takes the data set's own cut (nearest to the top fifth)."""
    item_shares: tuple[float, ...] = (0.2, 0.5, 0.8)
    """Item popularity classes: cuts at these shares of the training events, most popular items first."""
    bootstrap_samples: int = 10_000
    """Resamples behind every interval."""
    head_margin: float = 0.05
    """The gate: how much of the head's metric may be lost, as a share of it."""
    min_seeds: int = 3
    """The gate: with fewer pairs of training seeds it is inconclusive, at least 2. More seeds make sharper intervals."""
    seed: int = 0
    """Root of the bootstrap and of sampled candidates; has nothing to do with the seed of training."""

    def __post_init__(self) -> None:
        if self.candidates not in CANDIDATES:
            known = " or ".join(CANDIDATES) + nearest(self.candidates, CANDIDATES)
            raise UserError(f"evaluation.candidates is {self.candidates!r}; it must be {known}")
        for name in ("sampled_negatives", "top_k", "chunk_rows", "bootstrap_samples"):
            if (value := getattr(self, name)) < 1:
                raise UserError(f"evaluation.{name} is {value}; it must be at least 1")
        if not self.cutoffs or min(self.cutoffs) < 1 or list(self.cutoffs) != sorted(set(self.cutoffs)):
            raise UserError(f"evaluation.cutoffs is {list(self.cutoffs)}; it must be positive and rising")
        if self.cutoffs[-1] > self.top_k:
            raise UserError(f"evaluation.top_k is {self.top_k}, below the largest cutoff; raise it to {self.cutoffs[-1]}")
        shares = list(self.item_shares)
        if not shares or shares != sorted(set(shares)) or shares[0] <= 0 or shares[-1] >= 1:
            raise UserError(f"evaluation.item_shares is {shares}; it must rise between 0 and 1")
        if not 0 < self.head_margin < 1:
            raise UserError(f"evaluation.head_margin is {self.head_margin}; it is a share between 0 and 1, for example 0.05")
        if self.min_seeds < 2:
            raise UserError(
                f"evaluation.min_seeds is {self.min_seeds}; it must be at least 2, for one cannot tell a method from luck"
            )
