"""Which mode and source a run gets, and which wishes are refused: in one line, before anything trains."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ltrec.causal.prior import prior_of
from ltrec.core.errors import UserError
from ltrec.distributed.alignment.config import AlignmentConfig
from ltrec.distributed.gradients_config import StratifiedConfig
from ltrec.strategy import STRATEGIES, StratifiedDDPStrategy, StratifiedSingleDeviceStrategy
from ltrec.strategy.gradients import buffers_kept
from ltrec.strategy.options import choose_mode, choose_source, default_options
from tests.support.lightning_toy import Case, LightningToy, strategy_of, train, trainer_of

EVERYWHERE, ZERO = ("per_stratum", "weighted", "replay"), ("weighted", "replay")
AUTO = [
    ("linear", EVERYWHERE, "per_stratum"),
    ("gram", EVERYWHERE, "per_stratum"),
    ("coordinate", EVERYWHERE, "per_stratum"),
    ("linear", ZERO, "weighted"),
    ("gram", ZERO, "replay"),
    ("linear", ("weighted",), "weighted"),
]


@pytest.mark.parametrize(("kind", "supported", "chosen"), AUTO)
def test_auto_takes_the_first_mode_that_fits(kind, supported, chosen):
    assert choose_mode("auto", kind, supported, "some") == chosen
    assert choose_mode(chosen, kind, supported, "some") == chosen


@pytest.mark.parametrize(
    ("wanted", "kind", "supported", "message"),
    [
        (
            "weighted",
            "gram",
            EVERYWHERE,
            "mode weighted cannot run a rule on the Gram matrix: .*use replay or per_stratum",
        ),
        ("weighted", "coordinate", EVERYWHERE, "mode weighted cannot run a coordinate-wise rule: .*every coordinate"),
        ("replay", "coordinate", EVERYWHERE, "mode replay cannot run a coordinate-wise rule: .*only mode per_stratum"),
        ("replay", "linear", EVERYWHERE, "mode replay cannot run a linear rule: .*use weighted"),
        (
            "per_stratum",
            "linear",
            ZERO,
            "mode per_stratum is not possible with strategy some; possible: weighted, replay",
        ),
        (
            "aligned",
            "linear",
            ZERO,
            r"mode aligned is not possible with strategy some; inner steps need every parameter whole on every "
            r"process; use one device, or DDP$",
        ),
        ("auto", "coordinate", ZERO, "strategy some cannot run a coordinate-wise rule: .*only mode per_stratum"),
        ("auto", "gram", ("weighted",), "strategy some cannot run a rule on the Gram matrix"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(wanted, kind, supported, message):
    with pytest.raises(UserError, match=message):
        choose_mode(wanted, kind, supported, "some")


def test_sources():
    assert [choose_source("auto", coupled=coupled) for coupled in (False, True)] == ["split", "retained"]
    assert choose_source("retained", coupled=False) == choose_source("retained", coupled=True) == "retained"
    assert choose_source("split", coupled=False) == "split"
    with pytest.raises(UserError, match=r"source split .* couples the rows of a batch; use retained or auto"):
        choose_source("split", coupled=True)


REFUSED = {
    "coordinate, weighted": (Case(rule="agr_sum", mode="weighted"), "mode weighted cannot run a coordinate-wise rule"),
    "coordinate, replay": (Case(rule="agr_sum", mode="replay"), "mode replay cannot run a coordinate-wise rule"),
    "gram, weighted": (Case(rule="upgrad", mode="weighted"), "mode weighted cannot run a rule on the Gram matrix"),
    "linear, replay": (Case(mode="replay"), "mode replay cannot run a linear rule"),
    "split, coupled": (Case(source="split", couples_rows=True), "source split runs strata alone"),
    "replay, accumulate": (
        Case(rule="upgrad", mode="replay", accumulate=2),
        "mode replay cannot accumulate 2 micro-batches: ",
    ),
    "replay, plugins": (Case(rule="upgrad", mode="replay", plugins=True), "mode replay cannot train plugins"),
}


@pytest.mark.parametrize(("case", "message"), REFUSED.values(), ids=REFUSED)
def test_a_trainer_refuses_before_the_first_batch(case, message):
    found = train(0, 1, case)
    assert found.error is not None and found.error.startswith(message) and "\n" not in found.error
    assert found.log.events == [] and found.steps == 0


def test_batch_norm_couples_rows():
    module, strategy = LightningToy(Case()), strategy_of(Case(), 1)
    module.norm = nn.BatchNorm1d(2)
    strategy.connect(module)
    assert strategy.source == "retained"
    with pytest.raises(UserError, match="couples the rows"):
        strategy_of(replace(Case(), source="split"), 1).connect(module)


def test_a_look_leaves_buffers_as_they_were():
    norm, batch = nn.BatchNorm1d(3), torch.randn(5, 3)
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    with buffers_kept(norm):
        norm(batch)
        assert not torch.equal(norm.running_mean, before["running_mean"])
    for name, buffer in norm.named_buffers():
        assert torch.equal(buffer, before[name])


def test_names_are_registered_with_lightning():
    assert {"stratified", "stratified_ddp", "stratified_fsdp2", "stratified_deepspeed_stage_3"} <= set(STRATEGIES)
    by_name = {name: trainer_of(Case(), name, 1, []).strategy for name in ("stratified", "stratified_ddp")}
    assert isinstance(by_name["stratified"], StratifiedSingleDeviceStrategy)
    assert isinstance(by_name["stratified_ddp"], StratifiedDDPStrategy)


def test_without_options_a_strategy_is_what_the_command_line_is_without_options():
    told = default_options(SimpleNamespace(num_strata=4, users_K=(30, 0, 50, 20)), "stratified")
    assert (
        told.prior_K.tolist()
        == prior_of(StratifiedConfig().prior.name, (30, 0, 50, 20), (1, 1, 1, 1)).tolist()
        == [0.3, 0, 0.5, 0.2]
    )
    assert told.rule.weights(torch.tensor([3, 9, 0, 1])).tolist() == pytest.approx([0.6, 0, 0, 0.4])
    said = StratifiedConfig()
    assert (told.mode, told.source, told.nonfinite, told.probe_every) == (
        said.mode,
        said.source,
        said.nonfinite,
        said.probe_every_steps,
    )
    assert (told.rule.kind, told.rule_name, told.alignment) == ("linear", said.rule.name, AlignmentConfig())


def test_probes_are_cheap_unless_somebody_wants_more():
    """By default now and then where the gradients are there anyway, and never where they are not; a number holds for both."""
    told = default_options(SimpleNamespace(num_strata=2, users_K=(1, 1)), "stratified")
    assert [told.probe_interval(mode) for mode in ("per_stratum", "weighted")] == [25, 0]
    for every in (0, 3):
        assert {replace(told, probe_every=every).probe_interval(mode) for mode in ("per_stratum", "weighted")} == {every}


def test_by_name_the_device_is_the_accelerators_first():
    """What `Trainer(strategy="stratified", accelerator="gpu")` says nothing about."""
    strategy = StratifiedSingleDeviceStrategy()
    placed = []
    strategy._accelerator = SimpleNamespace(
        parse_devices=lambda count: [7][:count],
        get_parallel_devices=lambda found: [torch.device("meta", i) for i in found],
        setup_device=placed.append,
    )
    strategy.setup_environment()
    assert strategy.root_device == torch.device("meta", 7) and placed == [strategy.root_device]
    given = StratifiedSingleDeviceStrategy(device="meta")
    assert given.root_device == torch.device("meta")
