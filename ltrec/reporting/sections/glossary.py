"""Explanations of the page's terms, shown with each term and as a list at the end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """A term and its meaning; `names` are its names on the page, without ``@k`` and in lower case."""

    id: str
    title: str
    meaning: str
    names: tuple[str, ...]


GLOSSARY = (
    Term(
        "tail",
        "Tail, head",
        "Tail users have fewer training events than the head cut, head users that many or more. The cut lies between two numbers "
        "of events, nearest to the most active fifth of the users.",
        ("tail", "head"),
    ),
    Term(
        "stratum",
        "Stratum",
        "A class of users by their number of training events, named by its range: 5-8 means 5 to 8 events.",
        ("stratum",),
    ),
    Term(
        "ndcg",
        "NDCG@k",
        "1 / log2(1 + rank) where the user's held-out item ranks among the first k, else 0; then the mean over users. 1 means that "
        "every list is headed by its target.",
        ("ndcg",),
    ),
    Term(
        "hr",
        "HR@k",
        "Hit rate: the share of users whose held-out item ranks among the first k. With one target per user it equals Recall@k.",
        ("hr", "recall"),
    ),
    Term("mrr", "MRR", "Mean reciprocal rank: the mean of 1 / rank; MRR@k counts 0 beyond rank k.", ("mrr",)),
    Term(
        "auc",
        "AUC",
        "The share of the other items that the target outranks; 0.5 is chance. It is forgiving about the top of the list.",
        ("auc",),
    ),
    Term(
        "coverage",
        "Catalogue shown (coverage@k)",
        "The share of the catalogue that is among the first k items of at least one user. It grows with the number of users.",
        ("catalogue shown", "coverage"),
    ),
    Term(
        "tail-share",
        "Tail items in lists (tail share@k)",
        "The share of recommendations that are tail items, those outside the popular ones that hold most training events.",
        ("tail items in lists", "tail share"),
    ),
    Term("gini", "Gini", "How unequally items are recommended: 0 = all equally often, near 1 = always the same few.", ("gini",)),
    Term(
        "popularity",
        "Mean popularity",
        "The mean number of training events of the recommended items.",
        ("mean popularity", "popularity"),
    ),
    Term(
        "baselines",
        "Last item, transitions, item knn",
        "Baselines that need no training. Last item: the user's last item again. Transitions: what came after or before the user's "
        "last items in other histories, the nearer the more. Item knn: items that have users in common with these (cosine). Both "
        "go on by popularity where they know nothing.",
        tuple(f"{name}{metric}" for name in ("last item", "transitions", "item knn") for metric in ("", " ndcg")),
    ),
    Term(
        "interval",
        "95 % interval",
        "How far a mean would move had other users been drawn (bootstrap over users) and, with several seeds, had training used "
        "other seeds.",
        ("95 % interval",),
    ),
    Term(
        "spread",
        "Spread over seeds (\N{PLUS-MINUS SIGN})",
        "The standard deviation of the seeds' own means: how much training again with another seed changes.",
        ("spread over seeds",),
    ),
    Term(
        "change",
        "Change, relative",
        "This method minus the baseline, user by user, then the mean; relative is that as a share of the baseline's mean.",
        ("change", "relative"),
    ),
    Term(
        "verdict",
        "PASS, FAIL, INCONCLUSIVE",
        "PASS: the tail gains, and the head does not lose more than is allowed, both shown by one-sided tests at 5 %. FAIL: the "
        "contrary of one of them is shown. INCONCLUSIVE: neither, or there are too few seeds to tell.",
        ("pass", "fail", "inconclusive", "no verdict"),
    ),
    Term(
        "p",
        "p",
        "One-sided p-value of the hypothesis named beside it: were that true, a result this good or better would come up in that "
        "share of repetitions. It is not the chance that the hypothesis is true.",
        ("p",),
    ),
    Term(
        "reach",
        "One link, two links, beyond",
        "Two items are linked when some user consumed them one directly after the other in training; events at one time have no "
        "order, so a tie is linked within itself and with the ties beside it. A target is one link from the history when it is "
        "linked with an item of it, two links when it is linked with such an item, else beyond.",
        ("in the history", "one link", "two links", "beyond"),
    ),
    Term("loss", "Loss", "The training objective per target; smaller is better.", ("loss",)),
    Term("examples", "Examples a step", "Targets of the stratum in a training step, over all processes.", ("examples a step",)),
    Term("absent", "Steps without", "The share of steps in which the stratum had no example.", ("steps without",)),
    Term("weight", "Weight", "What the stratum's mean gradient counts in the update.", ("weight",)),
    Term("norm", "Gradient norm", "The length of the stratum's mean gradient over the shared weights.", ("gradient norm",)),
)

_BY_NAME = {name: term for term in GLOSSARY for name in term.names}


def term_of(name: str) -> Term | None:
    """The glossary entry of a name such as ``NDCG@10`` or ``Popularity NDCG@10``; None if it has none."""
    stem, at, _ = (part.strip().lower() for part in name.partition("@"))
    return _BY_NAME.get(stem) or (_BY_NAME.get(stem.rpartition(" ")[2]) if at else None)
