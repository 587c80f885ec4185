"""The door of the config floor: files and overrides -> RunConfig, and back to text.

    load(["conf/experiment/beauty.yaml"], ["optim.lr=5e-4"])     defaults <- files left to right <- overrides left to right

`dump(config)` is its inverse: the whole tree as YAML.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ltrec.config.dump import dump
from ltrec.config.files import find
from ltrec.config.identity import named
from ltrec.config.imports import with_imports
from ltrec.config.settle import resolve
from ltrec.config.source import COMMAND_LINE, read_file, read_overrides
from ltrec.config.tree import RunConfig, column_kinds, variants

__all__ = ["dump", "load", "split_arguments"]


def load(files: Sequence[Path | str], overrides: Sequence[str], *, where: str = COMMAND_LINE) -> RunConfig:
    """Defaults <- YAML files, left to right <- `key=value` overrides; `{digest}` in the name is filled in last.

    Args:
        files: paths, or names of shipped files.
        overrides: settings as `key=value`, such as those of the command line.
        where: where messages say that the overrides are.

    Raises:
        UserError: a missing file, bad YAML, an unknown key (with the nearest one), a wrong type, a refused value.
    """
    settings = [setting for name in files for setting in read_file(find(name), str(name))] + read_overrides(overrides, where)
    settings = with_imports(RunConfig, settings)
    return named(resolve(RunConfig(), settings, variants(), column_kinds()))


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Command-line arguments as (config files, `key=value` overrides), each in its order; `a=b.yaml` is a file when it exists."""
    overrides = [argument for argument in arguments if "=" in argument and not os.path.isfile(argument)]
    return [argument for argument in arguments if argument not in overrides], overrides
