"""Two stages in one run: the trunk alone, to the bit as if there were no plugins; then both, each at its own rate."""

import math
import re
from dataclasses import replace

import pytest
import torch

import ltrec.run.train as training
from ltrec.cli.commands.train import train as smoke
from ltrec.core.errors import UserError
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import EvalTable
from ltrec.models.plugins.switch_config import SwitchConfig
from ltrec.run import preflight
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from tests.support.extra_callbacks import extra
from tests.support.scripted import script_validation
from tests.support.shards import random_users, write_dataset
from tests.support.tiny_run import STEPS_PER_EPOCH, checkpoint, column, lines_of, same, tiny_config, tiny_words

PLUGGED = ["gradients.name=stratified", "plugin.name=bottleneck", "trainer.log_every_steps=1"]
SIXTH = ["plugin.switch.by=share", "plugin.switch.at=0.16666667"]
NEVER = ["plugin.switch.by=plateau", "plugin.switch.at=100"]


def train(data, out, *words):
    return training.train(tiny_config(data, out, *words)).path


def stages_of(run):
    """The stage of every step."""
    return [line["stage"] for line in lines_of(run) if "train/loss" in line]


def trunk_of(state):
    return {name.replace("backbone.trunk.", "backbone."): value for name, value in state.items() if "backbone.trunk." in name}


def plugins_of(state):
    return {name: value for name, value in state.items() if ".plugins." in name}


@pytest.mark.parametrize(
    "words",
    [
        ["optim.weight_decay=0.1"],
        ["gradients.mode=weighted", "optim.clip_norm=0.3", "trainer.accumulate=2"],
        ["gradients.rule.name=upgrad", "optim.clip_norm=0.3", "adversary.weight=0.2"],
    ],
    ids=["per_stratum", "weighted", "gram and adversary"],
)
@pytest.mark.parametrize("plugin", ["bottleneck", "copies"])
def test_the_first_stage_is_a_run_without_plugins_bit_for_bit(data, tmp_path, words, plugin):
    if plugin == "copies":
        words = [*(w for w in words if not w.startswith("adversary")), "gradients.source=split"]  # the only one that copies have
    plain = train(data, tmp_path / "plain", "gradients.name=stratified", "trainer.log_every_steps=1", *words)
    run = train(data, tmp_path / "plugged", *PLUGGED, f"plugin.name={plugin}", *NEVER, *words)
    mine, good = checkpoint(run), checkpoint(plain)
    rest = {name: value for name, value in mine["state_dict"].items() if not name.startswith("backbone.")}
    assert same(trunk_of(mine["state_dict"]) | rest, good["state_dict"])
    assert mine["optimizer_states"][0]["state"].keys() == good["optimizer_states"][0]["state"].keys(), "no moments of plugins"
    assert same(mine["optimizer_states"][0]["state"], good["optimizer_states"][0]["state"])
    for line, expected in zip(lines_of(run), lines_of(plain), strict=True):
        assert {k: v for k, v in line.items() if k not in ("stage", "lr/plugins")} == expected


@pytest.mark.parametrize(
    ("words", "first"),
    [(["plugin.switch.by=step", "plugin.switch.at=5"], 5), (["plugin.switch.by=epoch", "plugin.switch.at=2"], 8), (SIXTH, 2)],
)
def test_each_group_has_its_rate_from_the_switch_on(data, tmp_path, words, first):
    run = train(data, tmp_path, *PLUGGED, *words, "plugin.switch.trunk_rate=0.25")
    plain = train(data, tmp_path / "plain", "gradients.name=stratified", "trainer.log_every_steps=1")
    usual, total = column(plain, "lr"), 3 * STEPS_PER_EPOCH
    assert stages_of(run) == [1] * first + [2] * (total - first)
    assert column(run, "lr") == pytest.approx([*usual[:first], *(0.25 * lr for lr in usual[first:])])
    assert column(run, "lr/plugins") == pytest.approx([0.0] * first + usual[first:])


