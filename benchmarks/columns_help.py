"""What columns give on a log where it is known: ids alone, with columns, with id dropout, and with columns that are noise.

    python benchmarks/columns_help.py [--seeds 0 1 2] [--epochs 20] [--out DIR]    half a minute a run, four runs a seed

Each seed makes a log of its own (`ltrec fetch synthetic`) and trains SASRec on it, all runs for as long and with the same settings,
under a cosine schedule. NDCG@10 on the test split, changes in per cent of ids alone, by stratum of training events, with 95 %
intervals: users are paired, those of all seeds pooled and resampled. Targets that training never saw are apart: ids rank them last.
The last line is JSON; what is in DIR is not done again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import ltrec
from ltrec.cli.main import main as command
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import NUM_CANDIDATES, RANK, TARGET_COUNT, EvalTable

ROOT = Path(__file__).parents[1]
GIVEN = ("inputs.items=[all]", "inputs.events=[all]")
RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ids": ("informative", ()),
    "columns": ("informative", GIVEN),
    "id-dropout": ("informative", (*GIVEN, "inputs.id_dropout=0.1")),
    "noise": ("noise", GIVEN),
}
"""Name -> columns of the log, which is otherwise the same, and words of the command line."""

SHAPE = ("model.width=32", "model.blocks=1", "model.dropout=0.3", "stream.max_len=20", "stream.batch_rows=96")
TRAINING = ("optim.lr=5e-3", "optim.schedule=cosine", "trainer.patience=0", "trainer.accelerator=cpu", "trainer.threads=1")
COMMON = (*SHAPE, *TRAINING, "objective.name=softmax", "stream.window=random")
RESAMPLES = 2000

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Train what is not there, compare, print."""
    asked = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        out = asked.out or Path(temporary)
        tables = {name: [_table(out, name, seed, asked) for seed in asked.seeds] for name in RUNS}
    result: dict[str, Any] = {"benchmark": "columns_help", "seeds": asked.seeds, "epochs": asked.epochs, "items": asked.items}
    for name in [name for name in RUNS if name != "ids"]:
        result[name] = dict(_changes(tables["ids"], tables[name]))
        print(name, *(f"{key} {_shown(value)}" for key, value in result[name].items()), sep="\n    ", flush=True)
    for name, found in tables.items():
        result[name] = result.get(name, {}) | {"new": _new_items(found)}
        print(name, "new items", result[name]["new"])
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for logs and runs; a temporary one unless given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the log and of training")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--users", type=int, default=3000)
    parser.add_argument("--items", type=int, default=600)
    return parser.parse_args()


def _table(out: Path, name: str, seed: int, asked: argparse.Namespace) -> EvalTable:
    """Ranks of one run on the test split."""
    columns, words = RUNS[name]
    folder = out / f"{columns}-{seed}"
    file = RunFolder(folder / "runs" / name).eval_table("test")
    if not file.exists():
        _prepared(folder, columns, seed, asked)
        files = [str(ROOT / "conf/model/sasrec.yaml"), str(ROOT / "conf/method/joint.yaml")]
        own = (f"data.path={folder / 'data'}", f"out={folder / 'runs'}", f"name={name}", f"seed={seed}")
        _run("train", *files, *own, *COMMON, f"trainer.max_epochs={asked.epochs}", "trainer.progress=false", *words)
        ltrec.evaluate(folder / "runs" / name, bootstrap_samples=100)
    return EvalTable.read(file)


def _prepared(folder: Path, columns: str, seed: int, asked: argparse.Namespace) -> None:
    raw, data = folder / "raw", folder / "data"
    if not (data / "manifest.json").exists():
        shape = ("--users", asked.users, "--items", asked.items, "--events-per-user", 8, "--new-items", asked.items // 6)
        _run("fetch", "synthetic", "--columns", columns, "--category-share", 0.8, "--seed", seed, *shape, "--out", raw)
        sources = (f"prepare.sources=[{raw / 'events.parquet'}]", f"prepare.items.source={raw / 'items.parquet'}")
        _run("prepare", ROOT / "conf/data/synthetic-columns.yaml", *sources, f"data.path={data}")


def _run(*words: object) -> None:
    if status := command([str(word) for word in words]):
        raise SystemExit(status)


def _changes(base: list[EvalTable], other: list[EvalTable]) -> Iterable[tuple[str, list[float]]]:
    """Group -> change in per cent, and its interval."""
    parts = [_pair(*pair) for pair in zip(base, other, strict=True)]
    base_N, other_N, stratum_N = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    groups = {"all": np.ones(len(stratum_N), bool), **{f"stratum {z}": stratum_N == z for z in np.unique(stratum_N).tolist()}}
    for name, group_N in groups.items():
        yield name, _interval(base_N[group_N], other_N[group_N])


def _pair(base: EvalTable, other: EvalTable) -> tuple[Floats, Floats, Floats]:
    """NDCG@10 of both, and strata, of the users whose target training saw, in the order of their keys."""
    orders = [np.argsort(table.column("user_key")) for table in (base, other)]
    assert np.array_equal(base.column("user_key")[orders[0]], other.column("user_key")[orders[1]]), "other users"
    seen = base.column(TARGET_COUNT)[orders[0]] > 0
    values = [ndcg_at(table.column(RANK), 10)[order][seen] for table, order in zip((base, other), orders, strict=True)]
    return values[0], values[1], base.column("stratum")[orders[0]][seen]


def _interval(base_N: Floats, other_N: Floats) -> list[float]:
    draw = np.random.default_rng(0)
    drawn = [draw.integers(0, len(base_N), len(base_N)) for _ in range(RESAMPLES)]
    shares = [other_N[rows].mean() / base_N[rows].mean() - 1 for rows in drawn]
    ends = np.quantile(shares, [0.025, 0.975])
    return [round(100 * float(value), 1) for value in (other_N.mean() / base_N.mean() - 1, *ends)]


def _new_items(tables: list[EvalTable]) -> dict[str, float]:
    """Of the users whose target training never saw."""
    new = [table.column(TARGET_COUNT) == 0 for table in tables]
    rank_N, of_N = (
        np.concatenate([table.column(name)[mine] for table, mine in zip(tables, new, strict=True)])
        for name in (RANK, NUM_CANDIDATES)
    )
    found = {"ndcg@10": ndcg_at(rank_N, 10).mean(), "hr@50": (rank_N <= 50).mean(), "auc": ((of_N - rank_N) / (of_N - 1)).mean()}
    return {"users": len(rank_N), **{name: round(float(value), 4) for name, value in found.items()}}


def _shown(change: list[float]) -> str:
    mean, low, high = change
    return f"{mean:+.1f} % [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    main()
