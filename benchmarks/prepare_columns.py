"""Memory and time of `ltrec prepare` with columns: N events of C columns, V items with vectors of D numbers. `make bench-prepare`

    python benchmarks/prepare_columns.py                         20 M events, 6 columns, 1 M x 128: minutes, 5 GB of disk
    python benchmarks/prepare_columns.py --events 2000000 --items 100000

The log is made up, in Parquet, and removed afterwards. Peak memory is what the kernel says of a process that only prepares
(VmHWM: all that is resident, libraries and mapped files too); it may be 1.5 x memory_limit + 250 MiB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import re
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.columns.kinds import ColumnConfig
from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.kinds.time import TimeConfig
from ltrec.columns.kinds.vector import VectorConfig
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.table_config import ItemsConfig

ROWS = 1 << 20
"""Events of a row group; of the table of items a sixteenth."""

EVENTS_PER_USER = 20
START = 1_600_000_000
KINDS: tuple[ColumnConfig, ...] = (CategoryConfig(), NumberConfig(), TimeConfig())
"""Of event columns, in turn."""


def main() -> None:
    """Make the log, prepare it, print one line of JSON."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        _write(Path(folder, "events.parquet"), _events(asked), ROWS)
        _write(Path(folder, "items.parquet"), _items(asked), ROWS // 16)
        with multiprocessing.get_context("spawn").Pool(1) as child:  # a process of its own: its peak is that of prepare alone
            peak_mib, seconds = child.apply(_prepare, (_config(Path(folder), asked), Path(folder, "data")))
    limit_mib = _bytes(asked.memory_limit) / 2**20
    bound_mib = 1.5 * limit_mib + 250
    result = {
        "benchmark": "prepare_columns",
        **{name: getattr(asked, name) for name in ("events", "columns", "items", "width", "memory_limit")},
        "peak_mib": round(peak_mib),
        "allowed_mib": round(bound_mib),
        "within": peak_mib <= bound_mib,
        "seconds": round(seconds, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, duckdb {duckdb.__version__}, pyarrow {pa.__version__}",
    }
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000_000, help="of the log")
    parser.add_argument("--columns", type=int, default=6, help="of events: categories, numbers and times in turn")
    parser.add_argument("--items", type=int, default=1_000_000, help="rows of the item table")
    parser.add_argument("--width", type=int, default=128, help="of the items' vectors")
    parser.add_argument("--memory-limit", default="1GB", help="of prepare")
    parser.add_argument("--threads", type=int, default=0, help="of prepare; 0 = all cores")
    parser.add_argument("--folder", type=Path, help="where there is room; the system's temporary folder unless given")
    return parser.parse_args()


def _config(folder: Path, asked: argparse.Namespace) -> PrepareConfig:
    return PrepareConfig(
        name="bench",
        sources=(str(folder / "events.parquet"),),
        event_columns={name: KINDS[number % len(KINDS)] for number, name in enumerate(_names(asked))},
        items=ItemsConfig(source=str(folder / "items.parquet"), columns={"text": VectorConfig(width=asked.width)}),
        memory_limit=asked.memory_limit,
        threads=asked.threads,
    )


def _names(asked: argparse.Namespace) -> list[str]:
    return [f"column_{number}" for number in range(asked.columns)]


def _events(asked: argparse.Namespace) -> Iterator[pa.Table]:
    """The log; few items have most of the events."""
    draw = np.random.default_rng(0)
    for start in range(0, asked.events, ROWS):
        count = min(ROWS, asked.events - start)
        own = {name: _values(KINDS[number % len(KINDS)], count, draw) for number, name in enumerate(_names(asked))}
        plain = {
            "user_id": draw.integers(0, max(2, asked.events // EVENTS_PER_USER), count),
            "item_id": (asked.items * draw.random(count) ** 3).astype(np.int64),
            "timestamp": START + draw.integers(0, 10**8, count),
        }
        yield pa.table(plain | own)


def _values(kind: ColumnConfig, count: int, draw: np.random.Generator) -> pa.Array:
    if kind.kind == "category":
        words = pa.array([f"word {number}" for number in range(50)])
        return pa.DictionaryArray.from_arrays(draw.integers(0, 50, count).astype(np.int8), words).dictionary_decode()
    return pa.array(draw.normal(size=count) if kind.kind == "number" else START - draw.integers(0, 10**8, count))


def _items(asked: argparse.Namespace) -> Iterator[pa.Table]:
    draw = np.random.default_rng(1)
    for start in range(0, asked.items, ROWS // 16):
        ids = np.arange(start, min(start + ROWS // 16, asked.items))
        numbers = draw.random((len(ids), asked.width), np.float32)
        yield pa.table({"item_id": ids, "text": pa.FixedSizeListArray.from_arrays(numbers.ravel(), asked.width)})


def _write(path: Path, tables: Iterator[pa.Table], rows: int) -> None:
    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as file:
        for table in chain([first], tables):
            file.write_table(table, row_group_size=rows)


def _prepare(config: PrepareConfig, out: Path) -> tuple[float, float]:
    """Peak of this process in MiB, and seconds."""
    start = time.perf_counter()
    prepare(config, out)
    seconds = time.perf_counter() - start
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, "the kernel does not tell"
    return int(found[1]) / 1024, seconds


def _bytes(amount: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)\s*([KMG]i?)?B", amount).groups()  # type: ignore[union-attr]
    power = " KMG".index(unit[0]) if unit else 0
    return float(number) * (1024 if unit and unit.endswith("i") else 1000) ** power


if __name__ == "__main__":
    main()
