"""memory/choices.json: the weights chosen for a run's memory, by the digest of the checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltrec.core.errors import first_line
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.seal import opened, sealed
from ltrec.core.storage.typed import construct
from ltrec.evaluation.memory.text import choice_values
from ltrec.evaluation.memory.weighing import WeightChoice


@dataclass(frozen=True, slots=True)
class _Entry:
    """A choice, and what it was made for."""

    made_for: dict[str, Any]
    choice: WeightChoice


@dataclass(frozen=True, slots=True)
class _Record:
    """The file."""

    choices: tuple[_Entry, ...]


def find_choice(path: Path, made_for: dict[str, Any], say: Callable[[str], None]) -> WeightChoice | None:
    """The choice made for the same inputs; None if there is none, or, with a line, if the file is damaged.

    Args:
        path: the file.
        made_for: JSON values: the digest of the checkpoint, and all else that a choice depends on.
        say: called with one line about a damaged file.
    """
    return next((entry.choice for entry in _read(path, say) if entry.made_for == made_for), None)


def latest_choice(path: Path, sha: str) -> tuple[dict[str, Any], WeightChoice] | None:
    """The latest choice for a checkpoint of this digest, and what it was made for; None if there is none."""
    found = [entry for entry in _read(path, lambda _: None) if entry.made_for.get("checkpoint_sha256") == sha]
    return (found[-1].made_for, found[-1].choice) if found else None


def save_choice(path: Path, made_for: dict[str, Any], choice: WeightChoice) -> None:
    """Add a choice to the file."""
    others = [entry for entry in _read(path, lambda _: None) if entry.made_for != made_for]
    entries = [{"made_for": e.made_for, "choice": choice_values(e.choice)} for e in (*others, _Entry(made_for, choice))]
    atomic_write_text(path, canonical_json(sealed({"choices": entries})))


def _read(path: Path, say: Callable[[str], None]) -> tuple[_Entry, ...]:
    try:
        return construct(_Record, opened(path.read_text(encoding="utf-8"))).choices
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        say(f"{path} is damaged ({first_line(error)}): choosing again")
        return ()
