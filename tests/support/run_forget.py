"""Forget users in a process of its own and stop for ever at one place, so that a test can kill it exactly there.

python -m tests.support.run_forget FOLDER FILE PLACE      prints "here" once PLACE is reached

A place is `module:name` or `module:class.name`: before its n-th call with `#n`; or `nowhere`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from ltrec.data.forget.pipeline import forget
from ltrec.data.forget.users import read_users
from tests.support.stop_before import stop_before


def main(folder: str, users: str, place: str) -> None:
    if place != "nowhere":
        _stop_before(place)
    print("started", flush=True)
    forget(Path(folder), read_users(Path(users)))
    print("finished", flush=True)


def _stop_before(place: str) -> None:
    target, _, number = place.partition("#")
    module, _, path = target.partition(":")
    stop_before(importlib.import_module(module), path.split("."), int(number or 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
