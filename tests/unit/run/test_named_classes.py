"""Loggers and callbacks that a config names: they get what W&B gets, live through a resume, and are refused in one line."""

import csv
import importlib.util
import json

import pytest

from ltrec.config.load import dump, load
from ltrec.core.errors import UserError
from ltrec.core.storage.chain import DIGEST
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.train import train
from tests.support.tiny_run import tiny_config

OWN = "tests.support.own_classes"


def logger(name, /, **init_args):
    return f"tracking.loggers=[{{class_path: {name}, init_args: {json.dumps(init_args)}}}]"


def callback(name, /, **init_args):
    return f"trainer.callbacks=[{{class_path: {name}, init_args: {json.dumps(init_args)}}}]"


def test_an_own_logger_and_callback_get_everything_and_survive_a_resume(data, tmp_path):
    heard, count = tmp_path / "heard.jsonl", tmp_path / "count"
    words = [
        logger(f"{OWN}.ListLogger", path=str(heard)),
        callback(f"{OWN}.CountSteps", path=str(count)),
        "optim.schedule=constant",
    ]
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=1", *words))
    train(tiny_config(data, tmp_path, "trainer.max_epochs=2", *words))
    lines = [json.loads(line) for line in heard.read_text().splitlines()]
    assert lines[0] == ["config", "r", 0] and lines.count(["end", "success"]) == 2
    given = [{"step": step, **metrics} for kind, step, metrics in (line for line in lines if line[0] == "metrics")]
    ours = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [set(line) for line in given] == [set(line) - {DIGEST} for line in ours]
    assert [line["step"] for line in given] == [line["step"] for line in ours]
    assert {"train/loss", "val/ndcg@10", "lr"} <= set().union(*given)
    assert count.read_text() == "8", "four steps before the resume, four after it"


def test_csv_lies_in_the_run_folder_with_the_config_beside_it(data, tmp_path):
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=1", logger("pytorch_lightning.loggers.CSVLogger", name="csv")))
    [file] = RunFolder(run.path).loggers.rglob("metrics.csv")
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert {"step", "train/loss", "val/ndcg@10"} <= set(rows[0])
    assert "batch_rows: 24" in (file.parent / "hparams.yaml").read_text()


@pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("tensorboard", "tensorboardX")), reason="TensorBoard is not installed"
)
def test_tensorboard_writes_its_events(data, tmp_path):
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=1", logger("pytorch_lightning.loggers.TensorBoardLogger")))
    assert list(RunFolder(run.path).loggers.rglob("events.out.tfevents*"))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            logger("pytorch_lightning.loggers.CVSLogger"),
            r"module pytorch_lightning.loggers has no 'CVSLogger' \(did you mean 'CSVLogger'",
        ),
        (logger("absent_package.Logger"), "tracking.loggers: no module 'absent_package' is found here"),
        (logger(f"{OWN}.CountSteps"), r"CountSteps is not a subclass of pytorch_lightning\.loggers\.logger\.Logger"),
        (logger("Logger"), "class_path 'Logger' must name a module and a class"),
        (logger("os; import x.Logger"), "'os; import x' is not a module"),
        (logger(f"{OWN}.ListLogger", pth="x"), r"ListLogger takes no 'pth' \(did you mean 'path'\?\); it takes path, prefix"),
        (
            logger(f"{OWN}.ListLogger"),
            r"ListLogger could not be made \(TypeError: .*missing 1 required positional argument: 'path'\)",
        ),
        (logger(f"{OWN}.FailingLogger"), r"FailingLogger could not be made \(RuntimeError: no server\)$"),
        (callback(f"{OWN}.ListLogger", path="x"), r"trainer\.callbacks: .*ListLogger is not a subclass of .*Callback"),
        (callback(f"{OWN}.MyCheckpoint"), "writes checkpoints, which ltrec does itself"),
    ],
)
def test_unusable_classes_are_refused_in_one_line(data, tmp_path, word, said):
    with pytest.raises(UserError, match=said) as error:
        train(tiny_config(data, tmp_path, "trainer.max_epochs=1", word))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    ["CSVLogger", "{class_path: a.B}", "[a.B]", "[{path: a.B}]", "[{class_path: a.B, args: {}}]", "[{class_path: 3}]",
     "[{class_path: a.B, init_args: [1]}]", "[{class_path: a.B, init_args: {x: .nan}}]"],
)  # fmt: skip
def test_another_form_is_refused(value):
    with pytest.raises(UserError, match=r"must be a list of \{class_path: package.module.Class, .*; got|is a value, not"):
        load([], [f"tracking.loggers={value}"])


def test_arguments_of_any_depth_are_written_and_read_again(tmp_path):
    words = ["trainer.callbacks=[{class_path: a.B, init_args: {x: 1, y: [1, {z: '0.10'}], n: null}}, {class_path: c.D}]"]
    config = load([], words)
    (tmp_path / "x.yaml").write_text(dump(config))
    assert load([tmp_path / "x.yaml"], []) == config
    assert config.trainer.callbacks[0].init_args == {"x": 1, "y": [1, {"z": "0.10"}], "n": None}
