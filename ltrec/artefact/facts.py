"""The manifest of an exported folder: model, data, strata, inputs and measured metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ltrec.artefact.script.stored import VERSION
from ltrec.artefact.vocabularies import categoricals, vocabulary_file
from ltrec.columns.kinds import kind_of_column
from ltrec.columns.schema import Projection, Role
from ltrec.config.tree import RunConfig
from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.comparison.judgement import Judgement, read_judgement
from ltrec.evaluation.summary import Summary, summarise
from ltrec.evaluation.table import EvalTable
from ltrec.run.build.components import Data
from ltrec.run.build.strata import heirs_of, strata_of
from ltrec.training.checkpoints.io import whole_file
from ltrec.version import __version__


@dataclass(frozen=True, slots=True)
class Measurements:
    """Results of `ltrec evaluate` for the same checkpoint.

    Attributes:
        summary: metrics on the test split; None where it was not evaluated.
        judgements: comparisons with other runs.
    """

    summary: Summary | None
    judgements: tuple[Judgement, ...]


def measured(run: RunFolder, config: RunConfig, checkpoint_sha: str) -> Measurements:
    """Read what was evaluated; nothing of another checkpoint."""
    try:
        table = EvalTable.read(run.eval_table("test"))
    except UserError:
        return Measurements(None, ())
    if table.source.get("checkpoint_sha256") != checkpoint_sha:
        return Measurements(None, ())
    found = (read_judgement(file) for file in run.eval_comparisons("test"))
    return Measurements(summarise(table, config.evaluation), tuple(judgement for judgement in found if judgement is not None))


def facts_of(config: RunConfig, data: Data, checkpoint: Path, asked: Projection, *, k: int, weights: str | None) -> dict[str, Any]:
    """The manifest without files and parity, as JSON values."""
    manifest, evaluation = data.manifest, config.evaluation
    run_strata = strata_of(config, manifest)
    return {
        "artefact": VERSION,
        "created_by": {"ltrec": __version__, "torch": torch.__version__},
        "run": config.name,
        "model": config.model.name,
        "plugin": config.trained_plugin.name if config.memory is None else "memory",
        "checkpoint": {"name": checkpoint.stem, "sha256": sha256_file(whole_file(checkpoint)), "weights": weights},
        "data": {"name": manifest.name, "digest": manifest.digest, "items": manifest.vocab.items},
        "protocol": {"split": manifest.split["kind"], "filter_seen": evaluation.filter_seen, "candidates": evaluation.candidates},
        "strata": {
            "lower_bounds": [*manifest.strata.lower_bounds],
            "head_from": manifest.strata.head_from,
            "of_the_run": [*run_strata.lower_bounds],
            "served_by": [*heirs_of(config, manifest)],
        },
        "k": k,
        "max_len": config.stream.max_len,
        "inputs": {"events": _inputs(data, asked, "event", asked.events), "users": _inputs(data, asked, "user", asked.users)},
    }


def _inputs(data: Data, asked: Projection, role: Role, names: tuple[str, ...]) -> dict[str, Any]:
    """Columns of a role: type of stored values, value that means "missing" (null: NaN), vocabulary file of a categorical column."""
    found: dict[str, Any] = {}
    for name in names:
        if name == c.TIME and role == "event":
            found[name] = {"kind": "seconds", "dtype": "int64", "missing": 0, "file": None}
            continue
        column = data.manifest.columns.of(role)[name]
        kind = kind_of_column(column)
        is_nan = isinstance(kind.missing, float) and math.isnan(kind.missing)
        file = vocabulary_file(role, name) if (role, name) in categoricals(data, asked) else None
        dtype = {"float": "float32"}.get(str(kind.storage), str(kind.storage))
        found[name] = {"kind": column.kind, "dtype": dtype, "missing": None if is_nan else kind.missing, "file": file}
    return found
