"""The average of the weights in a run: what is validated and scored, what a checkpoint holds."""

import pyarrow.parquet as pq
import pytest
import torch
from pytorch_lightning.callbacks import Callback

import ltrec.run.train as training
from ltrec.cli.commands.predict import predict
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import EvalTable
from ltrec.evaluation.training_facts import ranked_line
from ltrec.run.build.components import open_data
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from ltrec.run.scoring.scorer import load_network
from ltrec.training.checkpoints.form import AVERAGE
from ltrec.training.module import BackboneModule
from tests.support.extra_callbacks import extra
from tests.support.naive_average import naive_average
from tests.support.tiny_run import STEPS_PER_EPOCH, checkpoint, column, same, tiny_config, tiny_words

EMA = "trainer.ema=0.9"


@pytest.fixture(scope="module")
def averaged(data, tmp_path_factory):
    """A run with an average that is far from its weights."""
    return train(data, tmp_path_factory.mktemp("averaged"), EMA, "optim.lr=0.05")


def train(data, out, *words):
    return training.train(tiny_config(data, out, *words)).path


def test_an_epoch_of_one_step_averages_nothing(data, tmp_path):
    words = ["trainer.ema=1", "stream.batch_rows=96"]
    with pytest.raises(UserError, match=r"trainer.ema=1 averages over this many epochs, and an epoch has 1 step here"):
        train(data, tmp_path, *words)
    assert not (tmp_path / "r").exists()
    train(data, tmp_path, *words, "trainer.ema=1.5")


class Path(Callback):
    """The weights after every step, and before the first that is taken, which is not step 0 in a run that goes on."""

    def __init__(self):
        self.weights, self.skip = [], 0

    def on_train_start(self, trainer, pl_module):
        self.weights.append({name: p.detach().double() for name, p in pl_module.named_parameters()})

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step == self.skip + len(self.weights):
            self.weights.append({name: p.detach().double() for name, p in pl_module.named_parameters()})


def refuse_other_average(state, path, ema):
    """The checkpoint's average is that of the path of its weights."""
    for name in path.weights[0]:
        expected = naive_average([weights[name] for weights in path.weights], ema, STEPS_PER_EPOCH)
        torch.testing.assert_close(state[AVERAGE]["state_dict"][name].double(), expected, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.accumulate=2", "trainer.validate_every_epochs=2"],
        ["trainer.ema=2", "gradients.name=stratified", "adversary.weight=0.1"],
        ["gradients.name=stratified", "gradients.mode=weighted"],
        ["gradients.name=aligned"],
        ["model.name=gru4rec"],
        ["model.positions=distance", "optim.weight_decay=0.1"],
    ],
    ids=["accumulate", "per_stratum", "weighted", "aligned", "gru4rec", "distance"],
)
def test_a_run_averages_its_own_weights_and_trains_as_without(data, tmp_path, words):
    words = [w for w in tiny_words(data, tmp_path) if "model.heads" not in w or "model.name=gru4rec" not in words] + words
    path = Path()
    with extra(path):
        run = training.train(load([], [*words, *([] if "trainer.ema=2" in words else [EMA])])).path
    plain = training.train(load([], [*words, "trainer.ema=0", "name=plain"])).path
    mine, good = checkpoint(run), checkpoint(plain)
    assert same(mine["state_dict"], good["state_dict"]) and same(mine["optimizer_states"], good["optimizer_states"])
    assert column(run, "train/loss") == column(plain, "train/loss")
    assert AVERAGE not in good
    assert mine[AVERAGE]["updates"] == mine["global_step"] == 3 * STEPS_PER_EPOCH
    assert mine[AVERAGE]["state_dict"].keys() == mine["state_dict"].keys()
    refuse_other_average(mine, path, 2 if "trainer.ema=2" in words else 0.9)
    assert not same(mine[AVERAGE]["state_dict"], mine["state_dict"])


def ndcg(run, **options):
    evaluate_run(RunFolder(run), "valid", "last", detect(), **options)
    table = EvalTable.read(run / "eval" / "valid.parquet")
    kind = {"raw": ", its raw weights", "average": ", its weights averaged"}.get(table.source.get("weights"), "")
    said = ranked_line(table)
    assert f"last.ckpt{kind}, epoch" in said and ("not validated there" in said) == ("raw" in kind)
    return float(ndcg_at(table.column("rank"), 10).mean()), table.source


def test_validation_evaluate_and_the_best_checkpoint_speak_of_the_average(data, averaged):
    validated = column(averaged, "val/ndcg@10")
    average, source = ndcg(averaged)
    assert average == pytest.approx(validated[-1], abs=1e-12) and source["weights"] == "average"
    assert ndcg(averaged, weights="average")[0] == average
    raw, source = ndcg(averaged, weights="raw")
    assert source["weights"] == "raw" and raw != pytest.approx(validated[-1], abs=1e-6)
    assert ndcg(averaged)[0] == average, "a table of other weights is not taken for it"
    best = checkpoint(averaged, "best")
    assert best["global_step"] == (validated.index(max(validated)) + 1) * STEPS_PER_EPOCH


