"""A run folder can be read from anywhere, also after it or its data have moved; the digest identifies the data."""

import json
import shutil

import pytest

from ltrec.cli.main import main
from ltrec.core.storage.seal import sealed_text, unsealed_text
from ltrec.evaluation.table import EvalTable
from ltrec.launch.many_runs import expand_runs
from tests.support.tiny_run import checkpoint, tiny_data, tiny_words

CONSTANT = "optim.schedule=constant"  # a rate that falls would be planned for one epoch


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with data and a run that names both by relative paths; to be copied."""
    project = tmp_path_factory.mktemp("trained") / "project"
    tiny_data(project / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        assert (
            main(["train", *tiny_words("data", "runs", "trainer.max_epochs=1", "evaluation.bootstrap_samples=100", CONSTANT)]) == 0
        )
    return project


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    """A copy that believes to have been started where it lies; the working folder is another one."""
    project = shutil.copytree(trained, tmp_path / "project", symlinks=True)
    config = project / "runs" / "r" / "config.yaml"
    config.write_text(sealed_text(unsealed_text(config.read_text()).replace(str(trained), str(project))))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return project


def refused(words, capsys):
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1, told
    return told


def commands(run, *words):
    return [["evaluate", str(run), *words], ["predict", str(run), *words], ["report", str(run), *words]]


def test_the_config_has_the_base_folder_and_unchanged_paths(project):
    text = (project / "runs" / "r" / "config.yaml").read_text()
    assert text.startswith(f'# relative paths begin at "{project}"\n') and "path: data\n" in text


def test_from_another_working_folder(project):
    for words in commands(project / "runs" / "r"):
        assert main(words) == 0


def test_the_base_folder_comes_before_the_working_folder(project, tmp_path):
    tiny_data(tmp_path / "elsewhere" / "data", seed=4)
    assert main(["evaluate", str(project / "runs" / "r")]) == 0


def test_a_moved_project_is_read_from_inside(project, tmp_path, monkeypatch):
    project.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert main(["evaluate", "runs/r"]) == 0


def test_a_run_and_its_data_moved_apart(project, tmp_path, capsys):
    shutil.move(project / "runs" / "r", tmp_path / "archived")
    shutil.move(project / "data", tmp_path / "there")
    for command in ("evaluate", "predict"):
        told = refused([command, tmp_path / "archived"], capsys)
        assert f"{project}/data is not a prepared data set" in told and "say where it is with --data DIR" in told
    for words in commands(tmp_path / "archived", "--data", str(tmp_path / "there")):
        assert main(words) == 0


def test_other_data_are_refused_wherever_they_come_from(project, tmp_path, capsys):
    run, other = project / "runs" / "r", tiny_data(tmp_path / "other", seed=4)
    for words in commands(run, "--data", str(other)):
        assert f"--data {other} holds another data set (digest " in refused(words, capsys)
    shutil.rmtree(project / "data")
    shutil.copytree(other, project / "data")
    for command in ("evaluate", "predict"):
        assert f"{project}/data holds another data set (digest " in refused([command, run], capsys)
    (run / "provenance.json").write_text("{")  # then the checkpoint knows
    for words in (["evaluate", run], ["predict", run], ["evaluate", run, "--data", other]):
        assert "name the data it was trained on with --data DIR" in refused(words, capsys)
    assert "nowhere is not a prepared data set" in refused(["evaluate", run, "--data", "nowhere"], capsys)
    assert "which run?" in refused(["evaluate", "evaluation.top_k=60"], capsys)


def test_a_table_identifies_its_data_without_provenance(project, tmp_path, capsys):
    run, other = project / "runs" / "r", tiny_data(tmp_path / "other", seed=4)
    assert main(["evaluate", str(run)]) == 0
    (run / "provenance.json").unlink()
    assert "parquet is about another data set (digest " in refused(["report", run, "--data", other], capsys)
    assert main(["report", str(run), "--data", str(project / "data")]) == 0


def test_only_evaluation_settings_may_be_overridden(project, capsys):
    run = project / "runs" / "r"
    words = ["evaluation.filter_seen=false", "evaluation.cutoffs=[3,10]", "evaluation.top_k=10"]
    assert main(["evaluate", str(run), *words]) == 0
    assert EvalTable.read(run / "eval" / "test.parquet").protocol.filter_seen is False
    assert "ndcg@3" in json.loads((run / "eval" / "test.json").read_text())["sasrec"]["groups"]["all"]["metrics"]
    assert main(["report", str(run), *words]) == 0
    assert "NDCG@3" in (run / "report" / "index.html").read_text()
    assert main(["predict", str(run), words[0]]) == 0
    for command in ("evaluate", "predict", "report"):
        assert "optim.lr=1: what a run was trained with cannot be changed" in refused([command, run, "optim.lr=1"], capsys)
        assert "did you mean 'evaluation.cutoffs'" in refused([command, run, "evaluation.cutofs=[3]"], capsys)


def test_a_run_is_resumed_by_its_own_config_from_any_folder(project, tmp_path, capsys):
    run = project / "runs" / "r"
    assert main(["train", str(run / "config.yaml"), "trainer.max_epochs=2"]) == 0
    assert checkpoint(run)["global_step"] == 8
    assert list((tmp_path / "elsewhere").iterdir()) == [], "no second run was begun here"
    moved = run.rename(tmp_path / "elsewhere" / "r")
    assert main(["train", "r/config.yaml", "trainer.max_epochs=3"]) == 0
    assert checkpoint(moved)["global_step"] == 12 and not run.exists()
    assert main(["evaluate", "r"]) == 0


def test_a_job_for_a_run_is_launched_from_anywhere(project, tmp_path, monkeypatch, capsys):
    run = project / "runs" / "r"
    words = ["launch", "slurm", str(run / "config.yaml"), "trainer.max_epochs=2", "trainer.accelerator=cpu"]
    assert main([*words, "--dry-run"]) == 0
    assert f"run_folders=(\n  {run}\n)" in capsys.readouterr().out
    monkeypatch.setenv("PATH", str(tmp_path / "no-slurm"))
    assert "there is no sbatch here; the job is ready" in refused(words, capsys)
    assert list((tmp_path / "elsewhere").iterdir()) == [], "no second run was begun here"
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(run / "config.yaml")]) == 0, "as the job does"
    assert checkpoint(run)["global_step"] == 8


def test_seeds_of_a_run_lie_beside_it_and_read_its_data_even_if_not_visible_here(project, tmp_path, capsys):
    run = project / "runs" / "r"
    words = ["launch", "local", str(run / "config.yaml"), "trainer.accelerator=cpu", "--array-seeds", "0-1", "--dry-run"]
    for _ in range(2):
        assert main(words) == 0
        assert f"ltrec train {run}-seed1/config.yaml" in capsys.readouterr().out
        [config] = expand_runs([run / "config.yaml"], [], [], [1])
        assert (config.out, config.data.path) == (str(project / "runs"), str(project / "data"))
        (project / "data").rename(tmp_path / "on-the-cluster-alone") if (project / "data").exists() else None


def test_a_config_of_a_run_makes_a_new_run_under_another_name(project, tmp_path):
    file = project / "runs" / "r" / "config.yaml"
    assert main(["train", str(file), "name=again", "trainer.max_epochs=1"]) == 0
    assert (tmp_path / "elsewhere" / "runs" / "again" / "checkpoints" / "last.ckpt").exists()


def test_a_run_folder_may_have_a_name_like_a_setting(project, tmp_path):
    run = shutil.copytree(project / "runs" / "r", tmp_path / "elsewhere" / "day=1", symlinks=True)
    for words in commands(run.name):
        assert main(words) == 0
