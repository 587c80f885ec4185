"""Killed one step before, at, or after the switch of stages, by each clock: resumed, the run ends as if nothing had happened."""

import pytest

import ltrec.run.train as training
from tests.support.killed_run import train_killed
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, lines_of, refuse_differences, same, tiny_config

PLUGGED = ["gradients.name=stratified", "plugin.name=bottleneck", "trainer.log_every_steps=1", "optim.weight_decay=0.1"]
CLOCKS = {
    "step": (["plugin.switch.by=step", "plugin.switch.at=6", "trainer.ema=0.9"], 6),
    "epoch": (["plugin.switch.by=epoch", "plugin.switch.at=1", "gradients.mode=weighted", "trainer.accumulate=2"], 4),
    "plateau": (
        [
            "plugin.switch.by=plateau",
            "plugin.switch.at=1",
            "trainer.max_epochs=5",
            "optim.lr=0.3",
            "plugin.switch.trunk_rate=0",
            "trainer.ema=0.5",
        ],
        None,
    ),
}
"""Clock -> words, first step of the second stage where it is known beforehand."""


def config(data, out, clock):
    return tiny_config(data, out, *PLUGGED, *CLOCKS[clock][0])


def stages_of(run):
    """The stage of every step."""
    return [line["stage"] for line in lines_of(run) if "train/loss" in line]


def first_step(run):
    """Of the second stage."""
    return stages_of(run).index(2)


def moments(first):
    """One step before the switch, at it, one and two after; at the validation where the stages meet, too."""
    steps = [(first + k, "batch") for k in (-1, 0, 1, 2)]
    return [*steps, *([(first, "validation")] if first % 4 == 0 else [(8, "validation")])]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    return {clock: training.train(config(data, out / clock, clock)).path for clock in CLOCKS}


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_clock_is_right_and_both_stages_train(undisturbed, clock):
    """Else the test below would compare runs of one stage."""
    run, known = undisturbed[clock], CLOCKS[clock][1]
    first = first_step(run)
    assert known in (None, first) and 0 < first < checkpoint(run)["global_step"] - 2
    if clock == "plateau":
        values = column(run, "val/ndcg@10")
        waits = next(n for n in range(1, len(values)) if values[n] <= max(values[:n]))
        assert first == 4 * (waits + 1)


@pytest.mark.parametrize("clock", CLOCKS)
def test_killed_and_resumed_equals_undisturbed(data, undisturbed, tmp_path, clock):
    for step, hook in moments(first_step(undisturbed[clock])):
        here = config(data, tmp_path / f"{hook}-{step}", clock)
        train_killed(here, step, hook)
        training.train(here)
        run = tmp_path / f"{hook}-{step}" / "r"
        refuse_differences(run, undisturbed[clock])
        assert same(checkpoint(run, "stage1")["state_dict"], checkpoint(undisturbed[clock], "stage1")["state_dict"])


def test_killed_twice_across_the_switch(data, undisturbed, tmp_path):
    here = config(data, tmp_path, "step")
    train_killed(here, 5)
    train_killed(here, 7)
    training.train(here)
    refuse_differences(tmp_path / "r", undisturbed["step"])


def train_and_kill(rank, data, out, clocks):
    act_as_rank(rank, 2)
    for clock in clocks:
        run = training.train(config(data, out / clock / "undisturbed", clock)).path
        for step, hook in moments(first_step(run)):
            here = config(data, out / clock / f"{hook}-{step}", clock)
            train_killed(here, step, hook)
            training.train(here)


@pytest.mark.slow
def test_the_same_in_two_processes(data, tmp_path):
    spawn(train_and_kill, 2, tmp_path / "store", data, tmp_path, list(CLOCKS), timeout=240)
    for clock in CLOCKS:
        good = tmp_path / clock / "undisturbed" / "r"
        for step, hook in moments(first_step(good)):
            refuse_differences(tmp_path / clock / f"{hook}-{step}" / "r", good)
