"""Lightning over FSDP2 in two gloo processes, in float64, equals the naive definition in one: every mode, five AdamW steps.

One pair of processes runs all cases; the tests then look at what it brought back.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from ltrec.core.errors import UserError
from ltrec.optim.build import adamw
from ltrec.strategy import StratifiedFSDP2Strategy, StratifiedOptions
from tests.support.naive_strata import naive_step
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear, renormalised
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import crowded

WORLD, STRATA, STEPS = 2, 3, 5
PRIOR_K = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
RULES = {"linear": ToyLinear, "gram": ToyGram, "coordinate": ToyCoordinate}


@dataclass(frozen=True)
class Case:
    """One training run."""

    mode: str = "per_stratum"
    rule: str = "linear"
    micros: int = 1
    clip: float | None = None
    stage: dict[str, Any] = field(default_factory=dict)
    weighed: bool = False
    """Whether targets have weights, and some events are not targets."""
    source: str = "auto"
    probe_every: int | None = None
    poison: tuple[int, int] | None = None
    """(step, stratum) of a loss that is not a number, on rank 1 alone."""
    nonfinite: str = "skip"


PLUGINS, COUPLED = {"plugins": True}, {"couples_rows": True}
CASES = {
    "linear": Case(),
    "gram": Case(rule="gram", stage=PLUGINS),
    "coordinate": Case(rule="coordinate", stage=PLUGINS),
    "accumulate-clip": Case(rule="gram", micros=3, clip=0.05, stage=PLUGINS),
    "retained": Case(rule="gram", micros=2, stage=COUPLED),
    "weighted": Case(mode="weighted", stage=PLUGINS),
    "weighted-accumulate-clip": Case(mode="weighted", micros=3, clip=0.05, stage=PLUGINS),
    "weighted-coupled": Case(mode="weighted", micros=2, stage=COUPLED),
    "weights": Case(micros=3, weighed=True, stage=PLUGINS),
    "weights-gram": Case(rule="gram", micros=2, clip=0.05, weighed=True, stage=COUPLED),
    "weights-weighted": Case(mode="weighted", micros=3, weighed=True, stage=PLUGINS),
    "per_stratum-probe": Case(probe_every=2, stage=PLUGINS),
    "weighted-probe": Case(mode="weighted", probe_every=2, stage=PLUGINS),
    "weighted-probe-accumulate": Case(mode="weighted", probe_every=2, micros=3, stage=PLUGINS),
    "skip": Case(micros=2, poison=(1, 1)),
    "skip-weighted": Case(mode="weighted", micros=2, poison=(1, 1)),
    "stop": Case(poison=(1, 1), nonfinite="stop"),
    "stop-weighted": Case(mode="weighted", poison=(1, 1), nonfinite="stop"),
}


def window(case, step):
    """Step 1: rank 1 lacks stratum 1. Step 2: nobody has stratum 2. Step 3: rank 0 has nothing at all."""
    holes = {1: lambda r: r.rank == 1 and r.stratum == 1, 2: lambda r: r.stratum == 2, 3: lambda r: r.rank == 0}
    if case.poison and step == case.poison[0]:
        holes = {}
    whole = crowded(WORLD, STRATA, case.micros, seed=step).at(step)
    whole = whole.weighed(step) if case.weighed else whole
    return whole.without(holes.get(step, lambda row: False))


class ToyModule(pl.LightningModule):
    """A ToyStage, as Lightning and the strategy want it."""

    joint_training_step = True

    def __init__(self, case):
        super().__init__()
        self.case, self.stage = case, ToyStage(STRATA, **case.stage)
        self.num_strata, self.couples_rows = STRATA, self.stage.couples_rows
        self.has_plugins = self.plugins_awake = bool(self.stage.plugins)

    def losses(self, batch):
        example = self.stage.losses(batch)
        poison = self.case.poison
        if poison is None or batch.step != poison[0] or self.global_rank != 1:
            return example
        nan = torch.where(example.stratum_N == poison[1], float("nan"), 0.0)
        return example._replace(loss_N=example.loss_N + nan * self.stage.mix.sum())

    def seed_dropout(self, batch, stratum=None):
        pass

    def plugin_of(self, name):
        return toy_owner(name.removeprefix("stage."))

    def training_step(self, batch, batch_idx):
        raise AssertionError("the strategy owns the loop")

    def configure_optimizers(self):
        return optimizer_of(self)


def optimizer_of(module):
    return adamw(module, lr=0.05, weight_decay=0.1, betas=(0.9, 0.98), eps=1e-8)


class Watch(pl.Callback):
    """Remembers every window's report and what was sent for it, and that parameters are at rest between windows."""

    def __init__(self):
        self.reports, self.sent, self.calls = [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch.micro + 1 == trainer.accumulate_grad_batches:
            collectives = trainer.strategy.engine.collectives
            report = trainer.strategy.report
            self.reports.append(
                report and [None if t is None else t.tolist() for t in (report.counts_K, report.weights_K, report.gram_KK)]
            )
            self.sent.append(dict(collectives.sent))
            self.calls.append(dict(collectives.calls))
            assert all(hasattr(p, "device_mesh") for p in pl_module.parameters()), "a gathered copy was left behind"


@dataclass(frozen=True)
class Outcome:
    """What one rank brings back: plain numbers, which travel between processes."""

    weights: dict[str, Any]
    reports: list[Any]
    sent: list[dict[str, int]]
    calls: list[dict[str, int]]
    shards: dict[str, int]


def train(case, rank):
    """One run on one rank."""
    batches = [batch for step in range(STEPS) for batch in window(case, step).batches(rank)]
    options = {"mode": case.mode, "source": case.source, "probe_every": case.probe_every, "nonfinite": case.nonfinite}
    strategy = StratifiedFSDP2Strategy(options=StratifiedOptions(RULES[case.rule](PRIOR_K), PRIOR_K, **options))
    watch, module = Watch(), ToyModule(case)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=WORLD,
        strategy=strategy,
        max_epochs=1,
        accumulate_grad_batches=case.micros,
        gradient_clip_val=case.clip,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )
    try:
        trainer.fit(module, DataLoader(batches, batch_size=None))
    except UserError as error:
        return str(error)
    state = strategy.lightning_module_state_dict()
    shards = {name: p.to_local().numel() for name, p in module.named_parameters()}
    numbers = {name: t.numpy() for name, t in state.items() if t is not None}
    return Outcome(numbers, watch.reports, watch.sent, watch.calls, shards)


