"""The model card: what users of the model should know, as Markdown with the front matter of Hugging Face's hub."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ltrec.artefact.facts import Measurements
from ltrec.artefact.hub import front_matter
from ltrec.artefact.items.loss import TableLoss
from ltrec.artefact.parity import Parity
from ltrec.core.counting import counted
from ltrec.evaluation.comparison.gate_text import gate_text
from ltrec.evaluation.summary import Summary
from ltrec.evaluation.table import SEEN

_METRICS = ("ndcg@10", "hr@10")


def card(
    facts: dict[str, Any], measurements: Measurements, parity: Parity, loss: TableLoss | None = None, *, license: str | None = None
) -> str:
    """The text of the card."""
    parts = [
        front_matter(facts, license, measurements.summary),
        _head(facts),
        _strata(facts),
        _results(measurements),
        _precision(facts, loss),
        _limits(facts, parity),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(facts: dict[str, Any]) -> Iterator[str]:
    yield f"# {facts['run']}"
    yield ""
    plugin = "" if facts["plugin"] == "none" else f" with {facts['plugin']}"
    checkpoint = facts["checkpoint"]
    yield f"A sequential recommender: {facts['model']}{plugin}, exported by ltrec {facts['created_by']['ltrec']} from checkpoint"
    yield f"`{checkpoint['name']}` (sha256 `{checkpoint['sha256'][:16]}`)."
    yield ""
    yield f"Trained on `{facts['data']['name']}` ({facts['data']['items']:,} items), digest `{facts['data']['digest']}`."
    yield ""
    yield "```bash"
    runtime = {"onnx": "onnxruntime"}.get(facts.get("format", ""), "torch")
    yield f"# needs numpy, pyarrow and {runtime}; artefact.json lists the inputs"
    yield 'echo \'{"items": ["FIRST", "SECOND"]}\' | python recommend.py'
    yield "```"
    yield ""


def _strata(facts: dict[str, Any]) -> Iterator[str]:
    strata = facts["strata"]
    bounds, own, served = (", ".join(map(str, strata[key])) for key in ("lower_bounds", "of_the_run", "served_by"))
    yield "## Strata"
    yield ""
    yield "Activity is the number of known items in the given history."
    yield f"Strata begin at {bounds}; head users at {strata['head_from']}."
    yield f"The run's strata begin at {own} and are served by the plugins of {served}. Whoever has no known item gets what users of"
    yield "stratum 0 took most."
    yield ""


def _results(measurements: Measurements) -> Iterator[str]:
    yield "## Results"
    yield ""
    if measurements.summary is None:
        yield "This checkpoint was not evaluated on the test split (`ltrec evaluate`)."
    else:
        yield from _table(measurements.summary)
    for judgement in measurements.judgements:
        yield ""
        yield f"Gate: {gate_text(judgement.gate)}" if judgement.gate is not None else f"Gate: {judgement.refusal}"
    yield ""


def _table(summary: Summary) -> Iterator[str]:
    seen = "without" if summary.protocol.filter_seen else "with"
    yield f"Test split, candidates {summary.protocol.candidates}, {seen} items of the history; 95 % intervals:"
    yield ""
    yield "| users | number | " + " | ".join(name.upper() for name in _METRICS) + " |"
    yield "| --- | --: |" + " --- |" * len(_METRICS)
    for group in summary.groups.values():
        cells = [group.metrics.get(name) for name in _METRICS]
        shown = ["" if e is None or math.isnan(e.mean) else f"{e.mean:.4f} [{e.low:.4f}, {e.high:.4f}]" for e in cells]
        if group.users:
            yield f"| {group.label} | {group.users:,} | {' | '.join(shown)} |"


def _precision(facts: dict[str, Any], loss: TableLoss | None) -> Iterator[str]:
    if (precision := facts.get("table", "fp32")) == "fp32":
        return
    yield "## Item table"
    yield ""
    yield f"Item vectors are stored as {precision}, and computed with in 32 bits."
    if loss is None:
        yield "The data set has no held-out users by which to measure what that costs."
    else:
        yield "What that costs on targets of the test split, against the table in 32 bits; 95 % intervals over users:"
        yield ""
        yield f"| users | number | NDCG@{loss.k} | change | top {loss.k} in common |"
        yield "| --- | --: | --: | --- | --- |"
        for of in loss.groups:
            change = f"{of.change.mean:+.4f} [{of.change.low:+.4f}, {of.change.high:+.4f}]"
            common = f"{of.common.mean:.1%} [{of.common.low:.1%}, {of.common.high:.1%}]"
            yield f"| {of.label} | {of.users:,} | {of.base:.4f} | {change} | {common} |"
    yield ""


def _limits(facts: dict[str, Any], parity: Parity) -> Iterator[str]:
    yield "## Limits"
    yield ""
    compared = f"{parity.histories:,} real histories: scores differ by at most {parity.largest:.2g}"
    yield f"* The program was compared with the run on {compared}."
    yield f"* It looks at the last {facts['max_len']} items of a history."
    yield _known_items(facts)
    yield "* Scores are comparable within a user only. Metrics come from a log, and inherit what the log was shown."
    yield ""


def _known_items(facts: dict[str, Any]) -> str:
    if not (appended := facts.get("appended", 0)):
        return "* It knows no item that the data set does not."
    which = "which are not recommended (candidates seen)" if facts["protocol"]["candidates"] == SEEN else "without training events"
    return f"* It knows {counted(appended, 'item')} more than the data set, {which}: their vectors come from their columns alone."
