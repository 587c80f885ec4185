"""ltrec: train sequential recommenders that serve tail users well and keep the head.

    import ltrec

    data = ltrec.prepare("logs/*.csv", out="data/mine")
    run = ltrec.train("conf/experiment/quickstart.yaml", data=data, name="mine")

Importing the package loads nothing but the version: each name is loaded on first use, so that neither torch nor Lightning is
imported before it is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ltrec.version import __version__

if TYPE_CHECKING:
    from ltrec.api.evaluate import evaluate
    from ltrec.api.export import Exported, export
    from ltrec.api.fetch import Fetched, fetch
    from ltrec.api.gate import Verdict, gate
    from ltrec.api.index import Indexed, index
    from ltrec.api.inspect import inspect
    from ltrec.api.load_config import load_config
    from ltrec.api.plan import StepPlan, plan
    from ltrec.api.predict import predict
    from ltrec.api.prepare import prepare
    from ltrec.api.report import Report, report
    from ltrec.api.results.dataset import Dataset
    from ltrec.api.results.evaluation import EvaluatedRun, Evaluation
    from ltrec.api.results.predictions import Predictions
    from ltrec.api.results.run import Run, load_run
    from ltrec.api.train import train
    from ltrec.api.verify import verify
    from ltrec.core.errors import Stopped, UserError

_HOMES = {
    "Dataset": "ltrec.api.results.dataset",
    "EvaluatedRun": "ltrec.api.results.evaluation",
    "Evaluation": "ltrec.api.results.evaluation",
    "Exported": "ltrec.api.export",
    "Fetched": "ltrec.api.fetch",
    "Indexed": "ltrec.api.index",
    "Report": "ltrec.api.report",
    "StepPlan": "ltrec.api.plan",
    "Stopped": "ltrec.core.errors",
    "UserError": "ltrec.core.errors",
    "evaluate": "ltrec.api.evaluate",
    "export": "ltrec.api.export",
    "fetch": "ltrec.api.fetch",
    "prepare": "ltrec.api.prepare",
    "report": "ltrec.api.report",
    "verify": "ltrec.api.verify",
    "Predictions": "ltrec.api.results.predictions",
    "Run": "ltrec.api.results.run",
    "load_config": "ltrec.api.load_config",
    "load_run": "ltrec.api.results.run",
    "predict": "ltrec.api.predict",
    "train": "ltrec.api.train",
    "Verdict": "ltrec.api.gate",
    "gate": "ltrec.api.gate",
    "index": "ltrec.api.index",
    "inspect": "ltrec.api.inspect",
    "plan": "ltrec.api.plan",
}
"""Module that defines each public name."""

_ROOMS = ("aggregation", "models", "objectives", "strategy")
"""Packages that are public as a whole: rules, backbones, losses and strategies; batches come from `ltrec.data.stream`."""

__all__ = [
    "Dataset",
    "EvaluatedRun",
    "Evaluation",
    "Exported",
    "Fetched",
    "Indexed",
    "Predictions",
    "Report",
    "Run",
    "StepPlan",
    "Stopped",
    "UserError",
    "Verdict",
    "__version__",
    "evaluate",
    "export",
    "fetch",
    "gate",
    "index",
    "inspect",
    "load_config",
    "load_run",
    "plan",
    "predict",
    "prepare",
    "report",
    "train",
    "verify",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name."""
        if name in _ROOMS:
            return importlib.import_module(f"ltrec.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module 'ltrec' has no attribute {name!r}")
        globals()[name] = value = getattr(importlib.import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*__all__, *_ROOMS})
