"""A comparison with the gate's verdict, computed once and stored as JSON in the run folder.

    screen, --json, the report's page, W&B   <-   eval/<split>-against-<other>.json   <-   the evaluation tables

The file contains a digest of everything it was computed from: ranks, users, protocol, how the runs were trained, and the settings.
If any of these has changed, it is computed again. It is in the folder of the run with the lowest seed, so it is found whatever the
order of the runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.seal import opened, sealed
from ltrec.evaluation.comparison.compare import Comparison, compared, default_metrics
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.naming import common_name
from ltrec.evaluation.comparison.pairing import Paired, pair
from ltrec.evaluation.comparison.verdict import Gate
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.table import HISTORY_LENGTH, NUM_CANDIDATES, RANK, TARGET, EvalTable

FORM = 2
"""Must be raised when the same tables give other figures; files on disk are then computed again."""

_COLUMNS = (c.USER_KEY, c.STRATUM, c.ACTIVITY, HISTORY_LENGTH, TARGET, RANK, NUM_CANDIDATES)
_SETTINGS = ("cutoffs", "metrics", "head_from", "item_shares", "bootstrap_samples", "head_margin", "min_seeds", "seed")


Ranked = Sequence[tuple[Path, EvalTable]]
"""Run folders, each with its evaluation table."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Comparison of one method's runs with another's.

    Attributes:
        digest: of everything it was computed from.
        comparison: the differences by group of users.
        gate: the verdict; None if the gate cannot judge.
        refusal: why it cannot; else empty.
    """

    digest: str
    comparison: Comparison
    gate: Gate | None
    refusal: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        judged = None if self.gate is None else self.gate.to_dict()
        return {"digest": self.digest, "comparison": self.comparison.to_dict(), "gate": judged, "refusal": self.refusal}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Judgement:
        """From the result of `to_dict`."""
        judged = None if values["gate"] is None else Gate.from_dict(values["gate"])
        return Judgement(values["digest"], Comparison.from_dict(values["comparison"]), judged, values["refusal"])


def judge_runs(ours: Ranked, rivals: Ranked, config: EvaluationConfig) -> tuple[Path, Judgement]:
    """The judgement on runs, and its file: read if it is up to date, else computed and written.

    Args:
        ours: run folders of the method in question and their tables, one per training seed.
        rivals: those of the method to compare with.
        config: options of evaluation.

    Raises:
        UserError: the two cannot be compared; names what differs.
    """
    paired, file = pair(base=[table for _, table in rivals], other=[table for _, table in ours]), judgement_file(ours, rivals)
    return file, judged_in(file, paired, config)


def judgement_file(ours: Ranked, rivals: Ranked) -> Path:
    """The file of the judgement on these runs."""
    home, table = _by_seed(ours)[0]
    against = common_name([folder.resolve().name for folder, _ in _by_seed(rivals)])
    return RunFolder(home).eval_comparison(table.protocol.split, against.replace(" ", "-"))


def judged_in(file: Path, paired: Paired, config: EvaluationConfig) -> Judgement:
    """The judgement in `file` if it is of these pairs; else it is computed and written. A read-only folder is not an error."""
    digest = digest_of(paired, config)
    found = read_judgement(file)
    if found is not None and found.digest == digest:
        return found
    judgement = judged(paired, config, digest)
    with suppress(OSError, UserError):
        atomic_write_text(file, canonical_json(sealed(judgement.to_dict())))
    return judgement


def judged(paired: Paired, config: EvaluationConfig, digest: str = "") -> Judgement:
    """Compare and judge; a pure function."""
    comparison = compared(paired, config, default_metrics(config))
    try:
        return Judgement(digest, comparison, gate({"this data set": paired}, config))
    except UserError as error:  # groups that are too small
        return Judgement(digest, comparison, None, str(error))


def digest_of(paired: Paired, config: EvaluationConfig) -> str:
    """Digest of everything that a judgement is computed from: with equal digests, figures and texts are equal."""
    settings = {name: asdict(config)[name] for name in _SETTINGS}
    found = hashlib.sha256(canonical_json({"form": FORM, "settings": settings}).encode())
    for table in (*paired.base, *paired.other):
        facts = {"protocol": asdict(table.protocol), "source": table.source, "strata": asdict(table.strata)}
        found.update(canonical_json(facts).encode())
        for name in _COLUMNS:
            found.update(table.column(name).astype("<i8").tobytes())
    return found.hexdigest()


def _by_seed(runs: Ranked) -> list[tuple[Path, EvalTable]]:
    """Sorted by seed; runs without one in the given order."""
    return sorted(runs, key=lambda run: -1 if (seed := run[1].source.get("seed")) is None else int(seed))


def read_judgement(file: Path) -> Judgement | None:
    """The judgement in a file; None if it is missing, damaged, or of another version."""
    try:
        return Judgement.from_dict(opened(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
