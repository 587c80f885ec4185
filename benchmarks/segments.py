"""What gradients by stratum cost beside joint training: one pass per stratum (`split`), and one for all (`segments`).

    python -m benchmarks.segments                        SASRec, with a bias by distance, with three item columns; GRU4Rec
    python -m benchmarks.segments --only gru4rec --rounds 9

One process of one thread trains on made-up batches (`benchmarks/harness/steps.py`) of five strata, width 64, dropout .2, the ways
in turn: 240 rows of up to 50 positions and 128 of up to 30 with 256 shared negatives of 20,000 items and touched rows, and 128 rows
with full softmax over 3,000. Processor milliseconds: each step at its least over the rounds, then the median over steps, which
other work on the machine disturbs little. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.harness.steps import WAYS, Size, batches_of, fit
from ltrec.core.batch import SequenceBatch
from ltrec.models.inputs import CategoryEmbedding, Frozen, Inputs, ItemColumnInput, NumberNet

SHARED = {"negatives": 256, "scope": "shared"}
SHORT = Size(rows=128, max_len=30, items=20_000, width=64, dropout=0.2, objective="sampled_softmax", options=SHARED, touched=True)
BATCHES = {
    "long": replace(SHORT, rows=240, max_len=50),
    "short": SHORT,
    "softmax": replace(SHORT, items=3_000, objective="softmax", options={}, touched=False),
}
MODELS: dict[str, dict[str, Any]] = {
    "sasrec": {},
    "distance": {"more": {"positions": "distance"}},
    "columns": {},
    "gru4rec": {"backbone": "gru4rec"},
}
TURNS = ("joint", "weighted", "per_stratum", "per_stratum, segments")
WARM = 2
"""Steps that are not timed."""


class Watch(pl.Callback):
    """Processor seconds of every step."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self._begun = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        """Begin."""
        self._begun = time.process_time()

    def on_train_batch_end(self, *_: Any) -> None:
        """The optimiser has stepped."""
        self.taken.append(time.process_time() - self._begun)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[*MODELS], choices=MODELS, help="models")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every way")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a turn")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    found = dict(cells(arguments.only, arguments.steps, arguments.rounds))
    print(json.dumps({"benchmark": "segments", "torch": torch.__version__, "processor_ms": found}))


def cells(models: list[str], steps: int, rounds: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Milliseconds by way, of every model with every kind of batch."""
    for model in models:
        for name, size in BATCHES.items():
            own = replace(size, **MODELS[model])
            if model == "columns":
                own = replace(own, more={"inputs": columns(own.items)})
            made = batches_of(own, WARM + steps)
            ms = measure(own, made, rounds)
            print(f"{model}, {name}: joint {ms['joint']:.1f} ms, " + ", ".join(f"{w} {t / ms['joint']:.2f}" for w, t in ms.items()))
            yield f"{model}, {name}", {way: round(value, 2) for way, value in ms.items()}


def columns(items: int) -> Inputs:
    """A category, a number and a vector of every item; a tenth of the ids are dropped."""
    draw = torch.Generator().manual_seed(0)
    made = (
        ItemColumnInput("brand", partial(CategoryEmbedding, 500), torch.randint(500, (items + 1,), generator=draw)),
        ItemColumnInput("price", NumberNet, torch.randn(items + 1, generator=draw)),
        ItemColumnInput("text", partial(Frozen, 32), torch.randn(items + 1, 32, generator=draw)),
    )
    return Inputs(made, id_dropout=0.1)


def measure(size: Size, made: list[SequenceBatch], rounds: int) -> dict[str, float]:
    """Processor milliseconds of a step by way."""
    taken: dict[str, list[list[float]]] = {way: [] for way in TURNS}
    for number in range(rounds):
        first = number % len(TURNS)
        for way in (*TURNS[first:], *TURNS[:first]):
            watch = Watch()
            fit(size, WAYS[way], made, [watch])
            taken[way].append(watch.taken[WARM:])
    return {way: 1e3 * statistics.median(min(step) for step in zip(*turns, strict=True)) for way, turns in taken.items()}


if __name__ == "__main__":
    main()
