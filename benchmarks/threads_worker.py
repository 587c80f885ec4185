"""A worker of threads.py: for every line on stdin some steps of joint training, answered with their milliseconds each.

python threads_worker.py DATA STEPS [KEY=VALUE ...]         says "ready" once it is warm
"""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path

import torch

from ltrec.config.load import load
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.training import build_module

CONFIG = Path(__file__).parents[1] / "conf" / "experiment" / "quickstart.yaml"


def main(data: str, number: str, *words: str) -> None:
    """Answer until stdin ends."""
    config = load([CONFIG], [f"data.path={data}", "trainer.accelerator=cpu", *words])
    opened = open_data(config)
    plan = build_plan(config, opened)
    stage = build_module(config, opened, plan)
    batches = list(islice(StreamLoader(opened.folder, opened.manifest, plan, world=World()), int(number)))
    optimizer = torch.optim.AdamW(stage.parameters())

    def steps() -> float:
        begin = time.perf_counter()
        for batch in batches:
            optimizer.zero_grad()
            stage.losses(batch).loss_N.mean().backward()
            optimizer.step()
        return (time.perf_counter() - begin) * 1000 / len(batches)

    steps()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(steps(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
