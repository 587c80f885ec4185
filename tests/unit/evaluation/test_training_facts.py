"""What is said of how the ranked checkpoint came about."""

from dataclasses import replace

import pytest

from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.training_facts import KEY, budget_line, convergence_lines, facts_of, ranked_line, training_lines
from tests.support.evaluation import eval_table

BUDGET = {
    "trainer.max_epochs": 10,
    "trainer.max_steps": -1,
    "trainer.patience": 3,
    "steps": 1400,
    "weights of another run to start from": "no",
}
FACTS = {
    "step": 700,
    "epochs": 5.0,
    "monitor": "val/ndcg@10",
    "value": 0.06123,
    "steps_trained": 1120,
    "epochs_trained": 8.0,
    "last_validated": 1120,
    "ended": "patience",
    "budget": BUDGET,
}


def table(name="joint", seed=0, asked="best", checkpoint="best", budget=None, **facts):
    made = eval_table([1, 2, 30, 4], [3, 3, 9, 12], name=name, seed=seed)
    source = {
        **made.source,
        "asked": asked,
        "checkpoint": checkpoint,
        KEY: {**FACTS, **facts, "budget": {**BUDGET, **(budget or {})}},
    }
    return replace(made, source=source)


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (table(), "best.ckpt, epoch 5, step 700, val/ndcg@10 0.0612 in validation; trained to epoch 8, where patience ended it"),
        (table(ended="length"), "best.ckpt, epoch 5, step 700, val/ndcg@10 0.0612 in validation; trained to epoch 8, its end"),
        (table(ended=""), "best.ckpt, epoch 5, step 700, val/ndcg@10 0.0612 in validation; trained to epoch 8 so far"),
        (table(steps_trained=700), "best.ckpt, epoch 5, step 700, val/ndcg@10 0.0612 in validation"),
        (table(steps_trained=None), "best.ckpt, epoch 5, step 700, val/ndcg@10 0.0612 in validation"),
        (
            table(checkpoint="last", value=None, steps_trained=700),
            "last.ckpt (the run has no best.ckpt), epoch 5, step 700, not validated there",
        ),
        (
            table(asked="last", checkpoint="last", steps_trained=700),
            "last.ckpt, epoch 5, step 700, val/ndcg@10 0.0612 in validation",
        ),
    ],
)
def test_the_ranked_checkpoint_is_named_with_its_moment(made, line):
    assert ranked_line(made) == line


def test_a_baseline_is_not_trained():
    floor = eval_table([1], name="popularity", seed=None)
    assert (facts_of(floor), ranked_line(floor), convergence_lines([floor])) == (None, None, ())
    assert budget_line([floor], [table(budget={"trainer.patience": 9})]) is None


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, None),
        ({"ended": "length"}, None),
        ({"last_validated": None, "ended": "length"}, None),
        (
            {"step": 1400, "epochs": 10.0, "last_validated": 1400, "steps_trained": 1400, "ended": "length"},
            "joint: not converged: the best epoch, 10, is the last one that was validated; train longer (trainer.max_epochs)",
        ),
        ({"ended": "", "epochs_trained": 8.5}, "joint: training has not ended (epoch 8.5, step 1,120 of 1,400)"),
        ({"steps_trained": None}, "joint: how far training got is unknown, because last.ckpt cannot be read"),
    ],
)
def test_unconverged_models_are_one_line(facts, said):
    assert convergence_lines([table(**facts)]) == (() if said is None else (said,))


def test_seeds_of_which_the_same_is_true_share_a_line():
    late = {"step": 1400, "epochs": 10.0, "last_validated": 1400, "steps_trained": 1400, "ended": "length"}
    found = convergence_lines([table("joint-1", 1, **late), table("joint-2", 2), table("joint-3", 3, **late)])
    assert len(found) == 1 and found[0].startswith("joint-1, joint-3: not converged: the best epoch, 10, is the last one")


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"trainer.max_epochs": 5, "steps": 700}, "trainer.max_epochs 5 against 10, steps 700 against 1400"),
        ({"trainer.patience": 9}, "trainer.patience 9 against 3"),
        ({"steps": 2800}, "steps 2800 against 1400"),
        ({"weights of another run to start from": "yes"}, "weights of another run to start from yes against no"),
    ],
)
def test_every_difference_of_the_budgets_is_named(budget, words):
    assert budget_line([table()], [table("pin", budget=budget)]) == f"unequal budgets of training, pin against joint: {words}"
    assert budget_line([table()], [table("pin")]) is None


def test_one_seed_that_was_allowed_more_is_named():
    base, other = [table(seed=1), table(seed=2)], [table("pin", 1), table("pin", 2, budget={"trainer.patience": 9})]
    assert budget_line(base, other) == "unequal budgets of training, pin against joint: trainer.patience 3 and 9 against 3"


def test_the_gate_carries_the_training_notes():
    def tables(name, **more):
        ranks, activity = [1, 2, 30, 4, 5, 6, 7, 8], [3, 3, 3, 3, 9, 12, 10, 11]
        return [
            replace(eval_table(ranks, activity, seed=seed, name=name), source=table(name, seed, **more).source) for seed in range(3)
        ]

    base, other = tables("joint"), tables("pin", budget={"trainer.max_epochs": 20}, ended="")
    judged = gate({"data": pair(base=base, other=other)}).datasets[0]
    assert judged.notes == training_lines(base, other)
    assert len(judged.notes) == 2 and "not ended" in judged.notes[0] and "20 against 10" in judged.notes[1]
    assert gate({"data": pair(base=base, other=base)}).datasets[0].notes == ()
