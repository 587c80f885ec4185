"""Mounts of a job's container besides the working folder: paths that its runs read and write elsewhere, and those of --mount.

A path has the same name inside and outside. The target of a link that leads out of the folder is mounted as well, or the link would
be broken inside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.remote.url import is_url

_MODES = ("ro", "rw")
_WANDB_FOLDERS = ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the node, and its absolute path in the container."""

    source: Path
    target: Path
    mode: str = ""

    @staticmethod
    def parse(text: str, folder: Path) -> Mount:
        """`SRC[:DST[:ro]]`, as a user types it; SRC may be relative to `folder`.

        Raises:
            UserError: it is not of this form.
        """
        source, *rest = text.split(":")
        target, mode = [*rest, "", ""][:2]
        refused = not source or len(rest) > 2 or (rest and not target.startswith("/")) or (len(rest) == 2 and mode not in _MODES)
        if refused or "," in text or not text.isprintable():
            raise UserError(f"--mount {text!r}: write SRC, SRC:/PATH/INSIDE or SRC:/PATH/INSIDE:ro, without commas")
        place = Path(os.path.normpath(folder / source))
        return Mount(place, Path(os.path.normpath(target)) if target else place, mode)

    def __str__(self) -> str:
        return ":".join([str(self.source), str(self.target), *filter(None, [self.mode])])

    def covers(self, path: Path) -> bool:
        """Whether this mount makes a path visible in the container."""
        return path.is_relative_to(self.target)


@dataclass(frozen=True, slots=True)
class ContainerMounts:
    """Mounts besides the working folder, and notes on paths that the container may not see."""

    mounts: tuple[Mount, ...] = ()
    notes: tuple[str, ...] = ()


def container_mounts(
    runs: Sequence[RunConfig], requested: Sequence[str], *, folder: Path, apptainer: bool, variables: Mapping[str, str]
) -> ContainerMounts:
    """The mounts that the runs need.

    Args:
        runs: what will be trained.
        requested: values of `--mount`; they come first, and paths that they cover are not mounted again.
        folder: the working folder of the job; always mounted.
        apptainer: Apptainer mounts the home folder by itself, Pyxis does not.
        variables: the environment of the job.

    Raises:
        UserError: a value is not a mount, or a path cannot be mounted.
    """
    mounts, notes = [Mount.parse(text, folder) for text in requested], []
    notes += [
        f"{mount.source} is not on this machine; the container sees it where the nodes have it"
        for mount in mounts
        if not os.path.exists(mount.source)
    ]
    for what, path in paths_of(runs, folder, variables):
        place = outside_target(path, folder)
        if place is None or any(mount.covers(place) for mount in mounts):
            continue
        if not os.path.exists(place) and not what.startswith("out="):  # it is made before the job is submitted
            notes.append(
                f"{what} is not on this machine: the container will not see it, unless --mount {place} shows it on the nodes"
            )
        else:
            mounts.append(Mount(place, place))
    for place in [folder, *(mount.source for mount in mounts)]:
        if set(":,") & set(str(place)):
            raise UserError(f"{place} cannot be mounted into a container: its name holds ':' or ','")
    if any(run.tracking.wandb == "online" for run in runs) and "WANDB_API_KEY" not in variables and not apptainer:
        notes.append("tracking.wandb=online: the container does not see ~/.netrc; export WANDB_API_KEY before you submit")
    return ContainerMounts(tuple(mounts), tuple(dict.fromkeys(notes)))


def paths_of(runs: Sequence[RunConfig], folder: Path, variables: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """(setting, absolute path) of everything that runs read and write; links are not resolved."""
    for run in runs:
        named = {"out": run.out, "data.path": run.data.path, "init_from": run.init_from}
        named |= {} if run.resume in ("auto", "never") else {"resume": run.resume}
        if run.tracking.wandb != "off":
            named |= {name: variables[name] for name in _WANDB_FOLDERS if variables.get(name)}
        for key, value in named.items():
            if value and not is_url(value):
                yield f"{key}={value}", Path(os.path.normpath(folder / value))
        if run.data.path and not is_url(run.data.path):
            yield from ((f"{link}, a link,", link) for link in _links_in(Path(os.path.normpath(folder / run.data.path))))


def _links_in(data: Path) -> Iterator[Path]:
    """Links in a data set, to shards that lie elsewhere."""
    for above, folders, files in os.walk(data):
        yield from (Path(above, name) for name in [*folders, *files] if os.path.islink(os.path.join(above, name)))


def outside_target(path: Path, folder: Path) -> Path | None:
    """The path outside of a folder that a path lies at or leads to by links; None if it is inside the folder."""
    for _ in range(40):  # links may be circular; the kernel follows 40 as well
        if not path.is_relative_to(folder):
            return path
        parts = path.relative_to(folder).parts
        above = (folder.joinpath(*parts[: i + 1]) for i in range(len(parts)))
        link = next((place for place in above if place.is_symlink()), None)
        if link is None:
            return None
        path = Path(os.path.normpath(link.parent / os.readlink(link))) / path.relative_to(link)
    return path
