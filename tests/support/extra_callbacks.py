"""A training run with one more callback, after the run's own or before them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pytorch_lightning.callbacks import Callback

import ltrec.run.train as training


@contextmanager
def extra(*callbacks: Callback, first: bool = False) -> Iterator[None]:
    """Whatever is trained meanwhile has them: last, or `first` of all."""
    make = training.build_callbacks
    for callback in callbacks:
        callback.priority = 1000 if first else -1000  # type: ignore[attr-defined]

    def together(*args: Any, **options: Any) -> list[Callback]:
        return [*make(*args, **options), *callbacks]

    with mock.patch.object(training, "build_callbacks", together):
        yield
