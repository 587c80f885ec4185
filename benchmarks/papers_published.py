"""What the papers say of themselves: data set -> method -> group of users -> metric -> figure. Nothing here was measured by us.

ltp        Yin et al., KDD 2020, Table 3; their base is "joint" here. Rank of the last item among all items, mean of ten runs.
fairness   Improving Minimax Group Fairness in Sequential Recommendation, ECIR 2025; the table that the notebook RR_improvement of
           krishnacharya/sequentialrec-fairness prints (its groups of both kinds at once). Their base, ERM, is "per-user-mean" here.
           One seed; the fraction of CVaR and the step sizes are those that did best on its validation users.
pin        Zhang et al., arXiv 2208.09130: its tables could not be had. DUET (WWW 2023), by the same author, gives DIN's AUC on
           MovieLens-1M: an anchor that says whether ours is the same task.
"""

from __future__ import annotations

POOLED = "pooled-auc"
"""AUC over one pool of all users' scores."""

Figures = dict[str, dict[str, float]]
"""Group -> metric -> figure."""

Published = dict[str, dict[str, Figures]]
"""Data set -> method -> figures."""


def _table3(existing: tuple[float, float], new: tuple[float, float]) -> Figures:
    return {"existing": _both(existing), "new": _both(new)}


def _both(pair: tuple[float, float]) -> dict[str, float]:
    return {"hr@10": pair[0], "ndcg@10": pair[1]}


def _lengths(short: float, medium: float, long: float, everyone: float) -> Figures:
    keys = ("stratum=0", "stratum=1", "stratum=2", "all")
    return {key: {"ndcg@20": value} for key, value in zip(keys, (short, medium, long, everyone), strict=True)}


LTP_GRU4REC: Published = {
    "music": {"joint": _table3((0.0238, 0.0125), (0.0194, 0.0102)), "ltp": _table3((0.0287, 0.0139), (0.0247, 0.0111))},
    "ml-1m": {"joint": _table3((0.2036, 0.1090), (0.1945, 0.0999)), "ltp": _table3((0.2194, 0.1196), (0.2094, 0.1058))},
}
LTP_SASREC: Published = {
    "music": {"joint": _table3((0.0530, 0.0295), (0.0495, 0.0242)), "ltp": _table3((0.0605, 0.0320), (0.0548, 0.0295))},
    "ml-1m": {"joint": _table3((0.2210, 0.1133), (0.2127, 0.1083)), "ltp": _table3((0.2411, 0.1256), (0.2227, 0.1147))},
}
FAIRNESS: Published = {
    "retailrocket": {
        "per-user-mean": _lengths(0.186, 0.342, 0.236, 0.223),
        "cvar-dro": _lengths(0.207, 0.347, 0.279, 0.241),
        "group-dro": _lengths(0.201, 0.347, 0.265, 0.236),
        "streaming-dro": _lengths(0.202, 0.347, 0.280, 0.237),
    }
}
PIN: Published = {"ml-1m": {"joint": {"all": {POOLED: 0.9077}}}}
