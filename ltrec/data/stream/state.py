"""State of the stream: one counter, and digests that prove that a resumed run sees the same data in the same order.

The data digest is a sum over consumed rows, mod 2^64, of a hash of (stratum, user key, step). It does not depend on
the order within a step and adds up over ranks, so a run that was resumed, also on another number of processes, has the digest of
an uninterrupted one if and only if it saw the same rows (up to hash collisions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np

from ltrec.core.bounds import INT64, Between
from ltrec.core.errors import UserError
from ltrec.core.hashing import mix_array, mix_arrays
from ltrec.core.storage.typed import construct
from ltrec.data.stream.quarantine.ledger import Ledger
from ltrec.data.stream.reading.blocks import I64

STATE_VERSION = 1
_MASK = (1 << 64) - 1
_ROW = 0x524F57  # distinguishes these hashes from those for other purposes


@dataclass(frozen=True, slots=True)
class Span:
    """Steps of an earlier run, whose weights a run began with: their number, and what they saw (see `StreamState`)."""

    manifest_digest: str
    steps: Annotated[int, Between(0, INT64)]
    data_digest: str


@dataclass(frozen=True, slots=True)
class StreamState:
    """State of the stream in a checkpoint; the same on every rank.

    Attributes:
        manifest_digest: identity of the data.
        order_digest: identity of the options that determine the order.
        seed: of the order.
        next_step: the first step that has not been trained on.
        data_digest: 16 hex digits, over all rows of all ranks consumed in steps before `next_step`.
        version: format of this state.
        quarantine: the damaged row groups; absent from a checkpoint if there are none.
        earlier: what the weights were trained on before this run (`init_from`), the oldest first; absent if they were not.
    """

    manifest_digest: str
    order_digest: str
    seed: int
    next_step: Annotated[int, Between(0, INT64)] = 0
    data_digest: str = "0" * 16
    version: int = STATE_VERSION
    quarantine: Ledger = ()
    earlier: tuple[Span, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        values = asdict(self)
        optional = {name: list(values.pop(name)) for name in ("quarantine", "earlier")}
        return values | {name: entries for name, entries in optional.items() if entries}

    @property
    def spans(self) -> tuple[Span, ...]:
        """All that the weights were trained on, the oldest first, and last this run."""
        return (*self.earlier, Span(self.manifest_digest, self.next_step, self.data_digest))

    @staticmethod
    def of(saved: Mapping[str, Any]) -> StreamState:
        """A saved state, of any data.

        Raises:
            UserError: it is none.
        """
        if saved.get("version") != STATE_VERSION:
            raise UserError(f"checkpoint has stream state version {saved.get('version')}, this ltrec reads {STATE_VERSION}")
        try:
            return construct(StreamState, dict(saved), "the stream's state")
        except ValueError as error:
            raise UserError(f"the checkpoint's stream state is invalid: {error}; use another checkpoint") from None

    def continued_from(self, saved: Mapping[str, Any]) -> StreamState:
        """This state, advanced to the step of a saved one.

        Raises:
            UserError: the saved state belongs to another data set, seed or order.
        """
        theirs = StreamState.of(saved)
        if theirs.manifest_digest != self.manifest_digest:
            raise UserError(
                f"checkpoint from another data set: it was trained on manifest {theirs.manifest_digest[:12]}, "
                f"this is {self.manifest_digest[:12]}; train on that data set or start a new run"
            )
        if theirs.seed != self.seed:
            raise UserError(
                f"checkpoint has seed {theirs.seed}, this run has {self.seed}; set seed={theirs.seed} or start a new run"
            )
        if theirs.order_digest != self.order_digest:
            raise UserError(
                f"checkpoint has batch order {theirs.order_digest[:12]}, this run has {self.order_digest[:12]}: an option of "
                "stream (batch_rows, lanes, composition, quotas, max_len, window, ...) differs; restore it or start a new run"
            )
        return theirs


def rows_digests(steps: Sequence[int], user_key: I64, stratum: I64) -> list[int]:
    """Digest of the rows [S, n] that one rank consumes in each step: 64 unsigned bits, to be added mod 2^64."""
    keyed = mix_arrays(steps, user_key) + stratum.astype(np.uint64)
    digests: list[int] = mix_array(_ROW, keyed).sum(axis=1, dtype=np.uint64).tolist()
    return digests


def add_digests(*digests: int) -> int:
    """Sum mod 2^64 of digests of steps or ranks."""
    return sum(digests) & _MASK


def as_signed(digest: int) -> int:
    """The same 64 bits as a signed number, for an int64 tensor, whose sum over ranks wraps around as the digest does."""
    return digest - (1 << 64) if digest >> 63 else digest
