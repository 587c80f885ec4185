"""The first screen: with a baseline, the verdict in one line; without one, how well tail and head are served.

    Tail -37 %, head -29 % against joint: FAIL

Below the line are its intervals, the figure and the reasons. With several baselines the line is about the strongest one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ltrec.core.counting import counted
from ltrec.evaluation.comparison.verdict import FAIL, INCONCLUSIVE, PASS
from ltrec.evaluation.estimates import Estimate
from ltrec.evaluation.metrics import metric_name
from ltrec.evaluation.results import RivalComparison
from ltrec.evaluation.summary import Summary
from ltrec.reporting.method import Method
from ltrec.reporting.sections.versus import forest_panel, reasons
from ltrec.reporting.sentences import baseline_sentences, headline, lede
from ltrec.reporting.view import Answer, Badge, Panel, Phrase, Sentence

WORDS = {PASS: "PASS", FAIL: "FAIL", INCONCLUSIVE: "INCONCLUSIVE"}
NO_VERDICT = Badge("NO VERDICT", "none")


def judged_answer(
    rivals: Sequence[RivalComparison], summary: Summary, baselines: Mapping[str, Summary], cautions: tuple[str, ...]
) -> Answer:
    """The answer against the strongest rival, the first of `rivals`; the others follow in a line each."""
    first = rivals[0]
    return Answer(
        line=answer_line(first),
        badge=badge(first),
        lede=(_intervals(first), *_strongest(rivals)),
        figure=forest_panel(first, 1),
        reasons=reasons(first) + baseline_sentences(summary, baselines),
        others=tuple((answer_line(rival), badge(rival)) for rival in rivals[1:]),
        cautions=cautions,
    )


def served_answer(
    method: Method, summary: Summary, baselines: Mapping[str, Summary], figure: Panel, cautions: tuple[str, ...]
) -> Answer:
    """Without a baseline: the metrics of tail and head, that this is not a verdict, and how to get one."""
    return Answer(
        line=headline(summary),
        badge=None,
        lede=(no_verdict(method),),
        figure=figure,
        reasons=tuple("".join(part.text for part in sentence) for sentence in lede(summary))
        + baseline_sentences(summary, baselines),
        others=(),
        cautions=cautions,
    )


def untested_answer(method: Method, cautions: tuple[str, ...]) -> Answer:
    """The answer for a method that was trained but not evaluated."""
    command = f"ltrec evaluate {' '.join(str(run.path) for run in method.runs)}"
    sentence = (Phrase("What follows is its training alone. Run "), Phrase(command, "code"), Phrase(" and report again."))
    line = (Phrase("This run has not been evaluated yet."),)
    return Answer(line, None, (sentence,), None, (), (), cautions)


def no_verdict(method: Method) -> Sentence:
    """Why there is no verdict, and the command that would give one."""
    command = f"ltrec report {' '.join(str(run.path) for run in method.runs)} BASELINE..."
    return (
        Phrase("Without a baseline there is no verdict: whether the tail gained and the head paid is shown by "),
        Phrase(command, "code"),
        Phrase(", with the runs of a baseline of the same seeds, three or more, evaluated like these."),
    )


def answer_line(it: RivalComparison) -> Sentence:
    """``Tail -37 %, head -29 % against joint``."""
    if it.verdict is None:
        return (Phrase(f"No verdict against {it.name}"),)
    tail, head = (_rounded(it, group) for group in ("tail", "head"))
    return (Phrase(f"Tail {tail}", "tail"), Phrase(", "), Phrase(f"head {head}", "head"), Phrase(f" against {it.name}"))


def badge(it: RivalComparison) -> Badge:
    """The verdict as a word and a tone, which determines the icon."""
    return Badge(WORDS[it.judged.verdict], it.judged.verdict) if it.judged else NO_VERDICT


def _rounded(it: RivalComparison, group: str) -> str:
    """Whole percents from 10 % on, else one decimal; the absolute change if the base is 0."""
    found = it.of(group)
    assert found is not None, "the gate judged this group"
    part = found.relative
    if math.isnan(part):
        return f"{found.change.mean:+.4f}"
    return f"{part:+.0%}" if abs(part) >= 0.0995 else f"{part:+.1%}"


def _intervals(it: RivalComparison) -> Sentence:
    """What the figures of the line are, with their intervals."""
    seeds = len(it.found.seeds)
    of_seeds = f"means of {counted(seeds, 'seed')} a side" if seeds > 1 else "one training seed a side"
    parts = [Phrase(metric_name(it.metric) or "Metrics", "term"), Phrase(f" of {it.mine} against {it.name}, {of_seeds}. ")]
    listed = [(group, found) for group in ("tail", "head") if (found := it.of(group))]
    if listed:
        parts.append(Phrase(f"95 % intervals over {it.over()}: "))
    for i, (group, found) in enumerate(listed):
        span = _span(found.share()) if found.base else f"{found.change.low:+.4f} to {found.change.high:+.4f}"
        parts += [Phrase(", " if i else ""), Phrase(f"{group} {span}", group)]
        parts.append(Phrase(f" ({counted(it.found.groups[group].users, 'user')})"))
    return (*parts, Phrase("."))


def _span(part: Estimate) -> str:
    return f"{part.low:+.1%} to {part.high:+.1%}"


def _strongest(rivals: Sequence[RivalComparison]) -> tuple[Sentence, ...]:
    if len(rivals) == 1:
        return ()
    first, metric = rivals[0], metric_name(rivals[0].metric)
    which = "the stronger of two" if len(rivals) == 2 else f"the strongest of {len(rivals)}"
    value = f"{metric} over all users, {first.strength():.4f}"
    sentence = f"{first.name} is {which} baselines given here by {value}; the others follow below."
    return ((Phrase(sentence),),)
