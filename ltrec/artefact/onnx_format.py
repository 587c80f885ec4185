"""The program as ONNX, for onnxruntime.

Inputs are `items`, `event.NAME`, `user.NAME` and the tables by their names; outputs are `scores` and `ids`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ltrec.artefact.dense.program import RecommenderProgram


class FlatProgram(nn.Module):
    """The program with its arguments one by one.

    Args:
        program: it.
        events, users, tables: names of the arguments after the items, in their order.
    """

    def __init__(self, program: RecommenderProgram, events: list[str], users: list[str], tables: list[str]) -> None:
        super().__init__()
        self.program, self.events, self.users, self.tables = program, events, users, tables

    def forward(self, items: Tensor, *more: Tensor) -> tuple[Tensor, Tensor]:
        """As the program."""
        last, rest = len(self.events) + len(self.users), list(more)
        events = dict(zip(self.events, rest, strict=False))
        users = dict(zip(self.users, rest[len(self.events) :], strict=False))
        found: tuple[Tensor, Tensor] = self.program(items, events, users, dict(zip(self.tables, rest[last:], strict=True)))
        return found


class OnnxProgram:
    """A saved program, to be called as `RecommenderProgram` is.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        runtime: Any = import_module("onnxruntime")
        self._session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._names = [given.name for given in self._session.get_inputs()]

    def __call__(
        self, items: Tensor, events: dict[str, Tensor], users: dict[str, Tensor], tables: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Scores and ids [B, k]."""
        named = feed_of(items, events, users, tables)
        scores, ids = self._session.run(["scores", "ids"], {name: named[name].numpy() for name in self._names})
        return torch.from_numpy(scores), torch.from_numpy(ids)


def feed_of(items: Tensor, events: dict[str, Tensor], users: dict[str, Tensor], tables: dict[str, Tensor]) -> dict[str, Tensor]:
    """All arguments by the names that they have in the file."""
    of_events = {f"event.{name}": values for name, values in events.items()}
    of_users = {f"user.{name}": values for name, values in users.items()}
    return {"items": items, **of_events, **of_users, **tables}


def save_onnx(program: RecommenderProgram, arguments: tuple[Any, ...], path: Path) -> None:
    """Trace the program with real arguments (two rows or more) and save it."""
    items, events, users, tables = arguments
    flat, feed = FlatProgram(program, [*events], [*users], [*tables]).eval(), feed_of(items, events, users, tables)
    free = torch.export.Dim.DYNAMIC
    rows: list[dict[int, Any]] = [{0: free, 1: free}] * len(events) + [{0: free}] * (len(users) + len(tables))
    with _quiet(), torch.no_grad():
        made: Any = torch.onnx.export(
            flat,
            tuple(feed.values()),
            dynamo=True,
            dynamic_shapes=({0: free, 1: free}, tuple(rows)),
            input_names=[*feed],
            output_names=["scores", "ids"],
            verbose=False,
        )
        made.save(str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of what torch says of itself while it exports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
