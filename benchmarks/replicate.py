"""Replicate published SASRec figures on the S3Rec files: `python benchmarks/replicate.py --logs DIR [--cell NAME ...]`.

DIR holds NAME/events.parquet with user_id, item_id, timestamp (Beauty: 22,363 users, 12,101 items, 198,502 events; Sports:
35,598, 18,357, 296,337). Protocol of the figures: last item = test, last but one = validation, full ranking, seen items filtered,
length 50. A cell is trained, evaluated once with its best validation checkpoint, and written to benchmarks/results/replicate.jsonl;
finished cells are skipped and interrupted ones go on, so the command may be repeated until all are done.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ltrec.config.load import load
from ltrec.data.prepare.pipeline import prepare
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from ltrec.run.train import train

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "replicate.jsonl"
CONFIG = HERE.parent / "conf" / "experiment" / "replicate.yaml"


@dataclass(frozen=True, slots=True)
class Cell:
    """One table cell: a log, the settings that differ from conf/experiment/replicate.yaml, and what is published for it."""

    log: str
    words: tuple[str, ...]
    hr: float
    ndcg: float
    source: str


SAMPLED = ("objective.name=sampled_softmax", "objective.negatives=256")
CELLS = {
    "beauty-sampled": Cell("beauty", SAMPLED, 0.0921, 0.0531, "eSASRec table, SASRec + sampled softmax (256 negatives)"),
    "sports-sampled": Cell("sports", SAMPLED, 0.0569, 0.0314, "eSASRec table, SASRec + sampled softmax (256 negatives)"),
    "beauty-softmax": Cell("beauty", ("objective.name=softmax",), 0.083, 0.0416, "a RecBole user's run with full cross-entropy"),
    "sports-softmax": Cell("sports", ("objective.name=softmax",), 0.048, 0.0227, "a RecBole user's run with full cross-entropy"),
    "beauty-bce": Cell(
        "beauty",
        ("objective.name=bce", "objective.negatives=1"),
        0.0605,
        0.0318,
        "SASRec with one negative, as quoted by other papers",
    ),
}


def run_cell(name: str, cell: Cell, logs: Path, work: Path) -> dict[str, object]:
    """Prepare, train, evaluate one cell; return its row."""
    data = work / "data" / cell.log
    base = [CONFIG]
    words = [f"data.path={data}", f"out={work / 'runs'}", f"name={name}", *cell.words]
    config = load(base, words)
    prepare(load(base, [*words, f"prepare.sources=[{logs / cell.log / 'events.parquet'}]"]).prepare, data)
    started = time.monotonic()
    run = train(config)
    seconds = time.monotonic() - started
    files = evaluate_run(run, "test", "best", detect())
    summary = summarise(EvalTable.read(files[config.model.name]), config.evaluation)
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    scores = [(line["val/ndcg@10"], line["epoch"]) for line in lines if "val/ndcg@10" in line]
    row: dict[str, object] = {
        "cell": name,
        "log": cell.log,
        "published": {"hr@10": cell.hr, "ndcg@10": cell.ndcg, "source": cell.source},
    }
    for key in ("all", "head", "tail"):
        metrics = summary.groups[key].metrics
        row[key] = {m: [round(v, 4) for v in (metrics[m].mean, metrics[m].low, metrics[m].high)] for m in ("hr@10", "ndcg@10")}
    row |= {
        "best_epoch": max(scores)[1],
        "epochs": scores[-1][1],
        "val_ndcg@10": round(max(scores)[0], 4),
        "train_seconds_last_call": round(seconds),
    }
    origin = json.loads(run.provenance.read_text())
    kept = {key: origin[key] for key in ("started", "versions", "git", "hardware")} | {"data": origin["data"]["digest"]}
    return row | {"seed": config.seed, "settings": list(cell.words), "provenance": kept}


def show(rows: list[dict[str, object]]) -> None:
    """Print measured beside published."""
    table = Table(
        "cell",
        "HR@10",
        "published",
        "NDCG@10",
        "published",
        "head / tail NDCG@10",
        "epochs",
        title="SASRec, full ranking, one seed",
    )
    for row in rows:
        all_, published = row["all"], row["published"]
        head, tail = row["head"]["ndcg@10"][0], row["tail"]["ndcg@10"][0]
        cells = [
            row["cell"],
            all_["hr@10"][0],
            published["hr@10"],
            all_["ndcg@10"][0],
            published["ndcg@10"],
            f"{head} / {tail}",
            row["epochs"],
        ]
        table.add_row(*map(str, cells))
    Console(width=120).print(table)


def main() -> None:
    """Run the cells that are not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True, help="folder with NAME/events.parquet")
    parser.add_argument("--work", type=Path, default=Path("runs/replicate"), help="folder for data and runs")
    parser.add_argument("--cell", action="append", choices=list(CELLS), help="only this cell; may be repeated")
    options = parser.parse_args()
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    for name in options.cell or list(CELLS):
        if name not in {row["cell"] for row in rows}:
            rows.append(run_cell(name, CELLS[name], options.logs, options.work))
            with RESULTS.open("a") as handle:
                handle.write(json.dumps(rows[-1]) + "\n")
    show(rows)


if __name__ == "__main__":
    main()
