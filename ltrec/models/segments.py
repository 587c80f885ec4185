"""Weight gradients by stratum from one forward and one backward pass.

The positions of a batch stand stratum after stratum: K segments of T positions. A layer that treats every position alike has, with
inputs X and gradients G of its outputs, the weight gradient X^T G, and of stratum z alone

    linear      G_z^T X_z and the sum of G_z        over the positions of its segment
    norm        sums of G_z * normalised X_z, and of G_z
    embedding   the rows of G_z, added up by id

So inputs and outputs are computed once, for all strata together, and only these products are K. While `BySegment`, of
`ltrec.models.by_segment`, is entered, functions of this project take the place of torch's wherever a parameter of the `sink` is
used, and write K gradients to where the sink says; autograd itself gives these parameters none.

What does not treat every position alike is run segment by segment within the pass (`ltrec.models.inputs.alone`).

There are two forms. On a CPU an operation costs its arithmetic: sums are taken segment by segment, and dropout draws for each
what it would draw if its rows were run alone (`SegmentDraws`), so that both ways come to the same numbers but for rounding. On an
accelerator it costs its launch: one operation serves all segments wherever it can. Sums are a product with a 0/1 matrix (a NaN of
one stratum then spoils the others' too, in a step that is refused anyway), and dropout draws one mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from ltrec.core.errors import UserError


@dataclass(frozen=True, slots=True)
class SegmentDraws:
    """The random numbers of K runs that are computed together, each run's from a generator of its own.

    Attributes:
        rows: of every run.
        generators: of every run, on the CPU.
    """

    rows: Sequence[int]
    generators: Sequence[torch.Generator]

    @contextmanager
    def by_default(self, run: int) -> Iterator[None]:
        """Let a run's generator be torch's own, for functions that take none."""
        own = self.generators[run]
        torch.default_generator.set_state(own.get_state())
        yield
        own.set_state(torch.default_generator.get_state())


class Segments:
    """K runs of positions, and the place of K gradients for every parameter.

    Args:
        borders: where each run begins, and the end of the last [K+1]; runs may be empty.
        stratum_T: int64 [T], the number of every position's run.
        sink: id of a parameter -> [K, *shape], to which gradients are added.
        draws: of random numbers, run by run, as sums then are; None: runs draw together, and one operation sums all (see above).
        rows: of sequences in every run, for what is computed run by run.
    """

    def __init__(
        self,
        borders: Sequence[int],
        stratum_T: Tensor,
        sink: Mapping[int, Tensor],
        draws: SegmentDraws | None = None,
        rows: Sequence[int] = (),
    ) -> None:
        self.borders, self.stratum_T, self.sink, self.draws, self.rows = borders, stratum_T, sink, draws, rows
        self._copies: dict[tuple[int, int], nn.Parameter] = {}

    @property
    def count(self) -> int:
        """K."""
        return len(self.borders) - 1

    @property
    def one_by_one(self) -> bool:
        """Whether runs are summed one by one."""
        return self.draws is not None

    @cached_property
    def member_KT(self) -> Tensor:
        """1 where a position belongs to a run, float32."""
        runs = torch.arange(self.count, device=self.stratum_T.device)
        return (runs[:, None] == self.stratum_T).float()

    def sums(self, values_TC: Tensor) -> Tensor:
        """Sums over each run [K, C]."""
        if self.one_by_one:
            return torch.stack([values_TC[start:stop].sum(0) for start, stop in pairwise(self.borders)])
        return self.member_KT.to(values_TC.dtype) @ values_TC

    def runs(self, per_position: int = 1) -> Iterator[tuple[int, slice]]:
        """Runs that are not empty, as slices of a first dimension with so many entries per position."""
        for number, (start, stop) in enumerate(pairwise(self.borders)):
            if stop > start:
                yield number, slice(start * per_position, stop * per_position)

    def copy(self, parameter: nn.Parameter, run: int) -> nn.Parameter:
        """A parameter of the sink for the use of one run: the same memory, and the run's place as its gradient."""
        key = (id(parameter), run)
        if key not in self._copies:
            self._copies[key] = copy = nn.Parameter(parameter.detach())
            copy.grad = self.sink[id(parameter)][run]
        return self._copies[key]

    def check(self, length: int) -> None:
        """See that a first dimension is that of the positions.

        Raises:
            UserError: it is not.
        """
        if length != self.borders[-1]:
            raise impossible(f"a layer over {length} rows", f"not over the {self.borders[-1]} positions")

    def add_products(self, sink_KOI: Tensor, left: Tensor, right: Tensor) -> None:
        """Add left_z^T right_z of every run to its gradient; the factors are [T * m, .]."""
        for number, rows in self.runs(len(left) // max(1, self.borders[-1])):
            target, factors = sink_KOI[number], (left[rows].T, right[rows])
            if target.dtype == left.dtype:
                target.addmm_(*factors)
            else:
                target.add_(factors[0] @ factors[1])

    def add_rows(self, sink_KVD: Tensor, ids: Tensor, rows: Tensor) -> None:
        """Add a gradient row to that of its id, in the run of its position. `ids` is [T, ...], `rows` [T, ..., D]."""
        rows = rows.to(sink_KVD.dtype)
        if self.one_by_one:
            for number, run in self.runs():
                sink_KVD[number].index_add_(0, ids[run].flatten(), rows[run].flatten(0, -2))
            return
        run_T = self.stratum_T.view(-1, *[1] * (ids.dim() - 1)).expand_as(ids)
        sink_KVD.index_put_((run_T, ids), rows, accumulate=True)


Place = tuple[Segments, Tensor]
"""The segments of a pass, and where the K gradients of one parameter go."""

_ACTIVE: ContextVar[Segments | None] = ContextVar("segments", default=None)


def place_of(table: Tensor) -> Place | None:
    """For functions that find the gradients of a table themselves; None: autograd is to find them."""
    segments = _ACTIVE.get()
    sink = None if segments is None else segments.sink.get(id(table))
    return None if segments is None or sink is None else (segments, sink)


def current() -> Segments | None:
    """The segments of the pass."""
    return _ACTIVE.get()


def drawn_apart() -> tuple[Segments, SegmentDraws] | None:
    """The segments of the pass, if each draws its own random numbers."""
    segments = _ACTIVE.get()
    return None if segments is None or segments.draws is None else (segments, segments.draws)


def drawn_by(run: int | None) -> AbstractContextManager[None]:
    """A context in which torch draws from a run's generator; None: from its own."""
    apart = None if run is None else drawn_apart()
    return nullcontext() if apart is None or run is None else apart[1].by_default(run)


def entered(segments: Segments | None) -> Token[Segments | None]:
    """Let these be the segments of the pass that begins; None: it has none."""
    return _ACTIVE.set(segments)


def left(token: Token[Segments | None]) -> None:
    """Let it be over."""
    _ACTIVE.reset(token)


def impossible(what: str, why: str) -> UserError:
    """The error for what has no gradient by segments."""
    return UserError(f"source segments cannot compute {what}: {why}; use source split")
