"""The library speaks of its arguments, a run of its config's keys: between them is the place where the one becomes the other.

`batch_rows`=95 is not a multiple of `lanes`=6      as the library says it, and whoever uses it without a config hears it
stream.batch_rows=95 is not a multiple of stream.lanes=6      what is said of a run
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ltrec.config.settle import leaf_keys
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError

SECTIONS = ("gradients", "stream", "model", "objective", "plugin", "optim", "trainer")
"""Whose options are arguments of the library. Of two that share a name the first is meant."""

_ARGUMENT = re.compile(r"`([a-z_]+)`")


def in_keys(message: str, config: RunConfig) -> str:
    """A message with the config's keys in the place of arguments; an argument that is none of its options loses its ticks."""
    keys: dict[str, str] = {}
    for section in SECTIONS:
        for key in leaf_keys(getattr(config, section), f"{section}."):
            keys.setdefault(key.rpartition(".")[2], key)
    return _ARGUMENT.sub(lambda found: keys.get(found[1], found[1]), message)


@contextmanager
def speaking_keys(config: RunConfig) -> Iterator[None]:
    """Within, whatever the library refuses is said in the config's keys."""
    try:
        yield
    except UserError as error:
        error.args = (in_keys(str(error), config), *error.args[1:])
        raise