def test_plugins_begin_at_the_switch_with_moments_of_their_own(data, tmp_path):
    """Before, nothing moves them: not their rate, not weight decay. After, Adam counts their own steps."""
    words = [*PLUGGED, "plugin.switch.by=step", "plugin.switch.at=5", "optim.weight_decay=0.1"]
    run = train(data, tmp_path, *words)
    before, after = checkpoint(run, "stage1"), checkpoint(run)
    assert [state["state_dict"]["backbone.switch.since_step"] for state in (before, after)] == [-1, 5]
    fresh = preflight.build_module(*staged(data, tmp_path, *words)).state_dict()
    assert same(plugins_of(before["state_dict"]), plugins_of(fresh))
    assert not same(plugins_of(after["state_dict"]), plugins_of(fresh))
    [state] = after["optimizer_states"]
    steps = {entry["name"]: {float(state["state"][i]["step"]) for i in entry["params"]} for entry in state["param_groups"]}
    assert steps == {"trunk": {12.0}, "plugins": {7.0}}


def staged(data, out, *words):
    config = tiny_config(data, out, *words)
    opened = preflight.open_data(config)
    return config, opened, preflight.build_plan(config, opened)


def test_from_step_0_there_is_one_stage_only(data, tmp_path):
    run = train(data, tmp_path, *PLUGGED, "plugin.switch.by=step", "plugin.switch.at=0")
    assert set(stages_of(run)) == {2}
    assert not (run / "checkpoints" / "stage1.ckpt").exists()
    [state] = checkpoint(run)["optimizer_states"]
    assert {float(moments["step"]) for moments in state["state"].values()} == {12.0}


@pytest.mark.parametrize("words", [[], ["gradients.mode=weighted"]], ids=["per_stratum", "weighted"])
def test_a_frozen_trunk_does_not_move_and_takes_no_part_in_clipping(data, tmp_path, words):
    """Neither rate nor decay nor moments move it; the norm that is written and clipped is the plugins' alone."""
    common = [*PLUGGED, "plugin.switch.by=step", "plugin.switch.trunk_rate=0", "optim.weight_decay=0.1", "model.dropout=0", *words]
    common += ["optim.schedule=constant", "trainer.max_steps=7"]
    run = train(data, tmp_path / "frozen", *common, "plugin.switch.at=4", "optim.clip_norm=1e-3")
    at_switch, end = checkpoint(run, "stage1"), checkpoint(run)
    assert at_switch["global_step"] == 4 and end["global_step"] == 7
    assert same(trunk_of(at_switch["state_dict"]), trunk_of(end["state_dict"]))
    assert not same(plugins_of(at_switch["state_dict"]), plugins_of(end["state_dict"]))
    [state] = end["optimizer_states"]
    steps = {entry["name"]: {float(state["state"][i]["step"]) for i in entry["params"]} for entry in state["param_groups"]}
    assert steps == {"trunk": {4.0}, "plugins": {3.0}}
    norms = plugin_norms(data, tmp_path / "watched", *common, "plugin.switch.at=4", "optim.clip_norm=1e-3")
    assert norms == pytest.approx([1e-3] * 3, rel=1e-2), "the plugins have the whole budget"
    assert min(column(run, "grad_norm")[4:]) > 1e-3


def plugin_norms(data, out, *words):
    """Norms of the plugins' gradients as the optimiser saw them in the second stage."""
    norms = []

    class Watch(training.Callback):
        def on_train_start(self, trainer, pl_module):
            def note(optimizer, args, kwargs):
                seen = {e["name"]: [p.grad for p in e["params"] if p.grad is not None] for e in optimizer.param_groups}
                if pl_module.plugins_awake:
                    assert not seen["trunk"]
                    every = [p.grad for e in optimizer.param_groups for p in e["params"] if p.grad is not None]
                    norms.append(float(torch.nn.utils.get_total_norm(every)))

            trainer.optimizers[0].register_step_post_hook(note)

    with extra(Watch(), first=True):
        train(data, out, *words)
    return norms


def test_patience_and_the_best_checkpoint_begin_anew_with_the_second_stage(data, tmp_path, monkeypatch):
    """The first stage may fall for as long as its clock says; the second is measured against itself."""
    script_validation(monkeypatch, [0.9, 0.8, 0.7, 0.6, 0.3, 0.4, 0.35, 0.2, 0.9])
    words = ["plugin.switch.by=epoch", "plugin.switch.at=4", "trainer.patience=2", "trainer.max_epochs=50"]
    run = train(data, tmp_path, *PLUGGED, *words)
    assert column(run, "val/ndcg@10") == [0.9, 0.8, 0.7, 0.6, 0.3, 0.4, 0.35, 0.2]
    assert checkpoint(run)["global_step"] == 8 * STEPS_PER_EPOCH
    assert checkpoint(run, "best")["global_step"] == 6 * STEPS_PER_EPOCH
    assert checkpoint(run, "stage1")["global_step"] == STEPS_PER_EPOCH
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    train(data, tmp_path, *PLUGGED, *words)
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before, "a stopped run stays stopped"


