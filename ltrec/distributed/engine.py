"""StratifiedEngine: gradients per stratum over the global batch, one update. Plain torch; strategies adapt it to Lightning.

    S_z = sum of the losses of stratum z over ranks and micro-batches     N_z = their number     G_z = (1 / N_z) grad S_z

Where events have weights, each loss in S_z is multiplied by its weight and N_z is the sum of these weights; the rules see this N_z.
Which strata are present is determined by the integer counts.

Three modes share the methods below.

per_stratum   `open`, `add_gradients` for every micro-batch, `gram` or `norms`, `combine`. The literal method: rows of G_z, weights,
              one update. The Gram matrix is computed for rules that read it, and now and then for telemetry; norms are enough to
              find what is not finite.
weighted      `open`, `decide`, back-propagate `weighted_loss` of every micro-batch. One ordinary backward pass: for linear rules
              sum_z w_z G_z is the gradient of sum_i (w_z(i) / N_z(i)) l_i (inverse propensity weighting).
replay        `open`, `add_gradients`, `gram`, `decide`, back-propagate `weighted_loss`. The Gram matrix first, then one ordinary
              pass: for Gram rules where someone else makes the update (DeepSpeed).

Every decision is taken on float64 numbers that are equal on all ranks, so no rank ever waits for another one's opinion.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ltrec.aggregation.rule import Rule
from ltrec.core.errors import UserError
from ltrec.core.hashing import mix
from ltrec.core.losses import ExampleLosses, summed_losses
from ltrec.core.rows.on_host import to_device
from ltrec.core.sumcount import SumCount, or_one
from ltrec.distributed.batches import MicroBatch
from ltrec.distributed.by_segments import SegmentedPass, add_by_segments, can_segment
from ltrec.distributed.collectives import DONE, Collectives, Pending
from ltrec.distributed.gram import gram, pack, squares, unpack
from ltrec.distributed.nonfinite import nan_unless_finite
from ltrec.distributed.report import StepReport
from ltrec.distributed.sources import GradientSource, Losses
from ltrec.distributed.stores.protocol import Store


class StratifiedEngine:
    """Computes and combines the gradients of K strata.

    Args:
        rule: strata -> weights.
        prior_K: P(z), float64; the weight of each plugin's own gradient, in every mode.
        collectives: W ranks.
        source: how a micro-batch yields a loss per stratum.
        store: store of the rows; None if no mode of this run computes them.
        seed: root of the rules' randomness.
        segmented: how one pass yields all gradients (`by_segments`), where that is wanted and a batch allows it; `source` is for
            the others.
    """

    def __init__(
        self,
        *,
        rule: Rule,
        prior_K: Tensor,
        collectives: Collectives,
        source: GradientSource,
        store: Store | None,
        seed: int = 0,
        segmented: SegmentedPass | None = None,
    ) -> None:
        self.rule = rule
        self.prior_K = prior_K.double().cpu()
        self.collectives = collectives
        self.source = source
        self.store = store
        self.seed = seed
        self.segmented = segmented
        self.report: StepReport | None = None
        self.step_losses: SumCount | None = None
        self._published = torch.zeros(1, self.num_strata, dtype=torch.int64)  # counts; weights and squares
        self._counted: Pending = DONE
        self._weights_K: Tensor | None = None

    @property
    def num_strata(self) -> int:
        """K."""
        return len(self.prior_K)

    # -- the step ---------------------------------------------------------------------------------------------------------------

    def open(self, batch: MicroBatch, *, rows: bool) -> None:
        """Begin a step with its first micro-batch: add up the counts that the loader published for the whole of it.

        Args:
            batch: the first micro-batch.
            rows: whether this step's gradients will be gathered.
        """
        assert batch.micro == 0
        self.step_losses, self.report, self._weights_K = None, None, None
        counts_K, weights_K, squares_K = batch.step_counts_K, batch.step_weights_K, getattr(batch, "step_squares_K", None)
        sums = [] if weights_K is None else [weights_K] if squares_K is None else [weights_K, squares_K]
        self._published = torch.stack([counts_K.double(), *sums]) if sums else counts_K.clone()[None]
        self._counted = self.collectives.all_reduce(self._published)
        if rows:
            assert self.store is not None
            self.store.open()

    def global_counts(self) -> Tensor:
        """Examples of the accumulation over all ranks, float64 [K]; waits for the all-reduce that `open` has begun."""
        self._counted.wait()
        self._counted = DONE
        return self._published[0].double()

    def global_weights(self) -> Tensor:
        """N_z, the sums of these examples' weights, float64 [K]: the counts where events have no weights. Waits likewise."""
        counts_K = self.global_counts()
        return counts_K if len(self._published) == 1 else self._published[1]

    def effective_counts(self) -> Tensor:
        """(sum m)^2 / sum m^2 of the weights m of the examples of each stratum, float64 [K]; see `StepReport`. Waits likewise."""
        counts_K = self.global_counts()
        return counts_K if len(self._published) < 3 else self._published[1] ** 2 / or_one(self._published[2])

    def denominators(self) -> Tensor:
        """The divisors of the strata's sums, float64 [K]; 1 for an empty stratum, whose sum is 0. Waits likewise."""
        return or_one(self.global_weights())

    def is_empty(self) -> bool:
        """Whether no rank holds an example of any stratum: then nothing may move, not even by momentum or weight decay."""
        return not self.global_counts().any()

    def add_losses(self, example: ExampleLosses) -> None:
        """Add a micro-batch's losses to the step's."""
        self.step_losses = summed_losses(self.step_losses, example, self.num_strata)

    def add_gradients(
        self,
        losses: Losses,
        batch: MicroBatch,
        *,
        scale: Callable[[Tensor], Tensor] | None = None,
        with_losses: bool = True,
    ) -> None:
        """Add one micro-batch's gradients to the rows. Strata that are empty everywhere are passed by on every rank alike.

        Args:
            losses: runs the stage.
            batch: one micro-batch.
            scale: what an AMP scaler does to a loss.
            with_losses: add the losses to the step's; not when another pass does.
        """
        assert self.store is not None
        if self.segmented is not None and can_segment(batch):
            found = add_by_segments(self.store, losses, batch, self.denominators, self.segmented, scale)
            if found is not None and with_losses:
                self.add_losses(found)
            return
        denominators = self.denominators().tolist()
        present = [z for z, count in enumerate(self.global_counts().tolist()) if count]
        seen: list[ExampleLosses] = []

        def noted(part: MicroBatch, stratum: int | None) -> ExampleLosses:
            example = losses(part, stratum)
            seen.append(example.detach())
            return example

        for stratum, loss_N, again in self.source(noted, batch, present):
            loss = None
            if loss_N is not None:
                loss = loss_N.sum() / denominators[stratum]
                loss = loss if scale is None else scale(loss)
            self.store.add(stratum, loss, retain_graph=again)
        if seen and with_losses:
            self.add_losses(ExampleLosses.concatenate(seen))

    def gram(self, loss_scale: float = 1.0) -> Tensor:
        """<G_y, G_z> over the trunk, float64 [K, K] on the CPU. One small all-reduce.

        Not finite on every rank where on any rank a trunk or plugin gradient or a loss is not (`ltrec.distributed.nonfinite`).
        """
        trunk, plugins = self._rows()
        matrix_KK = gram(trunk) + nan_unless_finite(plugins.sum(dtype=torch.float64))  # neither has a part in the matrix
        if self.step_losses is not None:
            matrix_KK.diagonal().add_(nan_unless_finite(self.step_losses.sum_K))
        triangle = pack(matrix_KK).cpu()
        self.collectives.all_reduce(triangle).wait()
        return unpack(triangle, self.num_strata) / loss_scale**2

    def norms(self, loss_scale: float = 1.0) -> Tensor:
        """|G_z| over the trunk, float64 [K] on the CPU: what is left of `gram` where no one reads it. One smaller all-reduce.

        Not finite where `gram` would not be.
        """
        trunk, plugins = self._rows()
        square_K = squares(trunk) + nan_unless_finite(plugins.sum(dim=1, dtype=torch.float64))
        if self.step_losses is not None:
            square_K += nan_unless_finite(self.step_losses.sum_K)
        square_K = square_K.cpu()
        self.collectives.all_reduce(square_K).wait()
        return square_K.sqrt() / loss_scale

    def _rows(self) -> tuple[Tensor, ...]:
        """The finished rows: trunk columns, plugin columns."""
        assert self.store is not None
        self.store.settle()
        return self.store.rows.tensor_split([self.store.trunk], dim=1)

    # -- weights ----------------------------------------------------------------------------------------------------------------

    def decide(self, step: int, gram_KK: Tensor | None = None, norms_K: Tensor | None = None) -> Tensor:
        """The strata's weights w_z, float64 [K] on the CPU.

        A Gram rule is evaluated on every rank, so that all ranks refuse the same inputs and have the same state; rank 0's
        answer is broadcast, because solvers may differ in a last digit between machines.

        Args:
            step: its number.
            gram_KK: its Gram matrix, if it formed one; a Gram rule reads it, the report keeps it.
            norms_K: its norms where there is no Gram matrix, for the report.
        """
        sizes_K = self.global_weights()
        if self.rule.kind == "gram":
            assert gram_KK is not None
            weights = self.rule.weights(gram_KK, sizes_K, mix(self.seed, step)).double().clone()
            self.collectives.broadcast(weights).wait()
        elif self.rule.kind == "linear":
            weights = self.rule.weights(sizes_K)
        else:
            weights = torch.full((self.num_strata,), torch.nan, dtype=torch.float64)
        self._weights_K = weights
        norms_K = norms_K if gram_KK is None else gram_KK.diagonal().clamp(min=0).sqrt()
        self.report = StepReport(step, self.global_counts(), weights, gram_KK, norms_K, self.effective_counts())
        return weights

    def weighted_loss(self, example: ExampleLosses, *, times: float = 1.0) -> Tensor:
        """sum_i (w_z(i) / N_z(i)) l_i over this micro-batch: its gradients *sum* over ranks and micro-batches to the update.

        Args:
            example: losses of a micro-batch.
            times: undoes what the stack divides gradients by (DDP: W).
        """
        assert self._weights_K is not None
        loss_N, stratum_N = example.loss_N, example.stratum_N
        coefficient_K = to_device((times * self._weights_K / self.denominators()).to(loss_N.dtype), loss_N.device)
        weighted_N = coefficient_K[stratum_N.clamp(min=0)] * loss_N
        return torch.where(stratum_N >= 0, weighted_N, 0).sum()

    def plugin_factors_K(self) -> list[float]:
        """The factor from a plugin's gradient w_z G_z, as `weighted_loss` yields it, to P(z) G_z; 1 while undecided (a probe).

        Raises:
            UserError: a stratum that is there has weight 0, so its plugin would not be trained. Every rank finds it alike.
        """
        if self._weights_K is None:
            return [1.0] * self.num_strata
        lost = ((self._weights_K == 0) & (self.global_counts() > 0) & (self.prior_K > 0)).nonzero()[:, 0].tolist()
        if lost:
            raise UserError(
                f"weight 0 for stratum {lost[0]} leaves its plugin untrained in one weighted pass; use mode per_stratum"
            )
        return torch.where(self._weights_K != 0, self.prior_K / self._weights_K, 1.0).tolist()

    # -- the end of the step ----------------------------------------------------------------------------------------------------

    def combine(self, step: int, gram_KK: Tensor | None = None, norms_K: Tensor | None = None) -> None:
        """Turn the rows into every parameter's gradient; into none when the step is empty. Arguments as of `decide`."""
        assert self.store is not None
        weights = self.decide(step, gram_KK, norms_K)
        if self.is_empty():
            self.store.discard()
            return
        trunk = self.store.rows[:, : self.store.trunk]
        if self.rule.kind == "coordinate":
            trunk[0] = self.rule.combine(trunk, self.global_weights())
        else:  # in place: no memory, and the columns are this rank's own
            first, *others = weights.tolist()
            trunk[0].mul_(first)
            for row, weight in zip(trunk[1:], others, strict=True):
                trunk[0].add_(row, alpha=weight)
        self.store.publish(self.prior_K.tolist())

    def total_losses(self, norm: Tensor | None = None) -> SumCount:
        """The step's losses over all ranks, float64 on the CPU. One small all-reduce; the host waits for the device once.

        Args:
            norm: of the step's gradient; if it is not finite, no sum is.
        """
        sums = torch.zeros(self.num_strata, dtype=torch.float64)
        local = sums if self.step_losses is None else self.step_losses.sum_K
        if norm is not None:
            local = local.to(norm.device) + nan_unless_finite(norm)
        sums.copy_(local)
        self.collectives.all_reduce(sums).wait()
        weights_K = self.global_weights() if len(self._published) > 1 else None
        return SumCount(sums, self.global_counts(), weights_K)

    def observe(self, losses: SumCount) -> None:
        """Show a finished step's losses to a rule that watches them."""
        if self.rule.kind == "linear" and self.rule.watches_losses:
            self.rule.observe(losses)
