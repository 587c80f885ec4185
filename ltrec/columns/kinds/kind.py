"""The interface of a kind of column, from the text of a log to the input of a model.

    parse        values of a log -> values of type `staged`; invalid ones are reported and rejected
    (prepare)    text gets ids, nulls become `missing` -> values of type `storage`, in shards and tables
    statistics   of training values
    fault        what is wrong with stored values
    embed        the module that embeds them

A kind whose staged values are text, or lists of text, is *categorical*: prepare counts its values and assigns ids to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt
import pyarrow as pa

from ltrec.columns.schema import Column, Role
from ltrec.columns.statistics import Moments

if TYPE_CHECKING:
    from torch import nn

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ColumnConfig:
    """A declared column; each kind adds its own options."""

    kind: str = ""
    """Kind of its values."""
    column: str = ""
    """Its name in the source; empty = the same name."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """N values of type `staged`, null if missing or invalid; `faults` has a mask [N] of invalid rows for each reason."""

    values: pa.Array
    faults: dict[str, pa.Array] = field(default_factory=dict)


class Kind(ABC):
    """One kind with its options."""

    roles: ClassVar[tuple[Role, ...]] = ("event", "item", "user")
    encoder: ClassVar[str] = ""
    """Dotted name of a function (column, width) -> module; it is imported only when a model is built."""
    missing: ClassVar[Any] = 0
    """The stored value that means "missing"."""
    staged: pa.DataType
    storage: pa.DataType

    @abstractmethod
    def parse(self, column: pa.Array, null_values: Sequence[str], what: str) -> Parsed:
        """Parse values from a reader, text or typed.

        Args:
            column: [N].
            null_values: texts that mean "missing", in any case.
            what: file and column, for messages.

        Raises:
            UserError: a column of this type cannot hold values of this kind.
        """

    @property
    def is_categorical(self) -> bool:
        """Whether values are text that gets ids."""
        staged = self.staged.value_type if pa.types.is_list(self.staged) else self.staged
        return bool(pa.types.is_string(staged))

    @property
    def width(self) -> int:
        """Width of a vector; 1 for all other kinds."""
        return int(self.storage.list_size) if pa.types.is_fixed_size_list(self.storage) else 1

    def statistics(self) -> Moments:
        """An accumulator of statistics of stored values."""
        return Moments()

    @abstractmethod
    def fault(self, values: Values, column: Column) -> str | None:
        """A message that says what is wrong with stored values ([N] or [N, width]; lists are flattened), or None."""

    def embed(self, column: Column, width: int) -> nn.Module:
        """A module that maps stored values to vectors of `width` numbers."""
        module, _, name = self.encoder.rpartition(".")
        made: nn.Module = getattr(import_module(module), name)(column, width)
        return made


def ids_fault(ids: Values, column: Column) -> str | None:
    """What is wrong with the ids of a categorical column, or None."""
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= column.size):
        return f"ids {ids.min()}..{ids.max()} of {column.name!r} outside 0..{column.size - 1}"
    return None
