"""Options of each loss, and of the adversary beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ltrec.core.bounds import SHARE, Between, OneOf, check_fields


@dataclass(frozen=True, slots=True)
class SoftmaxConfig:
    """Full softmax cross-entropy: exact, the cost grows with the catalogue."""

    name: str = "softmax"
    """Key in OBJECTIVES."""
    keep_mib: Annotated[int, Between(0, 1 << 24)] = 512
    """Up to this many MiB of probabilities are kept for the backward pass; larger batches compute them again, block by block."""
    matmul: Literal["float32", "tf32", "bfloat16"] = "float32"
    """What the factors of the matrix products are rounded to in training: float32 (not at all); tf32, 10 bits of mantissa on a
    GPU's tensor cores, float32 elsewhere; or bfloat16, which takes less than half the time on CPUs with AVX512-BF16 or AMX and on
    GPUs; gradients are then off by about 1 %. Sums, log-sum-exp and evaluation are exact in each."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class SampledSoftmaxConfig:
    """Softmax over the target and sampled negatives."""

    name: str = "sampled_softmax"
    """Key in OBJECTIVES."""
    negatives: Annotated[int, Between(1, 1_000_000)] = 256
    """M, negatives per position."""
    scope: Literal["position", "shared"] = "position"
    """`position`: own negatives for every position; `shared`: one set for a whole step, much cheaper."""
    proposal: Annotated[str, OneOf("uniform", "popularity")] = "uniform"
    """`uniform` over the catalogue, or `popularity`: training count ** alpha."""
    alpha: Annotated[float, Between(0, 100)] = 0.75
    """Exponent of the popularity proposal."""
    logq: bool = True
    """Correct the negatives' scores by log(M q)."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class InBatchConfig:
    """Softmax over the targets of the global micro-batch."""

    name: str = "in_batch"
    """Key in OBJECTIVES."""
    logq: bool = True
    """Correct the negatives' scores by their expected count in the batch."""


@dataclass(frozen=True, slots=True)
class GBCEConfig:
    """Generalised binary cross-entropy of gSASRec."""

    name: str = "gbce"
    """Key in OBJECTIVES."""
    negatives: Annotated[int, Between(1, 1_000_000)] = 256
    """M, negatives per position."""
    calibration: Annotated[float, SHARE] = 0.75
    """t: 0 = plain BCE, 1 = fully calibrated."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class BCEConfig:
    """Binary cross-entropy with sampled negatives; the loss of the SASRec paper, kept as a weak baseline."""

    name: str = "bce"
    """Key in OBJECTIVES."""
    negatives: Annotated[int, Between(1, 1_000_000)] = 1
    """M, negatives per position."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class AdversaryConfig:
    """The head/tail discriminator."""

    weight: Annotated[float, Between(0, 1e6)] = 0.0
    """Lambda: how strongly states are pushed to hide whether a user is head or tail; 0 = no discriminator."""
    hidden: Annotated[int, Between(1, 1 << 16)] = 64
    """Width of the discriminator's hidden layer."""

    def __post_init__(self) -> None:
        check_fields(self)
