"""One command, many runs: each seed and each sweep file becomes a run with a name of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from ltrec.config.identity import digest_of
from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.run.folder.in_place import in_place


def seeds_of(text: str) -> list[int]:
    """`0-2` or `0,3,7` or `0-2,10` -> seeds, in order.

    Raises:
        UserError: it is neither, or names a seed twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if found is None or int(found[2] or found[1]) < int(found[1]):
            raise UserError(f"--array-seeds {text!r}: write seeds such as 0-4 or 0,3,7")
        seeds += range(int(found[1]), int(found[2] or found[1]) + 1)
    if len(seeds) > 1000:
        raise UserError(f"--array-seeds {text}: {len(seeds)} runs; at most 1000 in one array")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--array-seeds {text}: a seed is named twice")
    return seeds


def expand_runs(files: Sequence[str], overrides: Sequence[str], sweep: Sequence[str], seeds: Sequence[int]) -> list[RunConfig]:
    """The runs: every pair of a sweep file and a seed, or the one run where neither is given.

    A sweep file overrides the other files, and the command line overrides it. The W&B group of the runs is the name that they have
    in common or that their sweep file gives them, unless `tracking.group` is set.

    Raises:
        UserError: a config is wrong, or two sweep files have the same name.
    """
    runs, common = [], load(files, overrides)
    each_file: list[str | None] = [*sweep] or [None]
    each_seed: list[int | None] = [*seeds] or [None]
    for file, seed in product(each_file, each_seed):
        config = in_place(load(files if file is None else [*files, file], overrides), files, overrides, data_must_be_here=False)
        parts = [*([] if file is None else [Path(file).stem]), *([] if seed is None else [f"seed{seed}"])]
        if parts:
            name = common.name if _stem(config) == _stem(common) else config.name
            group = config.tracking.group or name
            config = _renamed(config, "-".join([name, *parts]))
            config = replace(config, tracking=replace(config.tracking, group=group))
        runs.append(config if seed is None else replace(config, seed=seed))
    names = [run.name for run in runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two runs would be called {twice[0]}: give the sweep files different names")
    return runs


def _stem(config: RunConfig) -> str:
    """The run's name without the digest of its settings, which every sweep file changes."""
    return config.name.replace(digest_of(config), "")


def _renamed(config: RunConfig, name: str) -> RunConfig:
    try:
        return replace(config, name=name)
    except ValueError as error:  # not every file name is a valid run name
        raise UserError(str(error)) from None
