"""Options of an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ltrec.core.bounds import Between, check_fields

MOST_EXPANSION = 8192


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """A graph of nearest neighbours (HNSW: Malkov & Yashunin, IEEE TPAMI 2020)."""

    connectivity: Annotated[int, Between(2, 256)] = 16
    """Edges of an item in the graph (M)."""
    expansion_build: Annotated[int, Between(1, MOST_EXPANSION)] = 128
    """Items kept in view while an item is inserted (efConstruction)."""
    expansion_search: Annotated[int, Between(1, MOST_EXPANSION)] = 64
    """Items kept in view while a user's are searched (ef): more is better and slower."""
    dtype: Literal["f32", "f16", "i8"] = "f16"
    """Numbers of the vectors in the index; scores are always those of the model's own."""
    threads: Annotated[int, Between(0, 1024)] = 0
    """Threads that build; 0 = as many as the process may use. With one the file is the same every time."""

    def __post_init__(self) -> None:
        check_fields(self)


DEFAULTS = IndexOptions()
"""The default options."""
