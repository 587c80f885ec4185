"""A small tree of config dataclasses, so that the rules are tested apart from what ltrec happens to configure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Optim:
    lr: float = 1e-3
    warmup_steps: int = 0
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float | None = None
    fused: bool = False

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ValueError(f"lr must be positive; got {self.lr}")


@dataclass(frozen=True, slots=True)
class Wide:
    name: str = "wide"
    width: int = 64
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class Deep:
    name: str = "deep"
    blocks: int = 2
    dropout: float = 0.3


@dataclass(frozen=True, slots=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Column:
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Word(Column):
    kind: str = "word"
    least: int = 1

    def __post_init__(self) -> None:
        if self.least < 1:
            raise ValueError(f"least must be positive; got {self.least}")


@dataclass(frozen=True, slots=True)
class Amount(Column):
    kind: str = "amount"
    log: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    path: Path = Path("data")
    time: str = "timestamp"
    unit: Literal["s", "ms"] = "s"
    cutoffs: tuple[int, ...] = (5, 10)
    tags: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)
    entity: str | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tree:
    name: str = "run"
    seed: int = 0
    data: Data = field(default_factory=Data)
    model: Wide | Deep = field(default_factory=Wide)
    optim: Optim = field(default_factory=Optim)


KINDS: dict[str, dict[str, type]] = {"data.columns": {"word": Word, "amount": Amount}}
TABLES: dict[str, dict[str, type]] = {"model": {"wide": Wide, "deep": Deep}}
