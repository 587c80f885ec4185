"""RecBole: atomic files, its sequential data set, SASRec, trainer and evaluator, as `run_recbole` puts them together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured import Job, Stopwatch, Users, begin, end, read_users
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer
from recbole.utils import init_seed

TARGETS = 512
"""Targets of a step, whose rows are prefixes of histories with one target each: about as many as 128 sequences of Beauty have."""


class TimedTrainer(Trainer):
    """Clocks its epochs and counts their targets."""

    def __init__(self, config: Config, model: SASRec) -> None:
        super().__init__(config, model)
        self.epochs_s: list[float] = []

    def _train_epoch(self, *arguments: Any, **options: Any) -> Any:
        with Stopwatch() as watch:
            loss = super()._train_epoch(*arguments, **options)
        self.epochs_s.append(watch.seconds)
        return loss


class Cut:
    """A loader whose epochs may be cut."""

    def __init__(self, loader: Any, steps: int) -> None:
        self.loader, self.steps = loader, steps
        self.targets: list[int] = []

    def __iter__(self) -> Iterator[Any]:
        self.targets.append(0)
        for batch in itertools.islice(self.loader, self.steps or None):
            self.targets[-1] += len(batch)
            yield batch

    def __len__(self) -> int:
        return self.steps or len(self.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def write_files(job: Job, users: Users) -> None:
    """Events of the training window and the two after it; and all items, so that the catalogue is whole."""
    folder = Path("log")
    folder.mkdir()
    with (folder / "log.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, (history, *after) in enumerate(zip(users.history, users.valid, users.test, strict=True)):
            for time, item in enumerate(np.append(history[-job.length - 1 :], after)):
                file.write(f"{user}\t{item}\t{time}\n")
    (folder / "log.item").write_text("item_id:token\n" + "".join(f"{item}\n" for item in range(job.items)))


def settings(job: Job) -> dict[str, Any]:
    """Of RecBole."""
    split = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
    return {
        "data_path": ".",
        "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id"]},
        "eval_args": split,
        "metrics": ["Hit", "NDCG"],
        "topk": [10],
        "valid_metric": "NDCG@10",
        "MAX_ITEM_LIST_LENGTH": job.length,
        "hidden_size": job.width,
        "inner_size": job.width,
        "n_layers": job.blocks,
        "n_heads": job.heads,
        "hidden_dropout_prob": job.dropout,
        "attn_dropout_prob": job.dropout,
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "learning_rate": job.lr,
        "train_batch_size": TARGETS,
        "eval_batch_size": job.eval_rows,
        "epochs": job.epochs,
        "eval_step": 0,
        "use_gpu": False,
        "show_progress": False,
        "metric_decimal_place": 6,
        "seed": job.seed,
    }


def main() -> None:
    """Train, rank, print the figures."""
    job = begin()
    torch.set_num_threads(1)
    users = read_users(job)
    write_files(job, users)
    config = Config(model="SASRec", dataset="log", config_dict=settings(job))
    init_seed(job.seed, reproducibility=True)
    train, _, test = data_preparation(config, create_dataset(config))
    model = SASRec(config, train.dataset)
    trainer, loader = TimedTrainer(config, model), Cut(train, job.steps)
    trainer.fit(loader, saved=False, verbose=False)
    with Stopwatch() as ranking:
        found = trainer.evaluate(test, load_best_model=False)
    end(
        system=f"RecBole {version('recbole')}",
        torch=torch.__version__,
        epochs_s=trainer.epochs_s,
        targets=loader.targets,
        users=len(test.dataset),
        evaluation_s=ranking.seconds,
        hr=found["hit@10"],
        ndcg=found["ndcg@10"],
    )


if __name__ == "__main__":
    main()