def train_all(rank):
    act_as_rank(rank, WORLD)
    torch.manual_seed(rank)
    return {name: train(case, rank) for name, case in CASES.items()}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return spawn(train_all, WORLD, tmp_path_factory.mktemp("fsdp2") / "store", timeout=240)


def combine_coordinates(stage, batches, found):
    """Put a coordinate-wise rule's update in the place of the weighted sum."""
    rows = []
    for stratum in range(STRATA):
        alone_K = torch.eye(STRATA, dtype=torch.float64)[stratum]
        rows.append(naive_step(stage, batches, lambda gram, counts, w=alone_K: w, toy_owner, PRIOR_K).gradients)
    for name in found.gradients:
        if toy_owner(name) is None:
            stacked_KN = torch.stack([row[name].flatten() for row in rows])
            combined_N = ToyCoordinate(PRIOR_K).combine(stacked_KN, found.counts_K.double())
            found.gradients[name].copy_(combined_N.view_as(found.gradients[name]))


def naive_run(case):
    """The weights and every step's numbers, in plain torch."""
    module, steps = ToyModule(case), []
    optimizer = optimizer_of(module)

    def weights(gram_KK, counts_K):
        return ToyGram(PRIOR_K).weights(gram_KK, counts_K, 0) if case.rule == "gram" else renormalised(PRIOR_K, counts_K)

    for step in range(STEPS):
        batches = window(case, step).all_batches()
        found = naive_step(module.stage, batches, weights, toy_owner, PRIOR_K)
        steps.append(found)
        if case.rule == "coordinate":
            combine_coordinates(module.stage, batches, found)
        if case.poison and step == case.poison[0]:
            continue
        for name, parameter in module.stage.named_parameters():
            parameter.grad = found.gradients[name].clone() if name in found.gradients else None
        if case.clip:
            torch.nn.utils.clip_grad_norm_(module.parameters(), case.clip)
        optimizer.step()
    return module.state_dict(), steps


