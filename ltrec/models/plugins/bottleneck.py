"""PIN's plugin networks: a small residual network per stratum at every place of the backbone.

    identity    x + W_up tanh(W_down x + b_down) + b_up                    W_down: D -> D/2, W_up: D/2 -> D
    released    tanh(x + W_up tanh(W_down x + b_down) + b_up)

W_up and both biases of the first start at zero, so that putting it in changes nothing, bit for bit. The second is the public
release's, whose matrices start near zero (Xavier-uniform with gain 0.001): putting it in replaces x by about tanh(x) at once, which
for vectors of small entries is nearly x. In both, the plugins of a place start alike, whatever their stratum.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError, nearest
from ltrec.models.backbones.protocol import Adapt, CandidateScorer, Encoder, Trunk
from ltrec.models.inputs import ItemVectors
from ltrec.models.plugins.awake import Awake
from ltrec.models.plugins.by_stratum import by_stratum

RELEASED_GAIN = 1e-3


class Residual(nn.Module):
    """One plugin network.

    Args:
        width: D.
        middle: width of the bottleneck.
        form: `identity` or `released`.
    """

    def __init__(self, width: int, middle: int, form: str) -> None:
        super().__init__()
        self.down, self.up, self.outer = nn.Linear(width, middle), nn.Linear(middle, width), form == "released"
        nn.init.xavier_uniform_(self.down.weight, gain=RELEASED_GAIN if self.outer else 1.0)
        nn.init.xavier_uniform_(self.up.weight, gain=RELEASED_GAIN) if self.outer else nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors of the same shape [..., D]."""
        summed: Tensor = vectors + self.up(torch.tanh(self.down(vectors)))
        return torch.tanh(summed) if self.outer else summed


class Bottleneck(nn.Module):
    """A trunk with a `Residual` per place and stratum; `WithPlugins`, see `ltrec.models.plugins`. Made by `plug`.

    Raises:
        UserError: a place that the backbone lacks.
    """

    def __init__(
        self, trunk: nn.Module, *, num_strata: int, form: str = "identity", places: tuple[str, ...] = (), shrink: int = 2
    ) -> None:
        super().__init__()
        assert isinstance(trunk, Trunk)
        for place in places:
            if place not in trunk.places:
                raise UserError(
                    f"`places`: {type(trunk).__name__} has no place {place!r}{nearest(place, trunk.places)}; "
                    f"it has {', '.join(trunk.places) or 'none'}"
                )
        self.trunk: Any = trunk
        self.places = places or trunk.places
        self.num_strata = num_strata
        self.switch = Awake()
        first = {place: Residual(trunk.width, max(1, trunk.width // shrink), form) for place in self.places}
        self.plugins = nn.ModuleDict(
            {_key(place): nn.ModuleList(copy.deepcopy(module) for _ in range(num_strata)) for place, module in first.items()}
        )

    @property
    def awake(self) -> bool:
        """Whether plugins take part."""
        return bool(self.switch)

    def wake(self, step: int) -> None:
        """Let them."""
        self.switch.wake(step)

    def plugin_of(self, name: str) -> int | None:
        """plugins.at_<place>.<stratum>.<...> belongs to its stratum."""
        part = name.split(".")
        return int(part[2]) if part[0] == "plugins" else None

    def extra_losses(self, batch: SequenceBatch, states_TD: Tensor | None) -> Tensor | None:  # noqa: ARG002
        """Nothing."""
        return None

    def adapt(self, place: str, vectors: Tensor, stratum_N: Tensor) -> Tensor:
        """The vectors [N, ..., D], each through the plugin of its own stratum. Those of no stratum (-1) pass unchanged."""
        if place not in self.places:
            return vectors
        plugins = cast(nn.ModuleList, self.plugins[_key(place)])
        return by_stratum(vectors, stratum_N, self.num_strata, lambda stratum, own: cast(Tensor, plugins[stratum](own)))

    @property
    def segments_obstacle(self) -> str | None:
        """The trunk's, if any: a plugin only sees the positions of its own stratum."""
        why: str | None = getattr(self.trunk, "segments_obstacle", f"{type(self.trunk).__name__} is not known to allow it")
        return why

    @property
    def splits_on(self) -> tuple[str, ...]:
        """As the trunk."""
        return getattr(self.trunk, "splits_on", ())

    @property
    def _adapt(self) -> Adapt | None:
        return self.adapt if self.awake else None

    def scores(self, batch: SequenceBatch) -> Tensor:
        """Scores of all items [B, V+1]."""
        return cast(Tensor, self.trunk.scores(batch, self._adapt))


class EncoderBottleneck(Bottleneck):
    """Around an Encoder: an Encoder itself."""

    @property
    def item_table(self) -> Tensor:
        """The trunk's own."""
        return cast(Tensor, self.trunk.item_table)

    @property
    def item_vectors(self) -> ItemVectors | None:
        """The trunk's own, where it has them apart from a table."""
        vectors: ItemVectors | None = getattr(self.trunk, "item_vectors", None)
        return vectors

    def encode(self, batch: SequenceBatch) -> Tensor:
        """States after every position [T, D]."""
        return cast(Tensor, self.trunk.encode(batch, self._adapt))

    def final_states(self, batch: SequenceBatch) -> Tensor:
        """States after the last position of every row [B, D]."""
        return cast(Tensor, self.trunk.final_states(batch, self._adapt))


class CandidateBottleneck(Bottleneck):
    """Around a CandidateScorer: a CandidateScorer itself, without states."""

    def candidate_logits(self, batch: SequenceBatch, candidates_TM: Tensor) -> Tensor:
        """Scores of candidates [T, M]."""
        return cast(Tensor, self.trunk.candidate_logits(batch, candidates_TM, self._adapt))


def plug(trunk: nn.Module, **options: Any) -> Bottleneck:
    """The kind of Bottleneck that offers what the trunk does; arguments as of `Bottleneck`."""
    if isinstance(trunk, Encoder):
        return EncoderBottleneck(trunk, **options)
    return CandidateBottleneck(trunk, **options) if isinstance(trunk, CandidateScorer) else Bottleneck(trunk, **options)


def _key(place: str) -> str:
    """A key that is not an attribute of nn.ModuleDict."""
    return f"at_{place}"
