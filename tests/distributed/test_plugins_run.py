"""Every kind of plugin trained in two processes, parameters whole or sharded, across the switch, is the run of one process."""

import pytest
import torch

import ltrec.run.train as training
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, tiny_config, tiny_data

KINDS = {
    "bottleneck": ["plugin.name=bottleneck", "plugin.switch.trunk_rate=0.5"],
    "copies": ["plugin.name=copies", "plugin.switch.trunk_rate=0", "strata=2"],
    "melt": ["plugin.name=melt", "plugin.switch.trunk_rate=1"],
}
WHOLE = {"alone": ["gradients.name=stratified"]}
REPLICATED = {
    "ddp": ["gradients.name=stratified", "strategy.name=ddp", "gradients.mode=per_stratum"],
    "ddp-weighted": ["gradients.name=stratified", "strategy.name=ddp", "gradients.mode=weighted"],
}
SHARDED = {
    "fsdp2": ["gradients.name=stratified", "strategy.name=fsdp2", "gradients.mode=per_stratum"],
    "fsdp2-weighted": ["gradients.name=stratified", "strategy.name=fsdp2", "gradients.mode=weighted"],
}
ZERO = {f"zero-{stage}": ["gradients.name=stratified", f"strategy.name=deepspeed_stage_{stage}"] for stage in (1, 2)}
WAYS = {**WHOLE, **REPLICATED, **SHARDED, **ZERO}
LIGHTNING = [(kind, way) for kind in KINDS for way in (*REPLICATED, *SHARDED)]
DEEPSPEED = [("bottleneck", "zero-1"), ("bottleneck", "zero-2"), ("melt", "zero-2")]  # copies are refused there, and ZeRO-3
STEPS = [
    "trainer.max_steps=6",
    "trainer.log_every_steps=1",
    "optim.eps=1e-3",
    "model.dropout=0",
    "plugin.switch.by=step",
    "plugin.switch.at=3",
]


def train(data, out, kind, way):
    training.train(tiny_config(data, out / kind / way, *STEPS, *KINDS[kind], *WAYS[way]))


def train_all(rank, data, out, runs):
    act_as_rank(rank, 2)
    for kind, way in runs:
        train(data, out, kind, way)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [LIGHTNING, DEEPSPEED], ids=["lightning", "deepspeed"])
def test_two_processes_train_like_one(tmp_path, runs):
    data = tiny_data(tmp_path / "data")
    spawn(train_all, 2, tmp_path / "store", data, tmp_path, runs, timeout=240)
    for kind, way in runs:
        alone, run = (tmp_path / kind / name / "r" for name in ("alone", way))
        if not alone.exists():
            train(data, tmp_path, kind, "alone")
        assert column(run, "val/ndcg@10") == pytest.approx(column(alone, "val/ndcg@10"), rel=1e-3)
        assert column(run, "train/loss") == pytest.approx(column(alone, "train/loss"), rel=1e-4)
        state = checkpoint(alone)["state_dict"]
        assert state["backbone.switch.since_step"] >= 0 and checkpoint(run)["state_dict"].keys() == state.keys()
        for key, value in checkpoint(run)["state_dict"].items():
            torch.testing.assert_close(value, state[key], rtol=1e-3, atol=1e-5, msg=f"{kind} {way} {key}")