def test_a_plateau_ends_the_first_stage(data, tmp_path, monkeypatch):
    script_validation(monkeypatch, [0.1, 0.3, 0.2, 0.3, 0.25, 0.1, 0.2])
    words = ["plugin.switch.by=plateau", "plugin.switch.at=2", "trainer.patience=1", "trainer.max_epochs=50"]
    run = train(data, tmp_path, *PLUGGED, *words)
    assert stages_of(run).index(2) == 4 * STEPS_PER_EPOCH, "an equal value is no rise"
    assert column(run, "val/ndcg@10") == [0.1, 0.3, 0.2, 0.3, 0.25, 0.1]


def test_after_a_plateau_the_trunk_goes_back_to_its_best(data, tmp_path, monkeypatch, capsys):
    """A frozen one shows it: weights and moments stay those of the best validation, while the stream has gone on."""
    script_validation(monkeypatch, [0.1, 0.3, 0.2, 0.25, 0.4])
    words = ["plugin.switch.by=plateau", "plugin.switch.at=2", "plugin.switch.trunk_rate=0", "trainer.max_epochs=5"]
    run = train(data, tmp_path, *PLUGGED, *words)
    assert "the trunk goes back to its best, step 8: val/ndcg@10 0.3000" in capsys.readouterr().out.splitlines()
    best, last = checkpoint(run, "stage1"), checkpoint(run)
    assert (best["global_step"], last["global_step"]) == (8, 20)
    assert same(trunk_of(last["state_dict"]), trunk_of(best["state_dict"]))
    assert not same(plugins_of(last["state_dict"]), plugins_of(best["state_dict"]))
    moments, usual = last["optimizer_states"][0], best["optimizer_states"][0]
    trunk = [i for entry in moments["param_groups"] if entry["name"] == "trunk" for i in entry["params"]]
    assert same({i: moments["state"][i] for i in trunk}, usual["state"])
    assert column(run, "lr")[16:] == [0.0] * 4 and column(run, "lr/plugins")[16] > 0
    assert last["StreamDataModule"] != best["StreamDataModule"]


def test_plugins_may_learn_at_a_rate_of_their_own(data, tmp_path):
    words = ["plugin.switch.by=step", "plugin.switch.at=5", "optim.schedule=constant", "optim.warmup_steps=0"]
    run = train(data, tmp_path, *PLUGGED, *words, "plugin.switch.plugin_rate=0.125")
    peak = column(run, "lr")[0]
    assert column(run, "lr/plugins") == [0.0] * 5 + [0.125 * peak] * 7


@pytest.mark.parametrize(
    ("config", "step"),
    [
        (SwitchConfig(by="share", at=2 / 12), 20),
        (SwitchConfig(by="share", at=0), 0),
        (SwitchConfig(by="share", at=0.999), 120),
        (SwitchConfig(by="epoch", at=2), 20),
        (SwitchConfig(by="step", at=17), 17),
        (SwitchConfig(by="plateau", at=5), 0),
    ],
)
def test_the_step_that_a_clock_knows_beforehand(config, step):
    assert config.first_step(steps_per_epoch=10, total_steps=120) == step


def test_a_share_is_of_the_steps_that_the_run_is_to_have(data, tmp_path):
    run = train(data, tmp_path, *PLUGGED, *SIXTH, "trainer.max_epochs=100", "trainer.max_steps=6")
    assert stages_of(run) == [1] + [2] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "share", "at": 1.0}, "at must be below 1 with by=share; got 1"),
        ({"by": "share", "at": -0.1}, "got -0.1"),
        ({"by": "share"}, "below 1 with by=share; got 10"),
        ({"by": "epoch", "at": 2.5}, "at must be a whole number, at least 0, with by=epoch; got 2.5"),
        ({"by": "step", "at": math.inf}, "got inf"),
        ({"by": "plateau", "at": 0}, "at least 1, with by=plateau; got 0"),
        ({"by": "sahre", "at": 0.1}, "did you mean 'share'"),
    ],
)
def test_impossible_moments_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SwitchConfig(**options)


