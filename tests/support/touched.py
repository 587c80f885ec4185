"""Models whose steps read few rows of their item table, and gradients of a step in both ways: of all rows, of the touched ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.distributed.collectives import Collectives
from ltrec.distributed.engine import StratifiedEngine
from ltrec.distributed.sources import SOURCES
from ltrec.distributed.stores.replicated import make_flat_store
from ltrec.distributed.touched_table import TouchedTable
from ltrec.models.backbones import DIN, GRU4Rec, SASRec
from ltrec.models.inputs import NO_INPUTS, IdVectors, Inputs
from ltrec.objectives.binary import BCE
from ltrec.objectives.emphasis.plain import Plain
from ltrec.objectives.in_batch import InBatchSoftmax
from ltrec.objectives.sampled import SampledSoftmax
from ltrec.training.examples import examples_of
from ltrec.training.position_losses import PositionLosses
from tests.support.inputs import item_columns
from tests.support.sequences import stir

V, STRATA, LONGEST = 90, 3, 6

OBJECTIVES = {
    "shared": lambda count: SampledSoftmax(train_count=count, negatives=7, scope="shared"),
    "position": lambda count: SampledSoftmax(train_count=count, negatives=2, proposal="popularity"),
    "bce": lambda count: BCE(train_count=count),
    "in_batch": lambda count: InBatchSoftmax(train_count=count, gather=lambda ids: ids),
}
BACKBONES = {
    "sasrec": lambda: SASRec(V, LONGEST, width=4, heads=1, blocks=1, dropout=0.0),
    "gru4rec": lambda: GRU4Rec(V, LONGEST, width=4, dropout=0.0),
    "columns": lambda: SASRec(V, LONGEST, Inputs(item_columns(V, names=("brand", "price"))), width=4, heads=1, dropout=0.0),
    "din": lambda: DIN(V, LONGEST, NO_INPUTS, width=4, layers=(5, 4)),
}


class Model(nn.Module):
    """A backbone and its loss, float64, the same on every rank."""

    def __init__(self, backbone: str, objective: str) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.backbone = stir(BACKBONES[backbone]()).double()
        count = torch.arange(V + 1) % 5 + 1
        self.loss = PositionLosses(OBJECTIVES[objective](count), Plain(gather=lambda ids: ids))

    def losses(self, batch: SequenceBatch, stratum: int | None = None):
        """Of every target."""
        return examples_of(batch, self.loss(self.backbone, batch, 3)[0], "target")

    def read_items(self, batches: list[SequenceBatch]) -> Tensor:
        """What a step of these micro-batches reads."""
        drawn = [self.loss.read_items(batch, 3) for batch in batches]
        return torch.cat([*(b.items_T for b in batches), *(b.targets_T for b in batches), *drawn])

    def table(self) -> TouchedTable:
        """Its item table."""
        name, vectors = next((n, m) for n, m in self.named_modules() if isinstance(m, IdVectors))
        return TouchedTable(vectors, f"{name}.weight")

    def gradients(self) -> dict[str, Tensor]:
        """Of every parameter that has one."""
        return {name: p.grad.clone() for name, p in self.named_parameters() if p.grad is not None}


def batches_of(seed: int, micro_batches: int = 1, rows: int = 5, step: int = 0) -> list[SequenceBatch]:
    """A rank's micro-batches of a step."""
    g = torch.Generator().manual_seed(seed)
    made = [_batch(g, rows, step, micro) for micro in range(micro_batches)]
    counts_K = sum(torch.bincount(b.stratum_of_position(), minlength=STRATA) for b in made)
    return [replace(b, step_counts_K=counts_K) for b in made]


def _batch(g: torch.Generator, rows: int, step: int, micro: int) -> SequenceBatch:
    lengths = torch.randint(1, LONGEST + 1, (rows,), generator=g).sort(descending=True).values
    items = torch.randint(1, V + 1, (2, int(lengths.sum())), generator=g)
    return SequenceBatch(
        items_T=items[0],
        targets_T=items[1],
        offsets=torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        stratum_B=torch.randint(0, STRATA, (rows,), generator=g),
        user_key_B=torch.randint(1 << 40, (rows,), generator=g),
        step_counts_K=torch.zeros(STRATA, dtype=torch.int64),
        step=step,
        micro=micro,
    )


def stratified_step(model: Model, rule, batches: list[SequenceBatch], collectives: Collectives, *, touched: bool):
    """One step by stratum, as the strategies take it: gradients, Gram matrix, bytes sent."""
    table = model.table() if touched else None
    store = make_flat_store(model, lambda _: None, STRATA, collectives, aside=False, touched=table)
    source = SOURCES["retained" if model.loss.coupled else "split"]
    engine = StratifiedEngine(rule=rule, prior_K=rule.prior_K, collectives=collectives, source=source, store=store)
    if table is not None:
        table.join(collectives)
    collectives.sent.clear()
    for _ in range(2):  # the second meets what the first has left
        model.zero_grad()
        if table is not None:
            table.open(model.read_items(batches))
        engine.open(batches[0], rows=True)
        for batch in batches:
            engine.add_gradients(model.losses, batch)
        gram_KK = engine.gram()
        engine.combine(0, gram_KK)
        if table is not None:
            table.publish()
    return model.gradients(), gram_KK, sum(collectives.sent.values()) // 2
