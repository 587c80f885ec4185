"""One training epoch of SASRec with full cross-entropy against the floor that its matrix products set. `make bench-epoch`

    python benchmarks/epoch.py                        a synthetic log of a shop's shape (22,000 users, 12,000 items)
    python benchmarks/epoch.py --events LOG.parquet   columns user_id, item_id, timestamp; prepared into a temporary folder
    python benchmarks/epoch.py --data DIR             a prepared data set

    floor = counted floating-point operations of the real targets / matmul rate measured in the same run
    ratio = epoch / floor; 1 would mean that nothing but matrix products of real positions took any time

The rate is the median over products of the shapes that the softmax has, [n, D] x [D, V] and [n, V] x [V, D] for n of 256 to 2048.
Every shape is timed before, between and after the epochs and its *fastest* time counts, as the fastest epoch does: a busy machine
can then make the ratio too high, hardly too low. `busy` is how much slower than the best round the worst one was; above 1.25 other
work was going on and the figures should be taken again. Counted are: three products of every target with the catalogue (scores,
and the two gradients), three times the encoder's projections, and attention over the causal pairs of real positions. Nothing is
counted for padding, softmax, norms, dropout, embedding, optimiser or loader: whatever they cost appears in the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ltrec.core.batch import SequenceBatch
from ltrec.core.world import World
from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from ltrec.models.backbones import SASRec
from ltrec.models.layout import attention_layout
from ltrec.objectives import Draw
from ltrec.objectives.softmax import FullSoftmax
from ltrec.optim.build import adamw

SHOP = SyntheticConfig(users=22_000, items=12_000, events_per_user=9.0)


def main() -> None:
    """Time the epochs and print the figures; the last line is one JSON object."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    with _data(arguments) as folder:
        manifest = Manifest.load(folder)
        stream = StreamConfig(batch_rows=arguments.rows, lanes=8, max_len=arguments.max_len)
        loader = StreamLoader(folder, manifest, Plan.of(manifest, 0, stream), world=World())
        run = Run(arguments, manifest.vocab.items, loader)
        rounds, epochs = [matmul_rates(arguments.width, run.num_items)], []
        for _ in range(arguments.epochs):
            epochs.append(run.epoch())
            rounds.append(matmul_rates(arguments.width, run.num_items))
    report(arguments, manifest, run, epochs, rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", type=Path, help="a prepared data set")
    source.add_argument("--events", type=Path, help="a log to prepare first")
    parser.add_argument("--rows", type=int, default=128, help="sequences per step, a multiple of 8")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--max-len", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=2, help="the fastest one counts")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


@contextmanager
def _data(arguments: argparse.Namespace) -> Iterator[Path]:
    """The folder of a prepared data set."""
    if arguments.data:
        yield arguments.data
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        events = arguments.events or fetch_synthetic(SHOP, out / "log")
        prepare(PrepareConfig(name="bench", sources=(str(events),)), out / "data")
        yield out / "data"


class Run:
    """A model in training, with a tally of what it processed."""

    def __init__(self, arguments: argparse.Namespace, num_items: int, loader: StreamLoader) -> None:
        torch.manual_seed(0)
        self.num_items, self.loader = num_items, loader
        self.model = SASRec(num_items, arguments.max_len, width=arguments.width)
        self.objective = FullSoftmax()
        self.optimizer = adamw(self.model, lr=1e-3, weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8)
        self.targets = self.slots = self.pairs = 0
        self.loss = 0.0

    def epoch(self) -> float:
        """Train one epoch; seconds."""
        self.targets = self.slots = self.pairs = 0
        start = time.perf_counter()
        for batch in self.loader:
            self._step(batch)
            self.loader.advance(batch.step)
        seconds = time.perf_counter() - start
        print(f"epoch  {seconds:8.2f} s   loss of the last step {self.loss:.3f}", flush=True)
        return seconds

    def _step(self, batch: SequenceBatch) -> None:
        draw = Draw(0, batch.step, batch.user_key_B[batch.row_of_position()] + batch.index_in_row())
        loss_N = self.objective(self.model.encode(batch), batch.targets_T, self.model.item_table, draw)
        loss = loss_N.mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.loss = loss.item()
        self.targets += batch.targets_T.numel()
        self.pairs += int((batch.lengths_B * (batch.lengths_B + 1)).sum()) // 2
        self.slots += attention_layout(batch.offsets, batch.items_T.numel(), self.model.max_len).num_cells

    def flops(self) -> float:
        """Floating-point operations of one epoch's matrix products, forward and backward, real positions only."""
        width, blocks = self.model.items.embedding_dim, len(self.model.blocks)
        weights = sum(p.numel() for p in self.model.blocks.parameters() if p.dim() == 2)
        return 3 * 2 * (self.targets * (self.num_items * width + weights) + 2 * self.pairs * width * blocks)


def matmul_rates(width: int, num_items: int) -> list[float]:
    """Floating-point operations per second of products of the softmax's shapes, both directions."""
    table = torch.randn(num_items, width)
    rates = []
    for rows in (256, 512, 1024, 2048):
        states, scores = torch.randn(rows, width), torch.empty(rows, num_items)
        work = 2.0 * rows * width * num_items
        rates.append(work / _fastest(torch.mm, states, table.T, scores))
        rates.append(work / _fastest(torch.mm, scores, table, states))
    return rates


def _fastest(product: Callable[..., Tensor], left: Tensor, right: Tensor, out: Tensor) -> float:
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        product(left, right, out=out)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def report(arguments: argparse.Namespace, manifest: Manifest, run: Run, epochs: list[float], rounds: list[list[float]]) -> None:
    """Print the figures."""
    rate = statistics.median(max(shape) for shape in zip(*rounds, strict=True))
    typical = [statistics.median(one) for one in rounds]
    epoch, flops = min(epochs), run.flops()
    figures = {
        "benchmark": "epoch",
        "data": {"name": manifest.name, "digest": manifest.digest, "rows": manifest.train_rows, "items": run.num_items},
        "rows_per_step": arguments.rows,
        "width": arguments.width,
        "threads": arguments.threads,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "targets": run.targets,
        "epoch_s": round(epoch, 3),
        "epochs_s": [round(seconds, 3) for seconds in epochs],
        "targets_per_s": round(run.targets / epoch),
        "encoder_padding": round(1 - run.targets / run.slots, 4),
        "softmax_padding": 0.0,
        "matmul_gflops": round(rate / 1e9, 1),
        "busy": round(max(typical) / min(typical), 2),
        "counted_gflop": round(flops / 1e9, 1),
        "floor_s": round(flops / rate, 3),
        "ratio": round(epoch / (flops / rate), 3),
    }
    print(f"targets          {run.targets:,} an epoch, {figures['targets_per_s']:,} a second")
    print(f"padding          {figures['encoder_padding']:.1%} of attention's positions; 0 % of all others and of the softmax")
    print(f"matmul rate      {figures['matmul_gflops']} GFLOP/s with {arguments.threads} threads; busy {figures['busy']}")
    print(f"floor            {figures['floor_s']} s for {figures['counted_gflop']} GFLOP")
    print(f"epoch / floor    {figures['ratio']}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
