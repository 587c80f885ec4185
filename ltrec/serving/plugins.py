"""Plugins of a model, to be compared: a history served by those of another stratum than its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ltrec.artefact.recommend import Recommender
from ltrec.artefact.script.programs import TorchProgram

_ROUTES = "heirs_K"
"""The program's buffer with the stratum whose plugins serve each stratum."""


def plugins_of(recommender: Recommender) -> list[int]:
    """The strata that have plugins, if there are several and the program can be told which to use (ONNX cannot)."""
    own = sorted({*recommender.about["strata"]["served_by"]})
    return own if len(own) > 1 and isinstance(recommender.program, TorchProgram) else []


@contextmanager
def served_by(recommender: Recommender, stratum: int | None) -> Iterator[None]:
    """For a while every history is served by the plugins of that stratum; None = by those of its own."""
    if stratum is None:
        yield
        return
    routes = recommender.program.module.get_buffer(_ROUTES)
    before = routes.clone()
    try:
        routes.fill_(stratum)
        yield
    finally:
        routes.copy_(before)
