"""The processes of a run for Lightning."""

from __future__ import annotations

import os

from pytorch_lightning.plugins.environments import (  # type: ignore[attr-defined]
    ClusterEnvironment,
    LightningEnvironment,
    TorchElasticEnvironment,
)


def cluster_environment() -> ClusterEnvironment:
    """Lightning's environment plugin: it reads the variables of torchrun, or assumes a single process.

    By default Lightning would detect Slurm first, warn of an unused `srun` on every login node, and requeue jobs by itself.
    """
    return TorchElasticEnvironment() if "RANK" in os.environ else LightningEnvironment()
