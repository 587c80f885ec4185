"""The memory in the source of an evaluation table, and a line about it.

memory: mix with weight 0.7, by NDCG@10 of 3,120 validation users: 0 .0588, 0.2 .0612, ..., 0.7 .0657, 0.8 .0655, 0.9 .0631
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ltrec.core.counting import counted
from ltrec.core.storage.typed import construct
from ltrec.evaluation.memory.weighing import CUTOFF, WeightChoice
from ltrec.evaluation.table import EvalTable

KEY = "memory"
"""Key of the memory in the source of a table."""


def memory_facts(form: str, neighbours: str, choice: WeightChoice) -> dict[str, Any]:
    """What a table records about a memory: the form, the digest of the neighbours, and the choice of the weight, as JSON values."""
    return {"form": form, "neighbours": neighbours, "choice": choice_values(choice)}


def choice_values(choice: WeightChoice) -> dict[str, Any]:
    """A choice as JSON values; the share of similarity only where columns are compared."""
    strata = [_curve(asdict(curve)) for curve in choice.strata]
    values: dict[str, Any] = {"grid": list(choice.grid), "all": _curve(asdict(choice.all)), "strata": strata}
    if choice.share or choice.shares:
        values |= {"share": choice.share, "shares": [list(pair) for pair in choice.shares]}
    return values


def memory_line(table: EvalTable) -> str | None:
    """The memory of a table, in one line; None without a memory."""
    facts = table.source.get(KEY)
    return None if facts is None else memory_text(facts)


def memory_text(facts: Mapping[str, Any]) -> str:
    """The recorded facts in one line."""
    choice = construct(WeightChoice, facts["choice"])
    weight = ", ".join(f"{weight:g}" for weight in choice.weights)
    chosen = f"{facts['form']} with weight{'s' * (len(choice.weights) > 1)} {weight}{' by stratum' * (len(choice.weights) > 1)}"
    if choice.share or choice.shares:
        tried = ", ".join(f"{share:g} {_short(value)}" for share, value in choice.shares)
        chosen += f", similarity counting {choice.share:g}" + f" (best by share: {tried})" * bool(tried)
    if len(choice.grid) == 1:
        return f"{chosen}, as given"
    if not choice.all.users:
        return f"{chosen}, by default: no user has a validation target to choose by"
    curve = ", ".join(f"{w:g} {_short(value)}" for w, value in zip(choice.grid, choice.all.ndcg, strict=True))
    return f"{chosen}, by NDCG@{CUTOFF} of {counted(choice.all.users, 'validation user')}: {curve}"


def _curve(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "ndcg": list(values["ndcg"])}


def _short(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")
