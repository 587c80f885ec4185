"""What every rank of a run must hold alike before the first step, by name, causes before effects.

A rank with other data, another seed or an older checkpoint trains to the end and nothing fails; only the result is nobody's.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ltrec.config.identity import flat
from ltrec.config.tree import RunConfig
from ltrec.core.extension.extensions import imported
from ltrec.core.extension.extras import version_of
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.manifest import Manifest
from ltrec.tracking.code import code_digest
from ltrec.training.checkpoints.io import whole_file
from ltrec.version import __version__

_ITS_OWN = ("data.path", "init_from", "trainer.threads", "trainer.progress")
"""Settings that a rank may have of its own. What lies at the two paths is compared."""

_LIBRARIES = ("torch", "pytorch-lightning", "deepspeed", "torchjd", "numpy", "pyarrow")
"""Those that compute, or read the data."""


def code() -> dict[str, str]:
    """The program, the libraries and the extensions."""
    return {
        "the code": f"ltrec {__version__} with digest {code_digest()}",
        "Python": platform.python_version(),
        **{f"the extension {one.module}": f"{one.version or 'without a version'}, digest {one.digest}" for one in imported()},
        **{library: version_of(library) for library in _LIBRARIES},
    }


def settings(config: RunConfig) -> dict[str, str]:
    """Every setting under its own key: whoever sees a digest differ does not know what to change."""
    values = {key: str(value) for key, value in flat(asdict(config)).items() if not key.startswith(_ITS_OWN)}
    name = values.pop("name")  # which may follow from the others
    return {**values, "name": name}


def data_and_start(manifest: Manifest, resume: Path | None, step: int, started: Mapping[str, Any] | None) -> dict[str, str]:
    """The data set and where training begins.

    Args:
        manifest: of the data set.
        resume: the checkpoint to resume from; None = a new run.
        step: its step.
        started: the checkpoint whose trunk a new run takes, with its sha256, if any.
    """
    return {
        "the data set's digest": manifest.digest[:12],
        "the checkpoint to go on from": str(resume),
        "the step to go on from": str(step),
        "the checkpoint's digest": "None" if resume is None else sha256_file(whole_file(resume))[:12],
        "the digest of init_from": "None" if started is None else started["sha256"][:12],
    }
