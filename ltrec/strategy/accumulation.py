"""Which micro-batch of an accumulation this is, and whether the loader and the module agree on what it holds.

An accumulation is all that one optimiser step sees: A micro-batches per process (`Trainer(accumulate_grad_batches=A)`), fewer where
an epoch ends. Each micro-batch publishes how many examples per stratum the whole accumulation holds: strata are divided by them.
Lightning alone knows where an accumulation begins and ends, so it is asked. What the loader publishes is compared with what the
module computes losses of: in the first accumulation of a fit, whenever A changes, and wherever an epoch cuts one short. All
processes then learn of a fault on any of them, and all end in the same line.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from ltrec.core.errors import UserError
from ltrec.core.losses import ExampleLosses, SubBatchKey
from ltrec.core.sumcount import SumCount
from ltrec.distributed.batches import MicroBatch
from ltrec.distributed.collectives import all_gather_parts
from ltrec.distributed.strategies import StrategyInfo

_WEIGHTS_AGREE = 1e-5
"""How far two sums of the same weights may lie apart, as a share: one of them may be made in float32."""


class Accumulation:
    """The place of each micro-batch, and the checks.

    Args:
        trainer: it counts batches.
        strategy: the strategy's row.
        module: name of the module's class, for messages.
        num_strata: K.
    """

    def __init__(self, trainer: Trainer, *, strategy: StrategyInfo, module: str, num_strata: int) -> None:
        self._trainer, self._strategy, self._module, self._num_strata = trainer, strategy, module, num_strata
        self._checked_for = 0
        self._fault = ""
        self._counts_K = self._rows_K = torch.zeros(num_strata, dtype=torch.int64)
        self._weights_K: Tensor | None = None
        self._has_gaps = False
        self.size, self.micro, self.last = 0, 0, False

    @property
    def is_checked(self) -> bool:
        """Whether the accumulation under way is compared with what its loader publishes."""
        return self._checked_for != self.size

    def enter(self, batch: object) -> MicroBatch:
        """The next micro-batch, at its place.

        Raises:
            UserError: the batch does not fit, on this process or on another.
        """
        trainer = self._trainer
        self.size = trainer.accumulate_grad_batches
        self.micro, self.last = trainer.fit_loop.batch_idx % self.size, ends_accumulation(trainer)
        fault = self._fault_of(batch)
        if self.is_checked:
            _agree(fault or self._fault_of_length(), trainer.num_training_batches)
        elif fault:
            raise UserError(fault)
        assert isinstance(batch, MicroBatch)
        self._note(batch)
        return batch.at(batch.step if batch.step >= 0 else trainer.global_step, self.micro)

    def _fault_of_length(self) -> str:
        """Lightning lets a strategy that steps by itself end no accumulation early."""
        batches, size = self._trainer.num_training_batches, self.size
        if self._strategy.ends_accumulations_early or batches == float("inf") or batches % size == 0:
            return ""
        return (
            f"an epoch of {batches} batches ends within an accumulation of {size}, and under DeepSpeed no step may be taken early; "
            f"let the number of batches (limit_train_batches) be a multiple of accumulate_grad_batches={size}"
        )

    def _fault_of(self, batch: object) -> str:
        """Messages about what is wrong with a batch; empty if it is valid."""
        if self.is_checked and not isinstance(batch, MicroBatch):
            return (
                f"strategy {self._strategy.name} needs batches with strata, and the training loader gave {_kind(batch)}; wrap it: "
                f"ltrec.strategy.StratifiedLoader(loader, stratum_of=..., num_strata={self._num_strata})"
            )
        assert isinstance(batch, MicroBatch)
        if batch.micro not in (-1, self.micro):
            return (
                f"micro-batch {self.micro} of {self.size} (accumulate_grad_batches) says that it is number "
                f"{batch.micro}: its loader "
                f"publishes counts for another number of micro-batches; let the loader accumulate {self.size}, as "
                f"StratifiedLoader does"
            )
        return self._fault_of_strata(batch) if self.is_checked else ""

    def _fault_of_strata(self, batch: MicroBatch) -> str:
        strata, counts_K, known = batch.stratum_B, batch.step_counts_K, self._num_strata
        if counts_K.shape != (known,) or counts_K.dtype != torch.int64 or counts_K.device.type != "cpu":
            return (
                f"step_counts_K must hold the examples of the whole step in each of {known} strata, int64 [{known}] on "
                f"the CPU; the "
                f"loader gave {counts_K.dtype} {list(counts_K.shape)} on {counts_K.device}"
            )
        if strata.numel() and not (int(strata.min()) >= -1 and int(strata.max()) < known):
            return (
                f"the loader gave strata {int(strata.min())} to {int(strata.max())}, and {self._module}.num_strata is "
                f"{known}: they "
                f"must be 0..{known - 1}, or -1 for rows that are not trained on"
            )
        if fault := self._fault_of_weights(batch):
            return fault
        if self.micro and not torch.equal(counts_K, self._counts_K):
            return (
                f"micro-batches of one step publish different counts, {self._counts_K.tolist()} and "
                f"{counts_K.tolist()}; publish in "
                "each of them what they all hold together, as StratifiedLoader does"
            )
        return ""

    def _fault_of_weights(self, batch: MicroBatch) -> str:
        weights_K, counts_K = batch.step_weights_K, batch.step_counts_K
        if weights_K is None:
            return ""
        for name, what in (("step_weights_K", "sums of the weights"), ("step_squares_K", "sums of the squared weights")):
            sum_K = getattr(batch, name, None)
            if sum_K is not None and (sum_K.shape, sum_K.dtype, sum_K.device) != (counts_K.shape, torch.float64, counts_K.device):
                return (
                    f"{name} must hold the {what} of these examples, float64 {list(counts_K.shape)} on the CPU; "
                    f"the loader gave {sum_K.dtype} {list(sum_K.shape)} on {sum_K.device}"
                )
        odd = ~weights_K.isfinite() | (weights_K < 0) | ((weights_K > 0) != (counts_K > 0))
        if odd.any():
            return (
                f"the loader published the sums of weights {weights_K.tolist()} for {counts_K.tolist()} examples; weights are "
                "finite and greater than 0, and what weighs nothing is not an example"
            )
        return ""

    def _note(self, batch: MicroBatch) -> None:
        self._counts_K, self._weights_K = batch.step_counts_K, batch.step_weights_K
        self._has_gaps = getattr(batch, "has_gaps", False)
        if self.micro == 0:
            self._rows_K = torch.zeros_like(self._counts_K)
        if self.is_checked:
            self._rows_K += torch.bincount(batch.stratum_B[batch.stratum_B >= 0].cpu(), minlength=self._num_strata)

    def note_losses(self, found: Sequence[Tensor | None], part: SubBatchKey) -> ExampleLosses:
        """Check that the module returned one loss and one stratum per example.

        Args:
            found: what `losses` returned.
            part: the sub-batch's; an integer is the stratum of all its rows.

        Raises:
            UserError: it is something else.
        """
        shapes = [tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__ for value in found]
        if len(found) == 3 and found[2] is None:
            shapes = shapes[:2]
        if len(shapes) not in (2, 3) or len({*shapes}) != 1 or len(shapes[0]) != 1:
            raise UserError(
                f"{self._module}.losses must return one loss and one stratum per example, two vectors of equal length (a third: "
                f"the weights that the losses are multiplied by), and reduce nothing; it returned {', '.join(map(str, shapes))}"
            )
        loss_N, stratum_N, *weights = found
        assert loss_N is not None and stratum_N is not None
        example = ExampleLosses(loss_N, stratum_N, *weights)
        if self.is_checked and isinstance(part, int) and bool((example.stratum_N != part).any()):
            self._fault = self._fault or f"{self._module}.losses returned other strata than {part} for rows of stratum {part}"
        return example

    def leave(self, seen: SumCount | None) -> None:
        """The last micro-batch is through: were the counts those of the losses?

        Args:
            seen: losses of this process in the accumulation.

        Raises:
            UserError: they were not, on this process or on another.
        """
        cut_short = self.micro + 1 < self.size
        if self.is_checked or cut_short:
            seen_K = torch.zeros_like(self._counts_K) if seen is None else seen.count_K.cpu()
            _agree(self._fault or self._fault_of_counts(seen_K, cut_short) or self._fault_of_sums(seen))
        if not cut_short:
            self._checked_for = self.size

    def _fault_of_counts(self, seen_K: Tensor, cut_short: bool) -> str:
        without = ((self._rows_K > 0) & (self._counts_K == 0)).any() and not self._has_gaps
        if torch.equal(seen_K, self._counts_K) and not without:
            return ""
        if cut_short:
            return (
                f"the epoch ends after {self.micro + 1} of {self.size} micro-batches, but the loader counted more: it published "
                f"{self._counts_K.tolist()} examples per stratum and {seen_K.tolist()} came; let the number of batches "
                f"(limit_train_batches) be a multiple of accumulate_grad_batches={self.size}"
            )
        return (
            f"the loader published {self._counts_K.tolist()} examples per stratum for a step of {self.size} micro-batches, and "
            f"{self._module}.losses returned {seen_K.tolist()} of them; step_counts_K must count what all micro-batches "
            f"of this process "
            "hold together, and losses must return one loss per example (StratifiedLoader counts rows, or what its "
            "examples_of says)"
        )

    def _fault_of_sums(self, seen: SumCount | None) -> str:
        """A message about weights, once the counts are right."""
        if seen is None or (seen.weight_K is None and self._weights_K is None):
            return ""
        published_K = self._counts_K.double() if self._weights_K is None else self._weights_K
        seen_K = seen.divisor_K.double().cpu()
        if torch.allclose(seen_K, published_K, rtol=_WEIGHTS_AGREE, atol=0):
            return ""
        return (
            f"the loader published the sums of weights {published_K.tolist()} for a step of {self.size} micro-batches, and "
            f"{self._module}.losses weighed its examples {seen_K.tolist()}; let both use the same weights "
            "(of StratifiedLoader: weights_of)"
        )


def ends_accumulation(trainer: Trainer) -> bool:
    """Whether an optimiser step follows the micro-batch under way."""
    index = trainer.fit_loop.batch_idx
    final = trainer.is_last_batch or index + 1 == trainer.num_training_batches
    return final or (index + 1) % trainer.accumulate_grad_batches == 0


def _agree(fault: str, batches: float = 0) -> None:
    """Go on only if no process is at fault and all expect equally many batches; else raise the same line on all."""
    faults, lengths = zip(*all_gather_parts((fault, batches)), strict=True)
    if any(faults):
        raise UserError(next(filter(None, faults)))
    if len(set(lengths)) > 1:
        raise UserError(
            f"processes have different numbers of batches in an epoch, {min(lengths)} to {max(lengths)}: some would "
            f"wait for the others "
            "for ever; use a DistributedSampler, which draws a few rows twice, or drop_last=True"
        )


def _kind(batch: object) -> str:
    return f"a {type(batch).__name__}"
