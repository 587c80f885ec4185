"""What the scripts of all libraries share: the job, clocks of processor time, peak memory, the line of figures.

Only Python, numpy and pyarrow: it runs in every peer's environment.

    python with_NAME.py JOB.json      JOB holds the sizes of the model, the files of the data, and a folder to work in

The data are one Parquet table (`benchmarks/peers/export.py`): `history` (items of training, 0 to `items` - 1, oldest first),
`valid` and `test`, one item each.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Job:
    """What is to be measured.

    Attributes:
        histories: the Parquet table of users.
        data: the data set as `ltrec prepare` wrote it.
        folder: an empty folder to work in.
        parent: the process that waits; this one ends with it.
        items: V, the number of items; ids from 0 to V - 1.
        length: most positions of a training row.
        epochs: to train.
        steps: steps of an epoch, after which it is cut; 0 = all.
        rows: sequences in a step.
        width, blocks, heads, dropout, lr: of SASRec; the middle of its feed-forward layers is as wide as the model.
        eval_rows: users ranked at once.
        seed: of weights and order.
        matmul: of the softmax, for a library that has such an option.
    """

    histories: str
    data: str
    folder: str
    parent: int
    items: int
    length: int
    epochs: int
    steps: int
    rows: int
    width: int
    blocks: int
    heads: int
    dropout: float
    lr: float
    eval_rows: int
    seed: int
    matmul: str = "float32"


@dataclass(frozen=True)
class StreamJob:
    """A stream that is to be measured.

    Attributes:
        table: folder of Parquet files with the column `items`, the training events of a user, ids from 1.
        data: the same users as `ltrec prepare` wrote them.
        kept: folder for what a library writes of its own, and finds again in the next round.
        rows: users in a batch.
        columns: of a batch: the last events of a user, left-padded with 0.
        passes: over all users that are clocked after the first.
        seed: of the order.
    """

    table: str
    data: str
    kept: str
    rows: int
    columns: int
    passes: int
    seed: int


Batches = Callable[[int], Iterable[Any]]
"""Gives the batches of a pass by its number, [rows, columns], int64; pass 0 gives each user once, and is not clocked."""


def begin() -> Job:
    """The training job that the command line names."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    _begin(job.parent, job.folder)
    return job


def _begin(parent: int, folder: str) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.chdir(folder)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def streams(system: str, opened: Callable[[StreamJob], Batches], prepared: Callable[[StreamJob], None] = lambda _: None) -> None:
    """Measure the streams that the command line names, one after the other, and print the figures.

    Args:
        system: name and version of the library.
        opened: opens the data.
        prepared: comes before that, and is not clocked.
    """
    asked = json.loads(Path(sys.argv[1]).read_text())
    _begin(asked["parent"], asked["folder"])
    cells = []
    for one in asked["jobs"]:
        job = StreamJob(**one)
        prepared(job)
        cells.append(stream(job, opened))
    end(system=system, cells=cells)


def stream(job: StreamJob, opened: Callable[[StreamJob], Batches]) -> dict[str, Any]:
    """Open the data and go over all users by the clock, then once more to see that they are there."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
    with Stopwatch() as opening:
        batches = opened(job)
    clocked = [_pass(batches(number)) for number in range(1, 2 + job.passes)]
    seconds, firsts = ([one[place] for one in clocked] for place in range(2))
    peak, users, ids = peak_mib(), 0, 0
    for batch in batches(0):
        assert batch.shape[1] == job.columns, f"{batch.shape[1]} columns"
        users, ids = users + len(batch), ids + int(batch.sum())
    first = opening.seconds + seconds[0]
    return {"first": first, "seconds": seconds[1:], "firsts": firsts, "users": users, "ids": ids, "peak_mib": peak}


def _pass(batches: Iterable[Any]) -> tuple[float, int]:
    """Processor seconds of a pass, and the sum of its first batch."""
    first = None
    with Stopwatch() as watch:
        for batch in batches:
            first = int(batch.sum()) if first is None else first
    assert first is not None
    return watch.seconds, first


def end(**figures: Any) -> None:
    """Print the figures, the last line of the output."""
    print(json.dumps({**figures, "peak_mib": peak_mib(), "python": sys.version.split()[0]}), flush=True)


def peak_mib() -> int:
    """Most memory that this process has had; what it inherited from its parent does not count."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


class Stopwatch:
    """Processor seconds of a part of the program, all threads together."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> Stopwatch:
        self._since = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._since


class Epochs(ABC):
    """Hooks of a Lightning callback: processor seconds and targets of every epoch, without what is validated in between.

    An epoch lasts until the next one begins or training ends, so that what is written after its last step counts.
    """

    priority = -1000

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.targets: list[int] = []
        self.validating = Stopwatch()
        self._since: float | None = None

    @abstractmethod
    def count(self, batch: Any) -> int:
        """Targets of a step."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """An epoch begins."""
        self._close()
        self._since, self.validating = time.process_time(), Stopwatch()
        self.targets.append(0)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A step has been made."""
        self.targets[-1] += self.count(batch)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """No part of the epoch."""
        self.validating.__enter__()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """The epoch goes on."""
        self.validating.__exit__()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The last epoch has ended."""
        self._close()
        self._since = None

    def _close(self) -> None:
        if self._since is not None:
            self.seconds.append(time.process_time() - self._since - self.validating.seconds)


@dataclass(frozen=True)
class Users:
    """The table of users.

    Attributes:
        history: items of training by user, oldest first.
        valid, test: the next two.
    """

    history: list[np.ndarray]
    valid: np.ndarray
    test: np.ndarray


def read_users(job: Job) -> Users:
    """All of them."""
    table = pq.read_table(job.histories)
    lists = table["history"].combine_chunks()
    flat, offsets = lists.flatten().to_numpy(), lists.offsets.to_numpy()
    history = np.split(flat, offsets[1:-1] - offsets[0])
    return Users(history, table["valid"].to_numpy(), table["test"].to_numpy())
