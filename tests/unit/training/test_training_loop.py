"""The loop keeps its promises: clipping clips, accumulation changes nothing, precision is what was asked, stops are in time."""

import math

import pytest
import torch
from pytorch_lightning.callbacks import Callback

import ltrec.run.train as training
from ltrec.core.errors import UserError
from ltrec.training.module import BackboneModule, ExampleLosses
from tests.support.extra_callbacks import extra
from tests.support.scripted import script_validation
from tests.support.tiny_run import STEPS_PER_EPOCH, checkpoint, column, lines_of, tiny_config


def train(data, out, *words):
    training.train(tiny_config(data, out, *words))
    return out / "r"


class StepNorms(Callback):
    """Norm of the gradient that the optimiser stepped with."""

    def __init__(self):
        self.norms = []

    def on_train_start(self, trainer, pl_module):
        def note(optimizer, args, kwargs):
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            self.norms.append(float(torch.nn.utils.get_total_norm(gradients)))

        trainer.optimizers[0].register_step_post_hook(note)


@pytest.fixture
def step_norms():
    watcher = StepNorms()
    with extra(watcher, first=True):
        yield watcher.norms


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_clipping_clips_the_whole_gradient(data, tmp_path, step_norms, precision, accumulate):
    words = [f"trainer.precision={precision}", f"trainer.accumulate={accumulate}", "trainer.log_every_steps=1"]
    run = train(data, tmp_path, *words, "optim.clip_norm=0.05")
    before = column(run, "grad_norm")
    assert len(before) == len(step_norms) == 3 * STEPS_PER_EPOCH
    assert min(before) > 0.05, "nothing to clip here"
    assert step_norms == pytest.approx([0.05] * len(step_norms), rel=1e-3)


def test_without_clipping_the_gradient_is_left_alone(data, tmp_path, step_norms):
    run = train(data, tmp_path, "trainer.log_every_steps=1", "trainer.max_epochs=1")
    assert step_norms == pytest.approx(column(run, "grad_norm"), rel=1e-6)


def test_accumulation_changes_nothing(data, tmp_path):
    """Losses and weights of the same global batches in 1, 2 and 4 pieces. A larger eps keeps Adam from blowing up rounding."""
    words = ["model.dropout=0", "trainer.log_every_steps=1", "optim.eps=1e-3", "objective.name=gbce"]
    losses, weights = [], []
    for pieces in (1, 2, 4):
        run = train(data, tmp_path / str(pieces), *words, f"trainer.accumulate={pieces}")
        losses.append(column(run, "train/loss"))
        weights.append(checkpoint(run)["state_dict"])
    for k in (1, 2):
        assert losses[k] == pytest.approx(losses[0], rel=1e-5)
        for name, weight in weights[0].items():
            torch.testing.assert_close(weights[k][name], weight, rtol=1e-5, atol=1e-6, msg=name)


def test_bf16_trains_with_weights_in_full_precision(data, tmp_path):
    words = ["trainer.precision=bf16-mixed", "trainer.max_epochs=30", "optim.lr=5e-3", "model.dropout=0", "optim.schedule=constant"]
    run = train(data, tmp_path, *words, "trainer.patience=0")
    losses = column(run, "train/loss")
    assert losses[-1] < 0.85 * losses[0]
    assert {v.dtype for v in checkpoint(run)["state_dict"].values()} == {torch.float32}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.precision=16-mixed"], "16-mixed needs a GPU; use bf16-mixed or 32-true"),
        (["trainer.accelerator=gpu"], "trainer.accelerator=gpu: torch sees no CUDA device"),
        (["stream.batch_rows=25"], "batch_rows"),
        (["trainer.accumulate=5"], "does not split into 1 processes x 5 micro-batches"),
        (["data.path="], "data.path is not set"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(data, tmp_path, monkeypatch, words, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=message):
        train(data, tmp_path, *words)
    assert list(tmp_path.iterdir()) == []


def test_the_rate_that_is_logged_is_the_rate_that_was_used(data, tmp_path):
    run = train(data, tmp_path, "trainer.log_every_steps=1", "optim.lr=0.03", "optim.final_ratio=0.1")
    total = 3 * STEPS_PER_EPOCH
    warm = [0.03 * 1 / 3, 0.03 * 2 / 3]
    cosine = [0.03 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * s / (total - 3)))) for s in range(total - 2)]
    assert column(run, "lr") == pytest.approx(warm + cosine)
    assert checkpoint(run)["lr_schedulers"][0]["last_epoch"] == total


