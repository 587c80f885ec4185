"""Opens the engine that the config names."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines.duck import duck_engine
from ltrec.data.prepare.engines.protocol import Engine


def open_engine(config: PrepareConfig, work: Path) -> AbstractContextManager[Engine]:
    """The engine, with its files in `work`; closed on exit, the caller removes its files."""
    return duck_engine(config, work)
