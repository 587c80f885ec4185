"""Run folders travel: read from another working folder, on another machine, after the data have moved.

A run's relative paths begin where it was started, which its config.yaml says in a comment. Data are looked for there first, then
from the working folder; `--data DIR` names them. Wherever they are found, the manifest's digest proves that they are the run's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.run_folder import RunFolder
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.run.folder.config_file import paths_begin, read_config
from ltrec.run.folder.provenance_file import data_digest

_MAY_DIFFER = ("evaluation.", "trainer.accelerator", "imports=")
"""Settings that a finished run can be judged with anew."""


def split_runs(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Command-line arguments as (run folders, `key=value` words), each in its order; `a=b` is a folder when it exists.

    Raises:
        UserError: there is no folder.
    """
    words = [argument for argument in arguments if "=" in argument and not Path(argument).exists()]
    if len(words) == len(arguments):
        raise UserError("which run? name its folder before the settings of evaluation")
    return [Path(argument) for argument in arguments if argument not in words], words


def reopen(run: RunFolder, words: Sequence[str] = (), data: Path | None = None) -> RunConfig:
    """The config of a run, with its data found, as evaluation should use it.

    Args:
        run: its folder, wherever it lies now.
        words: settings of evaluation in place of the run's own.
        data: where the data set lies; None = where the run says.

    Raises:
        UserError: the folder holds no run, a word is no setting of evaluation, or the data are missing or others.
    """
    refuse_settings(words)
    read_config(run)  # which has better words for a folder that is none
    config = load([run.config], words)
    return replace(config, data=replace(config.data, path=str(find_data(run, config) if data is None else named_data(run, data))))


def refuse_settings(words: Sequence[str]) -> None:
    """Refuse words that would change what a run is.

    Raises:
        UserError: naming the word.
    """
    for word in words:
        if not word.startswith(_MAY_DIFFER):
            raise UserError(
                f"{word}: what a run was trained with cannot be changed afterwards; only evaluation.*, trainer.accelerator "
                "and imports can, and --data DIR says where its data are"
            )


def named_data(run: RunFolder, data: Path) -> Path:
    """The folder that `--data` names.

    Raises:
        UserError: it holds no data set, or not the run's.
    """
    digest, theirs = Manifest.load(data).digest, data_digest(run)
    if theirs not in (None, digest):
        raise UserError(
            f"--data {data} holds another data set (digest {digest[:12]}) than {run.path} was trained on ({str(theirs)[:12]})"
        )
    return data


def find_data(run: RunFolder, config: RunConfig) -> Path:
    """The folder of the run's data set; `data.path` as it is written when that will do.

    Raises:
        UserError: it is nowhere, or another data set lies in its place.
    """
    written, theirs = Path(config.data.path), data_digest(run)
    if not config.data.path:
        return written
    places = list(dict.fromkeys([paths_begin(run) / written, written.absolute()]))
    found = {place: Manifest.load(place).digest for place in places if (place / MANIFEST).exists()}
    for place, digest in found.items():
        if theirs in (None, digest):
            return written if place == written.absolute() else place
    there = [f"{place} holds another data set (digest {digest[:12]})" for place, digest in found.items()]
    there = there or [f"{place} is no prepared data set" for place in places]
    raise UserError(
        f"{run.path} was trained on data.path={written}"
        + (f" (digest {theirs[:12]})" if theirs else "")
        + f", and {', '.join(there)}; say where it is with --data DIR, or data.path=DIR when you train"
    )


def at_home(config: RunConfig, files: Sequence[str], words: Sequence[str]) -> RunConfig:
    """The config, unless its last file is a run's own config.yaml: then that run is meant, whatever the working folder.

    `ltrec train /elsewhere/runs/mine/config.yaml` goes on with that folder and its data, and begins no second run in ./runs/mine.
    """
    file = Path(files[-1]).absolute() if files else Path("nothing")
    given = {word.partition("=")[0] for word in words}
    if file != RunFolder(file.parent).config or file.parent.name != config.name or given & {"out", "name"}:
        return config
    run = RunFolder(file.parent)
    if Path(config.out, config.name).absolute() != run.path and not os.path.exists(Path(config.out, config.name)):
        config = replace(config, out=str(run.path.parent))
    if "data.path" not in given and config.data.path:
        config = replace(config, data=replace(config.data, path=str(find_data(run, config))))
    return config
