"""What `papers.py` measures: claims of papers, each under two protocols that differ in the baseline's loss and in nothing else.

A *claim* is a paper's table for one backbone. Its *sides* are protocols of `methods.py`: the paper's own terms, and the same with
the baseline that we would hold a method against. Settings are few and for everyone two or three, chosen on validation.
"""

from __future__ import annotations

from dataclasses import dataclass

from methods_tables import PLAIN, Protocol, Words
from papers_published import FAIRNESS, LTP_GRU4REC, LTP_SASREC, PIN, POOLED, Published


@dataclass(frozen=True, slots=True)
class Side:
    """A claim under one loss.

    Attributes:
        name: end of the results files' names.
        label: for people.
        protocol: data, methods, settings.
        words: of all its runs.
    """

    name: str
    label: str
    protocol: Protocol
    words: Words


@dataclass(frozen=True, slots=True)
class Claim:
    """What a paper says of its methods with one backbone.

    Attributes:
        name: beginning of the results files' names.
        paper: folder of prepared data and runs, shared by the claims of a paper.
        title: heading.
        about: how to read it, and what differs from the paper.
        groups: key -> label, in the order of the table.
        seeds: data set -> how many.
        published: the paper's figures.
        theirs: the side in the paper's own terms.
        ours: the side with the baseline that we would take.
        pooled: whether AUC over the pool of all users is measured, too.
    """

    name: str
    paper: str
    title: str
    about: str
    groups: dict[str, str]
    seeds: dict[str, int]
    published: Published
    theirs: Side
    ours: Side
    pooled: bool = False

    @property
    def metrics(self) -> Words:
        """What is shown, the metric of the findings first."""
        return (*([POOLED] if self.pooled else []), *self.theirs.protocol.metrics)

    @property
    def sides(self) -> tuple[Side, Side]:
        """The paper's terms, then ours."""
        return self.theirs, self.ours

    @property
    def data(self) -> list[str]:
        """Data sets."""
        return list(self.theirs.protocol.configs)


USER, TARGET = ("stream.unit=user",), ("stream.unit=target",)


def _fairness_settings(unit: Words) -> dict[str, dict[str, Words]]:
    return {
        "cvar-dro": {f"worst-{name}": (*unit, f"emphasis.alpha={a}") for name, a in (("half", 0.5), ("third", 0.3), ("most", 0.7))},
        "group-dro": {PLAIN: unit, "fast": (*unit, "gradients.rule.eta=0.1")},
        "streaming-dro": {PLAIN: unit, "fast": (*unit, "gradients.rule.eta=0.1")},
    }


def _fairness(base: str, others: Words, unit: Words) -> Protocol:
    rivals = ("cvar-dro", "group-dro", "streaming-dro")
    return Protocol(
        title="Groups of users by length",
        configs={"retailrocket": "conf/experiment/fairness-retailrocket.yaml"},
        methods=(base, *others, *rivals),
        groups=("all", "stratum=0", "stratum=1", "stratum=2"),
        drawn=(),
        metrics=("ndcg@20", "ndcg@10"),
        about="",
        settings=_fairness_settings(unit),
    )


FAIR = Claim(
    name="fairness",
    paper="fairness",
    title="CVaR and group DRO on RetailRocket (ECIR 2025)",
    about=(
        "SASRec, full softmax, every item ranked, items of the history kept. Short, medium and long histories hold a third of the "
        "training events each. The paper's baseline weighs users alike (a user's loss is the mean over his targets), and its CVaR "
        "takes the worst users of a batch; ours weighs targets alike, and CVaR takes the worst targets. Smaller than theirs: width "
        "64 for 256, two blocks for three, 50 events for 200 (`conf/experiment/fairness-retailrocket.yaml` lists the rest). Group "
        "DRO's weights follow the losses of the steps before, and a length that a batch lacks keeps its weight; theirs follow the "
        "step's own, and it loses. The best checkpoint is that of validation NDCG@10."
    ),
    groups={"all": "all", "stratum=0": "short", "stratum=1": "medium", "stratum=2": "long"},
    seeds={"retailrocket": 3},
    published=FAIRNESS,
    theirs=Side("user", "the paper's loss: users alike", _fairness("per-user-mean", ("joint",), USER), ()),
    ours=Side("target", "ours: targets alike", _fairness("joint", (), TARGET), ()),
)

