"""Combinations that cannot work are refused in one line that names the value and a way out, each by its own row of the table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.models.backbones import BACKBONES, SASRec
from ltrec.run.build.combinations import REFUSED, refuse_combinations

DIN = ("model.name=din",)
STRATIFIED = "gradients.name=stratified"
ALIGNED = "gradients.name=aligned"
CASES = {
    "softmax without states": (
        [*DIN, "objective.name=softmax"],
        r"objective.name=softmax needs a state per position and model.name=din has none; use sampled_softmax, gbce or bce",
    ),
    "adversary without states": (
        [*DIN, "adversary.weight=0.1"],
        r"adversary.weight=0.1 needs a backbone with states, and model.name=din has none; use adversary.weight=0 or another",
    ),
    "focal without a probability": (
        ["emphasis.name=focal", "objective.name=gbce"],
        r"emphasis.name=focal .* objective.name=gbce is not a cross-entropy .*; use softmax, sampled_softmax or in_batch",
    ),
    "columns, and a model of ids": (
        ["model.name=ids_alone", "inputs.items=[genres]"],
        r"inputs.\* name columns, and model.name=ids_alone uses ids only; take them out, or use sasrec, gru4rec or din",
    ),
    "plugins, jointly": (
        ["plugin.name=bottleneck"],
        r"plugin.name=bottleneck needs gradients by stratum: use gradients.name=stratified .*gradients.prior.beta=0",
    ),
    "plugins beneath a memory, jointly": (
        ["plugin.name=memory", "plugin.trained.name=bottleneck"],
        r"^plugin.trained.name=bottleneck needs gradients by stratum: use gradients.name=stratified",
    ),
    "a weight per stratum of one": (
        ["plugin.name=memory", "plugin.per_stratum=true", "strata=1"],
        r"plugin.per_stratum=true has no effect with strata=1",
    ),
    "a map of states without states": (
        [*DIN, STRATIFIED, "objective.name=bce", "plugin.name=melt"],
        r"plugin.name=melt maps states, and model.name=din has none; use another model.name",
    ),
    "negatives of another model": (
        [STRATIFIED, "plugin.name=copies", "objective.name=in_batch"],
        r"objective.name=in_batch shares negatives .* plugin.name=copies .*; use softmax or sampled_softmax",
    ),
    "states of several models": (
        [STRATIFIED, "plugin.name=copies", "adversary.weight=0.1"],
        r"adversary.weight=0.1 makes one model's states alike, and plugin.name=copies",
    ),
    "rows of what ZeRO cuts": (
        [STRATIFIED, "strategy.name=deepspeed_stage_2", "optim.name=lazy_adamw"],
        r"optim.name=lazy_adamw steps tables row by row, and strategy.name=deepspeed_stage_2 cuts them .*; use .*optim.name=adamw",
    ),
    "copies, ZeRO": (
        [STRATIFIED, "strategy.name=deepspeed_stage_1", "plugin.name=copies"],
        r"plugin.name=copies writes .* strategy.name=deepspeed_stage_1 .*; use strategy.name=auto",
    ),
    "plugins, ZeRO-3": (
        [STRATIFIED, "strategy.name=deepspeed_stage_3", "plugin.name=bottleneck"],
        r"plugin.name=bottleneck runs fewer parts .* lack a stratum, .*use strategy.name=deepspeed_stage_2 or",
    ),
    "sharded, jointly": (
        ["strategy.name=fsdp2"],
        r"gradients.name=joint is Lightning's own .*; strategy.name=fsdp2 needs gradients.name=stratified",
    ),
    "after a switch that never comes": (
        [ALIGNED, "gradients.after_switch.rule.name=upgrad"],
        r"gradients.after_switch.\* has no effect with plugin.name=none: .*use plugin.name=bottleneck",
    ),
    "after a switch that never comes, beneath a memory": (
        [ALIGNED, "gradients.after_switch.prior=event", "plugin.name=memory"],
        r"gradients.after_switch.\* has no effect with plugin.trained.name=none: .*use plugin.trained.name=bottleneck",
    ),
    "a loss scaler, aligned": (
        [ALIGNED, "trainer.precision=16-mixed"],
        r"16-mixed is not possible with gradients.name=aligned: .*; use bf16-mixed",
    ),
    "a loss scaler, sharded": (
        [STRATIFIED, "strategy.name=fsdp2", "trainer.precision=16-mixed"],
        r"16-mixed is not possible with strategy.name=fsdp2: gradients are sharded; use bf16-mixed",
    ),
    "a loss scaler, ZeRO": (
        [STRATIFIED, "strategy.name=deepspeed_stage_2", "trainer.precision=16-mixed"],
        r"16-mixed is not possible with strategy.name=deepspeed_stage_2",
    ),
}

UNWRITABLE = {
    "a switch to nothing": (
        ["plugin.switch.at=3"],
        "belongs to plugin 'bottleneck' or .* 'melt', but plugin.name is 'none'",
    ),
    "a switch to nothing, beneath a memory": (
        ["plugin.name=memory", "plugin.trained.switch.at=3"],
        "belongs to plugin.trained 'bottleneck' or 'copies' or 'melt', but plugin.trained.name is 'none'",
    ),
    "rule, jointly": (["gradients.rule.name=upgrad"], "belongs to gradients 'stratified', but gradients.name is 'joint'"),
    "rule's options, jointly": (["gradients.rule.c=0.2"], "belongs to gradients 'stratified', but gradients.name is 'joint'"),
    "prior, jointly": (["gradients.prior=uniform"], "belongs to gradients 'stratified', but gradients.name is 'joint'"),
    "mode, jointly": (["gradients.mode=weighted"], "belongs to gradients 'stratified', but gradients.name is 'joint'"),
    "inner steps, jointly": (["gradients.inner_steps=3"], "belongs to gradients 'aligned', but gradients.name is 'joint'"),
    "inner steps, by stratum": ([STRATIFIED, "gradients.inner_steps=3"], "belongs to gradients 'aligned', but .* is 'stratified'"),
    "rule, aligned": (
        [ALIGNED, "gradients.rule.name=upgrad"],
        "belongs to gradients 'stratified', but .* is 'aligned'",
    ),
    "a mode, aligned": ([ALIGNED, "gradients.mode=weighted"], "belongs to gradients 'stratified', but .* is 'aligned'"),
    "another prior's option": (
        [STRATIFIED, "gradients.prior.beta=0.5"],
        "belongs to gradients.prior 'class_balanced', .* 'user'",
    ),
    "a bent estimate": (
        [STRATIFIED, "gradients.estimator=horvitz_thompson", "gradients.rule.name=upgrad"],
        "gradients: estimator=horvitz_thompson .* rule.name=upgrad would bend it; use rule.name=backdoor",
    ),
}
"""What used to need a row: it cannot be written any more, and is answered with whose key it is."""


@pytest.fixture(autouse=True)
def a_model_of_ids() -> Iterator[None]:
    """A backbone whose row does not ask for inputs."""
    BACKBONES.register("ids_alone", build=SASRec)
    yield
    BACKBONES.remove("ids_alone")


@pytest.mark.parametrize("words", UNWRITABLE)
def test_settings_without_effect_cannot_be_written(words: str) -> None:
    settings, message = UNWRITABLE[words]
    with pytest.raises(UserError, match=message) as caught:
        load([], settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", CASES)
def test_refused_in_one_line(words: str) -> None:
    settings, message = CASES[words]
    with pytest.raises(UserError, match=f"^{message}" if words.startswith("softmax") else message) as caught:
        refuse_combinations(load([], settings))
    assert "\n" not in str(caught.value)


def test_every_row_is_tried() -> None:
    tried = {next(n for n, row in enumerate(REFUSED) if row.when(load([], words))) for words, _ in CASES.values()}
    assert tried == set(range(len(REFUSED))), "rows without a case of their own"


@pytest.mark.parametrize(
    "words",
    [
        [],
        [*DIN, "objective.name=bce"],
        ["emphasis.name=focal", "objective.name=in_batch"],
        ["adversary.weight=0.1", "strata=2"],
        [STRATIFIED, "plugin.name=bottleneck", "gradients.rule.name=upgrad", "gradients.prior.name=uniform"],
        [STRATIFIED, "plugin.name=memory", "plugin.trained.name=bottleneck", "plugin.per_stratum=true", "strata=2"],
        ["plugin.name=memory"],
        [STRATIFIED, "emphasis.name=cvar", "stream.users=tail"],
        ["emphasis.name=cvar", "stream.unit=user"],
        [ALIGNED, "plugin.name=bottleneck", "gradients.after_switch.rule=upgrad", "gradients.after_switch.prior=uniform"],
        [STRATIFIED, "strategy.name=ddp", "trainer.precision=16-mixed"],
    ],
)
def test_sensible_combinations_are_not_refused(words: list[str]) -> None:
    refuse_combinations(load([], words))


def test_training_checks_combinations_before_reading_data(tmp_path) -> None:
    config = load([], [f"out={tmp_path}", "data.path=nowhere", "plugin.name=bottleneck"])
    with pytest.raises(UserError, match="needs gradients by stratum"):
        training.train(config)
    assert list(tmp_path.iterdir()) == []
