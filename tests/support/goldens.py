"""Goldens: what 30 deterministic steps of every method in conf/method come to, in tests/goldens/<method>.json.

A golden is one small run through the whole of `ltrec train`: 90 users, a SASRec of width 8 with dropout, in float64 on one thread,
by the method's own file. It holds the loss of every step and the length of the weights afterwards, as the shortest decimals that
give the same doubles back. Plugins that wait for an epoch or a plateau wake before step 15 here.

The rule: a golden moves only in a commit of its own, whose message says why the numbers had to change. A change that was not meant
to change a method's numbers moves none. To write one anew:

    python -m tests.support.goldens ipw              # or several names, or --all

They are compared to a relative 1e-9 and not bit for bit: on another machine's BLAS and vector units sums are taken in another
order, a difference of 1e-16. Thirty steps of Adam make 1e-15 to 1e-14 of it, CAGrad's solver 2e-12 (measured with `nudge`); what a
changed method does is millions of times larger.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import ltrec.run.train as training
from benchmarks.harness.conf_methods import FILES
from ltrec.config.load import load
from ltrec.run import preflight
from tests.support.source_tree import ROOT
from tests.support.tiny_run import checkpoint, column, tiny_data, tiny_words

FOLDER = ROOT / "tests/goldens"
METHODS = sorted(FILES)
STEPS = 30
SWITCH = 15
TOLERANCE = 1e-9

COMMON = [
    "objective.name=softmax",
    "optim.lr=0.01",
    f"trainer.max_steps={STEPS}",
    "trainer.max_epochs=1000",
    "trainer.patience=0",
    "trainer.validate_every_epochs=1000",
    "trainer.log_every_steps=1",
    "trainer.checkpoint_every_steps=0",
]


def golden_of(method: str) -> dict[str, Any]:
    """The committed golden."""
    return json.loads((FOLDER / f"{method}.json").read_text())


def run(method: str, folder: Path, *words: str, nudge: float = 0.0) -> dict[str, Any]:
    """Run a method.

    Args:
        method: of conf/method or its zoo.
        folder: an empty one.
        words: settings that change it.
        nudge: relative size of random changes of the initial weights, as another machine might make them.
    """
    data = tiny_data(folder / "data")
    known = [w for w in tiny_words(data, folder / "runs") if not w.startswith("objective.")]
    path, more = FILES[method]
    file, said = [path], [*known, *COMMON, *more, *words]
    chosen = load(file, said)
    if chosen.switch is not None and chosen.switch.by != "step":
        said += [f"{chosen.trained_plugin_section}.switch.{word}" for word in ("by=step", f"at={SWITCH}")]
    with in_float64(nudge):
        training.train(load(file, said))
    out = folder / "runs" / "r"
    weights = [w for w in checkpoint(out)["state_dict"].values() if w.is_floating_point()]
    assert {w.dtype for w in weights} == {torch.float64}
    length = torch.cat([w.flatten() for w in weights]).norm().item()
    return {"method": method, "losses": column(out, "train/loss"), "weights": length}


@contextmanager
def in_float64(nudge: float):
    """Models are made, not only kept, in float64: float32 draws of initial weights differ between machines in their last bit."""
    build, default, threads = preflight.build_module, torch.get_default_dtype(), torch.get_num_threads()

    def in_double(*args: Any) -> Any:
        torch.set_default_dtype(torch.float64)
        try:
            stage = build(*args).double()
        finally:
            torch.set_default_dtype(default)
        noise = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for weight in stage.parameters():
                weight.mul_(1 + nudge * torch.randn(weight.shape, generator=noise, dtype=torch.float64))
        return stage

    try:
        with mock.patch.object(preflight, "build_module", in_double):
            yield
    finally:
        torch.set_num_threads(threads)


def differences(found: dict[str, Any], golden: dict[str, Any]) -> list[str]:
    """What is further from the golden than the tolerance, in words; the first few steps suffice."""
    pairs = [(f"loss of step {n}", a, b) for n, (a, b) in enumerate(zip(found["losses"], golden["losses"], strict=True))]
    pairs.append(("length of the weights", found["weights"], golden["weights"]))
    return [f"{name}: {a!r}, golden {b!r}" for name, a, b in pairs if not abs(a - b) <= TOLERANCE * abs(b)][:3]


def write(method: str) -> None:
    """Write a golden anew."""
    with tempfile.TemporaryDirectory() as folder:
        golden = run(method, Path(folder))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{method}.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    for name in METHODS if sys.argv[1:] == ["--all"] else sys.argv[1:]:
        write(name)
