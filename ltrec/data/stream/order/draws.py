"""The interface of an order: draws (which rows of a buffer fill which slots of some steps) and pieces (which parts of blocks make
up a buffer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ltrec.data.stream.reading.blocks import I64, Blocks

ALL_LANES = -1


class Buffer(NamedTuple):
    """Identifies a shuffle buffer: rows that are in memory together. A resident pool is one buffer for all lanes and epochs."""

    pool: int
    lane: int
    epoch: int
    number: int


@dataclass(frozen=True, slots=True)
class Draws:
    """Rows of one buffer for slots of consecutive steps.

    Attributes:
        buffer: the buffer that holds the rows.
        rows: int64 [n], row numbers within the buffer.
        slots: int64 [n], their places within the rank's share of the step.
        epoch: of the pool.
        steps: int64 [n], which of the steps, from 0.
        first: of a lane's buffer: how many of its rows are drawn before these, which follow in the order of drawing.
    """

    buffer: Buffer
    rows: I64
    slots: I64
    epoch: int
    steps: I64
    first: int = 0


@dataclass(frozen=True, slots=True)
class Pieces:
    """N parts of blocks, rows low:high of each; concatenated in this order they are the rows of a buffer."""

    blocks: Blocks
    low: I64
    high: I64

    def part(self, low: int, high: int) -> Pieces:
        """Pieces low:high."""
        return Pieces(
            Blocks(self.blocks.shard[low:high], self.blocks.group[low:high], self.blocks.rows[low:high]),
            self.low[low:high],
            self.high[low:high],
        )


class PoolOrder(Protocol):
    """Order of the draws of one pool, a pure function of the step."""

    def draws(self, steps: range, lanes: range) -> list[Draws]:
        """The rows that these lanes draw from the pool in these steps; slots are counted from the first of these lanes. They are
        those of one step after the other, put together by buffer."""

    def buffers(self, step: int, lanes: range) -> list[Buffer]:
        """The buffers that these lanes draw from in a step."""

    def shuffled(self, buffer: Buffer) -> I64 | None:
        """The rows of a lane's buffer in the order of drawing; None for a resident pool, whose order is another in every epoch."""

    def pieces(self, buffer: Buffer) -> Pieces:
        """The parts of blocks that make up a buffer."""
