"""The section on stratified training: cosines, weights, norms and presence of strata. Joint runs do not have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from statistics import fmean

from ltrec.evaluation.curves import Curve, first_tenth, last_tenth, mean_of, sum_of
from ltrec.reporting.method import Method, SeedHistories
from ltrec.reporting.plots.gradients import Agreement, cosine_panels, norm_curves, weight_curves
from ltrec.reporting.plots.style import Image
from ltrec.reporting.sentences import DASH
from ltrec.reporting.view import Cell, Gradients, Panel, Table, TableRow, missing, shown

NO_GRAM = "No Gram matrix was computed, so this is unknown: set gradients.probe_every_steps."
ALONE = "There is one stratum, so there is no pair to compare."


def gradients(methods: Sequence[Method], strata_names: tuple[str, ...]) -> Gradients | None:
    """The section about the first method, with the cosines of other methods; None if the first was not trained by strata.

    Args:
        methods: the one in question first.
        strata_names: readable names, least active first; replaced by numbers if there is not one per stratum of the method.
    """
    history = methods[0].histories()
    if history is None or not (strata := num_strata(history)):
        return None
    names = strata_names if len(strata_names) == strata else tuple(f"stratum {z}" for z in range(strata))
    return Gradients(
        cosines=_cosines(methods, names),
        weights=_curves(weight_curves, "weight", history, names, "The rule works coordinate by coordinate and has no weights."),
        norms=_curves(norm_curves, "grad_norm", history, names, NO_GRAM),
        table=_table(history, names),
        notes=_notes(history),
    )


def num_strata(histories: SeedHistories) -> int:
    """K of a stratified run; 0 for other runs."""
    return len(histories.numbered("strata/count/"))


def _cosines(methods: Sequence[Method], names: tuple[str, ...]) -> Panel:
    if len(names) == 1:
        return missing(ALONE)
    logged = [(method.label, histories) for method in methods if (histories := method.histories())]
    alike = [(label, histories) for label, histories in logged if num_strata(histories) == len(names)]
    axis = "epoch" if all(histories.axis() == "epoch" for _, histories in alike) else "step"
    found = [_agreement(label, histories, len(names), axis) for label, histories in alike]
    drawn = [agreement for agreement in found if any(len(curve.x) for curve in agreement.cosines.values())]
    return shown(cosine_panels(drawn, names, axis)) if found[0] in drawn else missing(NO_GRAM)


def _agreement(name: str, history: SeedHistories, strata: int, axis: str) -> Agreement:
    pairs = combinations(range(strata), 2)
    cosines = {(y, z): history.curve(f"strata/cosine/{y}-{z}", axis) for y, z in pairs}
    return Agreement(name, cosines, history.curve("strata/conflict", axis))


def _curves(
    draw: Callable[[Mapping[int, Curve], Sequence[str], str], Image],
    key: str,
    history: SeedHistories,
    names: tuple[str, ...],
    absent: str,
) -> Panel:
    axis = history.axis()
    curves = {z: history.curve(f"strata/{key}/{z}", axis) for z in range(len(names))}
    known = {z: curve for z, curve in curves.items() if len(curve.x)}
    return shown(draw(known, names, axis)) if known else missing(absent)


def _table(history: SeedHistories, names: tuple[str, ...]) -> Table:
    """Presence over the whole run, everything else at its end."""
    columns = (
        ("Examples a step", "strata/count", "{:,.1f}", mean_of),
        ("Steps without", "strata/missing", "{:.1%}", mean_of),
        ("Loss", "train/loss", "{:.4f}", last_tenth),
        ("Weight", "strata/weight", "{:.3f}", last_tenth),
        ("Gradient norm", "strata/grad_norm", "{:.3g}", last_tenth),
    )
    rows = [
        TableRow(name, tuple(_cell(_by_seed(history, f"{key}/{z}", measure), form) for _, key, form, measure in columns))
        for z, name in enumerate(names)
    ]
    seeds = "; means over seeds, in small print the lowest and the highest" if len(history.seeds) > 1 else ""
    caption = (
        "Strata by training events. Examples and absences are means over the whole run, the rest over its last tenth" + seeds + "."
    )
    return Table(caption, ("Stratum", *(title for title, *_ in columns)), tuple(rows))


def _by_seed(history: SeedHistories, key: str, measure: Callable[[Curve], float]) -> list[float]:
    """A number for each seed that logged the key."""
    curves = (seed.curve(key, "step") for seed in history.seeds)
    return [measure(curve) for curve in curves if len(curve.y)]


def _cell(values: Sequence[float], form: str) -> Cell:
    if not values:
        return Cell(DASH)
    ends = f"{form.format(min(values))}{DASH}{form.format(max(values))}" if len(values) > 1 else ""
    return Cell(form.format(fmean(values)), ends)


def _notes(history: SeedHistories) -> tuple[str, ...]:
    notes = []
    conflict = _by_seed(history, "strata/conflict", last_tenth)
    size, skipped = (
        _by_seed(history, "strata/ess", last_tenth),
        _by_seed(history, "strata/skipped", sum_of),
    )
    if conflict:
        notes.append(
            f"Of the pairs of strata, {fmean(conflict):.0%} pulled against each other in the last tenth of training, "
            f"{fmean(_by_seed(history, 'strata/conflict', first_tenth)):.0%} in the first."
        )
    if size:
        examples = sum(fmean(_by_seed(history, f"strata/count/{z}", mean_of)) for z in range(num_strata(history)))
        notes.append(
            f"Effective sample size: the weighted update is as noisy as one of {fmean(size):,.0f} equally weighted examples; "
            f"a step holds {examples:,.0f}."
        )
    if skipped:
        notes.append(f"Steps skipped because a gradient was not a finite number: {sum(skipped):,.0f}.")
    return tuple(notes)