@pytest.mark.parametrize("every", [1, 2])
def test_patience_counts_validations_without_a_rise(data, tmp_path, monkeypatch, every):
    script_validation(monkeypatch, [0.1, 0.3, 0.2, 0.25, 0.3, 0.9])
    words = ["trainer.max_epochs=50", "trainer.patience=3", f"trainer.validate_every_epochs={every}"]
    run = train(data, tmp_path, *words)
    assert column(run, "val/ndcg@10") == [0.1, 0.3, 0.2, 0.25, 0.3], "an equal value is no rise"
    assert checkpoint(run)["global_step"] == 5 * every * STEPS_PER_EPOCH
    assert checkpoint(run, "best")["global_step"] == 2 * every * STEPS_PER_EPOCH
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    train(data, tmp_path, *words)
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before, "a stopped run stays stopped"


def test_more_patience_takes_a_stopped_run_up_again(data, tmp_path, monkeypatch):
    script_validation(monkeypatch, [0.3, 0.2, 0.4, 0.1, 0.1, 0.1])
    train(data, tmp_path, "trainer.max_epochs=50", "trainer.patience=1")
    run = train(data, tmp_path, "trainer.max_epochs=50", "trainer.patience=3")
    assert column(run, "val/ndcg@10") == [0.3, 0.2, 0.4, 0.1, 0.1, 0.1]
    assert checkpoint(run, "best")["global_step"] == 3 * STEPS_PER_EPOCH


def test_without_patience_the_run_goes_to_its_end(data, tmp_path, monkeypatch):
    script_validation(monkeypatch, [0.5, 0.4, 0.3, 0.2, 0.1])
    run = train(data, tmp_path, "trainer.max_epochs=5", "trainer.patience=0")
    assert checkpoint(run)["global_step"] == 5 * STEPS_PER_EPOCH


def break_step(monkeypatch, number, how):
    """Make one step's loss, or only its gradient, not a number."""
    honest = BackboneModule.losses

    def losses(self, batch):
        example = honest(self, batch)
        if batch.step != number:
            return example
        weight = next(self.parameters()).sum()
        poison = weight * math.nan if how == "loss" else torch.sqrt(0.0 * weight)
        return ExampleLosses(example.loss_N + poison, example.stratum_N)

    monkeypatch.setattr(BackboneModule, "losses", losses)


@pytest.mark.parametrize("how", ["loss", "gradient"])
@pytest.mark.parametrize(
    "words",
    [
        ["trainer.log_every_steps=1", "trainer.checkpoint_every_steps=0"],
        ["trainer.log_every_steps=1000", "trainer.checkpoint_every_steps=1"],
        ["trainer.log_every_steps=1000", "trainer.checkpoint_every_steps=0"],
        ["trainer.log_every_steps=1000", "trainer.checkpoint_every_steps=0", "trainer.validate_every_epochs=100"],
    ],
    ids=["at a line", "at a checkpoint", "at validation", "at the end of an epoch"],
)
def test_divergence_stops_in_one_line_and_reaches_no_checkpoint(data, tmp_path, monkeypatch, words, how):
    break_step(monkeypatch, 6, how)
    with pytest.raises(UserError, match=r"training diverged: .*optim\.lr") as caught:
        train(data, tmp_path, *words, "trainer.max_epochs=5")
    assert "\n" not in str(caught.value)
    run = tmp_path / "r"
    saved = 6 if "trainer.checkpoint_every_steps=1" in words else 4
    assert checkpoint(run)["global_step"] == saved
    for name in (
        ["last"]
        + ["previous"] * (run / "checkpoints" / "previous.ckpt").exists()
        + ["best"] * (run / "checkpoints" / "best.ckpt").exists()
    ):
        state = checkpoint(run, name)
        assert all(v.isfinite().all() for v in state["state_dict"].values())
    assert {p.name for p in (run / "checkpoints").iterdir()} <= {"last.ckpt", "previous.ckpt", "best.ckpt"}
    if (run / "metrics.jsonl").exists():
        assert all(None not in (line.get("train/loss", 0), line.get("val/ndcg@10", 0)) for line in lines_of(run))
