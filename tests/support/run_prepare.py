"""Run prepare in a process of its own and stop for ever at one place, so that a test can kill it exactly there.

python -m tests.support.run_prepare SOURCE OUT PLACE [ENGINE [PARENT [ITEMS]]]      prints "here" once PLACE is reached

With PARENT, the source is appended to that data set, with the table ITEMS.

A place is a stage that prepare reports, or `module.function` of the prepare package or one of its folders: before its n-th call
with `#n`.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.table_config import ItemsConfig
from tests.support.stop_before import stop, stop_before

OPTIONS = {"name": "x", "threads": 1, "block_rows": 16, "shard_events": 500, "reject_budget": 0.5}


def main(source: str, out: str, place: str, engine: str = "duckdb", parent: str = "", items: str = "") -> None:
    if "." in place:
        _stop_before(place)
    config = PrepareConfig(sources=(source,), engine=engine, items=ItemsConfig(items), **OPTIONS)

    def hear(stage: str, done: int, total: int) -> None:
        if stage == place:
            stop()

    if parent:
        append(config, Path(parent), Path(out), hear)
    else:
        prepare(config, Path(out), hear)
    print("finished", flush=True)


def _stop_before(place: str) -> None:
    target, _, number = place.partition("#")
    module_name, *owner, name = target.split(".")
    homes = [f"ltrec.data.prepare.{folder}{module_name}" for folder in ("", "output.", "sorting.", "users.", "engines.", "append.")]
    module = importlib.import_module(next(home for home in homes if find_spec(home)))
    stop_before(module, [*owner, name], int(number or 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
