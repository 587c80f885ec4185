"""Programs of an exported folder, called with arrays."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from ltrec.artefact.script.stored import Array, Columns


class TorchProgram:
    """A program that torch.export saved."""

    def __init__(self, path: Path) -> None:
        self.torch: Any = import_module("torch")
        self.module = self.torch.export.load(str(path)).module()
        self.module.validate_inputs = False  # names are right; sizes the program checks itself

    def __call__(self, items: Array, events: Columns, users: Columns, tables: Columns) -> tuple[Array, Array]:
        """Scores and ids [B, k]."""
        own = self.torch.from_numpy
        named = [{name: own(values) for name, values in given.items()} for given in (events, users, tables)]
        with self.torch.no_grad():
            scores, ids = self.module(own(items), *named)
        return scores.numpy(), ids.numpy()


class OnnxSession:
    """A program in ONNX. It has as many threads as OMP_NUM_THREADS says, as in torch; else a thread per core."""

    def __init__(self, path: Path) -> None:
        runtime: Any = import_module("onnxruntime")
        options, threads = runtime.SessionOptions(), os.environ.get("OMP_NUM_THREADS", "")
        if threads.isdecimal():
            options.intra_op_num_threads = int(threads)
        self._session = runtime.InferenceSession(str(path), options, providers=runtime.get_available_providers())

    def __call__(self, items: Array, events: Columns, users: Columns, tables: Columns) -> tuple[Array, Array]:
        """Scores and ids [B, k]."""
        named = {"items": items, **tables, **{f"event.{name}": values for name, values in events.items()}}
        named |= {f"user.{name}": values for name, values in users.items()}
        return tuple(self._session.run(["scores", "ids"], {given.name: named[given.name] for given in self._session.get_inputs()}))
