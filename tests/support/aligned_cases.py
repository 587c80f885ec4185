"""The runs of mode aligned that must equal the definition, on any number of ranks."""

from __future__ import annotations

from dataclasses import replace

import torch

from ltrec.distributed.alignment.config import AlignmentConfig
from tests.support.lightning_toy import Case

_USERS = Case(mode="aligned", holes=(), parts=6, alignment=AlignmentConfig(inner_lr=0.1))
_STRATA = replace(_USERS, alignment=AlignmentConfig(tasks="stratum", inner_lr=0.1, trajectories=6))

CASES: dict[str, tuple[Case, int]] = {
    "users": (_USERS, 18),
    "one user": (replace(_USERS, alignment=AlignmentConfig(inner_steps=1)), 36),
    "three users": (replace(_USERS, alignment=AlignmentConfig(inner_steps=3, inner_lr=0.1)), 12),
    "several users a task": (replace(_USERS, alignment=AlignmentConfig(inner_lr=0.1, trajectories=6)), 6),
    "users-sgd-clip": (replace(_USERS, optimizer="sgd", clip=0.05), 18),
    "users-accumulate": (replace(_USERS, accumulate=2, optimizer="sgd"), 36),
    "users-float32": (replace(_USERS, dtype=torch.float32, optimizer="sgd"), 18),
    "users-skip": (replace(_USERS, nonfinite="skip", spoil=(2, 1, 1)), 18),
    "users-weighed": (replace(_USERS, weighed=True), 18),
    "users-weighed-accumulate": (replace(_USERS, weighed=True, accumulate=3, optimizer="sgd"), 54),
    "strata-weighed": (replace(_STRATA, weighed=True), 6),
    "strata": (_STRATA, 6),
    "strata-accumulate": (replace(_STRATA, accumulate=2, alignment=replace(_STRATA.alignment, trajectories=12)), 12),
    "a stratum is nowhere": (replace(_STRATA, holes=(2,), optimizer="sgd"), 6),
}
"""name -> case, its trajectories per window. Six parts of six rows: one, two, three and six ranks can share them."""


def tolerance(case: Case) -> float:
    """Rounding of six steps."""
    return 1e-9 if case.dtype == torch.float64 else 2e-6
