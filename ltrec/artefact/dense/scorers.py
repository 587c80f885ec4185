"""Scores of all items on rectangles, by backbone: an encoder's are products with its table, a DIN's those of the candidates that it
is given, and with a copy of the backbone per stratum those of the row's own copy. To all scores a number per item is added [V+1]:
-inf for what is no candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.artefact.dense.adapters import Adapters
from ltrec.artefact.dense.din import DenseDIN
from ltrec.artefact.dense.gru4rec import DenseGRU4Rec
from ltrec.artefact.dense.sasrec import DenseSASRec
from ltrec.artefact.dense.window import Window
from ltrec.models.backbones.din import DIN
from ltrec.models.backbones.gru4rec import GRU4Rec
from ltrec.models.backbones.sasrec import SASRec
from ltrec.models.plugins.bottleneck import Bottleneck
from ltrec.models.plugins.copies import Copies
from ltrec.models.plugins.melt import Melt

ITEM_VECTORS, CANDIDATES = "item_vectors", "candidates"
"""Names of tables: item vectors, float32 [V+1, D], with the number of the copy behind if there are several; and for a DIN the ids
that are scored, int64 [C], in any order. Others score -inf. There are two at least; 0 is padding."""


class EncoderScores(nn.Module):
    """Products of the last states with the item table.

    Args:
        encoder: the states.
        adapters: plugins.
        table: name of the item table.
    """

    def __init__(self, encoder: DenseSASRec | DenseGRU4Rec, adapters: Adapters, table: str = ITEM_VECTORS) -> None:
        super().__init__()
        self.encoder, self.adapters, self.table, self.whole_windows = encoder, adapters, table, encoder.whole_windows

    def forward(self, window: Window, tables: Mapping[str, Tensor], added_V: Tensor) -> Tensor:
        """[B, V+1]. What is added goes into the product, which saves a pass over the scores."""
        table_VD = tables[self.table]
        states_BD = self.adapters.last(self.encoder(window, table_VD, self.adapters), window.stratum_B)
        return F.linear(states_BD, table_VD, added_V)


class CandidateScores(nn.Module):
    """Scores of the items in the table `CANDIDATES`.

    Args:
        din: the model.
        adapters: plugins.
        num_strata: of the run.
        table: name of the item table.
    """

    whole_windows = False

    def __init__(self, din: DenseDIN, adapters: Adapters, num_strata: int, table: str = ITEM_VECTORS) -> None:
        super().__init__()
        self.din, self.adapters, self.num_strata, self.table = din, adapters, num_strata, table

    def forward(self, window: Window, tables: Mapping[str, Tensor], added_V: Tensor) -> Tensor:
        """[B, V+1]."""
        table_VD, items_C = tables[self.table], tables[CANDIDATES]
        scores_BC: Tensor = self.din(window, table_VD, items_C, self.adapters, self.num_strata)
        rows = window.items.shape[0]
        empty_BV = scores_BC.new_full((rows, table_VD.shape[0]), -torch.inf)
        return empty_BV.scatter(1, items_C[None, :].expand(rows, -1), scores_BC).add_(added_V)


class CopiesScores(nn.Module):
    """Every row by the copy of its stratum. All copies score all rows: no program chooses rows by their values.

    Args:
        copies: one per stratum.
    """

    def __init__(self, copies: Sequence[EncoderScores | CandidateScores]) -> None:
        super().__init__()
        self.copies, self.whole_windows = nn.ModuleList(copies), copies[0].whole_windows

    def forward(self, window: Window, tables: Mapping[str, Tensor], added_V: Tensor) -> Tensor:
        """[B, V+1]."""
        scores_BV = cast(Tensor, self.copies[0](window, tables, added_V))
        for stratum, copy in enumerate(self.copies):
            own_B1 = (window.stratum_B == stratum)[:, None]
            scores_BV = torch.where(own_B1, copy(window, tables, added_V), scores_BV)
        return scores_BV


DenseScores = EncoderScores | CandidateScores | CopiesScores


def scores_of(backbone: nn.Module, num_strata: int) -> DenseScores | None:
    """The dense form of a backbone, perhaps with plugins; None if there is none for its class."""
    if isinstance(backbone, Copies):
        if not backbone.awake:
            return _of_trunk(backbone.trunk, Adapters(None), num_strata)
        own = [_of_trunk(copy, Adapters(None), num_strata, table_name(z)) for z, copy in enumerate(backbone.copies)]
        return CopiesScores([copy for copy in own if copy is not None]) if all(own) else None
    if isinstance(backbone, Bottleneck | Melt):
        return _of_trunk(backbone.trunk, Adapters(backbone if backbone.awake else None), num_strata)
    return _of_trunk(backbone, Adapters(None), num_strata)


def trunks_of(backbone: nn.Module) -> dict[str, nn.Module]:
    """The backbones that score, by the name of the table of their item vectors."""
    if isinstance(backbone, Copies) and backbone.awake:
        return {table_name(z): copy for z, copy in enumerate(backbone.copies)}
    return {ITEM_VECTORS: cast(nn.Module, backbone.trunk) if isinstance(backbone, Bottleneck | Melt | Copies) else backbone}


def table_name(copy: int) -> str:
    """The item table of a copy."""
    return f"{ITEM_VECTORS}.{copy}"


def _of_trunk(
    trunk: object, adapters: Adapters, num_strata: int, table: str = ITEM_VECTORS
) -> EncoderScores | CandidateScores | None:
    if isinstance(trunk, SASRec):
        return EncoderScores(DenseSASRec(trunk), adapters, table)
    if isinstance(trunk, GRU4Rec):
        return EncoderScores(DenseGRU4Rec(trunk), adapters, table)
    return CandidateScores(DenseDIN(trunk), adapters, num_strata, table) if isinstance(trunk, DIN) else None
