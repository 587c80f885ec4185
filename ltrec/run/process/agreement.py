"""Facts that must be equal on all ranks before the first step, by name, causes before effects.

A rank with other data, another seed or an older checkpoint would train to the end without an error, and the result would be wrong.
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

_MAY_DIFFER = ("data.path", "data.cache", "init_from", "trainer.threads", "trainer.progress")
"""Settings that may differ between ranks. The contents of the two paths are compared instead."""

_LIBRARIES = ("torch", "pytorch-lightning", "deepspeed", "torchjd", "numpy", "pyarrow")
"""Libraries that compute or read data."""


def code_facts() -> dict[str, str]:
    """Versions and digests of the program, its libraries and the extensions."""
    return {
        "the code": f"ltrec {__version__} with digest {code_digest()}",
        "Python": platform.python_version(),
        **{f"the extension {one.module}": f"{one.version or 'without a version'}, digest {one.digest}" for one in imported()},
        **{library: version_of(library) for library in _LIBRARIES},
    }


def setting_facts(config: RunConfig) -> dict[str, str]:
    """Every setting by its key: a digest would not tell what to change."""
    values = {key: str(value) for key, value in flat(asdict(config)).items() if not key.startswith(_MAY_DIFFER)}
    name = values.pop("name")  # it may be derived from the others
    return {**values, "name": name}


def data_facts(manifest: Manifest, resume: Path | None, step: int, initialised_from: Mapping[str, Any] | None) -> dict[str, str]:
    """The data set, and where training starts.

    Args:
        manifest: of the data set.
        resume: the checkpoint to resume from; None = a new run.
        step: its step.
        initialised_from: the checkpoint whose trunk a new run takes, with its sha256, if any.
    """
    return {
        "the data set's digest": manifest.digest[:12],
        "the checkpoint to resume from": str(resume),
        "the step to resume from": str(step),
        "the checkpoint's digest": "None" if resume is None else sha256_file(whole_file(resume))[:12],
        "the digest of init_from": "None" if initialised_from is None else initialised_from["sha256"][:12],
    }
