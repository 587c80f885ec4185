"""Telemetry of strata since the last line of metrics.jsonl: how often they occurred, their weights, agreement of gradients.

Everything kept is a float64 sum over optimiser steps, divided only when a line is written, so a resumed run continues from the
checkpoint's sums and writes the same next line bit for bit. Reports are equal on every rank, and so are the lines: nothing here
communicates.

    strata/count/<z>        examples per step, over all ranks
    strata/missing/<z>      share of the steps without the stratum
    strata/weight/<z>       mean weight of the stratum's mean gradient; a step without the stratum counts as 0
    strata/fallbacks        steps so far in which a rule on the Gram matrix had no usable answer
    strata/ess              mean effective sample size of a step's weighting, in examples
    strata/grad_norm/<z>    mean of |G_z| over the steps that computed it: every step, or the probes of `weighted`
    strata/cosine/<y>-<z>   mean of cos(G_y, G_z), y < z    } over the steps that computed a Gram matrix and had both strata: every
    strata/conflict         share of the pairs with cos < 0 } step where the rule reads it, else probes; none, no key
    strata/skipped          number of steps that ended in no update; no key when there was none

Means, not the last step's values: the noise of one step's cosine is as large as what is measured. A mean of cosines is not the
cosine of mean gradients; it measures the agreement of steps, not of the strata's minima.

The effective sample size is Kish's (Survey Sampling, 1965, sec. 11.7), (sum_i c_i)^2 / sum_i c_i^2 with the examples' coefficients
c_i = w_z m_i / N_z, m_i being the weight of the example's event and N_z their sum: (sum_z w_z)^2 / sum_z (w_z^2 / n_z) with
n_z = N_z^2 / sum_i m_i^2, the stratum's own effective size, or its count where events have no weights. It is the number of equally
weighted examples with the same variance. It equals the batch when every w_z is N_z / N and events weigh the same, and falls as the
weights lean on strata with few examples, or on few events. Nothing else asks for n_z: whether a stratum is there is a matter of
counts, N_z divides sums, and evaluation ranks one target a user, unweighted.
"""

from __future__ import annotations

from itertools import combinations
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltrec.core.sumcount import SumCount
from ltrec.distributed.report import StepReport


@runtime_checkable
class ReportsStrata(Protocol):
    """A strategy that computes the loss itself and reports after every step what the strata did."""

    @property
    def report(self) -> StepReport | None:
        """Report of the last step; None if it was skipped because of a non-finite gradient."""
        ...

    @property
    def step_losses(self) -> SumCount | None:
        """This rank's losses of the last step; None when it held no example."""
        ...

    def metrics(self) -> dict[str, float]:
        """Further figures for a line, by key."""
        ...


Sum = npt.NDArray[np.float64]

MEANS = (
    ("count", "examples_K", "steps"),
    ("missing", "missing_K", "steps"),
    ("weight", "weight_K", "weighted"),
    ("ess", "size", "sized"),
    ("grad_norm", "norm_K", "normed_K"),
    ("cosine", "cosine_P", "paired_P"),
    ("conflict", "conflicts", "pairs"),
)
"""Key of the line, sum above, sum below. Suffix K: one per stratum, P: one per pair of strata (y < z, row by row)."""


class StrataMeter:
    """Sums of reports since the last line. In numpy, whose small arrays cost a fraction of torch's small tensors."""

    def __init__(self) -> None:
        self._sums: dict[str, Sum] = {}

    def add(self, report: StepReport | None) -> None:
        """Count one optimiser step; None for one that was skipped."""
        for name, value in measured(report).items():
            self._sums[name] = value + self._sums.get(name, 0.0)

    def line(self) -> dict[str, float]:
        """The keys above, finite values only; empty when nothing was added."""
        values = {"strata/skipped": float(self._sums["skipped"][0])} if "skipped" in self._sums else {}
        for key, total, count in MEANS:
            if total in self._sums:
                above, below = self._sums[total], self._sums[count]
                means = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
                ends = self._suffixes(total)
                values |= {f"strata/{key}{end}": mean for end, mean in zip(ends, means.tolist(), strict=True) if mean == mean}
        return values

    def _suffixes(self, total: str) -> list[str]:
        """Ends of the keys of a sum, by the last letter of its name."""
        strata = range(self._sums["examples_K"].size)
        ends = {"K": [f"/{z}" for z in strata], "P": [f"/{y}-{z}" for y, z in combinations(strata, 2)]}
        return ends.get(total.partition("_")[2], [""])

    def reset(self) -> None:
        """Begin the next line."""
        self._sums = {}

    def state_dict(self) -> dict[str, Tensor]:
        """The sums, by name."""
        return {name: torch.from_numpy(value) for name, value in self._sums.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the sums."""
        self._sums = {name: value.numpy() for name, value in state.items()}


def measured(report: StepReport | None) -> dict[str, Sum]:
    """One step's share of every sum."""
    if report is None:
        return {"skipped": np.ones(1)}
    counts_K = report.counts_K.numpy().astype(np.float64)
    sizes_K = counts_K if report.effective_K is None else report.effective_K.numpy()
    found = _presence(counts_K) | _weighting(sizes_K, report.weights_K.numpy())
    if report.norms_K is not None:
        found |= _norms(counts_K, report.norms_K.numpy())
    return found if report.gram_KK is None else found | _agreement(report.gram_KK.numpy())


def _presence(counts_K: Sum) -> dict[str, Sum]:
    return {"steps": np.ones(1), "examples_K": counts_K, "missing_K": (counts_K == 0).astype(np.float64)}


def _weighting(sizes_K: Sum, weights_K: Sum) -> dict[str, Sum]:
    """Weights, and the effective sample size from those of the strata; nothing for a rule that has no weights."""
    if not np.isfinite(weights_K).all():
        return {}
    present_K = sizes_K > 0
    spread = (weights_K[present_K] ** 2 / sizes_K[present_K]).sum()
    size = weights_K[present_K].sum() ** 2 / spread if spread > 0 else 0.0
    return {"weight_K": weights_K, "weighted": np.ones(1), "size": np.full(1, size), "sized": np.full(1, float(spread > 0))}


def _norms(counts_K: Sum, norms_K: Sum) -> dict[str, Sum]:
    """Norms of the strata that are there."""
    known_K = (counts_K > 0) & np.isfinite(norms_K)
    return {"norm_K": np.where(known_K, norms_K, 0.0), "normed_K": known_K.astype(np.float64)}


def _agreement(gram_KK: Sum) -> dict[str, Sum]:
    """Cosines of the pairs P of which neither gradient is zero, as an empty stratum's is."""
    square_K = gram_KK.diagonal()
    norm_K = np.sqrt(np.where(np.isfinite(square_K), square_K, 0.0).clip(min=0))
    y_P, z_P = np.triu_indices(len(norm_K), 1)
    product_P, scale_P = gram_KK[y_P, z_P], norm_K[y_P] * norm_K[z_P]
    known_P = (scale_P > 0) & np.isfinite(product_P)
    cosine_P = np.divide(product_P, scale_P, out=np.zeros_like(scale_P), where=known_P).clip(-1, 1)
    return {
        "cosine_P": cosine_P,
        "paired_P": known_P.astype(np.float64),
        "conflicts": np.full(1, float((cosine_P < 0).sum())),
        "pairs": np.full(1, float(known_P.sum())),
    }
