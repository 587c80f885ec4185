"""Seeds put together: a method's means with intervals, its paired difference from joint training, and ltrec's gate, as lines.

Intervals are over users and training seeds (`ltrec.evaluation.statistics.seeds`). The gate judges all data sets of the protocol
that are finished at once, so its tail p-values are adjusted over data sets (Holm). They are not adjusted over *methods*: of many
methods one in twenty would pass the tail's test by luck alone, and who reads the table should know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from harness.ledger import Ledger, Line
from methods_tables import Protocol

from ltrec.core import columns as c
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.comparison.compare import difference
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.pairing import Paired, pair
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups.users import Group, groups
from ltrec.evaluation.statistics.bootstrap import interval
from ltrec.evaluation.statistics.seeds import resampled
from ltrec.evaluation.table import HISTORY_LENGTH, EvalTable

Finals = Callable[[str, str], list[Line] | None]
"""Data set, method -> the final lines of all seeds, or None."""


def summaries(
    ledger: Ledger, protocol: Protocol, finals: Finals, methods: Sequence[str], out: Path, config: EvaluationConfig | None = None
) -> None:
    """Write a summary line for every method and data set that is finished, unless it is there already.

    Args:
        ledger: where lines are.
        protocol: what is measured.
        finals: the runs to put together.
        methods: which.
        out: folder of this protocol's data and runs.
        config: how to judge; None = ltrec's defaults.
    """
    base, config = protocol.methods[0], config or EvaluationConfig()
    for method in methods:
        found = {data: (finals(data, base), finals(data, method)) for data in protocol.configs if (out / "data" / data).exists()}
        whole = {data: (mine, theirs) for data, (mine, theirs) in found.items() if mine and theirs}
        key = _key([line["key"] for lines in whole.values() for side in lines for line in side])
        if not whole or all(ledger.find(data, "summary", key) for data in whole):
            continue
        paired = {data: pair(base=_tables(mine, out), other=_tables(theirs, out)) for data, (mine, theirs) in whole.items()}
        verdicts = {} if method == base else {v.dataset: asdict(v) for v in gate(paired, config).datasets}
        for data, pairs in paired.items():
            first = whole[data][1][0]
            ledger.add(
                {
                    "phase": "summary",
                    "data": data,
                    "method": method,
                    "setting": first["setting"],
                    "key": key,
                    "seeds": list(pairs.seeds),
                    "runs": [line["run"] for line in whole[data][1]],
                    "judged_with": list(paired),
                    "groups": {group.key: _figures(pairs, group, protocol.metrics, config) for group in _groups(pairs)},
                    "gate": verdicts.get(data),
                }
            )


def newest_summaries(lines: Iterable[Line]) -> dict[str, Line]:
    """Method -> its newest summary, of the lines of one data set."""
    return {line["method"]: line for line in lines if line["phase"] == "summary"}


def _key(keys: list[str]) -> str:
    return hashlib.sha256(",".join(keys).encode()).hexdigest()[:16]


def _tables(lines: Sequence[Line], out: Path) -> list[EvalTable]:
    return [EvalTable.read(RunFolder(out / "runs" / line["run"]).eval_table("test")) for line in lines]


def _groups(paired: Paired) -> list[Group]:
    """The report's groups that have users; where there are new users, also the others, and the new ones by length of history."""
    table = paired.base[0]
    found = groups(table)
    new = next((group.mask_N for group in found if group.key == "new"), None)
    if new is not None:
        long_N = table.column(HISTORY_LENGTH) > table.strata.head_from  # the head's histories hold the validation event besides
        parts = {"existing": table.column(c.STRATUM) >= 0, "new/tail": new & ~long_N, "new/head": new & long_N}
        labels = {
            "existing": "users of training",
            "new/tail": "new users, short histories",
            "new/head": "new users, long histories",
        }
        found += [Group(key, labels[key], found[0].mask_N & mask_N) for key, mask_N in parts.items()]
    return [group for group in found if group.users > 1]


def _figures(paired: Paired, group: Group, metrics: Sequence[str], config: EvaluationConfig) -> dict[str, Any]:
    found: dict[str, Any] = {"users": group.users}
    for metric in metrics:
        base_SN, other_SN = paired.values(metric)
        change = difference(base_SN, other_SN, group.mask_N, config)
        low, high = interval(resampled(other_SN, group.mask_N, config)[:, None])
        found[metric] = {
            "mean": _rounded(change.other, float(low[0]), float(high[0])),
            "change": _rounded(change.change.mean, change.change.low, change.change.high),
            "relative": _rounded(change.relative)[0] if np.isfinite(change.relative) else None,
            "p_gain": _rounded(change.p_gain)[0],
        }
    return found


def _rounded(*values: float) -> list[float]:
    return [round(value, 5) for value in values]
