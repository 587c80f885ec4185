"""What `methods.py` measures: data sets, methods, and the settings that each method may choose from. All of it is in these tables.

What all methods share (model, loss, batch, length of training) stands in conf/experiment/*.yaml. The budget is the same for
everyone: three settings, seed 0, judged by validation NDCG@10 over all users, the number that stops training and picks the
checkpoint. Joint training chooses first, among settings of the model and the optimiser, and what it chooses everybody else takes
over; theirs are settings of the method itself. So where tuning favours anyone, it favours the baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.ledger import Words

GATED = "ndcg@10"
"""The metric that ltrec's gate judges."""

PLAIN = "as-is"
"""The setting that changes nothing."""

SETTINGS: dict[str, dict[str, Words]] = {
    "joint": {
        PLAIN: (),
        "double-rate": ("optim.lr=4e-3",),
        "less-dropout": ("model.dropout=0.4",),
    },
    "ipw": {
        PLAIN: (),
        "by-users": ("gradients.prior.name=user",),
        "realised": ("gradients.estimator=hajek",),
    },
    "group-dro": {
        PLAIN: (),
        "slow": ("gradients.rule.eta=0.001",),
        "head-tail": ("strata=2",),
    },
    "upgrad": {
        PLAIN: (),
        "head-tail": ("strata=2",),
        "by-users": ("gradients.prior.name=user",),
    },
    "group-finetune": {
        PLAIN: (),
        "five": ("strata=5",),
        "gentle": ("plugin.switch.plugin_rate=0.1",),
    },
    "pin": {
        PLAIN: (),
        "gentle": ("plugin.switch.plugin_rate=0.1",),
        "by-events": ("plugin.switch.plugin_rate=0.1", "gradients.prior.name=event"),
    },
    "ltp": {
        "chains": ("gradients.trajectories=6",),
        "lighter": ("gradients.trajectories=6", "adversary.weight=0.01"),
        "shorter": ("gradients.trajectories=6", "gradients.inner_lr=0.03"),
    },
    "pin-ltp": {
        "chains": ("gradients.trajectories=6",),
        "gentle": ("gradients.trajectories=6", "plugin.switch.plugin_rate=0.1"),
        "lighter": ("gradients.trajectories=6", "plugin.switch.plugin_rate=0.1", "adversary.weight=0.01"),
    },
}
"""method -> setting -> words of the command line. A method that is not here has but its config file. LTP's one user per task
would take an hour a run; with six chains a task is eight to twelve users, and a run takes ten minutes."""

LTP_SETTINGS: dict[str, dict[str, Words]] = {
    "joint": SETTINGS["joint"],
    "ltp-alignment": {
        PLAIN: (),
        "shorter": ("gradients.inner_lr=0.03",),
        "longer": ("gradients.inner_lr=0.3",),
    },
    "ltp-adversarial": {
        PLAIN: (),
        "narrow": ("adversary.hidden=16",),
        "wide": ("adversary.hidden=256",),
    },
    "ltp": {
        PLAIN: (),
        "shorter": ("gradients.inner_lr=0.03",),
        "longer": ("gradients.inner_lr=0.3",),
    },
}
"""The same for the protocol of LTP: k = 2 and lambda = 0.1 are the paper's, and a task is one user. Per-user mean has none."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """One table of results.

    Attributes:
        title: its heading.
        configs: data set -> the config file of what all methods share, `prepare` included.
        methods: in the order of the table; the first is the base of all comparisons, and is tuned first.
        groups: groups of users, in the order of the table.
        drawn: those of them in the figure.
        metrics: that are compared.
        about: how to read it.
        settings: method -> setting -> words.
    """

    title: str
    configs: dict[str, str]
    methods: Words
    groups: Words
    drawn: Words
    metrics: Words
    about: str
    settings: dict[str, dict[str, Words]]


PROTOCOLS: dict[str, Protocol] = {
    "methods": Protocol(
        title="Head and tail users",
        configs={"music": "conf/experiment/methods-music.yaml", "steam": "conf/experiment/methods-steam.yaml"},
        methods=("joint", "ipw", "group-dro", "upgrad", "group-finetune", "pin", "ltp", "pin-ltp"),
        groups=("all", "tail", "head", "stratum=0", "stratum=1", "stratum=2", "stratum=3", "stratum=4"),
        drawn=("tail", "head"),
        metrics=("ndcg@10", "hr@10"),
        about=(
            "SASRec, leave-one-out, every item ranked, items of the history left out. Head: the most active fifth of the users. "
            "Strata by training events, least active first."
        ),
        settings=SETTINGS,
    ),
    "ltp": Protocol(
        title="Existing and new users, the protocol of LTP",
        configs={"music": "conf/experiment/ltp-protocol-music.yaml", "steam": "conf/experiment/ltp-protocol-steam.yaml"},
        methods=("joint", "per-user-mean", "ltp-alignment", "ltp-adversarial", "ltp"),
        groups=("existing", "new", "tail", "head"),
        drawn=("existing", "new"),
        metrics=("hr@10", "ndcg@10"),
        about=(
            "SASRec, every item ranked, items of the history left out. A fifth of the users is kept out of training and judged by "
            "their histories alone (new); of the others (existing) the last event is the target. "
            "LTP gives every user the same weight; so does per-user-mean, which shows what that does without alignment."
        ),
        settings=LTP_SETTINGS,
    ),
}
"""name, which is the beginning of its results files -> protocol."""
