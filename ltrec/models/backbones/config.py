"""Options of each backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from ltrec.core.bounds import Between, check_fields

MOST_DROPOUT = 0.99
"""Beyond, rounding might leave nothing."""

Norm = Literal["pre", "post"]
NORMS: tuple[Norm, ...] = get_args(Norm)
Positions = Literal["absolute", "distance"]
POSITIONS: tuple[Positions, ...] = get_args(Positions)


@dataclass(frozen=True, slots=True)
class SASRecConfig:
    """Shape and regularisation of SASRec."""

    name: str = "sasrec"
    """Key in BACKBONES."""
    width: Annotated[int, Between(1, 1 << 16)] = 64
    """D, the length of item vectors and states. On sparse shopping logs 128 ranks better than 64, at twice the softmax's price."""
    blocks: Annotated[int, Between(1, 1000)] = 2
    """Transformer blocks."""
    heads: Annotated[int, Between(1, 1 << 16)] = 2
    """Attention heads; they divide the width."""
    dropout: Annotated[float, Between(0, MOST_DROPOUT)] = 0.5
    """Share dropped after the embedding, of attention weights, and inside and at the end of each branch. Sparse logs want much."""
    expansion: Annotated[int, Between(1, 1024)] = 1
    """Width of the feed-forward layer's middle, in multiples of `width`."""
    norm: Norm = "pre"
    """`pre`: branches see normed states, one norm at the end; `post`: sums are normed (Vaswani et al., 2017)."""
    positions: Positions = "absolute"
    """`absolute`: a learned vector per position is added to the items; `distance`: a learned bias per head and distance is added to
    the attention's logits (T5, arXiv 1910.10683)."""
    time_bias: bool = False
    """Whether a learned bias per head and time between two events is added to the attention's logits, in logarithmic buckets."""
    init_std: Annotated[float, Between(0, 100, above=True)] = 0.02
    """Standard deviation of the initial item and position vectors, and biases by distance and time."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.width % self.heads:
            raise ValueError(f"heads must divide width; got {self.heads} and {self.width}")


@dataclass(frozen=True, slots=True)
class GRU4RecConfig:
    """Shape and regularisation of GRU4Rec."""

    name: str = "gru4rec"
    """Key in BACKBONES."""
    width: Annotated[int, Between(1, 1 << 16)] = 64
    """D, the length of item vectors and states."""
    hidden: Annotated[int, Between(1, 1 << 16)] = 128
    """Length of the recurrent state."""
    layers: Annotated[int, Between(1, 1000)] = 1
    """GRU layers, one upon the other."""
    dropout: Annotated[float, Between(0, MOST_DROPOUT)] = 0.3
    """Share dropped of the item vectors and of every layer's output."""
    init_std: Annotated[float, Between(0, 100, above=True)] = 0.02
    """Standard deviation of the initial item vectors."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class DINConfig:
    """Shape and regularisation of DIN."""

    name: str = "din"
    """Key in BACKBONES."""
    width: Annotated[int, Between(1, 1 << 16)] = 32
    """D, the length of item vectors."""
    layers: tuple[Annotated[int, Between(1, 1 << 16)], ...] = (128, 64)
    """Widths of the tanh layers between attention and logit."""
    dropout: Annotated[float, Between(0, MOST_DROPOUT)] = 0.0
    """Share dropped of the history's item vectors and of every tanh layer's output. The release has none."""
    init_std: Annotated[float, Between(0, 100, above=True)] = 0.02
    """Standard deviation of the initial item vectors."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.layers:
            raise ValueError("layers must be at least one width; got []")