def test_both_weights_of_a_checkpoint_can_be_scored(data, averaged):
    config = tiny_config(data, averaged.parent, EMA, "optim.lr=0.05")
    opened, path = open_data(config), averaged / "checkpoints" / "last.ckpt"
    state = checkpoint(averaged)
    for asked, expected in (
        (None, state[AVERAGE]["state_dict"]),
        ("average", state[AVERAGE]["state_dict"]),
        ("raw", state["state_dict"]),
    ):
        score = load_network(config, opened, path, detect(), weights=asked)
        backbone = score.__closure__[0].cell_contents
        assert same(dict(backbone.state_dict()), {n.removeprefix("backbone."): v for n, v in expected.items()}), asked


def test_predictions_are_of_the_average_unless_told_otherwise(averaged, tmp_path):
    found = {}
    for asked in (None, "average", "raw"):
        predict(averaged, settings=[], out=tmp_path / f"{asked}.parquet", k=3, checkpoint="last", weights=asked)
        found[asked] = pq.read_table(tmp_path / f"{asked}.parquet")
    assert found[None].equals(found["average"]) and not found[None].equals(found["raw"])


def test_weights_that_are_not_there_are_refused(data, averaged, tmp_path):
    plain = train(data, tmp_path, "trainer.max_epochs=1")
    with pytest.raises(UserError, match=r"--weights average: run 'r' keeps no average of its weights \(trainer.ema=0\); use raw"):
        ndcg(plain, weights="average")
    with pytest.raises(UserError, match=r"--weights mean: it must be average or raw"):
        ndcg(plain, weights="mean")
    assert "weights" not in ndcg(plain, weights="raw")[1]


def lost(state):
    del state[AVERAGE]


def short(state):
    state[AVERAGE]["state_dict"].popitem()


def bent(state):
    name = next(iter(state[AVERAGE]["state_dict"]))
    state[AVERAGE]["state_dict"][name] = state[AVERAGE]["state_dict"][name][1:]


def text(state):
    state[AVERAGE] = "average"


def negative(state):
    state[AVERAGE]["updates"] = -1


FAULTS = {
    lost: "holds no average of the weights, and the run's config says trainer.ema=0.9",
    short: r"average.state_dict\['.*'\] is not like the weights'",
    bent: r"average.state_dict\['.*'\] is not like the weights'",
    text: "average is a str",
    negative: "average.updates is -1",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_a_checkpoint_whose_average_is_not_one_is_refused(data, tmp_path, spoil):
    words = [EMA, "trainer.max_epochs=1"]
    run = train(data, tmp_path, *words)
    state = checkpoint(run)
    spoil(state)
    torch.save(state, run / "checkpoints" / "last.ckpt")
    (run / "checkpoints" / "previous.ckpt").unlink()
    with pytest.raises(UserError, match=FAULTS[spoil]):
        ndcg(run)
    with pytest.raises(UserError, match=FAULTS[spoil]):
        train(data, tmp_path, *words, "trainer.max_epochs=2")


def test_another_run_starts_from_the_average(data, averaged, tmp_path):
    run = train(data, tmp_path, f"init_from={averaged}", "trainer.max_steps=1", "optim.lr=1e-30")
    best = checkpoint(averaged, "best")
    mine = checkpoint(run)["state_dict"]
    assert same(mine, best[AVERAGE]["state_dict"]) and not same(mine, best["state_dict"])


def test_going_on_from_a_run_without_an_average_begins_with_its_weights(data, tmp_path):
    plain = train(data, tmp_path / "plain", "trainer.max_epochs=1")
    path = Path()
    path.skip = STEPS_PER_EPOCH
    with extra(path):
        run = train(data, tmp_path, f"resume={plain / 'checkpoints' / 'last.ckpt'}", EMA)
    state, begin = checkpoint(run), checkpoint(plain)["state_dict"]
    assert state[AVERAGE]["updates"] == 2 * STEPS_PER_EPOCH
    assert all(torch.equal(weights, begin[name].double()) for name, weights in path.weights[0].items())
    refuse_other_average(state, path, 0.9)


def test_a_step_that_is_left_out_is_not_averaged(data, tmp_path):
    """As in a stratum whose loss is not a number, with gradients.nonfinite=skip."""
    make = BackboneModule.losses

    def spoiled(self, batch):
        found = make(self, batch)
        return found if batch.step != 2 else type(found)(found.loss_N * torch.nan, found.stratum_N)

    words = ["gradients.name=stratified", "gradients.nonfinite=skip", "trainer.max_epochs=1", EMA]
    path = Path()
    with pytest.MonkeyPatch.context() as patch, extra(path):
        patch.setattr(BackboneModule, "losses", spoiled)
        run = train(data, tmp_path, *words)
    state = checkpoint(run)
    assert state["global_step"] == STEPS_PER_EPOCH and state[AVERAGE]["updates"] == STEPS_PER_EPOCH - 1
    assert same(path.weights[2], path.weights[3]), "the third step was left out"
    del path.weights[3]
    refuse_other_average(state, path, 0.9)
