"""strata from the command line to the report: training tells fewer strata apart, reports keep the data set's."""

from __future__ import annotations

import json

import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.table import EvalTable
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.strategies import build_prior
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from ltrec.run.train import train
from tests.support.shards import leave_one_out, write_dataset
from tests.support.tiny_run import checkpoint, lines_of, same, tiny_config

STRATIFIED = ("gradients.name=stratified", "trainer.max_epochs=1")


def test_training_on_two_strata_reports_three(data, tmp_path):
    words = (*STRATIFIED, "strata=2", "plugin.name=bottleneck", "plugin.switch.by=step", "plugin.switch.at=1")
    run = train(tiny_config(data, tmp_path, *words))
    names = checkpoint(run.path)["state_dict"]
    assert {name.split(".")[3] for name in names if name.startswith("backbone.plugins.")} == {"0", "1"}
    assert json.loads(run.provenance.read_text())["training_strata"] == ["1-2", "3+"]
    keys = {key for line in lines_of(run.path) for key in line}
    assert {key for key in keys if key.startswith("strata/count/")} == {"strata/count/0", "strata/count/1"}
    assert {key for key in keys if "ndcg@10/stratum" in key} == {f"val/ndcg@10/stratum={z}" for z in range(3)}
    files = evaluate_run(run, "test", "last", detect())
    table = EvalTable.read(files["sasrec"])
    assert table.strata.count == 3 and set(table.column("stratum").tolist()) == {0, 1, 2}


def test_one_stratum_in_one_weighted_pass_is_joint_training_bit_for_bit(data, tmp_path):
    one = train(tiny_config(data, tmp_path / "one", *STRATIFIED, "gradients.mode=weighted", "strata=1"))
    joint = train(tiny_config(data, tmp_path / "joint", "gradients.name=joint", "trainer.max_epochs=1"))
    assert same(checkpoint(one.path)["state_dict"], checkpoint(joint.path)["state_dict"])
    other = train(tiny_config(data, tmp_path / "other", *STRATIFIED, "gradients.mode=weighted"))
    assert not same(checkpoint(other.path)["state_dict"], checkpoint(joint.path)["state_dict"]), "three strata are another method"


def test_more_strata_than_there_are_are_refused_before_anything_is_written(data, tmp_path):
    with pytest.raises(UserError, match=r"^strata=4 is more than the data set has, 3; use 3 at most"):
        train(tiny_config(data, tmp_path, *STRATIFIED, "strata=4"))
    assert not (tmp_path / "r").exists()


def prior(folder, tmp_path, *words):
    config = tiny_config(folder, tmp_path, *STRATIFIED, *words)
    opened = open_data(config)
    return build_prior(config.combination.prior, opened, build_plan(config, opened)).tolist()


@pytest.fixture(scope="module")
def gap(tmp_path_factory):
    """Three strata, nobody trainable in the second (two users of one training event) and none at all in the third but one."""
    folder = tmp_path_factory.mktemp("gap")
    users = [leave_one_out(n, [1 + n, 2, 3, 4, 5], 0) for n in range(24)] + [leave_one_out(30 + n, [1, 2, 3], 1) for n in range(2)]
    write_dataset(folder, [*users, *(leave_one_out(40 + n, [1, 2, 3, 4, 5, 6], 3) for n in range(2))])
    return folder


def test_a_share_for_a_stratum_without_users_is_refused(gap, tmp_path):
    message = r"gradients\.prior\.shares gives stratum {} \({} training events\) the share 0\.2, but training sees none of"
    for z in (1, 2):
        shares = [0.4, 0.0, 0.0, 0.4]
        shares[z] = 0.2
        with pytest.raises(UserError, match=message.format(z, z + 1)) as caught:
            prior(gap, tmp_path, "gradients.prior.name=explicit", f"gradients.prior.shares={shares}")
        assert "\n" not in str(caught.value)
    assert prior(gap, tmp_path, "gradients.prior.name=explicit", "gradients.prior.shares=[0.5,0,0,0.5]") == [0.5, 0, 0, 0.5]


def test_counted_priors_give_it_no_weight(gap, tmp_path):
    assert prior(gap, tmp_path)[2] == prior(gap, tmp_path, "gradients.prior.name=uniform")[2] == 0, "no users, no share"
    plugins = ("plugin.name=bottleneck", "plugin.switch.by=step", "plugin.switch.at=0", "trainer.log_every_steps=1")
    run = train(tiny_config(gap, tmp_path, *STRATIFIED, *plugins))
    line = [line for line in lines_of(run.path) if "strata/weight/0" in line][-1]
    assert line["strata/weight/0"] > 0 and [line[f"strata/weight/{z}"] for z in (1, 2)] == [0, 0]


def test_shares_are_of_the_merged_strata(data, tmp_path):
    assert prior(data, tmp_path, "strata=2") == pytest.approx([70 / 90, 20 / 90])
    assert prior(data, tmp_path, "strata=2", "gradients.prior.name=explicit", "gradients.prior.shares=[0.5,0.5]") == [0.5, 0.5]
    with pytest.raises(UserError, match=r"`shares` has 3 numbers, the data has 2 strata"):
        prior(data, tmp_path, "strata=2", "gradients.prior.name=explicit", "gradients.prior.shares=[0.5,0.3,0.2]")
