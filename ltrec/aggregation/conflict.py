"""Eight published ways to combine gradients that disagree, on the strata's Gram matrix: their options, and the table to torchjd.py.

Each was made for tasks of a multi-task model; here a task is a stratum. A_yz = <G_y, G_z>, P the prior, weights sum to 1.
"""

from __future__ import annotations

from torch import Tensor

from ltrec.aggregation.gram import OnPresent, Solver
from ltrec.aggregation.rule import Policy
from ltrec.aggregation.torchjd import by_preference, by_scaling


def upgrad(empty: Policy) -> OnPresent:
    """P is the preference vector."""
    return OnPresent(by_preference("UPGradWeighting"), empty)


def dualproj(empty: Policy) -> OnPresent:
    """P is the preference vector."""
    return OnPresent(by_preference("DualProjWeighting"), empty)


def pcgrad(empty: Policy) -> OnPresent:
    """P scales the gradients. The order is drawn for every stratum and step, so it is not equivariant."""
    return OnPresent(by_scaling("PCGradWeighting"), empty, equivariant=False)


def cagrad(empty: Policy, *, c: float) -> OnPresent:
    """P scales the gradients. Where no update improves all strata TorchJD answers 0; the backdoor update is taken then."""
    return OnPresent(by_scaling("CAGradWeighting", c=c), empty)


def mgda(empty: Policy) -> OnPresent:
    """P scales the gradients. The vertices that Frank-Wolfe visits may change at a touch."""
    return OnPresent(by_scaling("MGDAWeighting"), empty, smooth=False)


def imtl_g(empty: Policy) -> OnPresent:
    """P scales the gradients, without effect. Not smooth: the weights' sum passes through 0."""
    return OnPresent(_descending(by_scaling("IMTLGWeighting")), empty, smooth=False)


def aligned_mtl(empty: Policy) -> OnPresent:
    """P is the preference vector. TorchJD's `scale_mode` only scales the weights, which sum to 1 here."""
    return OnPresent(by_preference("AlignedMTLWeighting"), empty)


def fairgrad(empty: Policy, *, alpha: float) -> OnPresent:
    """P scales the gradients."""
    return OnPresent(by_scaling("FairGradWeighting", alpha=alpha), empty)


def _descending(solve: Solver) -> Solver:
    """No answer where the update would climb the prior's objective."""

    def checked(gram: Tensor, prior: Tensor, key: int) -> Tensor | None:
        raw = solve(gram, prior, key)
        return raw if raw is not None and raw @ gram @ prior > 0 else None

    return checked
