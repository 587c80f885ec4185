"""A training run with one more callback, after the run's own or before them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from pytorch_lightning.callbacks import Callback

import ltrec.run.train as training


@contextmanager
def extra(callback: Callback, *, first: bool = False) -> Iterator[None]:
    """Whatever is trained meanwhile has it: last, or `first` of all."""
    make = training._working_callbacks

    def together(*args):
        return [callback, *make(*args)] if first else [*make(*args), callback]

    with mock.patch.object(training, "_working_callbacks", together):
        yield
