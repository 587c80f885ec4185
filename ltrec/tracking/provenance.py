"""Where a run came from: versions, code, data, hardware, command. Written once, before the first step."""

from __future__ import annotations

import os
import platform
import secrets
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from ltrec.core.extension.extensions import imported
from ltrec.core.extension.extras import version_of
from ltrec.core.secrets import masked_tree, secrets_of
from ltrec.data.manifest import Manifest
from ltrec.tracking.code import PACKAGE, code_digest
from ltrec.tracking.git_state import git_state
from ltrec.version import __version__

LIBRARIES = ("torch", "pytorch-lightning", "numpy", "pyarrow", "duckdb", "omegaconf", "wandb")


def provenance(data: str, manifest: Manifest, seed: int, world_size: int) -> dict[str, Any]:
    """Everything needed to repeat a run, as JSON values; no environment variables and no secrets."""
    origin = {
        "run_id": secrets.token_hex(4),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["ltrec", *sys.argv[1:]]),
        "seed": seed,
        "versions": {"ltrec": __version__, "python": platform.python_version(), **_versions()},
        "code": code_digest(),
        "extensions": [asdict(extension) for extension in imported()],
        "git": git_state(PACKAGE),
        "hardware": _hardware(world_size),
        "data": {
            "path": data,
            "name": manifest.name,
            "digest": manifest.digest,
            "split": manifest.split,
            "strata": {
                "names": manifest.strata.names(),
                "lower_bounds": manifest.strata.lower_bounds,
                "users": manifest.strata.users,
                "events": manifest.strata.events,
                "head_from": manifest.strata.head_from,
            },
            "items": manifest.vocab.items,
            "summary": manifest.summary,
        },
    }
    tree: dict[str, Any] = masked_tree(origin, secrets_of(os.environ))
    return tree


def _versions() -> dict[str, str]:
    return {name: version_of(name) for name in LIBRARIES}


def _hardware(world_size: int) -> dict[str, Any]:
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "system": platform.platform(terse=True),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpus": gpus,
        "processes": world_size,
    }
