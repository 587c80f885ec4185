"""What a container sees besides the folder it is started in: what its runs read and write elsewhere, and what the user mounts.

A path keeps its name inside. A link that leads out of the folder is followed: what it means is mounted where it points, or the link
would lead nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError

_MODES = ("ro", "rw")
_WANDB_FOLDERS = ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the node, and the absolute path at which the container has it."""

    source: Path
    target: Path
    mode: str = ""

    @staticmethod
    def parse(text: str, folder: Path) -> Mount:
        """`SRC[:DST[:ro]]`, as a user types it; SRC may be relative to `folder`.

        Raises:
            UserError: it is something else.
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

    def shows(self, path: Path) -> bool:
        """Whether the container has a path by this mount."""
        return path.is_relative_to(self.target)


@dataclass(frozen=True, slots=True)
class View:
    """What a container sees, as `SRC:DST` beside its folder, and notes on what it will not."""

    mounts: tuple[Mount, ...] = ()
    notes: tuple[str, ...] = ()


def view_of(
    runs: Sequence[RunConfig], asked: Sequence[str], *, folder: Path, apptainer: bool, variables: Mapping[str, str]
) -> View:
    """The mounts that the runs need.

    Args:
        runs: what will be trained.
        asked: `--mount` words; they come first, and what they show is not mounted again.
        folder: where the job runs; always mounted.
        apptainer: Apptainer shows the home folder by itself, Pyxis does not.
        variables: the environment of the job.

    Raises:
        UserError: a word is no mount, or a path cannot be written as one.
    """
    mounts, notes = [Mount.parse(text, folder) for text in asked], []
    notes += [
        f"{mount.source} is not on this machine; the container sees it where the nodes have it"
        for mount in mounts
        if not os.path.exists(mount.source)
    ]
    for what, path in needed(runs, folder, variables):
        place = leads_to(path, folder)
        if place is None or any(mount.shows(place) for mount in mounts):
            continue
        if not os.path.exists(place) and not what.startswith("out="):  # which is made before the job is submitted
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
    return View(tuple(mounts), tuple(dict.fromkeys(notes)))


def needed(runs: Sequence[RunConfig], folder: Path, variables: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """(what it is, where) for everything that runs read and write; absolute, links as they are."""
    for run in runs:
        named = {"out": run.out, "data.path": run.data.path, "init_from": run.init_from}
        named |= {} if run.resume in ("auto", "never") else {"resume": run.resume}
        if run.tracking.wandb != "off":
            named |= {name: variables[name] for name in _WANDB_FOLDERS if variables.get(name)}
        for key, value in named.items():
            if value:
                yield f"{key}={value}", Path(os.path.normpath(folder / value))
        if run.data.path:
            yield from ((f"{link}, a link,", link) for link in _links_in(Path(os.path.normpath(folder / run.data.path))))


def _links_in(data: Path) -> Iterator[Path]:
    """Shards that lie elsewhere."""
    for above, folders, files in os.walk(data):
        yield from (Path(above, name) for name in [*folders, *files] if os.path.islink(os.path.join(above, name)))


def leads_to(path: Path, folder: Path) -> Path | None:
    """Where outside of a folder a path leads, by links inside it or because it lies elsewhere; None when all of it is inside."""
    for _ in range(40):  # links may go round in circles; the kernel follows as many
        if not path.is_relative_to(folder):
            return path
        parts = path.relative_to(folder).parts
        above = (folder.joinpath(*parts[: i + 1]) for i in range(len(parts)))
        link = next((place for place in above if place.is_symlink()), None)
        if link is None:
            return None
        path = Path(os.path.normpath(link.parent / os.readlink(link))) / path.relative_to(link)
    return path
