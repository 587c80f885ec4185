"""A run that survives damaged row groups: ledger in checkpoint, file, metrics and report; killed and resumed it is the same run."""

import json

import pytest

import ltrec.run.train as training
from ltrec.api.report import report
from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.stream.quarantine.ledger import read_ledger
from ltrec.reporting.run_results import read_run
from tests.support.flips import flip_group, shards_of_stratum
from tests.support.killed_run import train_killed
from tests.support.tiny_run import checkpoint, lines_of, refuse_differences, tiny_config, tiny_data

WORDS = ["trainer.max_epochs=2", "trainer.log_every_steps=2", "stream.on_damage=quarantine", "stream.damage_budget=0.3"]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """The data set with one row group of stratum 0 and one of stratum 1 damaged."""
    data = tiny_data(tmp_path_factory.mktemp("damaged"))
    manifest = Manifest.load(data)
    for stratum in (0, 1):
        flip_group(data, manifest, shards_of_stratum(manifest, stratum)[0], 1)
    return data


@pytest.fixture(scope="module")
def survived(damaged, tmp_path_factory):
    """A run on it."""
    return training.train(tiny_config(damaged, tmp_path_factory.mktemp("survived"), *WORDS)).path


def test_the_ledger_is_in_checkpoint_file_and_metrics(survived):
    ledger = read_ledger(survived / "quarantine.json")
    assert [(entry.shard, entry.group, entry.users, entry.rule) for entry in ledger] == [
        ("stratum=0/part-00000.parquet", 1, 4, "bytes"),
        ("stratum=1/part-00000.parquet", 1, 4, "bytes"),
    ]
    assert [entry.replaced for entry in ledger] == [9, 8], "four users, twice, and one in the 192 - 2 * 90 draws of the third pass"
    in_file = json.loads((survived / "quarantine.json").read_text())["row_groups"]
    assert checkpoint(survived)["StreamDataModule"]["quarantine"] == in_file
    lines = [line for line in lines_of(survived) if "quarantine/row_groups" in line]
    assert lines[-1]["quarantine/users"] == 8 and lines[-1]["quarantine/users/0"] == 4
    assert lines[-1]["quarantine/replaced_rows"] == 17


def test_one_line_is_printed_per_row_group(damaged, tmp_path, capsys):
    training.train(tiny_config(damaged, tmp_path, *WORDS, "trainer.max_steps=1"))
    said = [line for line in capsys.readouterr().err.splitlines() if "is damaged" in line]
    assert len(said) == 2
    assert "stratum=0/part-00000.parquet, row group 1 is damaged" in " ".join(said)


@pytest.mark.parametrize(
    ("step", "hook"),
    [(7, "batch"), pytest.param(2, "batch", marks=pytest.mark.slow), pytest.param(4, "validation", marks=pytest.mark.slow)],
)
def test_killed_and_resumed_is_the_same_run(damaged, survived, tmp_path, step, hook):
    here = tiny_config(damaged, tmp_path, *WORDS)
    train_killed(here, step, hook)
    training.train(here)
    refuse_differences(tmp_path / "r", survived)
    assert (tmp_path / "r" / "quarantine.json").read_bytes() == (survived / "quarantine.json").read_bytes()


def test_a_run_that_damage_ended_goes_on_under_quarantine(damaged, tmp_path):
    data = tiny_data(tmp_path / "data")
    manifest = Manifest.load(data)
    words = ["trainer.max_epochs=2", "stream.resident_mib=0", "stream.lanes=4", "stream.batch_rows=24"]
    here = tiny_config(data, tmp_path, *words)
    train_killed(here, 3, "batch")
    flip_group(data, manifest, shards_of_stratum(manifest, 2)[0], 0)
    with pytest.raises(UserError, match=r"stratum=2/part-00000.parquet is damaged"):
        training.train(here)
    run = training.train(tiny_config(data, tmp_path, *words, *WORDS[2:]))
    assert [entry.shard for entry in read_ledger(run.quarantine)] == [manifest.shards[shards_of_stratum(manifest, 2)[0]].path]
    with pytest.raises(UserError, match=r"stream.damage_budget=0.01"):
        training.train(tiny_config(data, tmp_path, *words, "stream.on_damage=quarantine", "trainer.max_epochs=3"))


def test_the_report_says_what_was_replaced(survived):
    written = report(survived)
    assert written.to_dict()["quarantine"][str(survived)][0]["stratum"] == 0
    page = written.path.read_text()
    assert "r was trained without the users of 2 damaged row groups (4 of stratum 0, 4 of stratum 1)" in page
    assert "took their places in 17 rows of its batches" in page


def test_a_damaged_ledger_is_an_error(survived, tmp_path):
    copy = tmp_path / "r"
    copy.mkdir()
    for name in ("config.yaml", "quarantine.json"):
        (copy / name).write_bytes((survived / name).read_bytes())
    assert len(read_run(copy).quarantine) == 2
    text = (copy / "quarantine.json").read_text()
    (copy / "quarantine.json").write_text(text.replace('"users": 4', '"users": 5', 1))
    with pytest.raises(UserError, match=r"quarantine.json is damaged .*restore the file"):
        read_run(copy)
