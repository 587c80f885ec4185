"""Combinations that cannot work are refused in one line that names the value and a way out, each by its own row of the table."""

from __future__ import annotations

import pytest

import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.run.build.combinations import REFUSED, refuse_combinations

DIN = ("model.name=din",)
STRATIFIED = "strategy.name=stratified"
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
        r"emphasis.name=focal .* objective.name=gbce is no cross-entropy .*; use softmax, sampled_softmax or in_batch",
    ),
    "plugins, jointly": (
        ["plugin.name=bottleneck"],
        r"plugin.name=bottleneck needs gradients by stratum: use strategy.name=stratified .*causal.beta=0",
    ),
    "a switch to nothing": (
        ["switch.at=3"],
        r"switch.\* \(epoch, 3, 0.1\) has no effect with plugin.name=none; .*plugin.name=bottleneck",
    ),
    "a switch to nothing, beneath a memory": (
        ["plugin.name=memory", "switch.at=3"],
        r"has no effect with plugin.trained.name=none; take it out, or use plugin.trained.name=bottleneck",
    ),
    "plugins beneath a memory, jointly": (
        ["plugin.name=memory", "plugin.trained.name=bottleneck"],
        r"^plugin.trained.name=bottleneck needs gradients by stratum: use strategy.name=stratified",
    ),
    "a weight per stratum of one": (
        ["plugin.name=memory", "plugin.per_stratum=true", "causal.strata=1"],
        r"plugin.per_stratum=true has no effect with causal.strata=1",
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
    "copies, ZeRO": (
        ["strategy.name=stratified_deepspeed_stage_1", "plugin.name=copies"],
        r"plugin.name=copies writes .* strategy.name=stratified_deepspeed_stage_1 .*; use strategy.name=stratified",
    ),
    "rule, jointly": (
        ["rule.name=upgrad"],
        r"rule.name=upgrad has no effect with strategy.name=joint; use strategy.name=stratified",
    ),
    "rule's options, jointly": (["rule.name=cagrad", "rule.c=0.2"], r"rule.name=cagrad has no effect"),
    "prior, jointly": (["causal.prior=uniform"], r"causal.\* \(uniform, hajek, renormalize\) has no effect .* or take it out"),
    "mode, jointly": (["strategy.mode=weighted"], r"strategy.mode=weighted has no effect .*use strategy.name=stratified"),
    "alignment, not aligned": (
        ["alignment.inner_steps=3"],
        r"alignment.\* has no effect with strategy.mode=auto; use strategy.mode=al",
    ),
    "rule, aligned": (
        [STRATIFIED, "strategy.mode=aligned", "rule.name=upgrad"],
        r"rule.name=upgrad has no effect with strategy.mode=aligned and no plugins: .* use strategy.mode=auto",
    ),
    "prior, aligned": (
        [STRATIFIED, "strategy.mode=aligned", "causal.prior=uniform"],
        r"causal.\* \(uniform, hajek, renormalize\) has no effect with strategy.mode=aligned and no plugins",
    ),
    "a loss scaler, aligned": (
        [STRATIFIED, "strategy.mode=aligned", "trainer.precision=16-mixed"],
        r"16-mixed is not possible with strategy.mode=aligned: .*; use bf16-mixed",
    ),
    "a bent estimate": (
        [STRATIFIED, "causal.estimator=horvitz_thompson", "rule.name=upgrad"],
        r"horvitz_thompson .* rule.name=upgrad would bend it; use rule.name=backdoor",
    ),
    "a loss scaler, sharded": (
        ["strategy.name=stratified_fsdp2", "trainer.precision=16-mixed"],
        r"16-mixed is not possible with strategy.name=stratified_fsdp2: gradients are sharded; use bf16-mixed",
    ),
    "plugins, ZeRO-3": (
        ["strategy.name=stratified_deepspeed_stage_3", "plugin.name=bottleneck"],
        r"plugin.name=bottleneck runs fewer parts .* lack a stratum, .*use strategy.name=stratified_deepspeed_stage_2 or",
    ),
    "a loss scaler, ZeRO": (
        ["strategy.name=stratified_deepspeed_stage_2", "trainer.precision=16-mixed"],
        r"16-mixed is not possible with strategy.name=stratified_deepspeed_stage_2",
    ),
}


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
        ["adversary.weight=0.1", "causal.strata=2"],
        [STRATIFIED, "plugin.name=bottleneck", "rule.name=upgrad", "causal.prior=uniform"],
        [STRATIFIED, "plugin.name=memory", "plugin.trained.name=bottleneck", "plugin.per_stratum=true", "causal.strata=2"],
        ["plugin.name=memory"],
        [STRATIFIED, "emphasis.name=cvar", "stream.users=tail"],
        ["emphasis.name=cvar", "stream.unit=user"],
        [STRATIFIED, "strategy.mode=aligned", "plugin.name=bottleneck", "rule.name=upgrad", "causal.prior=uniform"],
        ["strategy.name=stratified_ddp", "trainer.precision=16-mixed"],
    ],
)
def test_what_makes_sense_is_not(words: list[str]) -> None:
    refuse_combinations(load([], words))


def test_training_asks_before_it_looks_at_anything(tmp_path) -> None:
    config = load([], [f"out={tmp_path}", "data.path=nowhere", "rule.name=upgrad"])
    with pytest.raises(UserError, match=r"has no effect with strategy\.name=joint"):
        training.train(config)
    assert list(tmp_path.iterdir()) == []
