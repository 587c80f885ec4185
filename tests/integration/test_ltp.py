"""LTP, its halves, Fish, LTP before plugins: `ltrec train` end to end, two processes like one, killed and resumed bit for bit."""

import pytest

import ltrec.run.train as training
from benchmarks.harness.conf_methods import FILES
from ltrec.config.load import load
from ltrec.core.errors import UserError
from tests.support.killed_run import train_killed
from tests.support.ranks import act_as_rank
from tests.support.source_tree import ROOT
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, lines_of, refuse_differences, tiny_words

PLUGGED = [
    "plugin.name=bottleneck",
    "plugin.switch.by=step",
    "plugin.switch.at=5",
    "plugin.switch.trunk_rate=0.5",
    "gradients.after_switch.rule.name=upgrad",
]
RUNS = {
    "ltp": ("ltp", []),
    "alignment": ("ltp-alignment", ["trainer.accumulate=2", "gradients.trajectories=4"]),
    "adversarial": ("ltp-adversarial", ["trainer.log_every_steps=3"]),
    "fish": ("fish", ["optim.clip_norm=0.5"]),
    "plugged": ("ltp", PLUGGED),
}
"""name -> file in conf/method, more words. Eight steps; the one with plugins wakes them before step 5, where epochs have four."""

MOMENTS = [(2, "batch"), (4, "validation"), (5, "batch"), (6, "batch")]
QUICK = {"adversarial": MOMENTS[:1], "ltp": MOMENTS[:1], "plugged": MOMENTS[1:]}
"""Those that are killed outside of the slow suite: one in mid-epoch, one around the switch."""


def config(data, out, name):
    method, more = RUNS[name]
    words = tiny_words(data, out, "trainer.max_epochs=2", "trainer.log_every_steps=1", "optim.eps=1e-3", *more)
    return load([FILES[method][0]], words)


def train_killed_and_not(rank, size, data, out, names):
    if size > 1:
        act_as_rank(rank, size)
    for name, moments in names.items():
        training.train(config(data, out / name / "undisturbed", name))
        for step, hook in moments:
            here = config(data, out / name / f"{hook}-{step}", name)
            train_killed(here, step, hook)
            training.train(here)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """W -> the folder of its runs; in two processes only those of `QUICK`."""
    out = {size: tmp_path_factory.mktemp(f"ltp-{size}") for size in (1, 2)}
    train_killed_and_not(0, 1, data, out[1], dict.fromkeys(RUNS, ()) | QUICK)
    spawn(train_killed_and_not, 2, out[2] / "store", 2, data, out[2], {"ltp": (), "plugged": MOMENTS[2:3]}, timeout=240)
    return out


@pytest.fixture(scope="module")
def slow_runs(data, tmp_path_factory):
    out = {size: tmp_path_factory.mktemp(f"ltp-slow-{size}") for size in (1, 2)}
    train_killed_and_not(0, 1, data, out[1], dict.fromkeys(RUNS, MOMENTS))
    spawn(train_killed_and_not, 2, out[2] / "store", 2, data, out[2], dict.fromkeys(RUNS, MOMENTS), timeout=500)
    return out


@pytest.mark.parametrize("name", RUNS)
def test_a_run_ends(runs, name):
    assert checkpoint(runs[1] / name / "undisturbed" / "r")["global_step"] == 8


@pytest.mark.parametrize("name", QUICK)
def test_killed_and_resumed_equals_undisturbed(runs, name):
    for step, hook in QUICK[name]:
        refuse_differences(runs[1] / name / f"{hook}-{step}" / "r", runs[1] / name / "undisturbed" / "r")


def test_the_same_in_two_processes(runs):
    refuse_differences(runs[2] / "plugged" / "batch-5" / "r", runs[2] / "plugged" / "undisturbed" / "r")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_the_same_in_two_processes_at_every_moment(slow_runs, name):
    for step, hook in MOMENTS:
        refuse_differences(slow_runs[2] / name / f"{hook}-{step}" / "r", slow_runs[2] / name / "undisturbed" / "r")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_killed_and_resumed_at_every_moment(slow_runs, name):
    for step, hook in MOMENTS:
        refuse_differences(slow_runs[1] / name / f"{hook}-{step}" / "r", slow_runs[1] / name / "undisturbed" / "r")


def refuse_other_training(two, one, steps=8):
    """Losses and weights of two processes are those of one, dropout included: it is keyed by tasks, not by ranks."""
    assert column(two, "train/loss")[:steps] == pytest.approx(column(one, "train/loss")[:steps], rel=1e-5)
    if column(one, "adversary/loss"):
        assert column(two, "adversary/loss")[:steps] == pytest.approx(column(one, "adversary/loss")[:steps], rel=1e-4)
        assert column(two, "adversary/accuracy")[:steps] == pytest.approx(column(one, "adversary/accuracy")[:steps], abs=0.02)
    if steps == 8:
        for weight, expected in zip(checkpoint(two)["state_dict"].values(), checkpoint(one)["state_dict"].values(), strict=True):
            assert (weight.double() - expected.double()).abs().max() < 1e-4


