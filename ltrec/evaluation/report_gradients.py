"""What stratified training says of itself: the strata's cosines, weights, norms and presence. Joint runs have no such section."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from ltrec.evaluation.plots import Image
from ltrec.evaluation.plots_gradients import Agreement, cosine_panels, last_tenth, norm_curves, weight_curves
from ltrec.evaluation.plots_training import Curve
from ltrec.evaluation.report_run import History, RunFolder
from ltrec.evaluation.report_view import Cell, Gradients, Panel, Row, Table, missing, shown
from ltrec.evaluation.report_words import DASH

NO_GRAM = "No Gram matrix was formed, so nothing is known of this: set strategy.probe_every_steps."
ALONE = "There is one stratum, so there is no pair to compare."


def gradients(runs: Sequence[RunFolder], strata_names: tuple[str, ...]) -> Gradients | None:
    """The section about the first run, with the cosines of further runs; None where the first was not stratified.

    Args:
        runs: run folders, the one in question first.
        strata_names: readable names, least active first; others are made up when their number is not the run's.
    """
    history = runs[0].history
    if history is None or not (strata := num_strata(history)):
        return None
    names = strata_names if len(strata_names) == strata else tuple(f"stratum {z}" for z in range(strata))
    return Gradients(
        cosines=_cosines(runs, names),
        weights=_curves(weight_curves, "weight", history, names, "The rule works coordinate by coordinate and has no weights."),
        norms=_curves(norm_curves, "grad_norm", history, names, NO_GRAM),
        table=_table(history, names),
        notes=_notes(history),
    )


def num_strata(history: History) -> int:
    """K of a stratified run, 0 for any other."""
    prefix = "strata/count/"
    return len({key for line in history.lines for key in line if key.startswith(prefix) and key.removeprefix(prefix).isdecimal()})


def _cosines(runs: Sequence[RunFolder], names: tuple[str, ...]) -> Panel:
    if len(names) == 1:
        return missing(ALONE)
    alike = [(run.name, run.history) for run in runs if run.history is not None and num_strata(run.history) == len(names)]
    axis = "epoch" if all(history.axis() == "epoch" for _, history in alike) else "step"
    found = [_agreement(name, history, len(names), axis) for name, history in alike]
    drawn = [agreement for agreement in found if any(len(curve.x) for curve in agreement.cosines.values())]
    return shown(cosine_panels(drawn, names, axis)) if found[0] in drawn else missing(NO_GRAM)


def _agreement(name: str, history: History, strata: int, axis: str) -> Agreement:
    pairs = combinations(range(strata), 2)
    cosines = {(y, z): history.curve(f"strata/cosine/{y}-{z}", axis) for y, z in pairs}
    return Agreement(name, cosines, history.curve("strata/conflict", axis))


def _curves(
    draw: Callable[[Mapping[int, Curve], Sequence[str], str], Image],
    key: str,
    history: History,
    names: tuple[str, ...],
    absent: str,
) -> Panel:
    axis = history.axis()
    curves = {z: history.curve(f"strata/{key}/{z}", axis) for z in range(len(names))}
    known = {z: curve for z, curve in curves.items() if len(curve.x)}
    return shown(draw(known, names, axis)) if known else missing(absent)


def _table(history: History, names: tuple[str, ...]) -> Table:
    """Presence over the whole run, the rest as it was at the end."""
    columns = (
        ("Examples a step", "strata/count", "{:,.1f}", False),
        ("Steps without", "strata/missing", "{:.1%}", False),
        ("Loss", "train/loss", "{:.4f}", True),
        ("Weight", "strata/weight", "{:.3f}", True),
        ("Gradient norm", "strata/grad_norm", "{:.3g}", True),
    )
    rows = [
        Row(name, tuple(_cell(history.curve(f"{key}/{z}", "step"), form, at_end) for _, key, form, at_end in columns))
        for z, name in enumerate(names)
    ]
    caption = "Strata by training events. Examples and absences are means over the whole run, the rest over its last tenth."
    return Table(caption, ("Stratum", *(title for title, *_ in columns)), tuple(rows))


def _cell(curve: Curve, form: str, at_end: bool) -> Cell:
    if not len(curve.y):
        return Cell(DASH)
    return Cell(form.format(last_tenth(curve) if at_end else float(curve.y.mean())))


def _notes(history: History) -> tuple[str, ...]:
    notes = []
    size, skipped, conflict = (history.curve(f"strata/{key}", "step") for key in ("ess", "skipped", "conflict"))
    if len(conflict.y):
        first = float(conflict.y[: max(1, len(conflict.y) // 10)].mean())
        notes.append(
            f"Of the pairs of strata, {last_tenth(conflict):.0%} pulled against each other in the last tenth of training, "
            f"{first:.0%} in the first."
        )
    if len(size.y):
        examples = sum(float(history.curve(f"strata/count/{z}", "step").y.mean()) for z in range(num_strata(history)))
        notes.append(
            f"Effective sample size: the weighted update is as noisy as one of {last_tenth(size):,.0f} equally weighted examples; "
            f"a step holds {examples:,.0f}."
        )
    if len(skipped.y):
        notes.append(f"Steps skipped because a gradient was not a finite number: {skipped.y.sum():,.0f}.")
    return tuple(notes)