TRAINED = [name for name, case in CASES.items() if case.nonfinite == "skip"]


def close(found, expected, what=""):
    torch.testing.assert_close(
        torch.as_tensor(found, dtype=torch.float64), expected, rtol=1e-9, atol=1e-11, msg=lambda text: f"{what}: {text}"
    )


@pytest.mark.parametrize("name", TRAINED)
def test_five_steps_equal_the_definition(ranks, name):
    case, (outcome, elsewhere) = CASES[name], (found[name] for found in ranks)
    expected, steps = naive_run(case)
    assert outcome.weights.keys() == expected.keys() and elsewhere.weights == {}, "rank 0 alone keeps whole tensors"
    for key, value in expected.items():
        close(outcome.weights[key], value, key)
    assert len(outcome.reports) == STEPS
    for step, (report, naive) in enumerate(zip(outcome.reports, steps, strict=True)):
        if case.poison and step == case.poison[0]:
            continue
        counts, weights, gram = report
        assert counts == naive.counts_K.tolist()
        if case.rule != "coordinate":
            close(weights, naive.weights_K, "weights")
        formed = case.rule == "gram" or (case.probe_every and (step + 1) % case.probe_every == 0)
        assert (gram is not None) == bool(formed)
        if formed:
            close(gram, naive.gram_KK, "gram")


@pytest.mark.parametrize("name", ["per_stratum-probe", "weighted-probe", "weighted-probe-accumulate"])
def test_a_probe_changes_nothing(ranks, name):
    expected, _ = naive_run(replace(CASES[name], probe_every=0))
    for key, value in expected.items():
        close(ranks[0][name].weights[key], value, key)


@pytest.mark.parametrize("name", [name for name in CASES if name not in TRAINED])
def test_one_bad_number_on_one_rank_stops_all_with_one_line(ranks, name):
    one, two = (found[name] for found in ranks)
    assert one == two and "\n" not in one
    assert one.startswith("training diverged: a stratum's gradient is not a finite number after step 2")


def padded_bytes(stage):
    """What FSDP2 gathers, and what it sums: parameters with their first dimension rounded up to a multiple of W."""
    sizes = [(-(-p.shape[0] // WORLD) * WORLD * p[0].numel() * p.element_size(), p.requires_grad) for p in stage.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trainable in sizes if trainable)


@pytest.mark.parametrize("name", ["linear", "gram", "accumulate-clip", "weighted", "weighted-accumulate-clip"])
def test_a_window_gathers_parameters_once_and_sums_every_pass_once(ranks, name):
    case = CASES[name]
    gathered, summed = padded_bytes(ToyStage(STRATA, **case.stage))
    for outcome in (found[name] for found in ranks):
        sent = [{"all_gather": 0, "reduce_scatter": 0, "all_reduce": 0, "broadcast": 0}, *outcome.sent]
        for step in range(STEPS):
            new = {kind: sent[step + 1].get(kind, 0) - sent[step].get(kind, 0) for kind in sent[0]}
            present = sum(count > 0 for count in outcome.reports[step][0])
            passes = case.micros * present if case.mode == "per_stratum" else 1
            assert new["all_gather"] == gathered // 2
            assert new["reduce_scatter"] == passes * summed // 2
            measured = STRATA * (STRATA + 1) // 2 if case.rule == "gram" else STRATA
            small = 2 * 8 * STRATA + (8 * measured if case.mode == "per_stratum" else 0)
            assert new["all_reduce"] + new["broadcast"] <= small + 8 * STRATA


def test_every_rank_holds_its_share(ranks):
    whole = {name: p.numel() for name, p in ToyModule(CASES["gram"]).named_parameters()}
    shards = [found["gram"].shards for found in ranks]
    assert {name: sum(held[name] for held in shards) for name in whole} == whole
    assert all(max(held[name] for held in shards) < size for name, size in whole.items())