def test_a_plateau_of_validations_after_every_second_epoch(data, tmp_path, monkeypatch):
    """The first epoch ends without one, which is no reason to refuse."""
    script_validation(monkeypatch, [0.3, 0.2, 0.1])
    words = ["plugin.switch.by=plateau", "plugin.switch.at=1", "trainer.validate_every_epochs=2", "trainer.max_epochs=6"]
    run = train(data, tmp_path, *PLUGGED, *words)
    assert stages_of(run).index(2) == 4 * STEPS_PER_EPOCH


def test_what_is_said(data, tmp_path, capsys):
    words = [*PLUGGED, "plugin.switch.by=epoch", "plugin.switch.at=2", "optim.schedule=constant"]
    train(data, tmp_path, *words)
    said = capsys.readouterr().out.splitlines()
    assert "stage 1: the trunk alone, until step 8" in said
    assert "stage 2 from step 8: 3 plugins awake, trunk at 0.1 of its rate" in said
    train(data, tmp_path, *words, "trainer.max_epochs=4")
    assert "stage 2: 3 plugins awake, trunk at 0.1 of its rate" in capsys.readouterr().out.splitlines()
    train(data, tmp_path / "other", *PLUGGED, *NEVER, "plugin.switch.trunk_rate=0", "trainer.max_epochs=1")
    said = capsys.readouterr().out
    assert "stage 1: the trunk alone, until val/ndcg@10 has not risen for 100 validation(s)" in said
    assert "training ends in stage 1: the plugins have not woken" in said


def test_either_stage_can_be_evaluated(data, tmp_path):
    """As it was trained: the checkpoint knows whether plugins were awake."""
    config = tiny_config(data, tmp_path, *PLUGGED, "plugin.switch.by=epoch", "plugin.switch.at=1", "optim.lr=0.05")
    run, measured = training.train(config), {}
    for which in ("stage1", "best", "last"):
        ranks = EvalTable.read(evaluate_run(run, "valid", which, detect())["sasrec"]).column("rank")
        measured[which] = ndcg_at(ranks, 10).mean()
    values = column(run.path, "val/ndcg@10")
    assert checkpoint(run.path, "best")["callbacks"]["Checkpoints"]["best"] == {"stage1": values[0], "best": max(values[1:])}
    assert measured == pytest.approx({"stage1": values[0], "best": max(values[1:]), "last": values[-1]}, rel=1e-6)
    assert measured["stage1"] != measured["last"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plugin.switch.by=epoch", "plugin.switch.at=3"], r"would wake at step 12, and the run ends at step 12 .*switch earlier"),
        (["plugin.switch.by=step", "plugin.switch.at=9", "trainer.max_steps=9"], r"wake at step 9, .*trainer\.max_steps=9"),
        (["gradients.name=joint"], r"plugin.* needs gradients by stratum: use gradients\.name=stratified .*prior\.beta=0"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(data, tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        train(data, tmp_path, *PLUGGED, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_plateau_needs_validations(tmp_path):
    users = [replace(user, valid_at=-1, test_at=-1) for user in random_users([40, 30, 20], num_items=30)]
    write_dataset(tmp_path / "data", users, num_items=30)
    message = r"plugin\.switch\.by=plateau waits for validations, and no user .*; use plugin\.switch\.by=epoch"
    with pytest.raises(UserError, match=message):
        train(tmp_path / "data", tmp_path, *PLUGGED, "plugin.switch.by=plateau", "plugin.switch.at=1")


@pytest.mark.parametrize("clock", [["plugin.switch.by=plateau", "plugin.switch.at=5"], SIXTH], ids=["plateau", "share"])
def test_smoke_sees_both_stages(data, tmp_path, capsys, clock):
    words = tiny_words(data, tmp_path, *PLUGGED, *clock)
    smoke(words, print_config=False, smoke=True, resume=None)
    said = capsys.readouterr().out
    assert said.index("stage 1: ") < said.index("stage 2 from step 2: ") < said.index("smoke test passed")
    assert list(tmp_path.iterdir()) == []
