"""A stratified run that is killed and resumed ends bit for bit as if nothing had happened, what its rule remembers included."""

import pytest
import torch

import ltrec.run.train as training
from tests.support.killed_run import train_killed
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, lines_of, refuse_differences, same, tiny_config

RULES = {
    "group_dro": ["gradients.rule.name=group_dro", "gradients.rule.eta=0.5", "gradients.mode=per_stratum"],
    "streaming_dro": [
        "gradients.rule.name=streaming_dro",
        "gradients.rule.eta=0.5",
        "gradients.mode=weighted",
        "gradients.probe_every_steps=2",
    ],
    "upgrad": ["gradients.rule.name=upgrad", "trainer.accumulate=2"],
    "pcgrad": ["gradients.rule.name=pcgrad"],
}
MOMENTS = [(2, "batch"), (4, "validation"), (7, "batch")]


def config(data, out, *words):
    return tiny_config(data, out, "gradients.name=stratified", "trainer.max_epochs=2", *words)


@pytest.mark.parametrize("rule", RULES)
def test_killed_and_resumed_equals_undisturbed(data, tmp_path, rule):
    training.train(config(data, tmp_path / "undisturbed", *RULES[rule]))
    for step, hook in MOMENTS:
        here = config(data, tmp_path / f"{hook}-{step}", *RULES[rule])
        train_killed(here, step, hook)
        training.train(here)
        refuse_differences(tmp_path / f"{hook}-{step}" / "r", tmp_path / "undisturbed" / "r")


def test_a_rules_memory_is_in_the_checkpoint(data, tmp_path):
    """Else the test above would hold for a rule that starts afresh too."""
    training.train(config(data, tmp_path, *RULES["group_dro"]))
    [held] = [state for name, state in checkpoint(tmp_path / "r")["callbacks"].items() if name.startswith("RuleState")]
    assert not torch.allclose(held["log_q_K"], torch.full((3,), 1 / 3, dtype=torch.float64).log(), atol=1e-2)


def train_and_kill(rank, data, out, moments, rules):
    act_as_rank(rank, 2)
    for name in rules:
        training.train(config(data, out / name / "undisturbed", *RULES[name]))
        for step, hook in moments:
            here = config(data, out / name / f"{hook}-{step}", *RULES[name])
            train_killed(here, step, hook)
            training.train(here)


def train_from_best(rank, data, out):
    act_as_rank(rank, 2)
    words = ["adversary.weight=0.1", "optim.schedule=constant"]
    training.train(config(data, out / "good", *words))
    training.train(config(data, out / "once", *words, "trainer.max_epochs=1"))
    best = out / "once" / "r" / "checkpoints" / "best.ckpt"
    training.train(config(data, out / "again", *words, f"resume={best}"))


def test_two_processes_resume_from_the_best(data, tmp_path):
    """It was saved in the middle of a line of metrics, and its epoch ends once more before any step."""
    spawn(train_from_best, 2, tmp_path / "store", data, tmp_path)
    good, again = (tmp_path / name / "r" for name in ("good", "again"))
    assert lines_of(again) == [line for line in lines_of(good) if line["step"] > 4]
    assert same(checkpoint(again)["state_dict"], checkpoint(good)["state_dict"])


@pytest.mark.parametrize(
    ("rules", "moments"),
    [(["group_dro"], MOMENTS[:1]), pytest.param(list(RULES), MOMENTS, marks=pytest.mark.slow)],
    ids=["one", "all"],
)
def test_the_same_in_two_processes(data, tmp_path, rules, moments):
    spawn(train_and_kill, 2, tmp_path / "store", data, tmp_path, moments, rules, timeout=240)
    for rule in rules:
        for step, hook in moments:
            refuse_differences(tmp_path / rule / f"{hook}-{step}" / "r", tmp_path / rule / "undisturbed" / "r")
