"""Sorted rows that this process reads and writes block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ltrec.core.progress import Progress
from ltrec.data.manifest import Shard
from ltrec.data.prepare.columns.tally import Tally, tallied
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.output.shards import write_shards
from ltrec.data.prepare.output.vocabulary import count_training
from ltrec.data.prepare.progress import counter
from ltrec.data.prepare.sorting.grouping import UserBlock, blocks
from ltrec.data.prepare.sorting.parts import Cut, Layout


class SortedLog:
    """See `Sorted`: rows of users and of events, in a file each or in memory."""

    def __init__(self, layout: Layout, cut: Cut, work: Path) -> None:
        self.parts = layout.parts
        self._layout, self._cut, self._work = layout, cut, work

    def blocks(self, columns: Sequence[str] = ()) -> Iterator[UserBlock]:
        """From both."""
        return blocks(self._layout, self._cut.block_rows, columns)

    def count(self, codes: int, tallies: Sequence[Tally]) -> npt.NDArray[np.int64]:
        """One pass."""
        return count_training(tallied(self.blocks(event_fields(tallies)), tallies), codes)

    def write(self, form: RowForm, on_progress: Progress) -> tuple[Shard, ...]:
        """Another pass."""
        on_users = counter("write", sum(part.rows for part in self.parts), on_progress)
        stream = self.blocks(form.fields)
        return write_shards(stream, self.parts, form, self._work, self._cut, on_users)


def event_fields(tallies: Sequence[Tally]) -> list[str]:
    """The event columns among those that are tallied."""
    return [tally.column.field for tally in tallies if tally.column.role == "event"]
