"""Opens the engine that the config names."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ltrec.core.extension.deferred import Deferred
from ltrec.core.extension.extras import require
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines.duck import duck_engine
from ltrec.data.prepare.engines.protocol import Engine

if TYPE_CHECKING:
    from ltrec.data.prepare.engines.spark.engine import spark_engine
else:
    spark_engine = Deferred("ltrec.data.prepare.engines.spark.engine:spark_engine")


def open_engine(config: PrepareConfig, work: Path) -> AbstractContextManager[Engine]:
    """The engine, with its files in `work`; closed on exit, the caller removes its files.

    Raises:
        UserError: its libraries are not installed.
    """
    if config.engine == "duckdb":
        return duck_engine(config, work)
    require("spark", "engine=spark")
    return spark_engine(config, work)
