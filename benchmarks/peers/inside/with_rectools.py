"""RecTools: `SASRecModel` on a `Dataset`, fitted and asked to recommend, as its documentation puts them together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from measured import Epochs, Job, Stopwatch, Users, begin, end, read_users
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import NDCG, HitRate, calc_metrics
from rectools.models import SASRecModel


class Clock(Epochs, pl.Callback):
    """Counts targets."""

    def count(self, batch: Any) -> int:
        """Without padding."""
        return int((batch["y"] != 0).sum())


def interactions(histories: list[np.ndarray]) -> pd.DataFrame:
    """A row per event, with its position as its day."""
    lengths = np.array([len(history) for history in histories])
    ends = lengths.cumsum()
    day = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    return pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(histories)), lengths),
            Columns.Item: np.concatenate(histories),
            Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp("2000-01-01") + pd.to_timedelta(day, unit="D"),
        }
    )


def make_model(job: Job) -> SASRecModel:
    """Trained by a trainer with a clock."""

    def trainer() -> pl.Trainer:
        return pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=job.epochs,
            limit_train_batches=job.steps or 1.0,
            callbacks=[Clock()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    return SASRecModel(
        n_blocks=job.blocks,
        n_heads=job.heads,
        n_factors=job.width,
        dropout_rate=job.dropout,
        session_max_len=job.length,
        lr=job.lr,
        batch_size=job.rows,
        recommend_batch_size=job.eval_rows,
        recommend_torch_device="cpu",
        get_trainer_func=trainer,
    )


def quality(model: SASRecModel, users: Users) -> dict[str, float]:
    """Rank what was not seen for everybody; HR and NDCG at 10."""
    seen = [np.append(history, valid) for history, valid in zip(users.history, users.valid, strict=True)]
    found = model.recommend(np.arange(len(seen)), Dataset.construct(interactions(seen)), k=10, filter_viewed=True)
    asked = pd.DataFrame({Columns.User: np.arange(len(seen)), Columns.Item: users.test})
    return calc_metrics({"hr": HitRate(k=10), "ndcg": NDCG(k=10, divide_by_achievable=True)}, found, asked)


def main() -> None:
    """Train, rank, print the figures."""
    job = begin()
    torch.set_num_threads(1)
    pl.seed_everything(job.seed)
    users, model = read_users(job), make_model(job)
    model.fit(Dataset.construct(interactions(users.history)))
    clock = next(callback for callback in model.fit_trainer.callbacks if isinstance(callback, Clock))  # it has trained a copy
    with Stopwatch() as ranking:
        found = quality(model, users)
    end(
        system=f"RecTools {version('rectools')}",
        torch=torch.__version__,
        epochs_s=clock.seconds,
        targets=clock.targets,
        users=len(users.test),
        evaluation_s=ranking.seconds,
        **found,
    )


if __name__ == "__main__":
    main()
