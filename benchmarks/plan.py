"""Seconds on paper against seconds of a step: constants of this machine, then `ltrec plan`'s arithmetic beside benchmarks/rows.py.

    python benchmarks/plan.py                           10^4 and 10^5 items, every mode
    python benchmarks/plan.py --items 1000000 --steps 3

The constants are measured first: matrix products of a step's shapes, memory that is read and written, exponentials, and what an
operation on next to nothing takes. Then each way trains as in rows.py, with the allocator's settings of `ltrec train`, and its
workload is estimated with these constants. Times are processor seconds. The last line is one JSON object; `ratio` is measured over
predicted.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from statistics import mean
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rows import MODES, NEGATIVES, ROWS, STRATA, WARM, Way, batches, milliseconds, turn

from ltrec.config.load import load
from ltrec.core.batch import SequenceBatch
from ltrec.costs.devices import DEVICES, Device
from ltrec.costs.estimate import estimate
from ltrec.costs.launches import launches
from ltrec.costs.workload import Workload
from ltrec.models.layout import length_groups
from ltrec.run.build.workload import workload_of
from ltrec.run.process.allocator import keep_freed_memory

WORDS = ("objective.scope=shared", "stream.max_len=50", "model.dropout=0.2", f"stream.batch_rows={ROWS}")
GRADIENTS = {
    "joint": (),
    "weighted": ("gradients.name=stratified", "gradients.mode=weighted"),
    "per_stratum": ("gradients.name=stratified", "gradients.probe_every_steps=0"),
    "upgrad": ("gradients.name=stratified", "gradients.rule.name=upgrad"),
}


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10**4, 10**5], help="sizes of the catalogue")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of a turn")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    device = calibrated()
    cells = [cell for items in arguments.items for cell in compared(items, device, arguments.steps)]
    constants = {name: getattr(device, name) for name in ("flops", "bandwidth", "elementwise", "launch")}
    console = Console(width=132)
    console.print(", ".join(f"{name} {value:.3g}" for name, value in constants.items()))
    console.print(table(cells))
    print(json.dumps({"benchmark": "plan", "constants": constants, "cells": cells}))


def calibrated() -> Device:
    """The constants of a core of this machine."""
    left, right, large, states = torch.randn(8192, 64), torch.randn(64, 256), torch.zeros(1 << 25), torch.randn(8192, 64)
    products = 2 * 8192 * 64 * 256 / least(lambda: left @ right)
    again = 2 * large.nbytes / least(lambda: large.add_(1.0))
    elementwise = 2 * states.nbytes / least(lambda: states.exp())
    return replace(DEVICES["cpu-core"], flops=products, bandwidth=again, elementwise=elementwise, launch=issued())


def issued() -> float:
    """Seconds of an operation on next to nothing: a step of two short sequences, over its operations."""
    tiny = [
        replace(batch.last(torch.tensor([0, 1]), torch.tensor([2, 2])), step_counts_K=torch.tensor([4]))
        for batch in batches(100, WARM + 9)
    ]
    way = Way("joint", "all", "adamw")
    work = replace(workload(way, 100, tiny), groups=1)
    return milliseconds([turn(way, 100, tiny)]) / 1e3 / launches(work, 1, accelerator=False)


def least(call: Callable[[], object], times: int = 9) -> float:
    """Least processor seconds of a call."""
    found = []
    for _ in range(times):
        begin = time.process_time()
        call()
        found.append(time.process_time() - begin)
    return min(found) or 1e-9


def compared(items: int, device: Device, steps: int) -> list[dict[str, Any]]:
    """Measured and predicted milliseconds of every way with a catalogue."""
    made = batches(items, WARM + steps)
    found = []
    for way in (Way(mode, rows, "adamw") for mode in MODES for rows in ("all", "touched")):
        measured = milliseconds([turn(way, items, made) for _ in range(2)])
        cost = estimate(workload(way, items, made), device)
        predicted = {name: round(1e3 * seconds, 1) for name, seconds in cost.seconds.items() if seconds}
        ratio = measured / (1e3 * cost.step)
        found.append(
            {
                "items": items,
                "way": f"{way.mode} {way.rows}",
                "ms": round(measured, 1),
                "predicted": predicted,
                "ratio": round(ratio, 2),
            }
        )
    return found


def workload(way: Way, items: int, made: list[SequenceBatch]) -> Workload:
    """What these batches ask for."""
    work, _ = workload_of(load([], [*WORDS, *GRADIENTS[way.mode]]), None, items=items)
    touched = mean(torch.cat([b.items_T, b.targets_T]).unique().numel() for b in made) + NEGATIVES
    lengths = made[-1].lengths_B
    return replace(
        work,
        positions=mean(b.items_T.numel() for b in made),
        strata=STRATA,
        largest_stratum=1 / STRATA,
        groups=len(length_groups(torch.bincount(lengths).tolist())),
        touched=touched if way.rows == "touched" else None,
    )


def table(cells: list[dict[str, Any]]) -> Table:
    """All ways."""
    made = Table("items", "way", "ms a step", "predicted", "of which", "measured / predicted")
    for cell in cells:
        parts = cell["predicted"]
        total, shown = sum(parts.values()), ", ".join(f"{name} {ms}" for name, ms in parts.items())
        made.add_row(f"{cell['items']:,}", cell["way"], f"{cell['ms']}", f"{total:.1f}", shown, f"{cell['ratio']}")
    return made


if __name__ == "__main__":
    main()
