"""RePlay: Parquet module, `SasRec.from_params`, Lightning module and metrics callback, as its documentation puts them together."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from measured import Epochs, Job, Stopwatch, Users, begin, end, read_users
from replay.data import FeatureHint, FeatureSource, FeatureType
from replay.data.nn import ParquetModule, TensorFeatureInfo, TensorFeatureSource, TensorSchema
from replay.nn.lightning import LightningModule
from replay.nn.lightning.callback import ComputeMetricsCallback
from replay.nn.lightning.optimizer import OptimizerFactory
from replay.nn.lightning.postprocessor import SeenItemsFilter
from replay.nn.sequential import SasRec
from replay.nn.transform.template import make_default_sasrec_transforms


class Clock(Epochs, lightning.Callback):
    """Counts targets whose position has an input: padding -> first item, which RePlay trains on besides, is none."""

    def count(self, batch: Any) -> int:
        """Real targets."""
        return int((batch["padding_mask"] & batch["target_padding_mask"].squeeze(-1)).sum())


def write(path: Path, **columns: list[Any]) -> str:
    """A Parquet file of lists."""
    arrays = {name: pa.array(values, pa.list_(pa.int64())) for name, values in columns.items()}
    pq.write_table(pa.table(arrays), path)
    return str(path)


def data_module(job: Job, users: Users, schema: TensorSchema) -> ParquetModule:
    """Training windows, and histories with their target and all that was seen."""
    windows = [history[-job.length - 1 :] for history in users.history if len(history) > 1]
    train = write(Path("train.parquet"), item_id=windows)
    seen = [np.append(history, valid) for history, valid in zip(users.history, users.valid, strict=True)]
    asked = {"item_id": [items[-job.length :] for items in seen], "seen_ids": seen, "ground_truth": users.test[:, None].tolist()}
    test = write(Path("test.parquet"), **asked)
    item = {"shape": job.length, "padding": job.items}
    metadata = {
        "train": {"item_id": item | {"shape": job.length + 1}},
        "test": {
            "item_id": item,
            "seen_ids": {"shape": max(map(len, seen)), "padding": -1},
            "ground_truth": {"shape": 1, "padding": -1},
        },
    }
    sizes = {"train": job.rows, "test": job.eval_rows}
    transforms = make_default_sasrec_transforms(schema)
    return ParquetModule(sizes, metadata, transforms, train_path=train, test_path=test)


def main() -> None:
    """Train, rank, print the figures."""
    job = begin()
    torch.set_num_threads(1)
    lightning.seed_everything(job.seed)
    source = [TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")]
    names = {"feature_hint": FeatureHint.ITEM_ID, "feature_sources": source, "padding_value": job.items}
    sizes = {"cardinality": job.items, "embedding_dim": job.width}
    schema = TensorSchema([TensorFeatureInfo("item_id", is_seq=True, feature_type=FeatureType.CATEGORICAL, **names, **sizes)])
    users = read_users(job)
    data = data_module(job, users, schema)
    shape = {"num_heads": job.heads, "num_blocks": job.blocks, "max_sequence_length": job.length, "dropout": job.dropout}
    model = LightningModule(SasRec.from_params(schema, embedding_dim=job.width, **shape), OptimizerFactory(learning_rate=job.lr))
    clock = Clock()
    filters = [SeenItemsFilter(job.items, "seen_ids")]
    metrics = ComputeMetricsCallback(metrics=["recall", "ndcg"], ks=[10], postprocessors=filters, verbose=False)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=job.epochs,
        limit_train_batches=job.steps or 1.0,
        limit_val_batches=0,
        callbacks=[clock, metrics],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=data)
    with Stopwatch() as ranking:
        [found] = trainer.test(model, datamodule=data, verbose=False)
    end(
        system=f"RePlay {version('replay-rec')}",
        torch=torch.__version__,
        epochs_s=clock.seconds,
        targets=clock.targets,
        users=len(users.test),
        evaluation_s=ranking.seconds,
        hr=found["recall@10"],
        ndcg=found["ndcg@10"],
    )


if __name__ == "__main__":
    main()