def test_two_processes_train_like_one(runs):
    refuse_other_training(runs[2] / "ltp" / "undisturbed" / "r", runs[1] / "ltp" / "undisturbed" / "r")
    refuse_other_training(*(runs[size] / "plugged" / "undisturbed" / "r" for size in (2, 1)), steps=5)  # then by stratum and rank


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alignment", "fish"])
def test_two_processes_train_like_one_in_every_way(slow_runs, runs, name):
    refuse_other_training(slow_runs[2] / name / "undisturbed" / "r", runs[1] / name / "undisturbed" / "r")


@pytest.mark.parametrize("name", sorted(RUNS.keys() - {"alignment", "fish"}))
def test_the_discriminator_is_told_of(runs, name):
    lines = [line for line in lines_of(runs[1] / name / "undisturbed" / "r") if "train/loss" in line]
    assert all(0 <= line["adversary/accuracy"] <= 1 and 0.3 < line["adversary/loss"] < 1.5 for line in lines)
    assert all(line["adversary/loss"] < line["train/loss"] for line in lines), "which it is part of"


def test_the_discriminator_is_told_of_alike_in_every_mode(data, tmp_path):
    """Of the first step, where all modes still have the same weights."""
    ways = {"joint": ["gradients.name=joint"], "accumulate": ["gradients.name=joint", "trainer.accumulate=2"]}
    ways |= {mode: ["gradients.name=stratified", f"gradients.mode={mode}"] for mode in ("per_stratum", "weighted")}
    ways["aligned"] = ["gradients.name=aligned"]
    found = {}
    for way, words in ways.items():
        more = [
            "trainer.max_steps=1",
            "trainer.log_every_steps=1",
            "model.dropout=0",
            "adversary.weight=0.1",
            "gradients.inner_lr=1e-9",
        ]
        more = [*words, *more[: 5 if way == "aligned" else 4]]
        training.train(load([], tiny_words(data, tmp_path / way, *more)))
        [line] = [line for line in lines_of(tmp_path / way / "r") if "train/loss" in line]
        found[way] = (line["adversary/accuracy"], line["adversary/loss"])
    for values in found.values():
        assert values == pytest.approx(found["joint"], rel=1e-5)


def test_ltp_is_aligned_until_plugins_wake(runs):
    """Step for step the plain run until then; afterwards strata have gradients, and a Gram matrix for the rule."""
    plain, plugged = (lines_of(runs[1] / name / "undisturbed" / "r") for name in ("ltp", "plugged"))
    losses = [[line["train/loss"] for line in lines if "train/loss" in line] for lines in (plain, plugged)]
    assert losses[0][:5] == losses[1][:5] and losses[0][6:] != losses[1][6:]
    steps = [line for line in plugged if "train/loss" in line]
    assert [any(key.startswith("strata/cosine") for key in line) for line in steps] == [False] * 5 + [True] * 3
    trunk = checkpoint(runs[1] / "plugged" / "undisturbed" / "r")["state_dict"]
    ups = [tensor for name, tensor in trunk.items() if name.endswith("up.weight") and ".plugins." in name]
    assert ups and all(tensor.any() for tensor in ups)


def test_numbers_that_do_not_fit_are_refused_before_anything_is_written(data, tmp_path):
    words = tiny_words(data, tmp_path, "gradients.inner_steps=5")
    with pytest.raises(
        UserError, match=r"^stream\.batch_rows=24 cannot be distributed .*inner_steps=5 .*; use stream\.batch_rows=120$"
    ):
        training.train(load([ROOT / "conf/method/ltp.yaml"], words))
    assert list(tmp_path.iterdir()) == []


def test_sharded_parameters_are_refused_with_the_reason(data, tmp_path):
    words = tiny_words(data, tmp_path, "strategy.name=fsdp2")
    with pytest.raises(UserError, match=r"mode aligned is not possible with strategy stratified_fsdp2; inner steps need"):
        training.train(load([ROOT / "conf/method/ltp.yaml"], words))
    assert list(tmp_path.iterdir()) == []


def test_autocast_sees_the_weights_that_inner_steps_have_moved(data, tmp_path):
    """It keeps copies of weights in 16 bits: stale ones would give the losses of an inner rate of zero."""
    found = {}
    for name, *words in (("exact", "32-true", 1.0), ("half", "bf16-mixed", 1.0), ("unmoved", "32-true", 1e-9)):
        more = [
            "trainer.max_steps=1",
            "trainer.log_every_steps=1",
            "model.dropout=0",
            "trainer.precision={}",
            "gradients.inner_lr={}",
        ]
        words = tiny_words(data, tmp_path / name, *more[:3], *(key.format(word) for key, word in zip(more[3:], words, strict=True)))
        training.train(load([ROOT / "conf/method/ltp.yaml"], words))
        [found[name]] = column(tmp_path / name / "r", "train/loss")
    assert abs(found["half"] - found["exact"]) < 0.1 * abs(found["unmoved"] - found["exact"])
