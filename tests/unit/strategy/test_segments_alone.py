"""What each stratum computes for itself within the one pass of gradients by segments: columns, and biases of attention."""

from dataclasses import dataclass

import pytest
import torch

from ltrec.models.inputs import Inputs
from tests.support.inputs import every_input, item_columns, with_columns
from tests.support.segmented import STRATA, compare, stage_of
from tests.support.toy_stage import ITEMS
from tests.support.windows import Window, crowded


@pytest.mark.parametrize(
    ("objective", "touched"),
    [
        ("softmax", False),  # reads every row
        *((objective, touched) for objective in ("sampled_softmax", "sampled_softmax shared") for touched in (False, True)),
    ],
)
def test_items_with_columns(objective, touched):
    inputs = Inputs(item_columns(ITEMS), trained=torch.arange(ITEMS + 1) % 5 > 0, id_dropout=0.3)
    window = crowded(1, STRATA, 2, seed=9).without(lambda row: row.stratum == 1 and row.micro == 0)
    compare(stage_of(objective, dropout=0.3, touched=touched, more={"inputs": inputs}), window)


@pytest.mark.parametrize("backbone", ["gru4rec", "din"])
def test_items_with_columns_of_other_models(backbone):
    more = {"inputs": Inputs(item_columns(ITEMS), id_dropout=0.3)}
    compare(stage_of("sampled_softmax", "plugins", backbone=backbone, dropout=0.3, more=more), crowded(1, STRATA, 1, seed=10))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("more", [{"positions": "distance"}, {"time_bias": True}, {}])
def test_columns_of_events_and_users_and_biases_of_attention(more, dropout):
    window = Columned(crowded(1, STRATA, 2, seed=11))
    more = {"inputs": every_input(ITEMS), "blocks": 1, "heads": 2, **more}
    compare(stage_of("sampled_softmax shared", "plugins", dropout=dropout, more=more), window)


@dataclass
class Columned:
    """A window whose batches have columns."""

    plain: Window
    step: int = 7
    world: int = 1

    def batches(self, rank):
        return [with_columns(batch, seed=number) for number, batch in enumerate(self.plain.batches(rank))]
