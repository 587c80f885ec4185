"""A logger and a callback that write down what they hear, as somebody outside would have them."""

import json
from pathlib import Path

from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger


class ListLogger(Logger):
    """One JSON line for every call."""

    def __init__(self, path: str, prefix: str = "") -> None:
        super().__init__()
        self.path, self.prefix = Path(path), prefix

    @property
    def name(self) -> str:
        return "list"

    @property
    def version(self) -> str:
        return "0"

    def _write(self, *what) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(what, default=str) + "\n")

    def log_hyperparams(self, params, *args, **kwargs) -> None:
        self._write("config", params["name"], params["seed"])

    def log_metrics(self, metrics, step=None) -> None:
        self._write("metrics", step, {self.prefix + key: value for key, value in metrics.items()})

    def finalize(self, status: str) -> None:
        self._write("end", status)


class FailingLogger(ListLogger):
    """Refuses to be made."""

    def __init__(self) -> None:
        raise RuntimeError("no server\nat all")


class CountSteps(Callback):
    """Counts optimiser steps, and keeps the count in the checkpoint."""

    def __init__(self, path: str) -> None:
        self.path, self.steps = Path(path), 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.steps += 1

    def on_train_end(self, trainer, pl_module) -> None:
        self.path.write_text(str(self.steps))

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state_dict) -> None:
        self.steps = state_dict["steps"]


class MyCheckpoint(ModelCheckpoint):
    """Would write checkpoints of its own."""
