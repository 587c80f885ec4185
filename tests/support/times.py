"""A column of times through staging and the choice of a form, without a log around it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fractions import Fraction

import duckdb
import pyarrow as pa

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines.duck_staged import DuckStaged
from ltrec.data.prepare.times.choice import TimeFormat, choose_time
from ltrec.data.prepare.times.columns import ATTO


def read_times(values: Sequence[str] | pa.Array, **options) -> tuple[TimeFormat, list[Fraction | None]]:
    """The form that was chosen, and seconds since 1970 for every value; None is a reject."""
    times = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    batch = pa.table({"row": range(len(times)), "user_id": ["u"] * len(times), "item_id": ["i"] * len(times), "time": times})
    config = PrepareConfig(**options)
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        staged = DuckStaged(connection)
        staged.insert(0, batch, config, 0)
        chosen = choose_time(staged, config)
        good = f"reason IS NULL AND number IS NOT NULL AND {chosen.fits}"
        rows = connection.execute(f"SELECT CASE WHEN {good} THEN number END, fraction FROM staged ORDER BY row").fetchall()
    return chosen, [None if n is None else Fraction(n * ATTO + part, ATTO * chosen.per_second) for n, part in rows]
