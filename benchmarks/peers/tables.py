"""What is compared. Everything is equal but what `unequal` names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
OWN = "ltrec"
"""The name of the project among the systems."""
ROUNDED = "ltrec-bf16"
"""The same with an option of ours that the others are not given."""

MODEL = {"width": 64, "blocks": 2, "heads": 2, "dropout": 0.2, "lr": 1e-3}
"""SASRec with exact softmax over all items, Adam; the feed-forward layer is as wide as the model."""
ROWS = 128
"""Sequences in a step."""
EVAL_ROWS = 256
"""Users ranked at once."""


@dataclass(frozen=True, slots=True)
class System:
    """A library that is measured.

    Attributes:
        title: for people.
        script: that measures it.
        requirements: of its environment; None = it runs in this one.
        unequal: what it does otherwise.
        job: what its script is told beside the sizes.
    """

    title: str
    script: Path
    requirements: Path | None = None
    unequal: tuple[str, ...] = ()
    job: dict[str, str] = field(default_factory=dict)


def _peer(title: str, *unequal: str) -> System:
    name = title.lower()
    return System(title, HERE / "inside" / f"with_{name}.py", HERE / "requirements" / f"{name}.txt", unequal)


SYSTEMS: dict[str, System] = {
    OWN: System(
        "ltrec",
        HERE / "inside" / "with_ltrec.py",
        None,
        (
            "Blocks norm what goes into attention and feed-forward layers (pre-norm); the others follow the paper or BERT.",
            "Checkpoints, metrics and telemetry are written, as always; the others write none.",
            "Evaluation ranks exactly (ties against the target), and writes a row per user with rank, AUC and list.",
        ),
    ),
    ROUNDED: System(
        "ltrec, products of the softmax in bfloat16",
        HERE / "inside" / "with_ltrec.py",
        None,
        ("`objective.matmul=bfloat16`: scores and probabilities have 8 bits of mantissa, those of all others 24.",),
        {"matmul": "bfloat16"},
    ),
    "replay": _peer(
        "RePlay",
        "Every sequence is padded to the whole length, and the softmax goes over padded positions.",
        "The step from padding to a user's first item is trained, too; it does not count as a target.",
    ),
    "recbole": _peer(
        "RecBole",
        "Trains on prefixes: each target is a row with its own history. A step has 512 rows, about the targets of 128 sequences "
        "of Beauty.",
        "GELU instead of ReLU, norms after the sums.",
        "Evaluation does not leave out the items of the history.",
    ),
    "rectools": _peer(
        "RecTools",
        "Every sequence is padded to the whole length, and the softmax goes over padded positions.",
        "Items without training events are no candidates.",
        "Evaluation makes lists of ten as a pandas table, and metrics of that.",
    ),
}


OTHERS = [name for name, system in SYSTEMS.items() if system.requirements]
"""Other people's libraries."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A log at a length.

    Attributes:
        log: its name.
        length: most positions of a row.
        epochs: trained; the cheapest counts.
        steps: after which the epochs of the others are cut, since cost is per target; 0 = whole epochs.
    """

    log: str
    length: int
    epochs: int = 2
    steps: int = 0

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.log} at {self.length}"


PREPARE: dict[str, tuple[str, ...]] = {
    "beauty": ("prepare.split=leave_one_out",),
    "ml-100k": ("prepare.split=leave_one_out", "prepare.min_user_events=5", "prepare.min_item_events=5"),
}
"""Log -> how it is prepared."""

CELLS = (
    Cell("beauty", 50, epochs=1),
    Cell("ml-100k", 200),
    Cell("ml-100k", 50),
    Cell("beauty", 200, steps=8),
)

MEASURES = {
    "training": "processor seconds per target",
    "evaluation": "processor seconds per user ranked",
    "memory": "peak memory",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A target: in a cell, how many times as much a library needs at least; of all libraries where `system` is empty."""

    measure: str
    log: str
    length: int
    system: str
    least: float


def _everywhere(measure: str, least: float) -> tuple[Bar, ...]:
    return tuple(Bar(measure, cell.log, cell.length, "", least) for cell in CELLS)


BARS = (
    Bar("training", "beauty", 50, "recbole", 15),
    Bar("training", "beauty", 50, "replay", 20),
    Bar("training", "ml-100k", 200, "replay", 5),
    *_everywhere("evaluation", 3),
    *_everywhere("memory", 2.5),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What of it is measured.

    Attributes:
        cells: in this order.
        systems: names, the project's first; they take turns.
        rounds: how often.
    """

    cells: tuple[Cell, ...] = CELLS
    systems: tuple[str, ...] = field(default_factory=lambda: tuple(SYSTEMS))
    rounds: int = 3
