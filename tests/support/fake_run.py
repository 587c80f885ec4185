"""A realistic run folder without any training: power-law users, ranks that depend on activity, curves that fall and flatten.

`fake_run` writes the files a real run leaves (config.yaml, provenance.json, metrics.jsonl, eval/*.parquet). Two folders with
the same `world` have the same users and targets, so they may be compared; `lift` helps the tail, `tax` costs the head.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa

from ltrec.core.strata import Strata
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.table import TABLE_SCHEMA, EvalTable, Protocol

DIGEST = "5f2c0a9be1d34c7788aa61f0c2b6a7c14d0e9f3382b75c6a1e4d9f00aa11bb22"
ITEMS = 420
BOUNDS = (1, 30, 50, 85, 140)
HEAD_FROM = 140


def fake_run(
    folder: Path,
    *,
    users: int = 2400,
    world: int = 0,
    seed: int = 1,
    lift: float = 0.0,
    tax: float = 0.0,
    cold: int = 6,
    reach: bool = True,
) -> Path:
    """Write a run folder at `folder` and return it."""
    rng = np.random.default_rng(world)
    activity = np.concatenate([np.minimum(18 + rng.lognormal(3.6, 1.0, users).astype(int), 735), np.zeros(cold, dtype=int)])
    target = np.minimum(rng.zipf(1.35, users + cold), ITEMS)
    strata = fake_strata(activity)
    for split in ("valid", "test"):
        rows = {"activity": activity, "target": target, "strata": strata, "split": split, "reach": reach}
        skill = 1.0 + lift * (activity < HEAD_FROM) - tax * (activity >= HEAD_FROM)
        write_table(folder, split, "sasrec", skill=skill, spread=0.9, seed=seed, **rows)
        write_table(folder, f"baseline-popularity-{split}", "popularity", skill=0.45 + 0 * skill, spread=0.12, seed=None, **rows)
        write_table(folder, f"baseline-last-item-{split}", "last-item", skill=0.12 + 0 * skill, spread=1.0, seed=None, **rows)
        write_table(folder, f"baseline-transitions-{split}", "transitions", skill=0.4 * skill, spread=0.6, seed=None, **rows)
        write_table(folder, f"baseline-item-knn-{split}", "item-knn", skill=0.3 * skill, spread=0.7, seed=None, **rows)
    (folder / "config.yaml").write_text(
        f"name: {folder.name}\nseed: {seed}\nmodel:\n  name: sasrec\n  width: 64\n  blocks: 2\n", encoding="utf-8"
    )
    (folder / "provenance.json").write_text(json.dumps(fake_provenance(strata, seed), indent=2) + "\n", encoding="utf-8")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in fake_history(seed)), encoding="utf-8")
    return folder


def fake_reach(activity: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distances that grow with an item's rarity and shrink with a user's activity; -1 without a history, and for one user more."""
    luck = np.random.default_rng(5).random(len(activity))
    far = luck + 0.08 * np.log(target) - 0.1 * np.log1p(activity) + 0.25
    distance = 1 + (far > 0.35).astype(np.int8) + (far > 0.8)
    return np.where((activity == 0) | (np.arange(len(activity)) == 1), -1, distance).astype(np.int8)


def fake_strata(activity: np.ndarray) -> Strata:
    """Strata with the counts that `activity` really has."""
    warm = activity[activity > 0]
    member = Strata(BOUNDS, (0,) * 5, (0,) * 5, HEAD_FROM).of(warm)
    counts = np.bincount(member, minlength=5)
    events = np.bincount(member, weights=warm, minlength=5).astype(int)
    return Strata(BOUNDS, tuple(counts.tolist()), tuple(events.tolist()), HEAD_FROM)


