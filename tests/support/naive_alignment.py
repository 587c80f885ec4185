"""Gradient alignment by its definition: a copy of the model per trajectory, a real optimiser, differences of parameters.

Nothing is shared with what it is a reference for: tasks are cut from lists of rows, ranks and micro-batches do not exist.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.hashing import mix
from tests.support.lightning_toy import OPTIMIZERS, Case, LightningToy
from tests.support.windows import Row, Window

Chain = list[list[Row]]
"""The rows of its tasks, in the order in which they are visited."""


def user_chains(window: Window, total: int, steps: int) -> list[Chain]:
    """`total` chains of `steps` tasks of equally many rows, micro-batch by micro-batch, the rows of all ranks in rank order."""
    chains = []
    for micro in range(window.micros):
        rows = _rows(window, micro)
        size = len(rows) // (total // window.micros * steps)
        tasks = [rows[first : first + size] for first in range(0, len(rows), size)]
        chains += [tasks[first : first + steps] for first in range(0, len(tasks), steps)]
    assert len(chains) == total
    return chains


def stratum_chains(window: Window, total: int, seed: int) -> list[Chain]:
    """`total` chains over the strata that their rows hold, in an order that (seed, step, chain) decides."""
    chains = []
    for micro in range(window.micros):
        rows = _rows(window, micro)
        size = len(rows) // (total // window.micros)
        for first in range(0, len(rows), size):
            own = rows[first : first + size]
            order = sorted(range(window.strata), key=lambda z: mix(mix(seed, window.step, len(chains)), z))
            tasks = [[row for row in own if row.stratum == z] for z in order]
            chains.append([task for task in tasks if task])
    assert len(chains) == total
    return chains


def _rows(window: Window, micro: int) -> list[Row]:
    return sorted((row for row in window.rows if row.micro == micro), key=lambda row: row.rank)


def naive_pseudo_gradient(stage: nn.Module, chains: Sequence[Chain], strata: int, lr: float) -> dict[str, Tensor]:
    """The mean of (start - end) / (lr x steps) over the chains that have a step, by name."""
    total = {name: torch.zeros_like(p) for name, p in stage.named_parameters() if p.requires_grad}
    chains = [[task for task in chain if any(row.weights is None or any(row.weights) for row in task)] for chain in chains]
    chains = [chain for chain in chains if chain]
    for chain in chains:
        walker = copy.deepcopy(stage)
        optimizer = torch.optim.SGD([p for p in walker.parameters() if p.requires_grad], lr=lr)
        for task in chain:
            optimizer.zero_grad()
            example = walker.losses(_batch(task, strata))
            weight = len(example.loss_N) if example.weight_N is None else example.weight_N.sum()
            (example.loss_N.sum() / weight).backward()
            optimizer.step()
        for name, end in walker.named_parameters():
            if name in total:
                total[name] += (stage.get_parameter(name) - end).detach() / (lr * len(chain))
    return {name: value / len(chains) for name, value in total.items()}


def _batch(rows: list[Row], strata: int) -> SequenceBatch:
    window = Window(1, strata, 1, tuple(replace(row, rank=0, micro=0) for row in rows))
    return window.batches(0)[0]


def naive_aligned_train(case: Case, total: int) -> dict[str, Tensor]:
    """The weights after all windows of a case of mode aligned with `total` chains a window; a spoilt window is skipped."""
    module, alignment = LightningToy(case), case.alignment
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = OPTIMIZERS[case.optimizer](parameters)
    for step in range(case.steps):
        if case.spoil is not None and case.spoil[0] == step:
            continue
        window = case.window(step)
        by_user = alignment.tasks == "user"
        chains = user_chains(window, total, alignment.inner_steps) if by_user else stratum_chains(window, total, seed=0)
        found = naive_pseudo_gradient(module.toy, chains, case.strata, alignment.inner_lr)
        for name, parameter in module.toy.named_parameters():
            parameter.grad = found.get(name)
        if case.clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, case.clip)
        optimizer.step()
    return {name: p.detach().clone() for name, p in module.toy.named_parameters()}
