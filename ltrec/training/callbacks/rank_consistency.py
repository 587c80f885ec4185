"""A debugging aid: do all ranks still hold the same parameters?

Data-parallel training relies on every rank taking the same decisions and holding the same parameters. If a rank draws its own
random numbers, or hardware corrupts a bit, nothing fails: the ranks drift apart silently and the checkpoint is that of rank 0.
Every n steps each rank lists what must be equal (a digest per parameter and its average, the weight and the count of every
stratum), all lists are gathered over gloo, and every rank compares all of them: ranks see the same lists, so they stop together or
not at all.

Nothing is drawn and nothing is changed, so a run with the check equals the run without it. The cost is one pass of BLAKE2b over the
parameters (about 1 GB a second and core) and a few kilobytes a rank.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from ltrec.core.errors import UserError
from ltrec.distributed.collectives import all_gather_parts, current_world
from ltrec.distributed.differences import first_difference
from ltrec.distributed.report import StepReport
from ltrec.training.callbacks.weight_average import WeightAverage
from ltrec.training.strata_meter import ReportsStrata


class RankConsistency(Callback):
    """Compares parameters, weights and counts of all ranks before the first step and after every n-th.

    It comes before anything is saved: a checkpoint of ranks that differ is worthless.

    Args:
        every_steps: n.
        average: of the weights, compared as well, where there is one.
    """

    priority = 30

    def __init__(self, every_steps: int, average: WeightAverage | None = None) -> None:
        self.every_steps, self.average = every_steps, average
        self._agreed = -1  # the last step after which all ranks were equal

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that all ranks start, or resume, with the same parameters."""
        self._check(trainer, None, trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check when it is due, once per optimiser step however many micro-batches it takes."""
        step = trainer.global_step
        if step % self.every_steps == 0 and step > self._agreed:
            self._check(trainer, trainer.strategy.report if isinstance(trainer.strategy, ReportsStrata) else None, step)

    def _check(self, trainer: pl.Trainer, report: StepReport | None, step: int) -> None:
        if current_world().size == 1:
            return
        difference = first_difference(all_gather_parts(statement(trainer.lightning_module, report, self.average)))
        if difference is not None:
            since = f"all agreed after step {self._agreed}" if self._agreed >= 0 else "this is the first check"
            raise UserError(
                f"the ranks differ after step {step}: {difference} ({since}); start again from a checkpoint from before, and look "
                "for code that depends on the rank, a rule that draws its own random numbers, or a faulty machine"
            )
        self._agreed = step


def statement(module: nn.Module, report: StepReport | None, average: WeightAverage | None = None) -> dict[str, str]:
    """Values that must be equal on every rank, causes before effects: counts, weights, then parameters, then their averages so far.

    Parameters of which ranks hold different parts by design are left out.
    """
    held: dict[str, str] = {}
    if report is not None:
        held |= {f"the count of stratum {z}": f"{count:.15g}" for z, count in enumerate(report.counts_K.tolist())}
        held |= {f"the weight of stratum {z}": repr(weight) for z, weight in enumerate(report.weights_K.tolist())}
    whole = {name: _whole(parameter) for name, parameter in module.named_parameters()}
    held |= {f"parameter {name}": digest(tensor) for name, tensor in whole.items() if tensor is not None}
    averages = {} if average is None else average.by_name()
    return held | {f"average of {name}": digest(averages[name]) for name in averages if whole[name] is not None}


def digest(tensor: Tensor) -> str:
    """64 bits of BLAKE2b over the bytes of a tensor, in hexadecimal: bit patterns are compared, so 0 and -0 differ."""
    data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
    return blake2b(data, digest_size=8).hexdigest()


def _whole(parameter: nn.Parameter) -> Tensor | None:
    """The tensor that every rank should hold alike; None for one that is cut into parts (ZeRO-3, FSDP2)."""
    if hasattr(parameter, "ds_id"):
        return None
    if isinstance(parameter, DTensor):
        return parameter.to_local() if all(p.is_replicate() for p in parameter.placements) else None
    return parameter
