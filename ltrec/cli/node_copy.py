"""Copy the data of a run to this node; the job script of `--stage` runs it once on every node before training.

python -m ltrec.cli.node_copy CONFIG.yaml
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from ltrec.cli.failures import exit_code_of
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.storage.remote.url import is_url
from ltrec.run.node_copy.copying import make_copy
from ltrec.run.node_copy.place import place_of
from ltrec.terminal.screen import note


def main(arguments: list[str]) -> int:
    """Copy the data of a run's config; returns the exit code."""
    try:
        began, config = time.monotonic(), load(arguments, [])
        if (place := place_of(os.environ)) is None:
            raise UserError("LTREC_STAGE names no folder")
        if is_url(config.data.path):
            note(f"{os.uname().nodename}: {config.data.path} is read through data.cache, --stage has nothing to copy")
            return 0
        copy, copied = make_copy(Path(config.data.path), place)
        note(f"{os.uname().nodename}: {config.data.path} -> {copy}, {copied / 1e6:,.1f} MB in {time.monotonic() - began:.1f} s")
    except Exception as error:  # noqa: BLE001  as on the command line
        return exit_code_of(error, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