def write_table(
    folder: Path, stem: str, scorer: str, *, activity, target, strata, split, skill, spread: float, seed, reach: bool = True
) -> None:
    """One eval/<stem>.parquet. `skill` [N] scales how near the top the targets rank; `spread` how varied the lists are."""
    rng = np.random.default_rng([len(scorer), seed or 0, split == "test"])
    count = len(activity)
    draw = rng.random(count) ** (0.75 + skill * (0.3 + 0.14 * np.log1p(activity)))
    rank = 1 + np.floor(draw * (ITEMS - 60)).astype(np.int32)
    pool = max(60, int(ITEMS * spread))
    top = [rng.permutation(pool)[:50] + 1 for _ in range(count)]
    counts = np.maximum(1, (3000 / np.arange(1, ITEMS + 1) ** 0.8).astype(int))
    catalogue = ItemCatalogue(*(tuple(v.tolist()) for v in _falling(counts)))
    rows = pa.table(
        {
            "user_id": [f"u{i:05d}" for i in range(count)],
            "user_key": np.arange(count, dtype=np.int64) * 7919,
            "stratum": strata.of(activity),
            "activity": activity.astype(np.int32),
            "history_length": (activity + (activity > 0) * (split == "test")).astype(np.int32),
            "target": target.astype(np.int32),
            "target_count": catalogue.count_of(target),
            "repeat": np.zeros(count, dtype=bool),
            "reach": fake_reach(activity, target) if reach else np.full(count, -1, dtype=np.int8),
            "rank": rank,
            "candidates": np.full(count, ITEMS - 40, dtype=np.int32),
            "top_items": pa.array([t.astype(np.int32) for t in top], type=TABLE_SCHEMA.field("top_items").type),
        }
    ).cast(TABLE_SCHEMA)
    source = {"scorer": scorer, "checkpoint_sha256": "9c" * 32, "seed": seed} if seed is not None else {"scorer": scorer}
    protocol = Protocol(DIGEST, split, filter_seen=scorer != "last-item")
    (folder / "eval").mkdir(parents=True, exist_ok=True)
    EvalTable(rows, protocol, source, strata, catalogue).write(folder / "eval" / f"{stem}.parquet")


def fake_history(seed: int, epochs: int = 20, steps: int = 16) -> list[dict[str, float]]:
    """Lines of metrics.jsonl: a loss per step and, after each epoch, validation."""
    rng = np.random.default_rng(seed)
    lines: list[dict[str, float]] = []
    for step in range(1, epochs * steps + 1):
        epoch = step / steps
        level = 4.1 + 2.1 * np.exp(-epoch / 4)
        line = {"step": step, "epoch": epoch, "train/loss": float(level + rng.normal(0, 0.04)), "lr": 0.001}
        lines.append(line | {f"train/loss/{z}": float(level + 0.11 * (2 - z) + rng.normal(0, 0.09)) for z in range(5)})
        if step % steps == 0:
            value = float(0.062 * (1 - np.exp(-epoch / 3)) - 0.0007 * max(0, epoch - 13))
            parts = {
                "val/ndcg@10": value,
                "val/hr@10": 1.9 * value,
                "val/ndcg@10/head": 1.2 * value,
                "val/ndcg@10/tail": 0.95 * value,
            }
            lines.append({"step": step, "epoch": epoch, **parts})
    return lines


def fake_provenance(strata: Strata, seed: int) -> dict:
    """As tracking writes it."""
    return {
        "started": "2026-03-14T09:26:53+00:00",
        "command": f"ltrec train conf/experiment/quickstart.yaml seed={seed}",
        "seed": seed,
        "versions": {"ltrec": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "pytorch-lightning": "2.6.6"},
        "git": {"commit": "4bb5b43c0ffee4bb5b43c0ffee4bb5b43c0ffee0", "dirty": True},
        "hardware": {"machine": "x86_64", "system": "Linux-6.1", "cpus": 2, "torch_threads": 2, "gpus": [], "processes": 1},
        "data": {
            "path": "data/ml-100k",
            "name": "ml-100k",
            "digest": DIGEST,
            "split": {"kind": "leave_one_out"},
            "strata": asdict(strata) | {"names": strata.names()},
            "items": ITEMS,
            "summary": {"users": sum(strata.users), "events": sum(strata.events), "rejected": 0},
        },
    }


def strata_keys(step: int, strata: int, *, gram: bool) -> dict[str, float]:
    """What telemetry writes, simple enough to check by eye."""
    keys = {f"strata/count/{z}": 100.0 + z for z in range(strata)}
    keys |= {f"strata/missing/{z}": 0.25 * (z == 0) for z in range(strata)}
    keys |= {f"strata/weight/{z}": 1 / strata for z in range(strata)} | {"strata/ess": 321.0}
    if gram:
        keys |= {f"strata/grad_norm/{z}": 2.0 + z for z in range(strata)}
        keys |= {f"strata/cosine/{y}-{z}": 0.5 - step / 300 for y, z in combinations(range(strata), 2)}
        keys |= {"strata/conflict": float(step > 150)}
    return keys


def stratify(run: Path, *, strata: int = 5, gram: int = 1, **more: float) -> Path:
    """Give a fake run's training lines what stratified training adds; a Gram matrix on every n-th, none for 0."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if "train/loss" in line:
            line |= strata_keys(line["step"], strata, gram=bool(gram) and line["step"] % gram == 0) | more
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def _falling(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, times = np.unique(counts, return_counts=True)
    return values[::-1], times[::-1]
