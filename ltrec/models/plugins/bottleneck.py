"""PIN's plugin networks: a small residual network per stratum at every place of the backbone.

    x + W_up tanh(W_down x + b_down) + b_up           W_down: D -> D/2, W_up: D/2 -> D

W_up and both biases start at zero, so a plugin starts as the identity, and every stratum's starts alike. `form: released` is the
public release's: an outer tanh around the sum, so that insertion changes the state at once.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError, nearest
from ltrec.models.backbones.protocol import Adapt, Trunk
from ltrec.models.plugins.awake import Awake

FORMS = ("identity", "released")


@dataclass(frozen=True, slots=True)
class BottleneckConfig:
    """PIN's plugins."""

    name: str = "bottleneck"
    """Key in PLUGINS."""
    form: str = "identity"
    """`identity`: starts as the identity; `released`: with the outer tanh of the PIN authors' release."""
    places: tuple[str, ...] = ()
    """Where: `items`, `state`, and for DIN `target`; empty = every place the backbone has."""
    shrink: int = 2
    """The middle is the width divided by this."""

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}; got {self.form!r}{nearest(self.form, FORMS)}")
        if self.shrink < 1:
            raise ValueError(f"shrink must be at least 1; got {self.shrink}")


class Residual(nn.Module):
    """One plugin network.

    Args:
        width: D.
        middle: width of the bottleneck.
        outer: an outer tanh (the release's form).
    """

    def __init__(self, width: int, middle: int, *, outer: bool) -> None:
        super().__init__()
        self.down, self.up, self.outer = nn.Linear(width, middle), nn.Linear(middle, width), outer
        nn.init.xavier_uniform_(self.down.weight)
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors of the same shape [..., D]."""
        summed: Tensor = vectors + self.up(torch.tanh(self.down(vectors)))
        return torch.tanh(summed) if self.outer else summed


class Bottleneck(nn.Module):
    """A trunk with a `Residual` per place and stratum; `Plugged`, see `ltrec.models.plugins`.

    Raises:
        UserError: a place that the backbone lacks.
    """

    def __init__(
        self, trunk: nn.Module, num_strata: int, *, form: str = "identity", places: tuple[str, ...] = (), shrink: int = 2
    ) -> None:
        super().__init__()
        assert isinstance(trunk, Trunk)
        for place in places:
            if place not in trunk.places:
                raise UserError(
                    f"plugin.places: {type(trunk).__name__} has no place {place!r}{nearest(place, trunk.places)}; "
                    f"it has {', '.join(trunk.places) or 'none'}"
                )
        self.trunk: Any = trunk
        self.places = places or trunk.places
        self.switch = Awake()
        width = trunk.width
        first = {place: Residual(width, max(1, width // shrink), outer=form == "released") for place in self.places}
        self.plugins = nn.ModuleDict(
            {_key(place): nn.ModuleList(copy.deepcopy(module) for _ in range(num_strata)) for place, module in first.items()}
        )

    @property
    def awake(self) -> bool:
        """Whether plugins take part."""
        return bool(self.switch)

    def wake(self) -> None:
        """Let them."""
        self.switch.wake()

    def plugin_of(self, name: str) -> int | None:
        """plugins.at_<place>.<stratum>.<...> belongs to its stratum."""
        part = name.split(".")
        return int(part[2]) if part[0] == "plugins" else None

    def extra_losses(self, batch: SequenceBatch, states_TD: Tensor) -> Tensor | None:  # noqa: ARG002
        """Nothing."""
        return None

    def adapt(self, place: str, vectors: Tensor, stratum_N: Tensor) -> Tensor:
        """The vectors [N, ..., D], each through the plugin of its own stratum. Those of no stratum (-1) pass unchanged."""
        if place not in self.places:
            return vectors
        adapted = vectors
        for stratum, plugin in enumerate(cast(nn.ModuleList, self.plugins[_key(place)])):
            mine = (stratum_N == stratum).nonzero()[:, 0]
            if mine.numel() == stratum_N.numel():
                return cast(Tensor, plugin(vectors))
            if mine.numel():
                adapted = adapted.index_copy(0, mine, plugin(vectors[mine]))
        return adapted

    # -- the backbone, adapted --------------------------------------------------------------------------------------------------

    @property
    def _adapt(self) -> Adapt | None:
        return self.adapt if self.awake else None

    @property
    def item_table(self) -> Tensor:
        """The trunk's own."""
        return cast(Tensor, self.trunk.item_table)

    def encode(self, batch: SequenceBatch) -> Tensor:
        """States after every position [T, D]."""
        return cast(Tensor, self.trunk.encode(batch, self._adapt))

    def final_states(self, batch: SequenceBatch) -> Tensor:
        """States after the last position of every row [B, D]."""
        return cast(Tensor, self.trunk.final_states(batch, self._adapt))

    def candidate_logits(self, batch: SequenceBatch, candidates_TM: Tensor) -> Tensor:
        """Scores of candidates [T, M]."""
        return cast(Tensor, self.trunk.candidate_logits(batch, candidates_TM, self._adapt))

    def scores(self, batch: SequenceBatch) -> Tensor:
        """Scores of all items [B, V+1]."""
        return cast(Tensor, self.trunk.scores(batch, self._adapt))


def _key(place: str) -> str:
    """Its name in the module: a ModuleDict takes no key that is a method of its own, such as `items`."""
    return f"at_{place}"
