"""Options of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ltrec.core.bounds import INT32, INT64, Between, check_fields
from ltrec.core.extension.class_path import ClassPath


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """The loop: how long, in what precision, how often to look."""

    max_epochs: Annotated[int, Between(1, INT32)] = 100
    """Stop after this many epochs (one epoch = every trainable user once)."""
    max_steps: Annotated[int, Between(-1, INT64)] = -1
    """Stop after this many optimiser steps; -1 = no such limit."""
    patience: Annotated[int, Between(0, INT32)] = 10
    """Stop when the monitored metric has not risen for this many validations; 0 = never."""
    monitor: str = "val/ndcg@10"
    """The metric (higher is better) that early stopping and the best checkpoint watch: val/ndcg@10, val/recall@20, val/mrr or any
    other registered metric, of all users or of a group (.../head, .../tail, .../stratum=0). One that does not exist, or whose
    group has no users, is refused."""
    validate_every_epochs: Annotated[int, Between(1, INT32)] = 1
    """Validate after every n-th epoch."""
    accumulate: Annotated[int, Between(1, 1 << 16)] = 1
    """Micro-batches per optimiser step. The step's gradient does not depend on it, unless examples are weighed against the others
    of their micro-batch (objective.name=in_batch, emphasis.name=cvar)."""
    ema: Annotated[float, Between(0, INT32)] = 0.0
    """Average the weights exponentially, and validate, choose the best and score with the average. Below 1: its decay per optimiser
    step; from 1 on: over how many epochs (decay 1 - 1/n for n steps); 0 = not at all. The weights themselves are in the checkpoint
    too: ltrec evaluate --weights raw."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """32-true, bf16-mixed or 16-mixed (GPU only)."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """auto, cpu or gpu."""
    checkpoint_every_steps: Annotated[int, Between(0, INT32)] = 500
    """Write checkpoints/last.ckpt every n optimiser steps, besides every epoch; 0 = every epoch only."""
    listen_every_steps: Annotated[int, Between(1, INT32)] = 10
    """Optimiser steps between checks for a request to stop: a file STOP in the run folder, SIGUSR1, SIGTERM."""
    log_every_steps: Annotated[int, Between(0, INT32)] = 0
    """Optimiser steps between lines of metrics.jsonl; 0 = a tenth of an epoch, but at least every 50th step."""
    stall_seconds: Annotated[int, Between(0, 10_000_000)] = 300
    """After so long without a step, a validation batch or a checkpoint, each process writes the stacks of its threads to stalls/ in
    the run folder and continues; 0 = never."""
    timeout_seconds: Annotated[int, Between(1, 10_000_000)] = 1800
    """A process that has waited for another for so long gives up, and the whole job ends."""
    threads: Annotated[int, Between(0, 1024)] = 0
    """torch threads per process; 0 = OMP_NUM_THREADS, else one for each core that the process may use: by its affinity, its
    container's CPU quota and Slurm's cores, shared among the processes on the machine."""
    progress: bool = True
    """Show a progress bar when the output is a terminal."""

    callbacks: tuple[ClassPath, ...] = ()
    """Lightning callbacks besides ltrec's own, each a class_path and its init_args. They act after telemetry and before
    checkpoints, in this order, unless a class has another `priority` than 0 (see ltrec.training.callbacks)."""

    def __post_init__(self) -> None:
        check_fields(self)
