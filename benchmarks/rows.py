"""What a step costs as the catalogue grows: gradients of all rows of the item table, and of those alone that the step touches.

    python benchmarks/rows.py                           10^4, 10^5 and 10^6 items, every mode
    python benchmarks/rows.py --items 10000 --rounds 9  one catalogue
    python benchmarks/rows.py --rows touched            without the dense form, which takes seconds a step of a million items

One process of one thread trains a SASRec of width 64 by sampled softmax with 256 shared negatives on the same batches in every
way, through the Lightning trainer: 240 rows of 2 to 50 positions, 37 on average, of users with 2 to 99 events; items drawn by
popularity (1/rank^0.8); strata are fifths of the range of events. A *way* is a mode, the rows that have gradients, and the
optimiser:

    joint all adamw           the dense form, the yardstick of its catalogue
    joint touched adamw       gradients of touched rows; AdamW still moves every row
    joint touched lazy_adamw  an optimiser that steps touched rows alone
    per_stratum, weighted, upgrad (per_stratum with a Gram rule)    likewise

Ways take turns. Times are processor seconds of a step, each step at its least over the rounds, then the median over steps: other
work on the machine disturbs that little. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import platform
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import Strategy
from rich.console import Console
from rich.table import Table
from stratified_modes import WARM, Stopwatch, Turn
from torch import Tensor
from torch.utils.data import DataLoader

from ltrec.aggregation import RULES
from ltrec.causal.backdoor import Hajek
from ltrec.core.batch import SequenceBatch
from ltrec.distributed.touched_table import TouchedTable
from ltrec.models.backbones import SASRec
from ltrec.objectives.emphasis.plain import Plain
from ltrec.objectives.sampled import SampledSoftmax
from ltrec.optim.build import optimizer_for
from ltrec.optim.optimizers import OPTIMIZERS
from ltrec.strategy import StratifiedOptions, StratifiedSingleDeviceStrategy
from ltrec.training.module import BackboneModule
from ltrec.training.position_losses import PositionLosses
from ltrec.training.validation import Validator

STRATA, ROWS, LONGEST, WIDTH, NEGATIVES = 5, 240, 50, 64, 256
MODES = ("joint", "weighted", "per_stratum", "upgrad")


@dataclass(frozen=True)
class Way:
    """A way to train."""

    mode: str
    rows: str
    optimizer: str


WAYS = [Way(mode, rows, "adamw") for mode in MODES for rows in ("all", "touched")]
WAYS += [Way(mode, "touched", "lazy_adamw") for mode in ("joint", "per_stratum")]


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    arguments = _arguments()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    ways = [way for way in WAYS if way.rows in arguments.rows]
    cells = [measure(items, ways, arguments.steps, arguments.rounds) for items in arguments.items]
    console = Console(width=132)
    for cell in cells:
        console.print(table(cell))
    about = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}", "cells": cells}
    print(json.dumps({"benchmark": "rows", **about, "growth": growth(cells)}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10**4, 10**5, 10**6], help="sizes of the catalogue")
    parser.add_argument("--rows", nargs="+", default=["all", "touched"], help="of which rows gradients are computed")
    parser.add_argument("--steps", type=int, default=8, help="timed steps of a turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every way")
    return parser.parse_args()


def measure(items: int, ways: Sequence[Way], steps: int, rounds: int) -> dict[str, Any]:
    """One catalogue: a step's milliseconds in every way, and how many rows it touches."""
    made = batches(items, WARM + steps)
    turns: dict[Way, list[Turn]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in [*ways[number % len(ways) :], *ways[: number % len(ways)]]:
            turns[way].append(turn(way, items, made))
    touched = statistics.mean(torch.cat([b.items_T, b.targets_T]).unique().numel() for b in made)
    found = {f"{way.mode} {way.rows} {way.optimizer}": milliseconds(turns[way]) for way in ways}
    return {"items": items, "touched": round(touched + NEGATIVES), "processor_ms": found}


def batches(items: int, count: int) -> list[SequenceBatch]:
    """The same for all ways: rows of random lengths, items by popularity."""
    generator = torch.Generator().manual_seed(0)
    weight_V = torch.arange(1, items + 1, dtype=torch.float64) ** -0.8
    cumulative_V = (weight_V / weight_V.sum()).cumsum(0)
    name_V = torch.randperm(items, generator=generator) + 1
    return [_batch(step, cumulative_V, name_V, generator) for step in range(count)]


def _batch(step: int, cumulative_V: Tensor, name_V: Tensor, generator: torch.Generator) -> SequenceBatch:
    events_B = torch.randint(2, 2 * LONGEST, (ROWS,), generator=generator).sort(descending=True).values
    lengths, stratum_B = events_B.clamp(max=LONGEST), (events_B - 2) * STRATA // (2 * LONGEST - 2)
    total = int(lengths.sum())
    place = torch.searchsorted(cumulative_V, torch.rand(2, total, generator=generator, dtype=torch.float64))
    items_T, targets_T = name_V[place.clamp(max=len(name_V) - 1)]
    return SequenceBatch(
        items_T=items_T,
        targets_T=targets_T,
        offsets=torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        stratum_B=stratum_B,
        user_key_B=torch.randint(1 << 40, (ROWS,), generator=generator),
        step_counts_K=torch.zeros(STRATA, dtype=torch.int64).index_add(0, stratum_B, lengths),
        step=step,
    )


def turn(way: Way, items: int, made: list[SequenceBatch]) -> Turn:
    """Train a fresh model on all batches."""
    watch = Stopwatch()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        strategy=strategy_of(way),
        max_steps=len(made),
        limit_val_batches=0,
        logger=False,
        callbacks=[watch],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(module_of(way, items), train_dataloaders=DataLoader(made, batch_size=None))  # type: ignore[arg-type]  # a list is a data set
    gc.collect()
    return watch.turn()


def strategy_of(way: Way) -> str | Strategy:
    """Lightning's own for joint training, else by stratum on one device."""
    if way.mode == "joint":
        return "auto"
    prior_K = torch.full((STRATA,), 1 / STRATA, dtype=torch.float64)
    rule = RULES["upgrad" if way.mode == "upgrad" else "backdoor"].make(prior_K=prior_K, empty=Hajek(prior_K, prior_K.sign()))
    mode = "per_stratum" if way.mode == "upgrad" else way.mode
    return StratifiedSingleDeviceStrategy("cpu", options=StratifiedOptions(rule, prior_K, mode=mode))


def module_of(way: Way, items: int) -> BackboneModule:
    """A fresh model."""
    torch.manual_seed(0)
    backbone = SASRec(items, LONGEST, width=WIDTH, dropout=0.2)
    count = torch.ones(items + 1, dtype=torch.int64)
    config = OPTIMIZERS.configs()[way.optimizer]()
    return BackboneModule(
        backbone,
        PositionLosses(SampledSoftmax(train_count=count, negatives=NEGATIVES, scope="shared"), Plain(gather=lambda ids: ids)),
        num_strata=STRATA,
        seed=0,
        make_optimizer=lambda module: optimizer_for(module, config, module.group_of),
        rate=lambda _: 1.0,
        validator=cast(Validator, None),
        touched=TouchedTable(backbone.items, "backbone.items.weight") if way.rows == "touched" else None,
    )


def milliseconds(turns: Sequence[Turn]) -> float:
    """Processor time of a step."""
    return 1e3 * statistics.median(min(step) for step in zip(*(turn.processor for turn in turns), strict=True))


def table(cell: dict[str, Any]) -> Table:
    """All ways of a catalogue, beside joint training of the same optimiser and rows."""
    first = next(iter(cell["processor_ms"]))
    found, title = cell["processor_ms"], f"{cell['items']:,} items, about {cell['touched']:,} touched a step"
    made = Table("way", "ms a step", f"to {first}", "to joint, same rows", title=title, title_justify="left")
    for column in made.columns[1:]:
        column.justify = "right"
    for way, ms in found.items():
        like = found[f"joint {' '.join(way.split()[1:])}"]
        made.add_row(way, f"{ms:.1f}", f"{ms / found[first]:.3f}", f"{ms / like:.3f}")
    return made


def growth(cells: Sequence[dict[str, Any]]) -> dict[str, float]:
    """A step with the largest catalogue over one with the smallest, by way."""
    first, last = cells[0]["processor_ms"], cells[-1]["processor_ms"]
    return {way: round(last[way] / first[way], 3) for way in first}


if __name__ == "__main__":
    main()
