"""What a loss costs among as many items: shared negatives, and the full softmax of a catalogue of that size.

    python -m benchmarks.losses [--rounds 9]

Forward and backward pass alone, one thread, width 64, a table of 10,000 touched rows; processor milliseconds, the least of the
rounds, the losses in turn. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ltrec.objectives import OBJECTIVES, Draw

SIZES = ((8_800, 256), (3_000, 256), (1_500, 1_024), (1_500, 4_096))
"""Examples and negatives."""

ROWS, WIDTH = 10_000, 64


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="turns of every loss")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    found = {f"{examples} x {negatives}": measure(examples, negatives, rounds) for examples, negatives in SIZES}
    for size, ms in found.items():
        print(size, ", ".join(f"{name} {value:.1f} ms" for name, value in ms.items()))
    print(json.dumps({"benchmark": "losses", "torch": torch.__version__, "processor_ms": found}))


def measure(examples: int, negatives: int, rounds: int) -> dict[str, float]:
    """Milliseconds by loss."""
    losses = {
        "shared": _loss("sampled_softmax", examples, ROWS, negatives=negatives, scope="shared"),
        "softmax": _loss("softmax", examples, negatives),
    }
    taken: dict[str, list[float]] = {name: [] for name in losses}
    for _ in range(rounds):
        for name, run in losses.items():
            begun = time.process_time()
            run()
            taken[name].append(time.process_time() - begun)
    return {name: round(1e3 * min(times), 2) for name, times in taken.items()}


def _loss(name: str, examples: int, items: int, **options: object) -> Callable[[], object]:
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(examples, WIDTH, generator=draw).requires_grad_()
    table = (0.1 * torch.randn(items + 1, WIDTH, generator=draw)).requires_grad_()
    targets = torch.randint(1, items + 1, (examples,), generator=draw)
    loss = OBJECTIVES[name].make(train_count=torch.ones(items + 1), gather=_same, among=None, **options)

    def run() -> object:
        return torch.autograd.grad(loss(states, targets, table, Draw(0, 0, targets)).sum(), (states, table))

    return run


def _same(ids: Tensor) -> Tensor:
    return ids


if __name__ == "__main__":
    main()
