"""The cases in which a run must equal the definition, on any number of ranks. One table for one device, DDP and GPUs."""

from __future__ import annotations

from dataclasses import replace

import torch

from tests.support.lightning_toy import Case

WAYS = {
    "backdoor-per_stratum": Case(mode="per_stratum"),
    "backdoor-weighted": Case(mode="weighted"),
    "upgrad-per_stratum": Case(rule="upgrad"),
    "upgrad-replay": Case(rule="upgrad", mode="replay"),
}
"""Every mode with a rule it is for."""

NOT_EMPTY = (1, 2, 3)  # torch itself cannot clip the values of no gradient at all, which is what an empty window leaves

CLIP_VALUES = {"clip": 0.02, "clip_by": "value", "optimizer": "sgd", "holes": NOT_EMPTY}

EQUAL = {
    **{f"{name}-adamw": case for name, case in WAYS.items()},
    **{f"{name}-sgd": replace(case, optimizer="sgd") for name, case in WAYS.items()},
    **{f"{name}-clip-norm": replace(case, clip=0.05, optimizer="sgd") for name, case in WAYS.items()},
    **{
        f"{name}-clip-value": replace(case, clip=0.02, clip_by="value", optimizer="sgd", holes=NOT_EMPTY)
        for name, case in WAYS.items()
    },
    **{f"{name}-float32": replace(case, dtype=torch.float32, optimizer="sgd") for name, case in WAYS.items()},
    **{f"{name}-accumulate": replace(case, accumulate=2) for name, case in WAYS.items() if case.mode != "replay"},
    "per_stratum-accumulate-clip": Case(rule="upgrad", accumulate=3, clip=0.05, optimizer="sgd"),
    "weighted-accumulate-clip": Case(mode="weighted", accumulate=3, clip=0.05, optimizer="sgd"),
    "plugins-per_stratum": Case(mode="per_stratum", plugins=True),
    "plugins-weighted": Case(mode="weighted", plugins=True),
    "plugins-weighted-accumulate": Case(mode="weighted", plugins=True, accumulate=2, optimizer="sgd"),
    "plugins-upgrad": Case(rule="upgrad", plugins=True, accumulate=2),
    "agr_sum": Case(rule="agr_sum"),
    "agr_sum-accumulate": Case(rule="agr_sum", plugins=True, accumulate=2),
    "group_dro-per_stratum": Case(rule="group_dro", rule_options={"eta": 0.5}, mode="per_stratum"),
    "group_dro-weighted": Case(rule="group_dro", rule_options={"eta": 0.5}, mode="weighted", accumulate=2),
    "streaming_dro-per_stratum": Case(rule="streaming_dro", rule_options={"eta": 0.5}, mode="per_stratum", accumulate=2),
    "streaming_dro-weighted": Case(rule="streaming_dro", rule_options={"eta": 0.5}, mode="weighted"),
    "dot_attention": Case(rule="dot_attention"),
    "ten-strata": Case(rule="upgrad", strata=10),
    "skip-per_stratum": Case(mode="per_stratum", nonfinite="skip", spoil=(2, 1, 1), accumulate=2),
    "skip-weighted": Case(mode="weighted", nonfinite="skip", spoil=(2, 1, 1), accumulate=2),
    "skip-replay": Case(rule="upgrad", mode="replay", nonfinite="skip", spoil=(2, 1, 1)),
    "skip-dro": Case(rule="group_dro", rule_options={"eta": 0.5}, mode="weighted", nonfinite="skip", spoil=(2, 1, 1)),
    **{f"{name}-weighed": replace(case, weighed=True) for name, case in WAYS.items()},
    "per_stratum-weighed-accumulate": Case(mode="per_stratum", weighed=True, accumulate=3, plugins=True, optimizer="sgd"),
    "weighted-weighed-accumulate": Case(mode="weighted", weighed=True, accumulate=3, plugins=True, optimizer="sgd"),
    "group_dro-weighed": Case(rule="group_dro", rule_options={"eta": 0.5}, mode="weighted", weighed=True, accumulate=3),
    "agr_sum-weighed": Case(rule="agr_sum", weighed=True),
}
"""Weights after six windows equal `naive_train`."""


def tolerance(case: Case) -> float:
    """Rounding of five steps."""
    return 1e-9 if case.dtype == torch.float64 else 2e-6
