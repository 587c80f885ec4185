"""Random steps: rows of all strata, dealt unevenly to ranks and micro-batches, with every kind of hole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st

from ltrec.core.batch import SequenceBatch
from tests.support.toy_stage import ITEMS


@dataclass(frozen=True)
class Row:
    rank: int
    micro: int
    stratum: int
    items: tuple[int, ...]
    """Inputs and, one later, targets: at least two."""
    weights: tuple[float, ...] | None = None
    """Of the targets; one that weighs nothing is none. None: every target weighs one."""


@dataclass(frozen=True)
class Window:
    """All rows of one optimiser step on all ranks."""

    world: int
    strata: int
    micros: int
    rows: tuple[Row, ...]
    step: int = 7

    def batches(self, rank: int) -> list[SequenceBatch]:
        """The rank's micro-batches, each with the rank's counts of the whole window."""
        mine = [row for row in self.rows if row.rank == rank]
        counts, sums = torch.zeros(self.strata, dtype=torch.int64), torch.zeros(2, self.strata, dtype=torch.float64)
        for row in mine:
            if row.stratum >= 0:
                weights = _weights_of(row)
                counts[row.stratum] += sum(weight > 0 for weight in weights)
                sums[:, row.stratum] += torch.tensor([sum(weights), sum(weight**2 for weight in weights)])
        batches = [self._batch([r for r in mine if r.micro == micro], micro, counts) for micro in range(self.micros)]
        weights_K, squares_K = sums
        told = {"step_weights_K": weights_K, "step_squares_K": squares_K} if self.has_weights else {}
        return [replace(batch, **told) for batch in batches]

    def all_batches(self) -> list[SequenceBatch]:
        return [batch for rank in range(self.world) for batch in self.batches(rank)]

    def alone(self) -> Window:
        """The same rows in one batch of one rank."""
        return replace(self, world=1, micros=1, rows=tuple(replace(row, rank=0, micro=0) for row in self.rows))

    def relabelled(self, order: Sequence[int]) -> Window:
        """Stratum z is called order[z]."""
        return replace(self, rows=tuple(replace(r, stratum=order[r.stratum] if r.stratum >= 0 else -1) for r in self.rows))

    def reranked(self, order: Sequence[int]) -> Window:
        """What was rank r's is rank order[r]'s."""
        return replace(self, rows=tuple(replace(row, rank=order[row.rank]) for row in self.rows))

    def merged(self, new: Sequence[int]) -> Window:
        """Strata z and new[z] become one; there are max(new) + 1 of them."""
        rows = tuple(replace(r, stratum=new[r.stratum] if r.stratum >= 0 else -1) for r in self.rows)
        return replace(self, strata=max(new) + 1, rows=rows)

    @property
    def has_weights(self) -> bool:
        """Whether targets have weights of their own."""
        return any(row.weights is not None for row in self.rows)

    def weighed(self, seed: int = 0) -> Window:
        """The same rows with weights; a third of the targets weigh nothing, and some rows have no target at all."""
        draw = torch.Generator().manual_seed(seed)

        def weights(row: Row) -> tuple[float, ...]:
            drawn = torch.randint(-2, 9, (len(row.items) - 1,), generator=draw).clamp(min=0) / 4
            return tuple(drawn.tolist()) if torch.rand((), generator=draw) > 0.15 else (0.0,) * len(drawn)

        return replace(self, rows=tuple(replace(row, weights=weights(row)) for row in self.rows))

    def without(self, unwanted: Callable[[Row], bool]) -> Window:
        """The rows that are left."""
        return replace(self, rows=tuple(row for row in self.rows if not unwanted(row)))

    def at(self, step: int) -> Window:
        """The same rows at another step."""
        return replace(self, step=step)

    def of_micro(self, micro: int) -> Window:
        """One micro-batch as a window of its own."""
        return replace(self, micros=1, rows=tuple(replace(row, micro=0) for row in self.rows if row.micro == micro))

    def packed_into(self, micros: int) -> Window:
        """The same rows in fewer micro-batches: those beyond the last go into the last."""
        rows = tuple(replace(row, micro=min(row.micro, micros - 1)) for row in self.rows)
        return replace(self, micros=micros, rows=rows)

    def _batch(self, rows: list[Row], micro: int, counts: torch.Tensor) -> SequenceBatch:
        lengths = torch.tensor([0, *(len(row.items) - 1 for row in rows)])
        batch = SequenceBatch(
            items_T=torch.tensor([i for row in rows for i in row.items[:-1]], dtype=torch.int64),
            targets_T=torch.tensor([i for row in rows for i in row.items[1:]], dtype=torch.int64),
            offsets=lengths.cumsum(0),
            stratum_B=torch.tensor([row.stratum for row in rows], dtype=torch.int64),
            user_key_B=torch.arange(len(rows)),
            step_counts_K=counts,
            step=self.step,
            micro=micro,
        )
        if not self.has_weights:
            return batch
        weight_T = torch.tensor([weight for row in rows for weight in _weights_of(row)])
        return replace(batch, targets_T=batch.targets_T * (weight_T > 0), weight_T=weight_T, has_gaps=True)


def _weights_of(row: Row) -> tuple[float, ...]:
    return (1.0,) * (len(row.items) - 1) if row.weights is None else row.weights


@st.composite
def windows(
    draw: st.DrawFn, worlds: Sequence[int] = (1, 2, 3, 4), strata: Sequence[int] = (2, 5, 10), nobody: bool = True
) -> Window:
    """Uneven on purpose: most ranks lack some strata, some ranks and micro-batches are empty, some strata exist nowhere.

    `nobody` lets in rows without a stratum (-1), which must change nothing.
    """
    world, count, micros = draw(st.sampled_from(worlds)), draw(st.sampled_from(strata)), draw(st.integers(1, 3))
    places = st.tuples(st.integers(0, world - 1), st.integers(0, micros - 1), st.integers(-1 if nobody else 0, count - 1))
    placed = draw(st.lists(places, min_size=1, max_size=12))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    rows = []
    for rank, micro, stratum in placed:
        length = int(torch.randint(2, 6, (), generator=random))
        items = torch.randint(1, ITEMS + 1, (length,), generator=random).tolist()
        rows.append(Row(rank, micro, stratum, tuple(items)))
    return Window(world, count, micros, tuple(rows))


def crowded(world: int, strata: int, micros: int, *, seed: int = 0, length: int | None = None) -> Window:
    """Two rows of every stratum in every micro-batch of every rank; without `length`, different numbers of targets everywhere."""
    random = torch.Generator().manual_seed(seed)
    rows = []
    for rank in range(world):
        for micro in range(micros):
            for stratum in range(strata):
                for _ in range(2):
                    events = length or int(torch.randint(2, 7, (), generator=random))
                    items = torch.randint(1, ITEMS + 1, (events,), generator=random).tolist()
                    rows.append(Row(rank, micro, stratum, tuple(items)))
    return Window(world, strata, micros, tuple(rows))
