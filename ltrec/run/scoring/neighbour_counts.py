"""Neighbours of items, counted once and kept in the run folder.

An existing file is used; a damaged one is reported and counted again. One process counts, the others read its file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.data.neighbours.config import ContentConfig, CoOccurrenceConfig, NeighboursConfig
from ltrec.data.neighbours.count import count_neighbours, made_of
from ltrec.data.neighbours.file import read_neighbours, write_neighbours
from ltrec.data.neighbours.similar import find_similar
from ltrec.data.neighbours.table import Neighbours
from ltrec.distributed.collectives import by_first
from ltrec.run.build.components import Data
from ltrec.terminal.screen import note


def load_or_count(
    path: Path,
    config: NeighboursConfig | CoOccurrenceConfig | ContentConfig,
    data: Data,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Neighbours:
    """The neighbours of every item, from the file or counted now. Collective: every process must call it.

    Args:
        path: of the file, in the run folder.
        config: what is counted.
        data: its data set.
        on_progress: called with (blocks read, total blocks) on the process that counts.

    Raises:
        UserError: the data are damaged.
    """
    wanted, own = made_of(data.manifest, config), list[Neighbours]()

    def find_or_count() -> None:
        try:
            if path.exists():
                own.append(read_neighbours(path, wanted))
                return
        except UserError as error:
            note(f"{error.args[0].partition('; ')[0]}: counting again")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(config, ContentConfig):
            found = find_similar(data.folder, data.manifest, config)
        else:
            found = count_neighbours(data.folder, data.manifest, config, spill=path.parent, on_progress=on_progress)
        write_neighbours(path, found)
        own.append(found)

    by_first(find_or_count)
    return own[0] if own else read_neighbours(path, wanted)
