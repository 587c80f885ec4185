"""The adapter around TorchJD, whose `*Weighting` objects turn an n x n Gram matrix into n weights (github.com/SimplexLab/TorchJD).

TorchJD is single-process and knows nothing of strata; gram.py gives its weightings what they need. What is left for this file:

- The Gram matrix is brought to trace 1. The projections' `reg_eps` and CAGrad's `norm_eps` are absolute; without this a model whose
  gradients are 1e-6 long would get other weights than the same model with a loss in other units.
- The prior goes in as the method's own preference vector where it has one. Elsewhere the method sees rows P(z) G_z, i.e. the
  objectives P(z) L_z, and its weights are multiplied by P(z).
- PCGrad permutes strata by torch's *global* generator; it gets one seeded by the key, and the global one is left as it was.
- Solvers fail now and then; the errors they fail with, and no others, mean "no answer".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ltrec.aggregation.gram import Solver, unit_trace
from ltrec.core.extension.extras import require

if TYPE_CHECKING:
    from torchjd.aggregation import Weighting


def by_preference(name: str) -> Solver:
    """TorchJD's weighting `name` with P as its `pref_vector`.

    Raises:
        UserError: TorchJD or a solver is not installed.
    """
    require("gram", f"TorchJD's {name}")

    def solve(gram: Tensor, prior: Tensor, key: int) -> Tensor | None:
        return _answer(name, {"pref_vector": prior}, gram, key)

    return solve


def by_scaling(name: str, **options: Any) -> Solver:
    """P * rule(diag(P) A diag(P)) with TorchJD's weighting `name`.

    Raises:
        UserError: TorchJD or a solver is not installed.
    """
    require("gram", f"TorchJD's {name}")

    def solve(gram: Tensor, prior: Tensor, key: int) -> Tensor | None:
        raw = _answer(name, options, torch.outer(prior, prior) * gram, key)
        return None if raw is None else prior * raw

    return solve


def _answer(name: str, options: dict[str, Any], gram: Tensor, key: int) -> Tensor | None:
    """Ask a new weighting: all that are used here are without memory."""
    make, failures = _load(name)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that seeds the accelerators too, and their generators are not put back.
        torch.default_generator.manual_seed(key)
        try:
            return make(**options)(unit_trace(gram))
        except failures:
            return None


def _load(name: str) -> tuple[Callable[..., Weighting[Any]], tuple[type[Exception], ...]]:
    """The weighting's class, and how it fails: quadprog and scipy by ValueError (so does numpy), LAPACK, cvxpy."""
    from cvxpy.error import SolverError
    from torchjd import aggregation

    return getattr(aggregation, name), (ValueError, torch.linalg.LinAlgError, SolverError)  # type: ignore[attr-defined]
