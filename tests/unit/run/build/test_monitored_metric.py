"""trainer.monitor is held against what validation will really give, before anything is written."""

from dataclasses import replace

import numpy as np
import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.metrics import METRICS, metric_values
from ltrec.evaluation.table import NUM_CANDIDATES, EvalTable
from ltrec.run.build.components import build_histories, build_validator, open_data
from ltrec.run.build.monitored_metric import refuse_monitor
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from ltrec.run.train import train
from tests.support.shards import random_users, write_dataset
from tests.support.tiny_run import STEPS_PER_EPOCH, checkpoint, lines_of, tiny_config


@pytest.fixture(scope="module")
def given(data, tmp_path_factory):
    """What a run's validation really wrote, over fewer strata in training than in the data."""
    run = train(tiny_config(data, tmp_path_factory.mktemp("run"), "trainer.max_epochs=1", "strata=2"))
    return sorted({key for line in lines_of(run.path) for key in line if key.startswith("val/")})


def check(config):
    opened = open_data(config)
    refuse_monitor(config, build_validator(config, opened), build_histories(config, opened, "valid"))


def test_every_metric_of_validation_can_be_monitored_and_no_other(data, tmp_path, given):
    assert len(given) == 12
    for name in given:
        check(tiny_config(data, tmp_path, f"trainer.monitor={name}", "strata=2"))
        for other in (name.replace("val", "test"), name.replace("10", "0"), name + "x", name.upper(), "train/loss"):
            with pytest.raises(UserError, match=r"^trainer\.monitor=.*: validation gives no such metric.*; it gives val/ndcg@10,"):
                check(tiny_config(data, tmp_path, f"trainer.monitor={other}", "strata=2"))


@pytest.fixture
def own_metrics():
    """One at every list length, one whole that needs the candidates and lies below zero; both rise with NDCG."""
    METRICS.register("gain", title="Gain", build=lambda r, n, k: np.where(r <= k, 2.0**-r, 0.0))
    METRICS.register("minus", title="-", cut=False, whole=True, share=False, needs_candidates=True, build=lambda r, n, k: -r / n)
    yield
    METRICS.remove("gain")
    METRICS.remove("minus")


@pytest.mark.parametrize("monitor", ["val/gain@3", "val/minus/tail", "val/mrr", "val/recall@20/stratum=1", "val/auc/head"])
def test_any_registered_metric_can_be_monitored(data, tmp_path, own_metrics, monitor):
    run = train(tiny_config(data, tmp_path, f"trainer.monitor={monitor}", "trainer.max_epochs=2", "strata=2"))
    values = {line["step"]: line[monitor] for line in lines_of(run.path) if monitor in line}
    assert len(values) == 2
    assert checkpoint(run.path, "best")["global_step"] == max(values, key=values.get)
    again = evaluate_run(run, "valid", "best", detect())["sasrec"]
    table = EvalTable.read(again)
    value_N = metric_values(monitor.split("/")[1], table.column("rank"), table.column(NUM_CANDIDATES))
    if monitor.count("/") == 1:
        assert value_N.mean() == max(values.values())


def test_further_metrics_of_the_evaluation_are_measured_at_ten(data, tmp_path, own_metrics):
    run = train(tiny_config(data, tmp_path, "evaluation.metrics=[gain,minus]", "trainer.max_epochs=1", "strata=2"))
    overall = [key for line in lines_of(run.path) for key in line if key.startswith("val/") and key.count("/") == 1]
    assert overall == ["val/ndcg@10", "val/hr@10", "val/gain@10", "val/minus"]


@pytest.mark.parametrize(
    "words", [[], ["trainer.patience=0"], ["gradients.name=stratified", "plugin.name=bottleneck", "plugin.switch.at=1"]]
)
def test_a_misspelt_metric_is_refused_with_the_nearest_before_anything_is_written(data, tmp_path, words):
    with pytest.raises(UserError, match=r"did you mean 'val/ndcg@10/tail'\?"):
        train(tiny_config(data, tmp_path, "trainer.monitor=val/ndgc@10/tial", *words))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("monitor", "words"),
    [("val/hr@10/head", ["evaluation.head_from=1000"]), ("val/ndcg@10/tail", ["evaluation.head_from=1"])],
)
def test_a_group_without_users_is_never_measured(data, tmp_path, monitor, words):
    with pytest.raises(UserError, match=f"^trainer.monitor={monitor}: nobody of that group .* watch one of val/ndcg@10, val/hr@10"):
        check(tiny_config(data, tmp_path, f"trainer.monitor={monitor}", *words))


def test_a_stratum_without_validation_targets_cannot_be_monitored(tmp_path):
    """Leave-one-out gives the shortest users no target: their stratum is there, and is never measured."""
    users = [replace(user, valid_at=-1) if user.stratum == 0 else user for user in random_users([40, 30, 20], num_items=30)]
    write_dataset(tmp_path / "data", users, num_items=30)
    check(tiny_config(tmp_path / "data", tmp_path, "trainer.monitor=val/ndcg@10/stratum=1"))
    with pytest.raises(UserError, match="stratum=0: nobody of that group has a validation target"):
        check(tiny_config(tmp_path / "data", tmp_path, "trainer.monitor=val/ndcg@10/stratum=0"))


@pytest.mark.parametrize(
    ("words", "said"), [(["trainer.validate_every_epochs=4"], True), (["trainer.max_steps=3"], True), ([], False)]
)
def test_a_run_that_ends_before_its_first_validation_says_so(data, tmp_path, capsys, words, said):
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=3", *words))
    line = f"the run ends at step {3 if 'trainer.max_steps=3' in words else 3 * STEPS_PER_EPOCH}: nothing is validated"
    assert (line in capsys.readouterr().err) is said
    assert any("val/ndcg@10" in line for line in lines_of(run.path)) is not said
