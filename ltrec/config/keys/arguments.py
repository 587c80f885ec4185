"""The library names its arguments, the user of a config knows keys: messages are translated here, at the roof.

`batch_rows`=95 is not a multiple of `lanes`=6      as the library says it to callers without a config
stream.batch_rows=95 is not a multiple of stream.lanes=6      as `ltrec train` says it
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ltrec.config.settle import leaf_keys
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError

TRAINING = ("gradients", "stream", "model", "objective", "plugin", "optim", "trainer", "tracking")
"""Sections whose keys are arguments of what a training run calls. Where two share a name, the first one is meant."""

PREPARING = ("prepare",)
"""The section of `ltrec prepare`."""

_ARGUMENT = re.compile(r"`([a-z_]+)`")


def in_keys(message: str, config: RunConfig, sections: Sequence[str] = TRAINING) -> str:
    """A message with arguments in backticks replaced by their keys; a word that no section has only loses its backticks."""
    keys: dict[str, str] = {}
    for section in sections:
        for key in leaf_keys(getattr(config, section), f"{section}."):
            keys.setdefault(key.rpartition(".")[2], key)
    return _ARGUMENT.sub(lambda found: keys.get(found[1], found[1]), message)


@contextmanager
def speaking_keys(config: RunConfig, sections: Sequence[str] = TRAINING) -> Iterator[None]:
    """A context in which messages of UserErrors name config keys instead of arguments."""
    try:
        yield
    except UserError as error:
        error.args = (in_keys(str(error), config, sections), *error.args[1:])
        raise
