"""What a kind of column knows, from the text of a log to what a model is given.

    parse        values as a log holds them -> values of type `staged`; what is none is named and rejected
    (prepare)    words get ids, nulls become `missing` -> values of type `storage`, in shards and tables
    statistics   of the values that are trained on
    fault        what is wrong with stored values
    embed        the module that makes a vector of them

A kind whose staged values are words, or lists of words, is a *categorical*: prepare counts its words and gives them ids.
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
    """A column as it is declared; its kind adds options."""

    kind: str = ""
    """What it holds: a row of the table of kinds."""
    column: str = ""
    """What the source calls it; empty = the same name."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """N values of type `staged`, null where there is none; `faults` says of which rows why (masks [N])."""

    values: pa.Array
    faults: dict[str, pa.Array] = field(default_factory=dict)


class Kind(ABC):
    """One kind with its options."""

    roles: ClassVar[tuple[Role, ...]] = ("event", "item", "user")
    encoder: ClassVar[str] = ""
    """Dotted name of the module's class, which is made of (column, width); imported only where a model is built."""
    missing: ClassVar[Any] = 0
    """What is stored where there is no value."""
    staged: pa.DataType
    storage: pa.DataType

    @abstractmethod
    def parse(self, column: pa.Array, null_values: Sequence[str], what: str) -> Parsed:
        """Values as a reader gives them, text or typed.

        Args:
            column: [N].
            null_values: texts that mean "missing", in any case.
            what: file and column, for messages.

        Raises:
            UserError: no value of this kind can be in a column of this type.
        """

    @property
    def is_categorical(self) -> bool:
        """Whether words get ids."""
        staged = self.staged.value_type if pa.types.is_list(self.staged) else self.staged
        return bool(pa.types.is_string(staged))

    @property
    def width(self) -> int:
        """Numbers of one stored value; 1 but for vectors."""
        return int(self.storage.list_size) if pa.types.is_fixed_size_list(self.storage) else 1

    def statistics(self) -> Moments:
        """An empty account of stored values."""
        return Moments()

    @abstractmethod
    def fault(self, values: Values, column: Column) -> str | None:
        """What is wrong with stored values ([N] or [N, width]; ids of lists end to end), in words; None when all is right."""

    def embed(self, column: Column, width: int) -> nn.Module:
        """The module that makes a vector of `width` numbers of a stored value."""
        module, _, name = self.encoder.rpartition(".")
        made: nn.Module = getattr(import_module(module), name)(column, width)
        return made


def ids_fault(ids: Values, column: Column) -> str | None:
    """What is wrong with ids of a categorical."""
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= column.size):
        return f"ids {ids.min()}..{ids.max()} of {column.name!r} outside 0..{column.size - 1}"
    return None
