"""An exported model and its server: users per second against the matrix products, and latency at half of the capacity.

    python benchmarks/serve.py                              20,000 items, width 64, windows of 50
    python benchmarks/serve.py --items 100000 --seconds 20

* *floor*: the matrix products of a batch (encoder, plugins, scores of every item), at the rate of a product of the scores' shape.
* *recommender*: the folder's own script on 1,024 histories, as many as it answers together, most of them short, ten items a list;
  *of 256*: on so many. The floor counts the products that run, padding included; *of needed*: with every history as long as it is.
* *onnx*: the same model in that format. Its share is that of torch's product, and *of its own*, onnxruntime's, which may be faster.
* *batches*: `ltrec serve` on loopback, requests of 64 histories from four connections; *single*: of one history from 32.
* *latency*: single requests due at random at half of the rate of *single*, from due to answered.

Floor and recommender have one thread and are timed by its processor seconds, which other work on the machine disturbs little. Parts
take turns, and the best turn of each counts. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from serve_load import capacity, latencies, request_of
from serve_model import histories, make_artefact
from serve_products import OnnxProduct, products, products_of_positions

from ltrec.artefact.recommend import HISTORIES, Recommender
from ltrec.run.process.allocator import keep_freed_memory

BATCH, K = 64, 10


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000, help="size of the catalogue")
    parser.add_argument("--width", type=int, default=64, help="of the model")
    parser.add_argument("--max-len", type=int, default=50, help="of its windows")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every part")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a turn of load")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "torch"
        for form in ("torch", "onnx"):
            make_artefact(folder.with_name(form), items=asked.items, width=asked.width, max_len=asked.max_len, k=K, form=form)
        found = {**offline(folder, asked), **served(folder, asked)}
    print("\n".join(f"{name:<28}{value:,.3g}" for name, value in found.items()))
    about = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}", "items": asked.items}
    print(json.dumps({"benchmark": "serve", **about, "width": asked.width, **{name: round(v, 4) for name, v in found.items()}}))


def offline(folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    """The recommender in both formats against the matrix products."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as ltrec serve does
    with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):
        torch_one, onnx_one = Recommender(folder), Recommender(folder.with_name("onnx"))
    own = histories(HISTORIES, asked.items)
    few = own[:256]
    table = torch_one.tables["item_vectors"]
    states = np.random.default_rng(0).standard_normal((256, asked.width), np.float32)
    across, onnx_product = np.ascontiguousarray(table.T), OnnxProduct()
    left, right = torch.from_numpy(states), torch.from_numpy(across)
    works: dict[str, Callable[[], Any]] = {
        "recommender": lambda: torch_one(own, K),
        "of_256": lambda: torch_one(few, K),
        "onnx": lambda: onnx_one(own, K),
        "product": lambda: left @ right,
        "onnx_product": lambda: onnx_product(states, across),
    }
    seconds = dict.fromkeys(works, float("inf"))
    for _ in range(asked.rounds):
        for name, work in works.items():
            seconds[name] = min(seconds[name], timed(work))
    rates = {name: 2 * len(states) * table.size / seconds[name] for name in ("product", "onnx_product")}
    flops = {name: products(torch_one, histories) for name, histories in {"all": own, "few": few}.items()}
    needed = products_of_positions(torch_one, own)
    return {
        "recommender_users_s": len(own) / seconds["recommender"],
        "floor_users_s": len(own) * rates["product"] / flops["all"],
        "recommender_share": flops["all"] / rates["product"] / seconds["recommender"],
        "recommender_share_of_needed": needed / rates["product"] / seconds["recommender"],
        "recommender_share_of_256": flops["few"] / rates["product"] / seconds["of_256"],
        "onnx_users_s": len(own) / seconds["onnx"],
        "onnx_share": flops["all"] / rates["product"] / seconds["onnx"],
        "onnx_share_of_its_own": flops["all"] / rates["onnx_product"] / seconds["onnx"],
        "product_gflops": rates["product"] / 1e9,
        "onnx_product_gflops": rates["onnx_product"] / 1e9,
    }


def timed(work: Any) -> float:
    """Processor seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def served(folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    """The server on loopback."""
    words = [sys.executable, "-m", "ltrec", "serve", str(folder), "--port", "0", "--no-access-log", "--queue", "4096"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        told = re.search(r"http://127.0.0.1:(\d+)", process.stderr.readline())
        assert told is not None
        own = histories(256, asked.items)
        single = [request_of("/recommend", json.dumps({"history": history, "k": K}).encode()) for history in own]
        parts = [own[n : n + BATCH] for n in range(0, len(own), BATCH)]
        batches = [request_of("/recommend/batch", json.dumps({"histories": part, "k": K}).encode()) for part in parts]
        return asyncio.run(load(int(told[1]), single, batches, asked))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


async def load(port: int, single: list[bytes], batches: list[bytes], asked: argparse.Namespace) -> dict[str, float]:
    """Capacity by batches and by single requests, then latency."""
    turns = max(1, asked.rounds // 2)
    users = max([BATCH * await capacity(port, batches, connections=4, seconds=asked.seconds) for _ in range(turns)])
    requests = max([await capacity(port, single, connections=32, seconds=asked.seconds) for _ in range(turns)])
    best: dict[str, float] = {}
    for _ in range(turns):
        times = await latencies(port, single, rate=requests / 2, seconds=asked.seconds)
        p50, p99 = (1e3 * times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
        if not best or p99 / p50 < best["p99_over_p50"]:
            best = {"p50_ms": p50, "p99_ms": p99, "p99_over_p50": p99 / p50}
    return {"batches_users_s": users, "single_requests_s": requests, **best}


if __name__ == "__main__":
    main()
