"""Two stages on two ranks: like one process, whatever holds the parameters; a first stage without a trace of plugins; and kills."""

import pytest
import torch

import ltrec.run.train as training
from tests.support.killed_run import train_killed
from tests.support.ranks import act_as_rank
from tests.support.scripted import script_validation
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, lines_of, refuse_differences, same, tiny_config

PLUGGED = ["plugin.name=bottleneck", "plugin.switch.by=step", "plugin.switch.at=5", "trainer.log_every_steps=1"]
EXACT = ["model.dropout=0", "optim.eps=1e-3", "optim.weight_decay=0.1", "optim.schedule=constant"]
FROZEN = ["plugin.switch.trunk_rate=0", "optim.clip_norm=0.2", "trainer.ema=0.6"]
NEVER = ["plugin.switch.by=plateau", "plugin.switch.at=100"]

QUICK = {"tenth": [], "frozen": FROZEN}
PLATEAU = ["plugin.switch.by=plateau", "plugin.switch.at=1", "trainer.ema=0.6"]
KINDS = {**QUICK, "accumulated": ["trainer.accumulate=2"], "plateau": PLATEAU}
"""Words that one process and two understand alike."""
DDP = {
    "per_stratum": ["gradients.name=stratified"],
    "weighted": ["gradients.name=stratified", "gradients.mode=weighted"],
}
SHARDED = {
    "fsdp2": ["gradients.name=stratified", "strategy.name=fsdp2"],
    "fsdp2-weighted": ["gradients.name=stratified", "strategy.name=fsdp2", "gradients.mode=weighted"],
    "zero-1": ["gradients.name=stratified", "strategy.name=deepspeed_stage_1"],
    "zero-2": ["gradients.name=stratified", "strategy.name=deepspeed_stage_2"],
}


def config(data, out, *words):
    return tiny_config(data, out, *PLUGGED, *EXACT, *words)


def train_all(rank, size, engines, kinds, data, out):
    if size > 1:
        act_as_rank(rank, size)
    for engine, words in engines.items():
        for kind, more in kinds.items():
            with pytest.MonkeyPatch.context() as patch:
                if kind == "plateau":
                    script_validation(patch, [0.9, 0.5, 0.7])
                training.train(config(data, out / f"{engine}-{kind}", *words, *more))


def train_plain(rank, data, out):
    """With plugins that never wake, and without any; dropout and all."""
    act_as_rank(rank, 2)
    for name, words in DDP.items():
        common = [*words, "trainer.log_every_steps=1", "optim.weight_decay=0.1", "optim.clip_norm=0.5"]
        training.train(tiny_config(data, out / f"plugged-{name}", *common, "plugin.name=bottleneck", *NEVER))
        training.train(tiny_config(data, out / f"plain-{name}", *common))


def train_quick(rank, data, out):
    train_all(rank, 2, DDP, QUICK, data, out)
    train_plain(rank, data, out)


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    train_all(0, 1, {"alone": DDP["per_stratum"]}, KINDS, data, out)
    return out


@pytest.fixture(scope="module")
def quick(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("quick")
    spawn(train_quick, 2, out / "store", data, out, timeout=200)
    return out


@pytest.fixture(scope="module")
def sharded(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("sharded")
    spawn(train_all, 2, out / "store", 2, SHARDED, KINDS, data, out, timeout=400)
    return out


def stages_of(run):
    """The stage of every step."""
    return [line["stage"] for line in lines_of(run) if "train/loss" in line]


def refuse_other(run, good, first=5):
    """Losses of all steps, weights of both stages, of which the second begins at step `first`."""
    assert stages_of(run) == [1] * first + [2] * (12 - first)
    assert column(run, "train/loss") == pytest.approx(column(good, "train/loss"), rel=1e-5)
    assert column(run, "lr/plugins") == column(good, "lr/plugins")
    for name in ("stage1", "last"):
        states = [checkpoint(folder, name) for folder in (run, good)]
        pairs = [[state["state_dict"] for state in states]]
        if "average" in states[1]:
            assert states[0]["average"]["updates"] == states[1]["average"]["updates"]
            pairs.append([state["average"]["state_dict"] for state in states])
        for mine, theirs in pairs:
            assert mine.keys() == theirs.keys()
            for key, expected in theirs.items():
                torch.testing.assert_close(mine[key], expected, rtol=1e-4, atol=1e-6, msg=f"{name} {key}")


@pytest.mark.parametrize("kind", QUICK)
@pytest.mark.parametrize("engine", DDP)
def test_two_processes_switch_like_one(quick, alone, engine, kind):
    refuse_other(quick / f"{engine}-{kind}" / "r", alone / f"alone-{kind}" / "r")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", SHARDED)
def test_shards_switch_like_one_process(sharded, alone, engine, kind):
    refuse_other(sharded / f"{engine}-{kind}" / "r", alone / f"alone-{kind}" / "r", first=8 if kind == "plateau" else 5)


@pytest.mark.parametrize("engine", DDP)
def test_the_first_stage_is_a_run_without_plugins_bit_for_bit(quick, engine):
    run, plain = quick / f"plugged-{engine}" / "r", quick / f"plain-{engine}" / "r"
    mine, good = checkpoint(run), checkpoint(plain)
    trunk = {k.replace("backbone.trunk.", "backbone."): v for k, v in mine["state_dict"].items() if "backbone.trunk." in k}
    assert same(trunk, good["state_dict"])
    assert same(mine["optimizer_states"][0]["state"], good["optimizer_states"][0]["state"])
    for line, expected in zip(lines_of(run), lines_of(plain), strict=True):
        # Ranks add up their parts of these, and where plugins lie too the parts are others; in blocks of float32.
        norms = {k: v for k, v in expected.items() if k.startswith(("strata/grad_norm/", "strata/cosine/"))}
        assert {k: line[k] for k in norms} == pytest.approx(norms, rel=1e-6)
        assert {k: v for k, v in line.items() if k not in {"stage", "lr/plugins", *norms}} == {
            k: v for k, v in expected.items() if k not in norms
        }


def train_and_kill(rank, data, out, engines):
    act_as_rank(rank, 2)
    for engine, words in engines.items():
        common = [*words, "optim.clip_norm=0.3", "optim.weight_decay=0.1", "trainer.ema=0.6"]
        training.train(config(data, out / engine / "undisturbed", *common))
        for step in (4, 5, 6):
            here = config(data, out / engine / str(step), *common)
            train_killed(here, step)
            training.train(here)


@pytest.mark.slow
def test_killed_around_the_switch_shards_resume_exactly(data, tmp_path):
    engines = {name: SHARDED[name] for name in ("fsdp2", "zero-1", "zero-2")}
    spawn(train_and_kill, 2, tmp_path / "store", data, tmp_path, engines, timeout=400)
    for engine in engines:
        good = tmp_path / engine / "undisturbed" / "r"
        for step in (4, 5, 6):
            run = tmp_path / engine / str(step) / "r"
            if engine == "fsdp2":
                refuse_differences(run, good)
            assert same(checkpoint(run)["state_dict"], checkpoint(good)["state_dict"]), (engine, step)
            assert same(checkpoint(run)["average"], checkpoint(good)["average"]), (engine, step)
            assert lines_of(run) == lines_of(good), (engine, step)
