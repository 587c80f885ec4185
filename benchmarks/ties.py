"""What the order inside ties is worth to joint training: `python benchmarks/ties.py --logs DIR [--data music,steam] [--rules hash]`

DIR holds NAME/events.parquet. Each log is prepared with its ties in the order of the log (`source`) or in that of a hash, and joint
training with the settings of benchmarks/methods.py is repeated on it with every seed; the test split is ranked once. A line a run
goes to benchmarks/results/ties.jsonl. Killed and repeated, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.child import Job
from methods_tables import PROTOCOLS

from ltrec.config.load import dump, load
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.data.prepare.pipeline import prepare

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ties.jsonl"
CONFIGS = PROTOCOLS["methods"].configs
GROUPS = ("all", "tail", "head")


def lines() -> list[dict[str, Any]]:
    """What is known."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def run(name: str, rule: str, seed: int, logs: Path, out: Path) -> dict[str, Any]:
    """Prepare, train, rank; the figures of one run.

    Raises:
        subprocess.CalledProcessError: training failed; its log is beside the job.
    """
    data, label = out / "data" / f"{name}-{rule}", f"{name}-{rule}-s{seed}"
    words = [
        f"prepare.sources=[{logs / name / 'events.parquet'}]",
        f"prepare.ties={rule}",
        f"data.path={data}",
        f"out={out / 'runs'}",
    ]
    config = load(
        [HERE.parent / CONFIGS[name], HERE.parent / "conf" / "method" / "joint.yaml"], [*words, f"name={label}", f"seed={seed}"]
    )
    manifest = prepare(config.prepare, data)
    base = out / "jobs" / label
    atomic_write_text(base.with_suffix(".yaml"), dump(config))
    job, result = base.with_suffix(".json"), base.with_suffix(".result.json")
    Job(str(base.with_suffix(".yaml")), str(result), f"{base}.lock", {"test": True}).write(job)
    with base.with_suffix(".log").open("a") as log:
        subprocess.run(
            [sys.executable, str(HERE / "methods_run.py"), str(job)],
            stdout=log, stderr=log, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    found = json.loads(result.read_text())
    kept = {key: found[key] for key in ("best_epoch", "epochs", "seconds", "busy", "commit")}
    scorers = {"joint": found["test"], **found["baselines"]}
    test = {scorer: {group: groups[group]["ndcg@10"][0] for group in GROUPS} for scorer, groups in scorers.items()}
    return {"data": name, "rule": rule, "seed": seed, "ties": manifest.summary["ties"], "ndcg@10": test, **kept}


def table(found: Sequence[dict[str, Any]]) -> str:
    """NDCG@10 by log and rule, the mean over the seeds, as Markdown."""
    rows = ["| log | ties | seeds | NDCG@10 | tail | head |", "| --- | --- | --: | --: | --: | --: |"]
    for name, rule in dict.fromkeys((line["data"], line["rule"]) for line in found):
        runs = [line["ndcg@10"]["joint"] for line in found if (line["data"], line["rule"]) == (name, rule)]
        means = (f"{sum(test[group] for test in runs) / len(runs):.4f}" for group in GROUPS)
        rows.append(f"| {name} | {rule} | {len(runs)} | {' | '.join(means)} |")
    return "\n".join(rows)


def main() -> None:
    """Do what is not done yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True, help="folder with NAME/events.parquet")
    parser.add_argument("--out", type=Path, default=Path("runs/ties"), help="folder for data and runs")
    parser.add_argument("--data", default=",".join(CONFIGS), help="logs, by comma")
    parser.add_argument("--rules", default="source,hash", help="of prepare.ties, by comma")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    wanted = [(n, r, int(s)) for s in options.seeds.split(",") for n in options.data.split(",") for r in options.rules.split(",")]
    for name, rule, seed in wanted:
        if not any((line["data"], line["rule"], line["seed"]) == (name, rule, seed) for line in lines()):
            print(time.strftime("%H:%M:%S"), name, rule, seed, file=sys.stderr, flush=True)
            found = run(name, rule, seed, options.logs, options.out)
            with RESULTS.open("a") as file:
                file.write(json.dumps(found) + "\n")
    print(table(sorted(lines(), key=lambda line: (line["data"], line["rule"], line["seed"]))))


if __name__ == "__main__":
    main()