LTP_GROUPS = {
    "existing": "existing",
    "tail": "existing, tail",
    "head": "existing, head",
    "new": "new",
    "new/tail": "new, tail",
    "new/head": "new, head",
}
LTP_METHODS = ("joint", "per-user-mean", "ltp-alignment", "ltp-adversarial", "ltp")
LTP_SETTINGS: dict[str, dict[str, Words]] = {
    "joint": {PLAIN: (), "less-dropout": ("model.dropout=0.2",)},
    "ltp-alignment": {PLAIN: (), "longer": ("gradients.inner_lr=0.3",)},
    "ltp": {PLAIN: (), "longer": ("gradients.inner_lr=0.3",)},
}
BACKBONES: dict[str, Words] = {
    "sasrec": ("model.name=sasrec", "model.width=50", "model.heads=1", "model.dropout=0.5"),
    "gru4rec": ("model.name=gru4rec", "model.width=50", "model.hidden=100", "model.dropout=0.5"),
}


def _table3() -> Protocol:
    return Protocol(
        title="Existing and new users",
        configs={name: f"conf/experiment/ltp-protocol-table3-{name}.yaml" for name in ("music", "ml-1m")},
        methods=LTP_METHODS,
        groups=tuple(LTP_GROUPS),
        drawn=(),
        metrics=("hr@10", "ndcg@10"),
        about="",
        settings=LTP_SETTINGS,
    )


def _ltp(backbone: str, title: str, published: Published) -> Claim:
    return Claim(
        name=f"ltp-{backbone}",
        paper="ltp",
        title=f"LTP's Table 3, {title} (KDD 2020)",
        about=(
            "Items with five records, then users with ten; a fifth of the users is new. Vectors of 50, k = 2, lambda = .1, "
            "one user a task; every item ranked (the paper does not say it, its formula and figures do), items of the history "
            "left out. The head is the most active fifth. The paper prints head and tail for other logs only (Fig. 5). Its "
            "loss is BCE with sampled negatives, whose number it does not give; here one per position, as in SASRec. Digital "
            "Music here is another crawl (2,136 users, 6,109 items; the paper's 2,831 and 13,410), so only changes compare. "
            "`per-user-mean` weighs users alike as LTP does, without alignment."
        ),
        groups=LTP_GROUPS,
        seeds={"music": 5, "ml-1m": 3},
        published=published,
        theirs=Side("bce", "the paper's loss: BCE", _table3(), BACKBONES[backbone]),
        ours=Side("softmax", "ours: softmax", _table3(), (*BACKBONES[backbone], "objective.name=softmax")),
    )


def _pin() -> Protocol:
    return Protocol(
        title="Head and tail users",
        configs={"ml-1m": "conf/experiment/pin-duet.yaml"},
        methods=("joint", "pin-backbone", "pin-released"),
        groups=("all", "tail", "head"),
        drawn=(),
        metrics=("auc", "ndcg@10", "hr@10"),
        about="",
        settings={},
    )


RELEASED = Claim(
    name="pin-din",
    paper="pin",
    title="PIN as released, DIN on MovieLens-1M (2022)",
    about=(
        "The last item among 99 that the user has not seen. AUC is over one pool of all users' scores, and has no interval; "
        "user-AUC (AUC below) is the mean over users. PIN's own tables could not be had, so nothing is printed but DIN's AUC "
        "in DUET (WWW 2023), by the same author: an anchor. `pin-backbone` is PIN without its plugins. Ours is sampled "
        "softmax over 16 negatives. The best checkpoint is that of validation NDCG@10 among all items."
    ),
    groups={"all": "all", "tail": "tail", "head": "head"} | {f"stratum={z}": f"stratum {z}" for z in range(5)},
    seeds={"ml-1m": 3},
    published=PIN,
    theirs=Side("bce", "the release's loss: BCE", _pin(), ()),
    ours=Side("softmax", "ours: sampled softmax", _pin(), ("objective.name=sampled_softmax", "objective.negatives=16")),
    pooled=True,
)

CLAIMS: dict[str, Claim] = {
    claim.name: claim for claim in (FAIR, _ltp("gru4rec", "GRU4Rec", LTP_GRU4REC), _ltp("sasrec", "SASRec", LTP_SASREC), RELEASED)
}
"""name -> claim, in the order of the page."""
